/**
 * The check over plain HTTP: one request of node:http on its own connection. got would cost memory and CPU here
 * (docs/why.md).
 */
import { request as ask, type IncomingMessage } from 'node:http';
import { createConnection } from 'node:net';
import type { HttpCheck } from '../core/settings/check.ts';
import { httpQuestion, judgeAnswer } from './http-check.ts';
import { attempt, fail, type Probe, type ProbeOptions } from './probe.ts';

export async function httpProbe(check: HttpCheck, options: ProbeOptions): Promise<Probe> {
  const question = await httpQuestion(check, options);
  const { target, subject, headers } = question;
  return attempt(options, subject, async signal => {
    const request = ask({
      method: check.method,
      path: check.path,
      headers,
      createConnection: () => createConnection(target),
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
      : judgeAnswer(question, response.statusCode ?? 0, response);
  });
}
