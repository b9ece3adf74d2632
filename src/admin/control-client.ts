/**
 * The client of the control socket. What listens there may be anything: the answer is bounded in time and size, and its
 * shape is checked.
 */
import { connect } from 'node:net';
import { systemClock, withDeadline } from '../clock.ts';
import { readProcessStatus } from '../core/registration/read-status.ts';
import type { ProcessStatus } from '../core/registration/status.ts';
import { codeOf, messageOf, UnavailableError, UsageError, type Problem } from '../errors.ts';

const answerMs = 5000;
/** The longest answer that is read, in bytes: some thousand services. */
const mostAnswer = 4 * 2 ** 20;
/** How long to wait while the queue of the socket is full, in ms. */
const queueFullMs = 50;

/** What listens there is no dockreg, or one of another version. */
class AnswerError extends Error {
  override readonly name = 'AnswerError';
}

/**
 * Sends one request to the dockreg that listens at `path`, and resolves with its answer.
 * @param service undefined for all services
 * @param limitMs how long to wait for the answer
 * @throws UnavailableError when nothing answers, or no dockreg
 * @throws UsageError when there is no such service
 */
export async function requestControl(
  path: string,
  command: 'drain' | 'resume' | 'status',
  service?: string,
  limitMs = answerMs,
): Promise<ProcessStatus> {
  const request = service === undefined ? command : `${command} ${service}`;
  try {
    const line = await withDeadline(systemClock, limitMs, signal => exchange(path, request, signal));
    const answer = readAnswer(line);
    if (!('message' in answer)) return answer;
    // Only the name of a service can be wrong in what this client sends.
    if (service !== undefined) throw new UsageError(answer);
    throw new AnswerError(`it does not know the request: ${answer.message}`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UnavailableError(explain(path, error), { cause: error });
  }
}

/** Sends the request and resolves with the first line of the answer. */
async function exchange(path: string, request: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    try {
      return await exchangeOnce(path, request, signal);
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error;
      await systemClock.sleep(queueFullMs, signal);
      signal.throwIfAborted();
    }
  }
}

async function exchangeOnce(path: string, request: string, signal: AbortSignal): Promise<string> {
  const socket = connect({ path, signal });
  try {
    socket.write(`${request}\n`);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      const end = chunk.indexOf(10);
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
      size += chunk.length;
      if (end >= 0) return Buffer.concat(chunks).toString();
      if (size > mostAnswer) throw new AnswerError(`the answer is longer than ${mostAnswer / 2 ** 20} MiB`);
    }
    throw new AnswerError('the connection was closed before the answer was complete');
  } finally {
    socket.destroy();
  }
}

function readAnswer(line: string): ProcessStatus | Problem {
  const value = parse(line);
  const status = readProcessStatus(value);
  if (status) return status;
  if (typeof value === 'object' && value !== null && 'error' in value && typeof value.error === 'string') {
    const hint = 'hint' in value && typeof value.hint === 'string' ? value.hint : undefined;
    return { message: value.error, ...(hint !== undefined && { hint }) };
  }
  throw new AnswerError('the answer is not the status of a dockreg');
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AnswerError('the answer is not a line of JSON', { cause: error });
  }
}

const startHere =
  'start it (under supervisord: supervisorctl start dockreg), or run this in its container with its --control';

function explain(path: string, error: unknown): Problem {
  if (error instanceof AnswerError)
    return {
      message: `no answer of a dockreg at ${path}: ${error.message}`,
      hint: 'give the --control of the dockreg in this container, which must have the same version',
    };
  switch (codeOf(error)) {
    case 'ENOENT':
      return { message: `no dockreg listens at ${path}: there is no such socket`, hint: startHere };
    case 'ECONNREFUSED':
      return {
        message: `no dockreg listens at ${path}: the one that made this socket has ended`,
        hint: startHere,
      };
    case 'EACCES':
    case 'EPERM': {
      const message = `${path} is for the user that dockreg runs as, and for root`;
      return { message, hint: 'run this as one of them' };
    }
    default:
      return { message: `no answer at ${path}: ${messageOf(error)}` };
  }
}
