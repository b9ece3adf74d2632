/**
 * The check over HTTP/2, in clear text with prior knowledge (`h2c:`) or over TLS (`h2:`): one request on its own session.
 * It asks what an HTTP check asks, and judges the answer in the same way.
 */
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2';
import type { Verdict } from '../core/registration/health.ts';
import type { HttpCheck } from '../core/settings/check.ts';
import {
  cameOfHttp,
  cutShort,
  invalid,
  mostHead,
  mostInterim,
  tooLongHead,
  type HttpProgress,
} from './answer.ts';
import { Connection } from '../network/closing.ts';
import { httpQuestion, type HttpQuestion, type HttpResponse } from './http.ts';
import {
  brokenHttp2,
  cameOfHttp2,
  isOfHttp2,
  nameOf,
  openSession,
  resetCode,
  sessionText,
  type Http2Call,
} from './http2.ts';
import { keepUntilStreamIsGone } from './http2-handles.ts';
import { attempt, type Probe, type ProbeOptions } from './probe.ts';
import { dialTls, explainTls, hintAtCertificate, readTlsFiles } from './trust.ts';

export async function http2Probe(check: HttpCheck, options: ProbeOptions): Promise<Probe> {
  const question = await httpQuestion(check, options);
  const { target, subject, judge } = question;
  const { tls, proxyProtocol } = check;
  const { clock } = options;
  return attempt(options, subject, async (signal, progress) => {
    const pem = tls && (await readTlsFiles(tls));
    const connection = new Connection(target.address, clock, proxyProtocol);
    const secure = tls && pem && dialTls(connection, target, tls, pem, 'h2');
    const { authority } = target;
    const { call, session } = openSession('request', { connection, secure, authority, clock, signal });
    const answer: HttpProgress = { received: call.received, head: undefined, bodyBytes: 0 };
    progress.came = () => (answer.head ? cameOfHttp(answer) : cameOfHttp2(call));
    const ask = (): Promise<HttpResponse> => responseOf(call, answer, session, fieldsOf(check, question));
    const verdict = await judge(answer, signal, ask, (place, error) => {
      // The session takes the bytes from the socket, so only their number is known.
      call.received.bytes = (secure ?? connection).bytesRead;
      return broken(place, call, answer, error);
    }).catch(explainTls(subject, 'h2', tls));
    return hintAtCertificate(verdict, call.received, tls);
  });
}

/** The request as fields of HTTP/2. */
function fieldsOf({ method, path }: HttpCheck, { headers }: HttpQuestion): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = { ':method': method, ':path': path };
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'connection') continue;
    // Node accepts some names only once, so a header that is given twice is sent as one list.
    const text = typeof value === 'string' ? value : value.join(name === 'cookie' ? '; ' : ', ');
    fields[name === 'host' ? ':authority' : name] = text;
  }
  return fields;
}

/** Waits for the head of the answer. Rejects with the error of the connection, the session or the stream. */
function responseOf(
  call: Http2Call,
  answer: HttpProgress,
  session: ClientHttp2Session,
  fields: OutgoingHttpHeaders,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    session.once('close', () => resolve({ kind: 'closed' }));
    const stream = session.request(fields, { endStream: true });
    keepUntilStreamIsGone(session, stream);
    // The error of a stream that waits for its connection wraps the error of the connection.
    stream.on('error', error => reject(error.cause instanceof Error ? error.cause : error));
    let interim = 0;
    stream.on('headers', () => {
      if (++interim > mostInterim) resolve({ kind: 'interim' });
    });
    stream.once('response', head => {
      if (sizeOf(head) > mostHead) return resolve({ kind: 'long' });
      const { ':status': statusCode = 0, ...headers } = head;
      resolve({ kind: 'answer', response: { statusCode, headers }, body: wholeBody(stream, call, answer) });
    });
    stream.once('close', () => {
      call.isReset = !session.closed && !session.destroyed;
      resolve({ kind: 'closed' });
    });
  });
}

function sizeOf(head: IncomingHttpHeaders): number {
  return Object.entries(head).reduce((sum, [name, value]) => sum + name.length + String(value).length, 0);
}

/**
 * Throws where the stream ends before its body. Node ends such a stream like any other, and the iterator of Node 26 throws
 * for a whole one whose stream has closed by the time that it is read.
 */
async function* wholeBody(
  stream: ClientHttp2Stream,
  call: Http2Call,
  answer: HttpProgress,
): AsyncGenerator<Buffer, void> {
  let wake: (() => void) | undefined;
  for (const event of ['readable', 'end', 'close']) stream.on(event, () => wake?.());
  while (!stream.readableEnded) {
    const piece: unknown = stream.read();
    if (piece instanceof Buffer) yield piece;
    else if (stream.destroyed) break;
    else await new Promise<void>(resolve => (wake = resolve));
  }
  if (stream.errored) throw stream.errored;
  const isShort = !stream.endAfterHeaders && answer.bodyBytes < (answer.head?.length ?? 0);
  if (stream.readableEnded && stream.rstCode === 0 && !isShort) return;
  const code = call.isReset ? 'ERR_HTTP2_STREAM_ERROR' : 'ERR_STREAM_PREMATURE_CLOSE';
  throw Object.assign(new Error(`NGHTTP2_${nameOf(stream.rstCode ?? 0)}`), { code });
}

/** The verdict on an answer that is not whole; undefined for an error of another kind. */
function broken(place: string, call: Http2Call, answer: HttpProgress, error: unknown): Verdict | undefined {
  const { received, isTooLong, goaway } = call;
  const reset = resetCode(error);
  if (answer.head === undefined) {
    // Node's own limit on the fields of a head.
    if (reset === 'ENHANCE_YOUR_CALM' && received.bytes > mostHead) return tooLongHead(place);
    return brokenHttp2(place, call, error);
  }
  if (isTooLong) return invalid(place, `the app sent more than ${sessionText} and did not end its answer`);
  if (!isOfHttp2(error, call)) return undefined;
  if (goaway !== undefined) return cutShort(place, answer, `ended (GOAWAY, ${nameOf(goaway)})`);
  // Node resets a stream whose body is shorter than its head says.
  const isShort = reset === 'PROTOCOL_ERROR' && answer.bodyBytes < (answer.head.length ?? 0);
  if (reset === undefined || isShort) return cutShort(place, answer);
  return cutShort(place, answer, `was reset (RST_STREAM, ${reset})`);
}
