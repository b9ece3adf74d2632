/**
 * The HTTP endpoint of --listen: /metrics for Prometheus, /status for programs, /healthz for liveness checks of dockreg
 * itself. It is read-only, and slow, large or frequent requests cost little.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { formatAddress, type Address } from '../core/address/ip.ts';
import { outOfReach } from '../core/retry.ts';
import type { Log } from '../log.ts';
import { retry } from '../retry.ts';
import { processStatus, type AdminApi } from './api.ts';
import type { Metrics } from './metrics.ts';

export interface HttpEndpointOptions extends AdminApi {
  readonly metrics: Metrics;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

const bounds = { headersTimeout: 5000, requestTimeout: 5000, connectionsCheckingInterval: 2500 } as const;
/** An idle connection is closed after this time, in ms. */
const idleMs = 10_000;
const mostHeaderBytes = 8192;
const mostConnections = 32;

/** Serves until `stop` aborts. While the port is taken it retries. */
export async function serveHttp(at: Address, options: HttpEndpointOptions, stop: AbortSignal): Promise<void> {
  const { clock, random, log } = options;
  const where = formatAddress(at);
  const open = async (): Promise<Server> => {
    const server = createEndpoint(options);
    server.listen(at.port, at.ip);
    await once(server, 'listening');
    // A later error ends one connection, not the server.
    return server.on('error', () => undefined);
  };
  const server = await retry(
    open,
    {
      clock,
      random,
      backoff: outOfReach,
      isTransient: () => true,
      report: cause => log.warn(`--listen ${where}: ${cause}; retrying`),
    },
    stop,
  );
  if (server === null) return;
  log.info(`listening on http://${where}`, { paths: Object.keys(routes).join(',') });
  // It may be aborted already: listening took some time.
  if (!stop.aborted) await once(stop, 'abort');
  server.close();
  server.closeAllConnections();
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const routes: Readonly<Record<string, (options: HttpEndpointOptions) => Page | Promise<Page>>> = {
  '/metrics': async ({ services, metrics }) => ({
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

function createEndpoint(options: HttpEndpointOptions): Server {
  const server = createServer({ ...bounds, maxHeaderSize: mostHeaderBytes }, (request, response) => {
    const answer = async (): Promise<void> => {
      const { status, type, body } = await choose(request.method, request.url, options);
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
    void answer();
  });
  server.maxConnections = mostConnections;
  server.setTimeout(idleMs, socket => socket.destroy());
  return server;
}

function choose(
  method: string | undefined,
  url: string | undefined,
  options: HttpEndpointOptions,
): Page | Promise<Page> {
  const path = url?.split('?')[0] ?? '';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return text(404, `not found; the paths are ${Object.keys(routes).join(', ')}`);
  return method === 'GET' || method === 'HEAD' ? route(options) : text(405, 'only GET and HEAD');
}
