/**
 * One session of HTTP/2 for one call, for the checks that speak it (grpc.ts, h2.ts): how it is opened, bounded and
 * closed, and the words for a call that the app broke off.
 */
import { connect, type ClientHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import type { Verdict } from '../core/registration/health.ts';
import { codeOf, messageOf } from '../errors.ts';
import {
  closedEarly,
  closedHandshake,
  closedSilently,
  invalid,
  isEnding,
  observe,
  type Received,
} from './answer.ts';
import type { Connection } from '../network/closing.ts';

/**
 * The most of a whole session, in bytes, and how often it is looked at, in ms: node:http2 reads frames that are no answer
 * without an end, and takes a whole core.
 */
const mostSession = { bytes: 256 * 1024, everyMs: 20 } as const;
/** For messages. */
export const sessionText = `${mostSession.bytes / 1024} KiB`;
/** How a server that expects TLS answers anything else. */
const tlsAlertBytes = 7;
/** The lowest limit that Node accepts. */
const mostSessionMiB = 1;

/** What came of a call. */
export interface Http2Call {
  /** What it is called in messages. */
  readonly noun: 'call' | 'request';
  readonly received: Received;
  readonly isTls: boolean;
  /** Whether the app has agreed to HTTP/2. */
  hasSettings: boolean;
  /** The code with which the app ended the session. */
  goaway?: number;
  /** Whether the app ended the call and kept the session. */
  isReset?: boolean;
  /** Whether it was given up because of all that came. */
  isTooLong?: boolean;
}

export interface Http2Options {
  readonly connection: Connection;
  readonly secure: TLSSocket | undefined;
  /** `127.0.0.1:8000` */
  readonly authority: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Opens the session, and closes it and the connection when the signal aborts or too much has come. */
export function openSession(
  noun: Http2Call['noun'],
  { connection, secure, authority, clock, signal }: Http2Options,
): { readonly call: Http2Call; readonly session: ClientHttp2Session } {
  const call: Http2Call = {
    noun,
    received: observe(connection, secure),
    isTls: secure !== undefined,
    hasSettings: false,
  };
  const session = connect(`${secure ? 'https' : 'http'}://${authority}`, {
    createConnection: () => secure ?? connection,
    maxSessionMemory: mostSessionMiB,
    settings: { enablePush: false },
  });
  session.once('remoteSettings', () => (call.hasSettings = true));
  session.once('goaway', (code: number) => (call.goaway = code));
  const close = (): void => {
    // First, so that no GOAWAY goes out: many apps answer it by closing first.
    connection.destroy();
    session.destroy();
    secure?.destroy();
  };
  signal.addEventListener('abort', close, { once: true });
  if (signal.aborted) close();
  const limit = (): void => {
    call.isTooLong = connection.bytesRead > mostSession.bytes;
    if (call.isTooLong) close();
    else cancel = clock.after(mostSession.everyMs, limit);
  };
  let cancel = clock.after(mostSession.everyMs, limit);
  signal.addEventListener('abort', () => cancel(), { once: true });
  return { call, session };
}

/** For a check whose time is up; undefined if nothing came. */
export function cameOfHttp2({ noun, received, hasSettings }: Http2Call): string | undefined {
  if (received.isConnected && !received.isSecure) return 'the TLS handshake is not complete';
  return hasSettings ? `the app agreed to HTTP/2, and did not answer the ${noun}` : undefined;
}

/** Whether the error is one of HTTP/2, or the end of the connection. */
export function isOfHttp2(error: unknown, { received }: Http2Call): boolean {
  return isEnding(error, received) || codeOf(error).startsWith('ERR_HTTP2_');
}

/** The name of the code with which the app reset the stream: `REFUSED_STREAM`. */
export function resetCode(error: unknown): string | undefined {
  if (codeOf(error) !== 'ERR_HTTP2_STREAM_ERROR') return undefined;
  return /NGHTTP2_([A-Z0-9_]+)/.exec(messageOf(error))?.[1];
}

/** The verdict on a call that the app broke off before it answered; undefined for an error of another kind. */
export function brokenHttp2(place: string, call: Http2Call, error: unknown): Verdict | undefined {
  const { noun, received, hasSettings, goaway, isTooLong } = call;
  if (isTooLong) return tooLong(place, noun);
  if (!isOfHttp2(error, call)) return undefined;
  if (!received.isSecure) return closedHandshake(place, received);
  const reset = resetCode(error);
  if (hasSettings && goaway === undefined && reset !== undefined)
    return invalid(place, `the ${noun} was reset (RST_STREAM, ${reset})`);
  if (hasSettings && goaway === undefined && !isEnding(error, received))
    return invalid(place, `the app broke a rule of HTTP/2 after ${received.bytes} bytes`);
  return unanswered(place, call);
}

/** The verdict on a call without an answer, whose connection or stream has ended. */
export function unanswered(
  place: string,
  { noun, received, isTls, hasSettings, goaway, isReset, isTooLong }: Http2Call,
): Verdict {
  if (isTooLong) return tooLong(place, noun);
  if (received.bytes === 0) return closedSilently(place, received);
  if (!hasSettings) {
    const [asked, secured] = noun === 'call' ? ['gRPC', 'grpcs'] : ['HTTP/2', 'h2:/path'];
    if (received.bytes === tlsAlertBytes && !isTls)
      return invalid(
        place,
        `the app answered ${asked} with 7 bytes, like an alert of TLS; use --check ${secured}`,
      );
    const what = `${received.bytes} bytes that are not HTTP/2`;
    const other = isTls ? 'https:/path' : 'http:/path';
    return invalid(
      place,
      `the app answered ${asked} with ${what}; if it speaks HTTP/1.1, use --check ${other}`,
    );
  }
  if (goaway !== undefined)
    return invalid(
      place,
      `the app ended the session (GOAWAY, ${nameOf(goaway)}) and did not answer the ${noun}`,
    );
  if (isReset) return invalid(place, `the app ended the ${noun} (RST_STREAM, NO_ERROR) without an answer`);
  return closedEarly(place, received, `and did not answer the ${noun}`);
}

function tooLong(place: string, noun: string): Verdict {
  return invalid(place, `the app sent more than ${sessionText} and did not answer the ${noun}`);
}

/** Names of codes in HTTP/2, by number. */
const http2Codes = (
  'NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR ' +
  'REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED'
).split(' ');

export function nameOf(code: number): string {
  return http2Codes[code] ?? `code ${code}`;
}
