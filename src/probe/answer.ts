/**
 * What came over the connection of a check, and the words for each way in which an answer can be bad. All kinds of checks
 * use these words, and never those of Node. A reason names the place, what came, and what was missing.
 */
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Verdict } from '../core/registration/health.ts';
import { clean } from '../core/text.ts';
import { codeOf } from '../errors.ts';
import { fail } from './probe.ts';

/** How much of the start of an answer is kept and shown, in bytes. */
const shownBytes = 80;

/** What came over a connection so far, and how it ended. */
export interface Received {
  bytes: number;
  /** The first bytes. */
  start: Buffer;
  ending: 'open' | 'closed' | 'reset';
  isConnected: boolean;
  /** Whether the handshake of TLS is complete; true without TLS. */
  isSecure: boolean;
}

/** Also handles the errors of the connection and of TLS, so that none is without a listener. */
export function observe(connection: Duplex, tls?: TLSSocket): Received {
  const received: Received = {
    bytes: 0,
    start: Buffer.alloc(0),
    ending: 'open',
    isConnected: false,
    isSecure: tls === undefined,
  };
  const onError = (error: Error): void => {
    // Node gives the same code to an end that came too early, but no number of a system call.
    if (codeOf(error) !== 'ECONNRESET' && codeOf(error) !== 'EPIPE') return;
    // A connection can be made and reset before Node looks at it. One that is not made is refused.
    received.isConnected = true;
    received.ending = 'errno' in error ? 'reset' : 'closed';
  };
  connection.once('connect', () => (received.isConnected = true));
  connection.once('end', () => (received.ending = 'closed'));
  connection.on('error', onError);
  tls?.once('secureConnect', () => (received.isSecure = true));
  tls?.once('end', () => (received.ending = 'closed'));
  tls?.on('error', onError);
  return received;
}

/** Adds a part of the answer. */
export function count(received: Received, part: Buffer): void {
  received.bytes += part.length;
  const missing = shownBytes - received.start.length;
  if (missing > 0) received.start = Buffer.concat([received.start, part.subarray(0, missing)]);
}

/** The start of an answer of so many bytes, in quotes and on one line. */
export function excerpt(start: Buffer, bytes = start.length): string {
  const isWhole = bytes <= shownBytes;
  // A character that is cut at the end is left out.
  const text = new TextDecoder().decode(start.subarray(0, shownBytes), { stream: !isWhole });
  return `"${clean(text)}"${isWhole ? '' : ` (${shownBytes} of ${bytes} bytes)`}`;
}

/** How it is said that a connection ended: `the app closed the connection`. */
function ended({ ending }: Received): string {
  return `the app ${ending === 'reset' ? 'reset' : 'closed'} the connection`;
}

/** Codes with which Node reports the end of a connection that was made, whoever ended it. */
const endings: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ECONNABORTED',
  'ETIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_READING_RESPONSE_STREAM',
]);

/** Whether the error is the end of a connection that was made. */
export function isEnding(error: unknown, { isConnected }: Received): boolean {
  return isConnected && endings.has(codeOf(error));
}

/** The app ended the connection, and no byte of an answer came. */
export function closedSilently(place: string, received: Received): Verdict {
  return fail(`${place}: ${ended(received)} before it answered`, 'connection');
}

/** The app ended the connection before the handshake of TLS was complete. */
export function closedHandshake(place: string, received: Received): Verdict {
  return fail(`${place}: ${ended(received)} in the middle of the TLS handshake`, 'tls');
}

/** The app ended the connection after bytes that are no whole answer. */
export function closedEarly(place: string, received: Received, missing: string): Verdict {
  return fail(`${place}: ${ended(received)} after ${received.bytes} bytes, ${missing}`, 'connection');
}

export function invalid(place: string, what: string): Verdict {
  return fail(`${place}: ${what}`, 'answer');
}

/** What came of an answer of HTTP. */
export interface HttpProgress {
  readonly received: Received;
  /** Undefined until the head is complete. */
  head: { readonly length: number | undefined; readonly isChunked: boolean } | undefined;
  bodyBytes: number;
  /** The first error of the request: the error of the body that follows says less. */
  error?: unknown;
}

/** For a check whose time is up; undefined if nothing came. */
export function cameOfHttp({ received, head, bodyBytes }: HttpProgress): string | undefined {
  if (received.isConnected && !received.isSecure) return 'the TLS handshake is not complete';
  if (head) return `${bytesOf(head.length, bodyBytes)} of its body came`;
  if (received.bytes === 0) return undefined;
  return `its head is not complete: ${excerpt(received.start, received.bytes)}`;
}

function bytesOf(length: number | undefined, bytes: number): string {
  return length === undefined ? `${bytes} bytes` : `${bytes} of ${length} bytes`;
}

/** The verdict on an answer of HTTP that is not whole or not valid; undefined for an error of another kind. */
export function brokenHttp(place: string, progress: HttpProgress, last: unknown): Verdict | undefined {
  const { received, head, error = last } = progress;
  const code = codeOf(error);
  const isInvalid = code.startsWith('HPE_');
  if (!isInvalid && !isEnding(error, received)) return undefined;
  if (!received.isSecure) return closedHandshake(place, received);
  if (head) {
    if (isInvalid) return invalid(place, `the body of the answer is not valid HTTP: ${faultOf(code)}`);
    return cutShort(place, progress);
  }
  if (received.bytes === 0) return closedSilently(place, received);
  if (code === 'HPE_HEADER_OVERFLOW') return tooLongHead(place);
  const start = received.start.toString('latin1').replace(/^[\r\n]+/, '');
  const [protocol, , other] = protocols.find(([, pattern]) => pattern.test(start)) ?? [];
  if (protocol)
    return invalid(place, `the app answered with ${protocol} instead of HTTP/1.1; use --check ${other}`);
  const shown = excerpt(received.start, received.bytes);
  if (!start.startsWith('HTTP/') && !'HTTP/'.startsWith(start))
    return invalid(place, `the app answered ${shown} instead of HTTP`);
  if (isInvalid)
    return invalid(place, `the head of the answer is not valid HTTP: ${faultOf(code)}; it begins ${shown}`);
  return closedEarly(place, received, 'in the middle of the head of its answer');
}

/** The answer ended within its body: `the answer was reset after 12 of 100 bytes of its body`. */
export function cutShort(
  place: string,
  { received, head, bodyBytes }: HttpProgress,
  verb = received.ending === 'reset' ? 'was reset' : 'ended',
): Verdict {
  const missing = head?.isChunked ? ', without its last chunk' : '';
  const text = `the answer ${verb} after ${bytesOf(head?.length, bodyBytes)} of its body${missing}`;
  return fail(`${place}: ${text}`, 'connection');
}

/** The most that node:http reads, in bytes. */
export const mostHead = 16 * 1024;

export function tooLongHead(place: string): Verdict {
  return invalid(place, `the head of the answer is longer than ${mostHead / 1024} KiB`);
}

/** The app changed to another protocol, which nobody had asked for. */
export function switchedProtocols(place: string): Verdict {
  return invalid(place, 'the app answered HTTP 101 and changed the protocol, which dockreg did not ask for');
}

/** The most answers with a status of 1xx before the answer itself. */
export const mostInterim = 20;

export function tooManyInterim(place: string): Verdict {
  return invalid(place, `the app sent more than ${mostInterim} interim answers (HTTP 1xx) and no other`);
}

/** Other protocols, by the first bytes of an answer. */
// oxlint-disable no-control-regex -- other protocols begin with such bytes
const protocols: readonly (readonly [name: string, pattern: RegExp, check: string])[] = [
  // An alert, or the hello of a server.
  ['TLS', /^[\x15\x16]\x03[\x00-\x04]/, 'https:/path'],
  // A frame of settings on stream 0, or the greeting that a client sends.
  ['HTTP/2', /^(?:\x00..\x04[\x00\x01]\x00{4}|PRI \* HTTP\/2)/s, 'grpc, or h2c:/path'],
];
// oxlint-enable no-control-regex

/** What llhttp, the parser of Node, found wrong. */
const faults: Readonly<Record<string, string>> = {
  HPE_INVALID_VERSION: 'it has no version that dockreg knows',
  HPE_INVALID_STATUS: 'its status is not a number of three digits',
  HPE_INVALID_CONSTANT: 'its first line does not begin with HTTP/',
  HPE_INVALID_HEADER_TOKEN: 'a header has a character that is not allowed',
  HPE_INVALID_CONTENT_LENGTH: 'its Content-Length is not a number',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'it gives its length more than once',
  HPE_INVALID_TRANSFER_ENCODING: 'it gives its length more than once',
  HPE_INVALID_CHUNK_SIZE: 'a chunk has no valid size',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'the extensions of its chunks are longer than 16 KiB',
  HPE_HEADER_OVERFLOW: 'its trailers are longer than 16 KiB',
  HPE_CR_EXPECTED: 'a line does not end with CR and LF',
  HPE_LF_EXPECTED: 'a line does not end with CR and LF',
  HPE_STRICT: 'a line or a chunk does not end as it must',
};

function faultOf(code: string): string {
  return faults[code] ?? `it breaks a rule (${code.slice('HPE_'.length).toLowerCase().replaceAll('_', ' ')})`;
}
