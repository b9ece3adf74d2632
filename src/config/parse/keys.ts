/**
 * The parents of keys. What people type there by mistake is refused with the way out: a template, a variable that nobody
 * replaced, a pattern, quotes that are not the shell's.
 */
import { isIP } from 'node:net';
import { brief, quote } from '../../core/text.ts';
import { limits } from './limits.ts';
import { requireAtMost, ValueError } from './value.ts';

/** Names separated by single slashes. Returns them without a leading slash. */
export function parseParent(text: string, rule: string): string {
  refuseMistakes(text);
  return parsePath(text, rule);
}

/** The same for a key with placeholders. */
export function parsePath(text: string, rule: string): string {
  const path = text.replace(/^\//, '');
  const names = path.split('/');
  if (names.some(name => ['', '.', '..'].includes(name) || /[\s\p{Cc}\p{Cs}]/u.test(name)))
    throw new ValueError(rule, hintFor(path));
  requireAtMost(limits.keyParts, names.length, 'names');
  requireAtMost(limits.keyLength, text.length, 'characters');
  return names.join('/');
}

/** What to write instead, where that is plain. */
function hintFor(path: string): string | undefined {
  if (/^[a-z]+:\/\//i.test(path)) return "etcd's own address belongs in --etcd";
  const plain = path
    .trim()
    .replaceAll(/\/+/g, '/')
    .replace(/^\/|\/$/g, '');
  return plain !== path && /^[\w.-]+(?:\/[\w.-]+)*$/.test(plain) && !/(?:^|\/)\.\.?(?:\/|$)/.test(plain)
    ? `write ${plain}`
    : undefined;
}

const addsAddress = 'dockreg adds the address itself: a parent such as service is enough';

/** @throws ValueError */
function refuseMistakes(text: string): void {
  refuseVariables(text);
  if (/[{}]/.test(text))
    throw new ValueError(
      'must have no braces, because it is the same for all instances and has no placeholders',
      `a key with placeholders is a record: --record '${recordLike(text)}=running'`,
    );
  if (/["'`]/.test(text))
    throw new ValueError(
      'must have no quotes',
      'only a shell removes quotes: leave them out in a file of variables, a label or a Dockerfile',
    );
  if (/[<>]/.test(text)) throw new ValueError('must have no "<" and no ">"', addsAddress);
  if (text.includes('*'))
    throw new ValueError(
      'must have no "*", because it is no pattern',
      'name the parent, and all below it is meant',
    );
  if (text.includes('\\')) throw new ValueError('must have no backslash', 'separate names by "/"');
  const [invisible] = /\p{Cf}/u.exec(text) ?? [];
  if (invisible !== undefined)
    throw new ValueError(
      `has the invisible character ${brief(invisible)}`,
      'type it anew instead of copying it',
    );
  const last = text.slice(text.lastIndexOf('/') + 1);
  if (/^[^:]+:\d+$/.test(last) && !text.includes('//') && isIP(last.replace(/:\d+$/, '')) !== 0)
    throw new ValueError(`ends with the address ${brief(last)}`, addsAddress);
}

/**
 * A variable that a shell, supervisord or compose should have replaced.
 * @throws ValueError
 */
export function refuseVariables(text: string): void {
  const [supervisor] = /%\(\w*\)[sd]?/.exec(text) ?? [];
  if (supervisor !== undefined)
    throw new ValueError(
      `has ${quote(supervisor)}, which supervisord has not replaced`,
      "write the value, or put it into command= or environment= of supervisord's file, where it is replaced",
    );
  const [shell] = /\$(?:\w+|\{[^}]*\}?|\([^)]*\)?)|%[A-Za-z_]\w+%/.exec(text) ?? [];
  if (shell !== undefined)
    throw new ValueError(
      `has ${quote(shell)}, which no shell has replaced`,
      'write the value, let a shell start dockreg (sh -c), or use ${NAME} in the file of --config',
    );
}

/** A key for --record that looks like the text: with the placeholders that dockreg has, and one for the address. */
function recordLike(text: string): string {
  const path = text
    .replaceAll(/\{\{?\s*\.?(\w*)[^{}]*\}?\}/g, (_, word: string) =>
      /^(?:name|service)/i.test(word) ? '{service}' : '',
    )
    .replaceAll(/[^\w./{}-]/g, '')
    .replaceAll(/\/{2,}/g, '/')
    .replaceAll(/^\/|\/$/g, '');
  const isPlain = /^(?:[\w.-]|\{service\})+(?:\/(?:[\w.-]|\{service\})+)*$/.test(path);
  return `/${isPlain ? path : '{service}'}/{address}`;
}
