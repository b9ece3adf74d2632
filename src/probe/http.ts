/**
 * What an HTTP check asks and what an answer means, and the check over plain HTTP/1.1: one request of node:http on its own
 * connection. got, which makes the request in https.ts, would cost memory and CPU here (docs/why.md). A redirect is an
 * answer and is not followed, as in the kubelet's HTTP probe.
 */
import type { EventEmitter } from 'node:events';
import { request as ask, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Verdict } from '../core/registration/health.ts';
import { formatPath, formatScheme, type HttpCheck } from '../core/settings/check.ts';
import { clean } from '../core/text.ts';
import { formatProblem } from '../errors.ts';
import {
  brokenHttp,
  cameOfHttp,
  count,
  excerpt,
  mostInterim,
  observe,
  switchedProtocols,
  tooLongHead,
  tooManyInterim,
  type HttpProgress,
} from './answer.ts';
import { codingOf, mostBytes, readBody } from './body.ts';
import { Connection } from '../network/closing.ts';
import { LineEnds } from './line-ends.ts';
import { attempt, fail, pass, targetOf, type Probe, type ProbeOptions, type ProbeTarget } from './probe.ts';
import { statusHint } from './status-hint.ts';

/** How much of the path messages show, in characters. */
const mostPath = 100;

export async function httpProbe(check: HttpCheck, options: ProbeOptions): Promise<Probe> {
  const { target, subject, headers, judge } = await httpQuestion(check, options);
  return attempt(options, subject, async (signal, progress) => {
    const connection = new Connection(target.address, options.clock, check.proxyProtocol);
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

/** Begins to count what comes over the connection, and to complete the ends of its lines. */
export function startAnswer(connection: Connection, tls?: TLSSocket): HttpProgress {
  const received = observe(connection, tls);
  const answer: HttpProgress = { received, head: undefined, bodyBytes: 0 };
  const lines = new LineEnds();
  const stream = tls ?? connection;
  const push = stream.push.bind(stream);
  stream.push = (part: unknown) => {
    if (!(part instanceof Buffer)) return push(part);
    count(received, part);
    return push(lines.complete(part));
  };
  return answer;
}

/** An answer whose head is complete, or why there is none. */
export type HttpResponse =
  | { readonly kind: 'answer'; readonly response: HttpHead; readonly body: AsyncIterable<Buffer> }
  | { readonly kind: 'switched' | 'interim' | 'closed' | 'long' };

export type HttpHead = Pick<IncomingMessage, 'statusCode' | 'headers'>;

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
   * @param broken the verdict on an answer that is not whole or not valid; undefined for an error of another kind
   */
  judge(
    progress: HttpProgress,
    signal: AbortSignal,
    ask: () => Promise<HttpResponse>,
    broken?: (place: string, error: unknown) => Verdict | undefined,
  ): Promise<Verdict>;
}

export async function httpQuestion(check: HttpCheck, options: ProbeOptions): Promise<HttpQuestion> {
  const target = targetOf(check.socketPath, options);
  const { text, authority } = target;
  const scheme = formatScheme(check);
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
    ...(check.body && { 'accept-encoding': 'identity' }),
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
    response: HttpHead,
    body: AsyncIterable<Buffer>,
  ): Promise<Verdict> => {
    const { statusCode: status = 0, headers: fields } = response;
    const length = check.method === 'HEAD' ? undefined : fields['content-length'];
    progress.head = {
      length: length === undefined ? undefined : Number(length),
      isChunked: fields['transfer-encoding'] !== undefined,
    };
    const isWanted = check.statuses.some(({ from, to }) => status >= from && status <= to);
    const coding = isWanted ? codingOf(fields['content-encoding']) : '';
    const result = await readBody(body, coding, isWanted ? begin?.() : undefined, progress, signal).catch(
      (error: unknown) => {
        if (isWanted) throw error;
      },
    );
    if (!isWanted || !result) {
      const hint = statusHint(check, status, fields.location, result?.start.toString('latin1') ?? '');
      return fail(formatProblem({ message: `HTTP ${status} from ${subject}`, ...(hint && { hint }) }));
    }
    const { isMatch, start, bytes, isCut, state } = result;
    if (state === 'broken')
      return fail(`HTTP ${status} from ${subject}, but its body is not valid ${coding}`);
    if (isMatch) return pass(`HTTP ${status}`);
    const searched = isCut ? `the first ${mostBytes / 1024} KiB of its body` : 'its body';
    const what =
      bytes === 0
        ? `it ${progress.bodyBytes === 0 ? 'is empty' : 'unpacks to nothing'}`
        : state === 'plain'
          ? `it ${isCut ? 'begins' : 'is'} ${excerpt(start, bytes)}`
          : `it is encoded (${clean(coding, mostPath)}), and dockreg does not unpack it`;
    return fail(`HTTP ${status} from ${subject}, but ${searched} has no ${check.body?.text}: ${what}`);
  };

  return {
    target,
    subject,
    headers,
    async judge(progress, signal, request, broken = (where, error) => brokenHttp(where, progress, error)) {
      try {
        const result = await request();
        switch (result.kind) {
          case 'answer':
            return await read(progress, signal, result.response, result.body);
          case 'switched':
            return switchedProtocols(place);
          case 'interim':
            return tooManyInterim(place);
          case 'long':
            return tooLongHead(place);
          case 'closed':
            throw Object.assign(new Error('closed'), { code: 'ECONNRESET' });
        }
      } catch (error) {
        const verdict = broken(place, error);
        if (verdict) return verdict;
        throw error;
      }
    },
  };
}
