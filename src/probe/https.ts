/**
 * The check over HTTPS: one request of got on its own TLS connection.
 */
import got from 'got';
import type { CheckTls, HttpCheck } from '../core/settings/check.ts';
import { httpQuestion, judgeAnswer } from './http-check.ts';
import { attempt, type Probe, type ProbeOptions } from './probe.ts';
import { authorityOf } from './target.ts';
import { dialTls, explainTls, readAuthority } from './trust.ts';

export async function httpsProbe(check: HttpCheck, tls: CheckTls, options: ProbeOptions): Promise<Probe> {
  const question = await httpQuestion(check, options);
  const { target, subject } = question;
  const headers = { 'accept-encoding': undefined, ...question.headers };
  return attempt(options, subject, async signal => {
    const authority = await readAuthority(tls);
    const request = got.stream(`https://${authorityOf(target)}${check.path}`, {
      method: check.method as 'GET',
      retry: { limit: 0 },
      followRedirect: false,
      throwHttpErrors: false,
      decompress: false,
      headers,
      signal,
      createConnection: () => {
        const socket = dialTls(target, tls, authority, 'http/1.1');
        // got does not close the socket after a 101 that nobody asked for.
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
      subject,
      answer.then(status => judgeAnswer(question, status, request)),
    );
  });
}
