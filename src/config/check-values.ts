/**
 * From the texts of --check and its further options to their values, as in values.ts.
 */
import type { Expectation, StatusRange } from '../core/settings/check.ts';
import { ValueProblem } from './values.ts';

const schemes = ['http', 'https', 'tcp', 'exec', 'grpc', 'grpcs', 'docker'] as const;
export type CheckScheme = (typeof schemes)[number];

/** `http:/healthz` in its two parts. */
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
      throw new ValueProblem(
        'must be http:/PATH, https:/PATH, tcp, exec:COMMAND, grpc, grpc:SERVICE, grpcs, grpcs:SERVICE or docker',
      );
    case 'http':
    case 'https':
      return { scheme, argument: parsePath(scheme, argument || '/') };
    case 'exec':
      if (argument.trim() === '' || argument.includes('\0'))
        throw new ValueProblem('must name a command for /bin/sh, such as exec:pg_isready -q');
      return { scheme, argument };
    case 'grpc':
    case 'grpcs':
      if (/[\s\p{Cc}/]/u.test(argument))
        throw new ValueProblem(
          `must name a service with its package, such as ${scheme}:my.package.Service, or none for the server as a whole`,
        );
      return { scheme, argument };
    case 'tcp':
    case 'docker':
      if (text !== scheme)
        throw new ValueProblem(
          `takes nothing behind ${scheme}${scheme === 'tcp' ? '; the port is that of --port' : ''}`,
        );
      return { scheme, argument };
  }
}

function parsePath(scheme: string, path: string): string {
  if (path.startsWith('//'))
    throw new ValueProblem(
      `must be a path and not a whole URL, because the app is asked at its --port; write ${scheme}:/healthz`,
    );
  if (!path.startsWith('/'))
    throw new ValueProblem(
      `must have a path that begins with a slash, such as ${scheme}:/${path.replace(/[^\w./-].*/s, '')}`,
    );
  if (!/^[!-"$-~]+$/.test(path))
    throw new ValueProblem(
      'must have a path of printable ASCII without spaces and without "#"; write others as %20',
    );
  return path;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS'];

export function parseMethod(text: string): string {
  const method = text.toUpperCase();
  if (!methods.includes(method)) throw new ValueProblem(`must be one of ${methods.join(', ')}`);
  return method;
}

/** They say how long a connection and a message last, which is not for the user to decide. */
const ownHeaders = new Set(['connection', 'content-length', 'expect', 'transfer-encoding', 'upgrade']);

/** One `Name: value` a line. */
export function parseHeaders(text: string): [name: string, value: string][] {
  return text
    .split(/\r?\n/)
    .filter(line => line.trim() !== '')
    .map(line => {
      const [, name, value] = /^\s*([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? [];
      if (name === undefined || value === undefined)
        throw new ValueProblem('must be Name: value, one a line, such as Host: web.example');
      if (ownHeaders.has(name.toLowerCase()))
        throw new ValueProblem(`must not set ${name}, which dockreg itself says`);
      return [name, value.trimEnd()];
    });
}

/** `200-299,301` */
export function parseStatuses(text: string): StatusRange[] {
  return text.split(',').map(item => {
    const [, first, last = first] = /^\s*(\d{3})(?:\s*-\s*(\d{3}))?\s*$/.exec(item) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (!(from >= 200 && from <= to && to <= 599))
      throw new ValueProblem('must be statuses from 200 to 599 and ranges of them, such as 200-299,301');
    return { from, to };
  });
}

/** `TEXT` with the escapes of `parseBytes`, or `/REGEX/` with its flags. */
export function parseExpectation(text: string): Expectation {
  const [, source, flags = ''] = /^\/(.+)\/([imsu]*)$/s.exec(text) ?? [];
  if (source === undefined) return { text, wanted: parseBytes(text) };
  try {
    return { text, wanted: new RegExp(source, flags) };
  } catch (cause) {
    throw new ValueProblem(
      `is no regular expression of JavaScript (${cause instanceof Error ? cause.message : String(cause)}); a plain text stands without slashes`,
      { cause },
    );
  }
}

const escapes: Readonly<Record<string, number>> = { r: 13, n: 10, t: 9, '0': 0, '\\': 92 };

/** A text in UTF-8, with `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` for single bytes. */
export function parseBytes(text: string): Uint8Array {
  const bytes = [...text.matchAll(/\\x([0-9a-f]{2})|\\(.?)|[^\\]+/gis)].map(([part, hex, letter]) => {
    if (hex !== undefined) return Uint8Array.of(Number.parseInt(hex, 16));
    if (letter === undefined) return new TextEncoder().encode(part);
    const byte = escapes[letter];
    if (byte === undefined)
      throw new ValueProblem(`has "${part}", and the escapes are \\r, \\n, \\t, \\0, \\xHH and \\\\`);
    return Uint8Array.of(byte);
  });
  return Uint8Array.from(Buffer.concat(bytes));
}
