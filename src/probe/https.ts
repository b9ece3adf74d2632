/**
 * The check over HTTPS: one request of got on its own TLS connection.
 */
import type { ClientRequest } from 'node:http';
import got from 'got';
import type { CheckTls, HttpCheck } from '../core/settings/check.ts';
import { cameOfHttp } from './answer.ts';
import { Connection } from '../network/closing.ts';
import { closeAtEnd, httpQuestion, responseOf, startAnswer } from './http.ts';
import { attempt, type Probe, type ProbeOptions } from './probe.ts';
import { dialTls, explainTls, hintAtCertificate, readTlsFiles } from './trust.ts';

export async function httpsProbe(check: HttpCheck, tls: CheckTls, options: ProbeOptions): Promise<Probe> {
  const { target, subject, headers, judge } = await httpQuestion(check, options);
  return attempt(options, subject, async (signal, progress) => {
    const pem = await readTlsFiles(tls);
    const connection = new Connection(target.address, options.clock, check.proxyProtocol);
    const socket = dialTls(connection, target, tls, pem, 'http/1.1');
    // got does not close the socket after a 101 that nobody asked for, and not while it does not have it yet.
    signal.addEventListener('abort', () => connection.destroy(), { once: true });
    if (signal.aborted) connection.destroy();
    const answer = startAnswer(connection, socket);
    progress.came = () => cameOfHttp(answer);
    const request = got.stream(`https://${target.authority}${check.path}`, {
      method: check.method as 'GET',
      retry: { limit: 0 },
      followRedirect: false,
      throwHttpErrors: false,
      decompress: false,
      headers: { 'accept-encoding': undefined, ...headers },
      signal,
      createConnection: () => socket,
    });
    signal.addEventListener('abort', () => request.destroy(), { once: true });
    // got listens for only one error, and reports the next one for some.
    request.once('request', (each: ClientRequest) => {
      closeAtEnd(signal, connection, each);
      each.on('error', error => (answer.error ??= error));
    });
    const verdict = await judge(answer, signal, () => {
      const response = responseOf(request, () => request);
      if (check.method !== 'GET' && check.method !== 'HEAD') request.end();
      return response;
    }).catch(explainTls(subject, 'https', tls));
    return hintAtCertificate(verdict, answer.received, tls);
  });
}
