/**
 * What an HTTP check asks and what an answer means, and the check over plain HTTP: one request of node:http on its own
 * connection. got, which makes the request in https.ts, would cost memory and CPU here (docs/why.md). A redirect is an
 * answer and is not followed, as in the kubelet's HTTP probe.
 */
import type { EventEmitter } from 'node:events';
import { request as ask, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Verdict } from '../core/registration/health.ts';
import { formatPath, type HttpCheck } from '../core/settings/check.ts';
import { clean } from '../core/text.ts';
import {
  brokenHttp,
  cameOfHttp,
  count,
  excerpt,
  mostInterim,
  observe,
  switchedProtocols,
  tooManyInterim,
  type HttpProgress,
} from './answer.ts';
import { Connection } from '../network/closing.ts';
import { attempt, fail, pass, targetOf, type Probe, type ProbeOptions, type ProbeTarget } from './probe.ts';

/** Only this much of a body is read, in bytes. */
const mostBytes = 64 * 1024;
/** How much of the start of a body is kept for messages, in bytes. */
const mostStart = 100;
/** How much of the path messages show, in characters. */
const mostPath = 100;

export async function httpProbe(check: HttpCheck, options: ProbeOptions): Promise<Probe> {
  const { target, subject, headers, judge } = await httpQuestion(check, options);
  return attempt(options, subject, async (signal, progress) => {
    const connection = new Connection(target.address, options.clock);
    const answer = startAnswer(connection);
    progress.came = () => cameOfHttp(answer);
    const request = ask({
      method: check.method,
      path: check.path,
      headers,
      createConnection: () => connection,
    });
    closeAtEnd(signal, connection, request);
    signal.addEventListener('abort', () => request.destroy(), { once: true });
    request.on('error', error => (answer.error ??= error));
    return judge(answer, signal, () => {
      const response = responseOf(request, message => message);
      request.end();
      return response;
    });
  });
}

/** Closes the connection when the check is over, by the rule for the answer. */
export function closeAtEnd(signal: AbortSignal, connection: Connection, request: ClientRequest): void {
  request.once('response', () => {
    // HTTP/1.0, or `connection: close` in the answer.
    if (!request.shouldKeepAlive) connection.expectClose();
  });
  signal.addEventListener('abort', () => connection.destroy(), { once: true });
}

/** Begins to count what comes over the connection. */
export function startAnswer(connection: Connection, tls?: TLSSocket): HttpProgress {
  const received = observe(connection, tls);
  const answer: HttpProgress = { received, head: undefined, bodyBytes: 0 };
  (tls ?? connection).on('data', (part: Buffer) => count(received, part));
  return answer;
}

/** An answer whose head is complete, or why there is none. */
export type HttpResponse =
  | { readonly kind: 'answer'; readonly response: IncomingMessage; readonly body: AsyncIterable<Buffer> }
  | { readonly kind: 'switched' | 'interim' | 'closed' };

/** Waits for the head of the answer. Rejects with the error of the request, which may emit more of them. */
export function responseOf(
  request: EventEmitter & { destroy: () => unknown },
  bodyOf: (response: IncomingMessage) => AsyncIterable<Buffer>,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    let interim = 0;
    request.once('response', (response: IncomingMessage) =>
      resolve({ kind: 'answer', response, body: bodyOf(response) }),
    );
    request.on('information', () => {
      if (++interim <= mostInterim) return;
      resolve({ kind: 'interim' });
      request.destroy();
    });
    request.once('upgrade', (_: unknown, socket: Socket) => {
      resolve({ kind: 'switched' });
      socket.destroy();
    });
    request.on('error', reject);
    request.once('close', () => resolve({ kind: 'closed' }));
  });
}

/** What is asked, and what an answer means. */
export interface HttpQuestion {
  readonly target: ProbeTarget;
  /** For messages: `http://127.0.0.1:8000/healthz`, `http:/healthz at /run/app.sock`. */
  readonly subject: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /**
   * Waits for the answer. Reads the body even if only the status counts: an app that is cut off while it writes may log
   * an error, and a body that is cut short is no good answer. Rejects with an error that is not about the answer.
   */
  judge(progress: HttpProgress, signal: AbortSignal, ask: () => Promise<HttpResponse>): Promise<Verdict>;
}

export async function httpQuestion(check: HttpCheck, options: ProbeOptions): Promise<HttpQuestion> {
  const target = targetOf(check.socketPath, options);
  const { text, authority } = target;
  const scheme = check.tls ? 'https' : 'http';
  const isUrl = check.socketPath === undefined;
  const path = clean(formatPath(check.path), mostPath);
  const subject = isUrl ? `${scheme}://${text}${path}` : `${scheme}:${path} at ${text}`;
  const place = `${check.method} ${subject}`;
  const headers: Record<string, string | string[]> = {
    host: authority,
    'user-agent': options.userAgent,
    accept: '*/*',
    // An app that keeps the connection does not close it first.
    connection: 'keep-alive',
  };
  // The headers of the check replace our own.
  for (const [name, value] of check.headers) {
    const others = check.headers.filter(([other]) => other.toLowerCase() === name.toLowerCase());
    headers[name.toLowerCase()] = others.length > 1 ? others.map(([, each]) => each) : value;
  }
  const begin = check.body && (await import('./expectation.ts')).matcher(check.body);

  const read = async (
    progress: HttpProgress,
    signal: AbortSignal,
    response: IncomingMessage,
    body: AsyncIterable<Buffer>,
  ): Promise<Verdict> => {
    const { statusCode: status = 0, headers: fields } = response;
    const length = check.method === 'HEAD' ? undefined : fields['content-length'];
    progress.head = {
      length: length === undefined ? undefined : Number(length),
      isChunked: fields['transfer-encoding'] !== undefined,
    };
    const isWanted = check.statuses.some(({ from, to }) => status >= from && status <= to);
    const bad = fail(`HTTP ${status} from ${subject}`);
    const match = begin?.();
    // An empty body may be what is expected.
    let isMatch = (await match?.add(Buffer.alloc(0), signal)) ?? true;
    let start = Buffer.alloc(0);
    try {
      for await (const part of body) {
        const left = mostBytes - progress.bodyBytes;
        progress.bodyBytes += part.length;
        if (start.length < mostStart) start = Buffer.concat([start, part.subarray(0, mostStart)]);
        if (match) isMatch = await match.add(part.subarray(0, left), signal);
        if (progress.bodyBytes >= mostBytes) break;
      }
    } catch (error) {
      if (isWanted) throw error;
      return bad;
    }
    if (!isWanted) return bad;
    if (isMatch) return pass(`HTTP ${status}`);
    const isCut = progress.bodyBytes >= mostBytes;
    const searched = isCut ? `the first ${mostBytes / 1024} KiB of its body` : 'its body';
    const encoding = fields['content-encoding'];
    const what =
      progress.bodyBytes === 0
        ? 'it is empty'
        : encoding !== undefined
          ? `it is encoded (${clean(encoding, mostPath)}), and dockreg does not unpack it`
          : `it ${isCut ? 'begins' : 'is'} ${excerpt(start, progress.bodyBytes)}`;
    return fail(`HTTP ${status} from ${subject}, but ${searched} has no ${check.body?.text}: ${what}`);
  };

  return {
    target,
    subject,
    headers,
    async judge(progress, signal, request) {
      try {
        const result = await request();
        switch (result.kind) {
          case 'answer':
            return await read(progress, signal, result.response, result.body);
          case 'switched':
            return switchedProtocols(place);
          case 'interim':
            return tooManyInterim(place);
          case 'closed':
            throw Object.assign(new Error('closed'), { code: 'ECONNRESET' });
        }
      } catch (error) {
        const verdict = brokenHttp(place, progress, error);
        if (verdict) return verdict;
        throw error;
      }
    },
  };
}
