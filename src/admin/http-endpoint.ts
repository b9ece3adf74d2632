/**
 * The HTTP endpoint of --listen: /metrics for Prometheus, /status for programs, /healthz for liveness checks of dockreg
 * itself. It is read-only, and slow, large or frequent requests cost little.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { formatAddress, type Address } from '../core/address/ip.ts';
import { outOfReach } from '../core/retry.ts';
import { retry } from '../retry.ts';
import { keepAccepting } from './accepting.ts';
import { processStatus, type AdminApi } from './api.ts';
import type { Metrics } from './metrics.ts';

const serverOptions = {
  headersTimeout: 5000,
  requestTimeout: 5000,
  connectionsCheckingInterval: 2500,
  maxHeaderSize: 8192,
} as const;
/** An idle connection is closed after this time, in ms. */
const idleMs = 10_000;
const mostConnections = 32;

/** Serves until `stop` aborts. While the port is taken it retries. */
export async function serveHttp(
  at: Address,
  api: AdminApi,
  metrics: Metrics,
  stop: AbortSignal,
): Promise<void> {
  const { clock, random, log } = api;
  const where = formatAddress(at);
  const report = (cause: string): void => log.warn(`--listen ${where}: ${cause}; retrying`);
  const options = { clock, random, backoff: outOfReach, isTransient: () => true, report };
  const server = await retry(() => openServer(at, api, metrics), options, stop);
  if (server === null) return;
  const listen = (): unknown => server.listen(at.port, at.ip);
  const close = keepAccepting(server, { listen, what: `--listen ${where}`, clock, log });
  log.info(`listening on http://${where}`, { paths: Object.keys(routes).join(',') });
  // It may be aborted already: listening took some time.
  if (!stop.aborted) await once(stop, 'abort');
  close();
  server.closeAllConnections();
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

type Route = (api: AdminApi, metrics: Metrics) => Page | Promise<Page>;

const routes: Readonly<Record<string, Route>> = {
  '/metrics': async ({ services }, metrics) => ({
    status: 200,
    type: metrics.contentType,
    body: await metrics.text(services),
  }),
  '/status': api => ({
    status: 200,
    type: 'application/json',
    body: `${JSON.stringify(processStatus(api, api.services), null, 2)}\n`,
  }),
  '/healthz': ({ services }) => {
    const late = services.map(service => service.status()).filter(({ isLate }) => isLate);
    return late.length === 0
      ? text(200, 'ok')
      : text(503, `no check was made in time: ${late.map(({ name }) => name).join(', ')}`);
  },
};

function text(status: number, body: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

async function openServer(at: Address, api: AdminApi, metrics: Metrics): Promise<Server> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, type, body } = await routeOf(request)(api, metrics);
    response.writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      ...(status === 405 && { allow: 'GET, HEAD' }),
      // The rest of the request, if any, is not read.
      ...(status >= 400 && { connection: 'close' }),
    });
    response.end(body);
  };
  const server = createServer(serverOptions, (request, response) => void answer(request, response));
  server.maxConnections = mostConnections;
  server.setTimeout(idleMs, socket => socket.destroy()).listen(at.port, at.ip);
  await once(server, 'listening');
  return server;
}

function routeOf({ method, url }: IncomingMessage): Route {
  const path = url?.split('?')[0] ?? '';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined)
    return () => text(404, `not found; the paths are ${Object.keys(routes).join(', ')}`);
  return method === 'GET' || method === 'HEAD' ? route : () => text(405, 'only GET and HEAD');
}
