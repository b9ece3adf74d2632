/**
 * The other end of the control socket.
 */
import { connect } from 'node:net';
import { systemClock, within } from '../clock.ts';
import type { ProcessStatus } from '../core/registration/status.ts';
import { ConfigError, ExitCode, messageOf, UnavailableError } from '../errors.ts';
import type { ControlAnswer } from './answer.ts';
import { knock } from './knock.ts';

const answerMs = 5000;
/** For so long, in ms, a socket may take to be opened once somebody has knocked. */
const openMs = 2000;
const pollMs = 50;

/**
 * Asks the dockreg whose control socket this is, and closes.
 * @throws UnavailableError when nobody answers
 * @throws ConfigError when there is nothing to answer: no such service
 */
export async function ask(path: string, question: string): Promise<ProcessStatus> {
  let answer: ControlAnswer;
  try {
    const text = await within(systemClock, answerMs, path, find(path, question));
    answer = JSON.parse(text) as ControlAnswer;
  } catch (error) {
    throw new UnavailableError(explain(path, error), { cause: error });
  }
  if ('error' in answer) throw new ConfigError([answer.error], ExitCode.usage);
  return answer;
}

/** Whoever has no socket yet is asked to open it. */
async function find(path: string, question: string): Promise<string> {
  const until = systemClock.now() + openMs;
  for (;;) {
    try {
      return await converse(path, question);
    } catch (error) {
      if (!isNobody(error) || systemClock.now() > until || !knock()) throw error;
      await systemClock.sleep(pollMs);
    }
  }
}

async function converse(path: string, question: string): Promise<string> {
  const socket = connect(path);
  try {
    socket.end(`${question}\n`);
    let text = '';
    for await (const part of socket.setEncoding('utf8')) text += String(part);
    return text;
  } finally {
    socket.destroy();
  }
}

/** Nobody has opened it, or he was killed. */
function isNobody(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ECONNREFUSED';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function explain(path: string, error: unknown): string {
  if (isNobody(error)) return `no dockreg listens at ${path}; ask in its container, and with its --control`;
  if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM')
    return `${path} is for the user that dockreg runs as, and for root; ask as one of them`;
  return `no answer at ${path}: ${messageOf(error)}`;
}
