/**
 * The other end of the control socket.
 */
import { connect } from 'node:net';
import { systemClock, within } from '../clock.ts';
import type { ProcessStatus } from '../core/status.ts';
import { ConfigError, ExitCode, messageOf, UnavailableError } from '../errors.ts';
import type { ControlAnswer } from './answer.ts';

const answerMs = 5000;

/**
 * Asks the dockreg whose control socket this is, and closes.
 * @throws UnavailableError when nobody answers
 * @throws ConfigError when there is nothing to answer: no such service
 */
export async function ask(path: string, question: string): Promise<ProcessStatus> {
  let answer: ControlAnswer;
  try {
    const text = await within(systemClock, answerMs, path, converse(path, question));
    answer = JSON.parse(text) as ControlAnswer;
  } catch (error) {
    throw new UnavailableError(explain(path, error), { cause: error });
  }
  if ('error' in answer) throw new ConfigError([answer.error], ExitCode.usage);
  return answer;
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

function explain(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return `no dockreg listens at ${path}; ask in its container, and with its --control`;
  if (code === 'EACCES')
    return `${path} is for the user that dockreg runs as, and for root; ask as one of them`;
  return `no answer at ${path}: ${messageOf(error)}`;
}
