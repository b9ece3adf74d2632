/**
 * What an HTTP check asks and what an answer means, the same over http.ts and https.ts. A redirect is an answer and is
 * not followed, as in the kubelet's HTTP probe.
 */
import type { Verdict } from '../core/registration/health.ts';
import type { HttpCheck } from '../core/settings/check.ts';
import type { Matcher } from './expectation.ts';
import { fail, pass, type ProbeOptions } from './probe.ts';
import { authorityOf, formatTarget, targetOf, type ProbeTarget } from './target.ts';

/** Only this much of a body is read, in bytes. */
const mostBytes = 64 * 1024;

export interface HttpQuestion {
  readonly check: HttpCheck;
  readonly target: ProbeTarget;
  /** For messages: `http://127.0.0.1:8000/healthz`, `http:/healthz at /run/app.sock`. */
  readonly subject: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** Matches the body, if the check says what it must contain. */
  readonly matches: Matcher | undefined;
}

export async function httpQuestion(check: HttpCheck, options: ProbeOptions): Promise<HttpQuestion> {
  const target = targetOf(check.socketPath, options);
  const [scheme, where] = [check.tls ? 'https' : 'http', formatTarget(target)];
  const subject =
    'path' in target ? `${scheme}:${check.path} at ${where}` : `${scheme}://${where}${check.path}`;
  const headers: Record<string, string | string[]> = {
    host: authorityOf(target),
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
  return { check, target, subject, headers, matches };
}

/** Reads the body even if only the status counts: an app that is cut off while it writes may log an error. */
export async function judgeAnswer(
  { check, subject, matches }: HttpQuestion,
  status: number,
  body: AsyncIterable<Buffer>,
): Promise<Verdict> {
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
}
