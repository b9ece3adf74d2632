/**
 * The client of the control socket.
 */
import { connect } from 'node:net';
import { systemClock, within } from '../clock.ts';
import type { ProcessStatus } from '../core/registration/status.ts';
import { codeOf, messageOf, UnavailableError, UsageError, type Problem } from '../errors.ts';
import type { ControlAnswer } from './control-connection.ts';

const answerMs = 5000;

/**
 * Sends one request to the dockreg that listens at `path`, and resolves with its answer.
 * @throws UnavailableError when nothing answers
 * @throws UsageError when the request is wrong: no such service
 */
export async function requestControl(path: string, request: string): Promise<ProcessStatus> {
  const answer = await within(systemClock, answerMs, path, exchange(path, request)).catch(
    (error: unknown) => {
      throw new UnavailableError(explain(path, error), { cause: error });
    },
  );
  if ('error' in answer) throw new UsageError({ message: answer.error, ...answer });
  return answer;
}

async function exchange(path: string, request: string): Promise<ControlAnswer> {
  const socket = connect(path);
  try {
    socket.end(`${request}\n`);
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
    return JSON.parse(text) as ControlAnswer;
  } finally {
    socket.destroy();
  }
}

function explain(path: string, error: unknown): Problem {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ECONNREFUSED': {
      const hint = 'run this in its container, with the same --control';
      return { message: `no dockreg listens at ${path}`, hint };
    }
    case 'EACCES':
    case 'EPERM': {
      const message = `${path} is for the user that dockreg runs as, and for root`;
      return { message, hint: 'run this as one of them' };
    }
    default:
      return { message: `no answer at ${path}: ${messageOf(error)}` };
  }
}
