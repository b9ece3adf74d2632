/**
 * The TCP check: a connect, and optionally bytes to send and an answer to expect. The kernel accepts connections for an
 * app that hangs too, so a connect alone proves little.
 */
import { once } from 'node:events';
import type { TcpCheck } from '../core/settings/check.ts';
import { closedEarly, closedSilently, count, excerpt, isEnding, observe } from './answer.ts';
import { Connection } from '../network/closing.ts';
import { attempt, fail, pass, targetOf, type Probe, type ProbeOptions } from './probe.ts';

/** Only this much of an answer is searched, in bytes. */
const mostBytes = 16 * 1024;

export async function tcpProbe(check: TcpCheck, options: ProbeOptions): Promise<Probe> {
  const begin = check.expect && (await import('./expectation.ts')).matcher(check.expect);
  const { address, text: where } = targetOf(check.socketPath, options);
  const wanted = check.expect?.text ?? '';
  return attempt(options, where, async (signal, progress) => {
    const connection = new Connection(address, options.clock, check.proxyProtocol);
    const received = observe(connection);
    signal.addEventListener('abort', () => connection.destroy(), { once: true });
    try {
      await once(connection, 'connect');
    } catch (error) {
      if (isEnding(error, received)) return closedSilently(where, received);
      throw error;
    }
    if (begin === undefined) return pass(`${where} takes connections`);
    const shown = (): string => excerpt(received.start, received.bytes);
    progress.came = () => (received.bytes === 0 ? undefined : `${shown()} came, which has no ${wanted}`);
    progress.hint = () => hintOf(check.send, received.bytes);
    if (check.send) connection.write(check.send);
    const match = begin();
    try {
      for await (const part of connection as AsyncIterable<Buffer>) {
        const left = mostBytes - received.bytes;
        count(received, part);
        if (await match.add(part.subarray(0, left), signal)) return pass(`${where} answers ${wanted}`);
        if (received.bytes >= mostBytes)
          return fail(
            `the first ${mostBytes / 1024} KiB from ${where} have no ${wanted}: they begin ${shown()}; ${correct}`,
          );
      }
    } catch (error) {
      if (!isEnding(error, received)) throw error;
    }
    if (received.bytes === 0) return closedSilently(where, received);
    return closedEarly(where, received, `and its answer ${shown()} has no ${wanted}; ${correct}`);
  });
}

const correct = 'correct --check-send or --check-expect';

/** What to do when the expected answer does not come in time; undefined for an app that hangs. */
function hintOf(send: TcpCheck['send'], bytes: number): string | undefined {
  if (bytes > 0) return correct;
  if (send === undefined) return 'if the app does not speak first, say what to send it with --check-send';
  const endsLine = Buffer.from(send).at(-1) === 10;
  return endsLine ? undefined : '--check-send does not end with \\r\\n, for which many apps wait';
}
