/** The check and its details. */
import { compilePattern, PatternError } from '../../core/pattern/pattern.ts';
import type { Expectation, StatusRange } from '../../core/settings/check.ts';
import { quote } from '../../core/text.ts';
import { limits } from './limits.ts';
import { parseChoice, requireAtMost, ValueError } from './value.ts';

const schemes = ['http', 'https', 'h2c', 'h2', 'tcp', 'exec', 'grpc', 'grpcs', 'docker'] as const;
export type CheckScheme = (typeof schemes)[number];

/** The two halves of `http:/healthz`. */
export interface CheckTarget {
  readonly scheme: CheckScheme;
  /** The path, the command or the service; the empty string where there is none. */
  readonly argument: string;
}

export function parseCheckTarget(text: string): CheckTarget {
  const [, word = '', argument = ''] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const scheme = schemes.find(each => each === word);
  switch (scheme) {
    case undefined:
      throw new ValueError(
        'must be http:/PATH, https:/PATH, h2c:/PATH, h2:/PATH, tcp, exec:COMMAND, grpc, grpc:SERVICE, grpcs, grpcs:SERVICE or docker',
      );
    case 'http':
    case 'https':
    case 'h2c':
    case 'h2':
      return { scheme, argument: parseUrlPath(scheme, argument || '/') };
    case 'exec':
      if (argument.trim() === '' || argument.includes('\0'))
        throw new ValueError('must name a command for /bin/sh, such as exec:pg_isready -q');
      break;
    case 'grpc':
    case 'grpcs':
      if (/[\s\p{Cc}/]/u.test(argument))
        throw new ValueError(
          `must name a service with its package, such as ${scheme}:my.package.Service, or none for the whole server`,
        );
      break;
    case 'tcp':
      if (text !== scheme)
        throw new ValueError('takes nothing after tcp', 'the port is that of --port, or --check-port');
      break;
    case 'docker':
      if (text !== scheme) throw new ValueError('takes nothing after docker');
  }
  return { scheme, argument };
}

function parseUrlPath(scheme: string, path: string): string {
  if (path.startsWith('//'))
    throw new ValueError(
      'must be a path and not a whole URL, because dockreg asks the app at its --port',
      `write ${scheme}:/healthz, with --check-host and --check-port if it is asked elsewhere`,
    );
  if (!path.startsWith('/'))
    throw new ValueError(
      `must have a path that begins with a slash, such as ${scheme}:/${path.replace(/[^\w./-].*/s, '')}`,
    );
  if (!/^[!-"$-~]+$/.test(path))
    throw new ValueError(
      'must have a path of printable ASCII without spaces and without "#"',
      'percent-encode other characters, such as %20',
    );
  return path;
}

const parseUpperMethod = parseChoice('GET', 'HEAD', 'POST', 'PUT', 'OPTIONS');

/** In upper or lower case. */
export function parseMethod(text: string): string {
  return parseUpperMethod(text.toUpperCase());
}

/** They decide how long a connection and a message last, so dockreg sets them. */
const ownHeaders = new Set(['connection', 'content-length', 'expect', 'transfer-encoding', 'upgrade']);

/** One `Name: value` per line. */
export function parseHeaders(text: string): [name: string, value: string][] {
  const lines = text.split(/\r?\n/).filter(line => line.trim() !== '');
  requireAtMost(limits.headers, lines.length, 'headers');
  return lines.map(line => {
    const [, name, value] = /^\s*([!#$%&'*+.^_`|~\w-]+):([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined)
      throw new ValueError('must be Name: value, one per line, such as Host: web.example');
    if (ownHeaders.has(name.toLowerCase()))
      throw new ValueError(`must not set ${name}, which dockreg sets itself`);
    return [name, value.replace(/^[ \t]+/, '').trimEnd()];
  });
}

/** `200-299,301` */
export function parseStatuses(text: string): StatusRange[] {
  const items = text.split(',');
  requireAtMost(limits.statuses, items.length, 'items');
  return items.map(item => {
    const [, first, last = first] = /^\s*(\d{3})(?:\s*-\s*(\d{3}))?\s*$/.exec(item) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (!(from >= 200 && from <= to && to <= 599))
      throw new ValueError('must be statuses from 200 to 599 and ranges of them, such as 200-299,301');
    return { from, to };
  });
}

/** `TEXT` with the escapes of `parseBytes`, or `/REGEX/` with its flags. */
export function parseExpectation(text: string): Expectation {
  const [, source, flags = ''] = /^\/(.+)\/([imsu]*)$/s.exec(text) ?? [];
  if (source === undefined) return { text, wanted: parseBytes(text) };
  try {
    const wanted = new RegExp(source, flags);
    compilePattern(wanted);
    return { text, wanted };
  } catch (cause) {
    if (cause instanceof PatternError)
      throw new ValueError(
        `${cause.message}, so that no answer can make it slow`,
        'write a simpler one, or a plain text without the slashes',
        { cause },
      );
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new ValueError(
      `is not a valid JavaScript regular expression (${reasonOf(cause)})`,
      'write a plain text without the slashes',
      { cause },
    );
  }
}

/** `Invalid regular expression: /(/: Unterminated group` → `Unterminated group`. The expression may hold a secret. */
function reasonOf({ message }: SyntaxError): string {
  return message.slice(message.lastIndexOf(': ') + 1).trim();
}

const escapes: Readonly<Record<string, number>> = { r: 13, n: 10, t: 9, '0': 0, '\\': 92 };

/** A text in UTF-8, with `\r`, `\n`, `\t`, `\0`, `\\`, and `\xHH` for single bytes. */
export function parseBytes(text: string): Uint8Array {
  const bytes = [...text.matchAll(/\\x([0-9a-f]{2})|\\(.?)|[^\\]+/gis)].map(([part, hex, letter]) => {
    if (hex !== undefined) return Uint8Array.of(Number.parseInt(hex, 16));
    if (letter === undefined) return new TextEncoder().encode(part);
    const byte = escapes[letter];
    if (byte === undefined)
      throw new ValueError(
        `has the unknown escape ${quote(part)}`,
        String.raw`the escapes are \r, \n, \t, \0, \xHH and \\`,
      );
    return Uint8Array.of(byte);
  });
  return Uint8Array.from(Buffer.concat(bytes));
}
