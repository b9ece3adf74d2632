/**
 * The check over plain HTTP: one request on a connection of its own. A redirect is an answer and is not followed, as in
 * the kubelet's HTTP probe.
 */
import { request as ask, type IncomingMessage } from 'node:http';
import { describeQuestion, headersOf, judgeAnswer, type HttpQuestion } from './answer.ts';
import { dial } from './place.ts';
import { attempt, fail, type ProbeLimits, type Probe } from './probe.ts';

export function httpProbe(question: HttpQuestion, limits: ProbeLimits): Probe {
  const { check, target } = question;
  const where = describeQuestion(question);
  const options = {
    method: check.method,
    path: check.path,
    headers: headersOf(question),
    createConnection: () => dial(target),
  };
  return attempt(limits, where, async signal => {
    const request = ask(options);
    signal.addEventListener('abort', () => request.destroy(), { once: true });
    const response = await new Promise<IncomingMessage | null>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
      // As after a 101, which nobody asked for.
      request.once('close', () => resolve(null));
      request.end();
    });
    return response === null
      ? fail(`${where} closed the connection without an answer`)
      : judgeAnswer(question, response.statusCode ?? 0, response);
  });
}
