/**
 * Starts what admins can reach: the control socket and the HTTP endpoint. What is switched off is not loaded.
 */
import type { SharedConfig } from '../core/settings/process.ts';
import { messageOf } from '../errors.ts';
import type { AdminApi } from './api.ts';
import type { Metrics } from './metrics.ts';

/**
 * Returns a function that closes both and resolves when they are closed.
 * @param metrics needed with `listen`
 */
export function startAdmin(
  api: AdminApi,
  { control, listen }: Pick<SharedConfig, 'control' | 'listen'>,
  metrics: Metrics | undefined,
): () => Promise<void> {
  const closed = new AbortController();
  /** The services need neither, so they go on where one cannot be loaded: no descriptor is left, say. */
  const withoutIt = (error: unknown): null => {
    api.log.warn(`the admin API cannot be loaded: ${messageOf(error)}`);
    return null;
  };
  const socket =
    control === null
      ? null
      : import('./control-socket.ts').then(module => module.openControlSocket(control, api), withoutIt);
  const endpoint =
    listen &&
    metrics &&
    import('./http-endpoint.ts').then(
      module => module.serveHttp(listen, api, metrics, closed.signal),
      withoutIt,
    );
  return async () => {
    closed.abort();
    (await socket)?.();
    await endpoint;
  };
}
