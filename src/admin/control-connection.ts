/**
 * One connection to the control socket: the client sends a line (`drain`, `resume` or `status`, and optionally the name
 * of a service) and receives a line of JSON.
 */
import type { Socket } from 'node:net';
import { TimeLimitError, within } from '../clock.ts';
import type { ProcessStatus } from '../core/registration/status.ts';
import { processStatus, type AdminApi } from './api.ts';

export type ControlAnswer = ProcessStatus | { readonly error: string; readonly hint?: string };

const mostRequestBytes = 1024;
const requestMs = 2000;

/** Answers and closes. A client that is slow or silent is disconnected. */
export async function serveConnection(socket: Socket, api: AdminApi): Promise<void> {
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
  try {
    const request = await within(api.clock, requestMs, 'the request', readLine(socket));
    socket.end(`${JSON.stringify(answer(request, api))}\n`);
    await within(api.clock, requestMs, 'the answer', closed);
  } catch (error) {
    if (!(error instanceof TimeLimitError)) throw error;
  } finally {
    socket.destroy();
  }
}

/** Resolves with the first line, or with what was sent until the end or the size limit. */
function readLine(socket: Socket): Promise<string> {
  return new Promise(resolve => {
    let text = '';
    const finish = (): void => resolve(text.split('\n')[0] ?? '');
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text = `${text}${chunk}`.slice(0, mostRequestBytes);
      if (text.includes('\n') || text.length === mostRequestBytes) finish();
    });
    socket.once('end', finish).once('close', finish);
  });
}

function answer(request: string, api: AdminApi): ControlAnswer {
  const [command = '', name] = request.trim().split(' ');
  const { services } = api;
  const chosen = name === undefined ? services : services.filter(service => service.name === name);
  if (chosen.length === 0) {
    const hint = `the services are ${services.map(each => each.name).join(', ')}`;
    return { error: `there is no service ${name}`, hint };
  }
  if (command === 'drain' || command === 'resume') for (const service of chosen) service[command]();
  else if (command !== 'status')
    return { error: 'the request must be drain, resume or status, and optionally a service' };
  return processStatus(api, chosen);
}
