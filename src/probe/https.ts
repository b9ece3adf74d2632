/**
 * The check over HTTPS: one request of got on its own TLS connection.
 */
import got from 'got';
import type { CheckTls, HttpCheck } from '../core/settings/check.ts';
import { httpQuestion } from './http.ts';
import { attempt, type Probe, type ProbeOptions } from './probe.ts';
import { dialTls, explainTls, readAuthority } from './trust.ts';

export async function httpsProbe(check: HttpCheck, tls: CheckTls, options: ProbeOptions): Promise<Probe> {
  const { target, subject, headers, judge } = await httpQuestion(check, options);
  return attempt(options, subject, async signal => {
    const authority = await readAuthority(tls);
    const request = got.stream(`https://${target.authority}${check.path}`, {
      method: check.method as 'GET',
      retry: { limit: 0 },
      followRedirect: false,
      throwHttpErrors: false,
      decompress: false,
      headers: { 'accept-encoding': undefined, ...headers },
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
    return answer.then(status => judge(status, request)).catch(explainTls(subject));
  });
}
