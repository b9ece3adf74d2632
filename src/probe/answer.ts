/**
 * What an answer of HTTP says of the app, whatever way it came.
 */
import type { HttpCheck } from '../core/settings/check.ts';
import type { Verdict } from '../core/registration/health.ts';
import type { Matcher } from './expectation.ts';
import { formatTarget, type ProbeTarget } from './place.ts';
import { fail, mostBytes, pass } from './probe.ts';

export interface HttpQuestion {
  readonly check: HttpCheck;
  readonly target: ProbeTarget;
  readonly userAgent: string;
  /** For the check's `body`. */
  readonly bodyMatches: Matcher | undefined;
}

/** `http://127.0.0.1:8000/healthz`, `http:/healthz at /run/app.sock` */
export function describeQuestion({ check: { tls, path }, target }: HttpQuestion): string {
  const scheme = tls ? 'https' : 'http';
  return 'path' in target
    ? `${scheme}:${path} at ${formatTarget(target)}`
    : `${scheme}://${formatTarget(target)}${path}`;
}

/** What is sent: what the check says goes before what everybody sends. */
export function headersOf({ check, target, userAgent }: HttpQuestion): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {
    host: 'path' in target ? 'localhost' : formatTarget(target),
    'user-agent': userAgent,
    accept: '*/*',
    connection: 'close',
  };
  for (const [name, value] of check.headers) {
    const others = check.headers.filter(([other]) => other.toLowerCase() === name.toLowerCase());
    headers[name.toLowerCase()] = others.length > 1 ? others.map(([, each]) => each) : value;
  }
  return headers;
}

/** Reads the body as far as it matters: an app that is cut off while it writes may log an error. */
export async function judgeAnswer(
  question: HttpQuestion,
  status: number,
  body: AsyncIterable<Buffer>,
): Promise<Verdict> {
  const { check, bodyMatches } = question;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bodyMatches) chunks.push(part);
    if (bytes >= mostBytes) break;
  }
  const where = describeQuestion(question);
  if (!check.statuses.some(({ from, to }) => status >= from && status <= to))
    return fail(`HTTP ${status} from ${where}`);
  if (bodyMatches?.(Buffer.concat(chunks).subarray(0, mostBytes)) === false) {
    const searched = bytes >= mostBytes ? `the first ${mostBytes / 1024} KiB of its body` : 'its body';
    return fail(`HTTP ${status} from ${where}, but ${searched} has no ${check.body?.text}`);
  }
  return pass(`HTTP ${status}`);
}
