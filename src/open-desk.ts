/**
 * Lets people and machines ask, as far as that is wanted; what is not wanted is not loaded.
 */
import type { SharedConfig } from './config/config.ts';
import type { ControlSocket } from './control/socket.ts';
import type { Address } from './core/address/ip.ts';
import type { Desk } from './desk.ts';
import type { Metrics } from './listen/metrics.ts';
import type { Listening } from './listen/server.ts';
import type { Log } from './log.ts';

/**
 * Gives what ends it.
 * @param knock when somebody looks for the control socket
 * @param metrics needed where --listen is given
 */
export function openDesk(
  { control, listen }: SharedConfig,
  knock: Promise<void>,
  metrics: Metrics | undefined,
  log: Log,
  desk: Desk,
): () => Promise<void> {
  const closed = new AbortController();
  let socket: Promise<ControlSocket | null> | null = null;
  const openSocket = async (path: string): Promise<void> => {
    if (control?.atOnce === false) await knock;
    if (closed.signal.aborted) return;
    socket = import('./control/socket.ts').then(({ openControlSocket }) =>
      openControlSocket(path, desk, log),
    );
  };
  const openPort = async (at: Address, parts: Listening): Promise<void> =>
    (await import('./listen/server.ts')).listen(at, parts, closed.signal);
  if (control !== null) void openSocket(control.path);
  const port = listen && metrics && openPort(listen, { ...desk, metrics, log, chance: Math.random });
  return async () => {
    closed.abort();
    (await socket)?.close();
    await port;
  };
}
