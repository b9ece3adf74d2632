/**
 * What an HTTP check asks and what an answer means, and the check over plain HTTP: one request of node:http on its own
 * connection. got, which makes the request in https.ts, would cost memory and CPU here (docs/why.md). A redirect is an
 * answer and is not followed, as in the kubelet's HTTP probe.
 */
import { request as ask, type IncomingMessage } from 'node:http';
import { createConnection } from 'node:net';
import type { Verdict } from '../core/registration/health.ts';
import type { HttpCheck } from '../core/settings/check.ts';
import { attempt, fail, pass, targetOf, type Probe, type ProbeOptions, type ProbeTarget } from './probe.ts';

/** Only this much of a body is read, in bytes. */
const mostBytes = 64 * 1024;

export async function httpProbe(check: HttpCheck, options: ProbeOptions): Promise<Probe> {
  const { target, subject, headers, judge } = await httpQuestion(check, options);
  return attempt(options, subject, async signal => {
    const request = ask({
      method: check.method,
      path: check.path,
      headers,
      createConnection: () => createConnection(target.address),
    });
    signal.addEventListener('abort', () => request.destroy(), { once: true });
    const response = await new Promise<IncomingMessage | null>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
      // A 101 that nobody asked for closes the request without a response.
      request.once('close', () => resolve(null));
      request.end();
    });
    return response === null
      ? fail(`${subject} closed the connection without an answer`)
      : judge(response.statusCode ?? 0, response);
  });
}

/** What is asked, and what an answer means. */
export interface HttpQuestion {
  readonly target: ProbeTarget;
  /** For messages: `http://127.0.0.1:8000/healthz`, `http:/healthz at /run/app.sock`. */
  readonly subject: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** Reads the body even if only the status counts: an app that is cut off while it writes may log an error. */
  judge(status: number, body: AsyncIterable<Buffer>): Promise<Verdict>;
}

export async function httpQuestion(check: HttpCheck, options: ProbeOptions): Promise<HttpQuestion> {
  const target = targetOf(check.socketPath, options);
  const { text, authority } = target;
  const scheme = check.tls ? 'https' : 'http';
  const isUrl = check.socketPath === undefined;
  const subject = isUrl ? `${scheme}://${text}${check.path}` : `${scheme}:${check.path} at ${text}`;
  const headers: Record<string, string | string[]> = {
    host: authority,
    'user-agent': options.userAgent,
    accept: '*/*',
    connection: 'close',
  };
  // The headers of the check replace our own.
  for (const [name, value] of check.headers) {
    const others = check.headers.filter(([other]) => other.toLowerCase() === name.toLowerCase());
    headers[name.toLowerCase()] = others.length > 1 ? others.map(([, each]) => each) : value;
  }
  const matches = check.body && (await import('./expectation.ts')).matcher(check.body);
  return {
    target,
    subject,
    headers,
    async judge(status, body) {
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const part of body) {
        bytes += part.length;
        if (matches) chunks.push(part);
        if (bytes >= mostBytes) break;
      }
      if (!check.statuses.some(({ from, to }) => status >= from && status <= to))
        return fail(`HTTP ${status} from ${subject}`);
      if (matches?.(Buffer.concat(chunks).subarray(0, mostBytes)) === false) {
        const searched = bytes >= mostBytes ? `the first ${mostBytes / 1024} KiB of its body` : 'its body';
        return fail(`HTTP ${status} from ${subject}, but ${searched} has no ${check.body?.text}`);
      }
      return pass(`HTTP ${status}`);
    },
  };
}
