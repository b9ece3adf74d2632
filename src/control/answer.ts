/**
 * One conversation on the control socket: a line is asked (`drain`, `resume` or `status`, and if wanted a service), and
 * a line of JSON is answered.
 */
import type { Socket } from 'node:net';
import { TimeLimitError, within } from '../clock.ts';
import type { ProcessStatus } from '../core/registration/status.ts';
import type { Desk } from '../desk.ts';

export type ControlAnswer = ProcessStatus | { readonly error: string };

const mostQuestionBytes = 1024;
const questionMs = 2000;

/** Whatever comes, the connection ends soon. */
export async function serveOne(socket: Socket, desk: Desk): Promise<void> {
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
  try {
    const question = await within(desk.clock, questionMs, 'the question', readLine(socket));
    socket.end(`${JSON.stringify(answer(question, desk))}\n`);
    await within(desk.clock, questionMs, 'the answer', closed);
  } catch (error) {
    if (!(error instanceof TimeLimitError)) throw error;
  } finally {
    socket.destroy();
  }
}

/** Up to the end of the line, of what is sent, or of what is taken. */
function readLine(socket: Socket): Promise<string> {
  return new Promise(resolve => {
    let text = '';
    const finish = (): void => resolve(text.split('\n')[0] ?? '');
    socket.setEncoding('utf8').on('data', (part: string) => {
      text = `${text}${part}`.slice(0, mostQuestionBytes);
      if (text.includes('\n') || text.length === mostQuestionBytes) finish();
    });
    socket.once('end', finish).once('close', finish);
  });
}

function answer(question: string, { agents, status }: Desk): ControlAnswer {
  const [word = '', name] = question.trim().split(' ');
  const chosen = name === undefined ? agents : agents.filter(agent => agent.name === name);
  if (chosen.length === 0)
    return { error: `there is no service ${name}, but ${agents.map(agent => agent.name).join(', ')}` };
  switch (word) {
    case 'drain':
    case 'resume':
      for (const agent of chosen) agent[word]();
      return status(chosen);
    case 'status':
      return status(chosen);
    default:
      return { error: 'what is asked is drain, resume or status, and one service or none' };
  }
}
