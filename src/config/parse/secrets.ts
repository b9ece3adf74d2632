/**
 * What a problem may show of a text that may hold a secret. Each function returns the text with `***` in place of the
 * secret, and rather hides too much: the text is refused, so it may have any form.
 */
import { formatCommand } from '../../core/settings/check.ts';

const hidden = '***';

/** Nothing of the text. */
export function showNothing(): string {
  return hidden;
}

/** URLs, separated by commas: `http://root:secret@h1:2379` → `http://***@h1:2379`. */
export function showUrls(text: string): string {
  // The secret may contain commas and slashes, so everything before the last @ belongs to it.
  const at = text.lastIndexOf('@');
  if (at < 0) return text.split(',').map(showUrl).join(',');
  const [scheme = ''] = /^[a-z]{0,10}:\/\//i.exec(text) ?? [];
  return `${scheme}${hidden}@${text
    .slice(at + 1)
    .split(',')
    .map(showUrl)
    .join(',')}`;
}

function showUrl(text: string): string {
  // Without an @, `root:secret` still looks like a host and a port, unless the port has digits only.
  return /^\s*(?:[a-z]{0,10}:\/\/)?(?:[\w.-]*|\[[\da-f:.]*\])(?::\d{0,5})?(?:\/[\w./-]*)?\s*$/i.test(text)
    ? text
    : hidden;
}

/** `root:secret` → `root:***` */
export function showUser(text: string): string {
  return text.includes(':') ? `${text.slice(0, text.indexOf(':'))}:${hidden}` : hidden;
}

/** `Authorization: Bearer secret` → `Authorization: ***`, one a line. */
export function showHeaders(text: string): string {
  const lines = text.split(/\r?\n/).filter(line => line.trim() !== '');
  return lines.map(line => `${/^\s*[\w-]{1,64}:/.exec(line)?.[0] ?? ''} ${hidden}`.trim()).join('\n');
}

/** `http:/healthz?token=secret` → `http:/healthz?***`, `exec:psql -W secret` → `exec:psql ***` */
export function showCheck(text: string): string {
  const [, scheme = '', argument = ''] = /^(\w{0,10}(?::|$))(.*)$/s.exec(text) ?? [];
  if (scheme === 'exec:') return `exec:${formatCommand(argument)}`;
  const [path = ''] = /^[\w./-]*/.exec(argument) ?? [];
  if (path === argument) return scheme + argument;
  return `${scheme}${argument[path.length] === '?' ? `${path}?` : ''}${hidden}`;
}

/** The begin of a word that should be the name of an option: what is not part of such a name may be its value. */
export function showWord(word: string): string {
  const [name = ''] = /^[\p{L}\p{N}_-]{0,64}/u.exec(word) ?? [];
  return name.length === word.length ? name : `${name}${hidden}`;
}

/** An option, its value where it has one, and the delimiter. */
const item = /([^=,"\n]*)(?:=("(?:[^"]|"")*(?:"|$)|[^,\n]*))?([,\n]|$)/y;

/**
 * `name=web,check-header=Authorization: secret` → `name=web,check-header=***`: the items up to the first that may hold a
 * secret.
 * @param isPublic whether an option of this name may be shown with its value
 */
export function showServices(text: string, isPublic: (name: string) => boolean): string {
  item.lastIndex = 0;
  let end = 0;
  while (end < text.length && end < mostServices) {
    const [whole = '', word = '', value] = item.exec(text) ?? [];
    if (whole === '') return text.slice(0, end) + hidden;
    const isSafe = value === undefined || (/^[\w .,/"-]*$/.test(value) && !/check|etcd|record/.test(value));
    if (!isPublic(word.trim()) || !isSafe)
      return `${text.slice(0, end)}${showWord(word.trim())}${value === undefined ? '' : `=${hidden}`}`;
    end = item.lastIndex;
  }
  return text.slice(0, end);
}

/** What follows is cut from a problem anyway. */
const mostServices = 1000;
