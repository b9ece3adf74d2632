/**
 * The TCP check: a connect, and optionally bytes to send and an answer to expect. The kernel accepts connections for an
 * app that hangs too, so a connect alone proves little.
 */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { TcpCheck } from '../core/settings/check.ts';
import { attempt, fail, pass, targetOf, type Probe, type ProbeOptions } from './probe.ts';

/** Only this much of an answer is searched, in bytes; the search starts again with each part that arrives. */
const mostBytes = 16 * 1024;

export async function tcpProbe(check: TcpCheck, options: ProbeOptions): Promise<Probe> {
  const matches = check.expect && (await import('./expectation.ts')).matcher(check.expect);
  const { address, text: where } = targetOf(check.socketPath, options);
  return attempt(options, where, async signal => {
    const socket = createConnection(address);
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    await once(socket, 'connect');
    if (matches === undefined) return pass(`${where} takes connections`);
    if (check.send) socket.write(check.send);
    let answer = Buffer.alloc(0);
    for await (const part of socket as AsyncIterable<Buffer>) {
      answer = Buffer.concat([answer, part]);
      if (matches(answer.subarray(0, mostBytes))) return pass(`${where} answers ${check.expect?.text}`);
      if (answer.length >= mostBytes)
        return fail(`the first ${mostBytes / 1024} KiB from ${where} have no ${check.expect?.text}`);
    }
    const text = JSON.stringify(answer.toString('latin1', 0, 80));
    const what = answer.length === 0 ? 'an empty answer' : `its answer ${text}`;
    return fail(`${where} closed the connection, and ${what} has no ${check.expect?.text}`);
  });
}
