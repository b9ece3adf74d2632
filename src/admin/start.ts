/**
 * Starts what admins can reach: the control socket and the HTTP endpoint. What is switched off is not loaded.
 */
import type { SharedConfig } from '../core/settings/process.ts';
import type { Log } from '../log.ts';
import type { AdminApi } from './api.ts';
import type { Metrics } from './metrics.ts';

export interface AdminOptions extends Pick<SharedConfig, 'control' | 'listen'> {
  /** Needed with `listen`. */
  readonly metrics: Metrics | undefined;
  readonly log: Log;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
}

/** Returns a function that closes both and resolves when they are closed. */
export function startAdmin(api: AdminApi, options: AdminOptions): () => Promise<void> {
  const { control, listen, metrics, log, random } = options;
  const closed = new AbortController();
  const socket =
    control === null
      ? null
      : import('./control-socket.ts').then(module => module.openControlSocket(control, api, log));
  const endpoint =
    listen &&
    metrics &&
    import('./http-endpoint.ts').then(module =>
      module.serveHttp(listen, { ...api, metrics, log, random }, closed.signal),
    );
  return async () => {
    closed.abort();
    (await socket)?.close();
    await endpoint;
  };
}
