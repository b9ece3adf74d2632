/**
 * The TCP check: a connect, and if wanted a word and its answer. A connect alone says that the kernel takes connections
 * for the app, which it also does for one that hangs.
 */
import { once } from 'node:events';
import type { TcpCheck } from '../core/settings/check.ts';
import type { Matcher } from './expectation.ts';
import { dial, formatTarget, type ProbeTarget } from './place.ts';
import { attempt, fail, pass, type ProbeLimits, type Probe } from './probe.ts';

export interface TcpQuestion {
  readonly check: TcpCheck;
  readonly target: ProbeTarget;
  /** For the check's `expect`. */
  readonly answerMatches: Matcher | undefined;
}

/** As much of an answer as is looked through, in bytes; again with each part that comes. */
const mostBytes = 16 * 1024;

export function tcpProbe({ check, target, answerMatches }: TcpQuestion, limits: ProbeLimits): Probe {
  const where = formatTarget(target);
  return attempt(limits, where, async signal => {
    const socket = dial(target);
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    await once(socket, 'connect');
    if (answerMatches === undefined) return pass(`${where} takes connections`);
    if (check.send) socket.write(check.send);
    let answer = Buffer.alloc(0);
    for await (const part of socket as AsyncIterable<Buffer>) {
      answer = Buffer.concat([answer, part]);
      if (answerMatches(answer.subarray(0, mostBytes))) return pass(`${where} answers ${check.expect?.text}`);
      if (answer.length >= mostBytes)
        return fail(`the first ${mostBytes / 1024} KiB from ${where} have no ${check.expect?.text}`);
    }
    return fail(`${where} closed the connection, and ${describe(answer)} has no ${check.expect?.text}`);
  });
}

function describe(answer: Buffer): string {
  const text = answer.toString('latin1', 0, 80);
  return answer.length === 0 ? 'an empty answer' : `its answer ${JSON.stringify(text)}`;
}
