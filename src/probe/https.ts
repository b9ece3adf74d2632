/**
 * The check over HTTPS: that of http.ts over TLS, by got.
 */
import got from 'got';
import type { CheckTls } from '../core/settings/check.ts';
import { describeQuestion, headersOf, judgeAnswer, type HttpQuestion } from './answer.ts';
import { formatTarget } from './place.ts';
import { attempt, type ProbeLimits, type Probe } from './probe.ts';
import { dialTls, explainTls, readAuthority } from './trust.ts';

export function httpsProbe(question: HttpQuestion, tls: CheckTls, limits: ProbeLimits): Probe {
  const { check, target } = question;
  const where = describeQuestion(question);
  const host = 'path' in target ? 'localhost' : formatTarget(target);
  const headers = { 'accept-encoding': undefined, ...headersOf(question) };
  return attempt(limits, where, async signal => {
    const authority = await readAuthority(tls);
    const request = got.stream(`https://${host}${check.path}`, {
      method: check.method as 'GET',
      retry: { limit: 0 },
      followRedirect: false,
      throwHttpErrors: false,
      decompress: false,
      headers,
      signal,
      createConnection: () => {
        const socket = dialTls(target, tls, authority, 'http/1.1');
        // The library lets go of a socket after a 101, which nobody asked for.
        signal.addEventListener('abort', () => socket.destroy(), { once: true });
        return socket;
      },
    });
    signal.addEventListener('abort', () => request.destroy(), { once: true });
    const answer = new Promise<number>((resolve, reject) => {
      request.once('response', ({ statusCode }: { statusCode: number }) => resolve(statusCode));
      request.once('error', reject);
      if (check.method !== 'GET' && check.method !== 'HEAD') request.end();
    });
    return explainTls(
      where,
      answer.then(status => judgeAnswer(question, status, request)),
    );
  });
}
