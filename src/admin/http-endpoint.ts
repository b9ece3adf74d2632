/**
 * The HTTP endpoint of --listen: /metrics for Prometheus, /status for programs, /healthz for liveness checks of dockreg
 * itself. It is read-only. One request is answered on each connection: Node's HTTP server parses and answers everything
 * that a client has sent at once, thousands of requests, before a timer or a check gets its turn.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { formatAddress, type Address } from '../core/address/ip.ts';
import { outOfReach } from '../core/retry.ts';
import { safeJson } from '../core/text.ts';
import { retry } from '../retry.ts';
import { keepAccepting } from './accepting.ts';
import { processStatus, type AdminApi } from './api.ts';
import { createExchanges, queueLength, type Exchanges, type Protocol } from './exchanges.ts';
import { mostHead, readHead, writeResponse, type Page, type Response } from './http-request.ts';
import type { Metrics } from './metrics.ts';

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
  const exchanges = await createExchanges(createProtocol(api, metrics), clock);
  const server = await retry(() => open(at, exchanges), options, stop);
  if (server === null) return;
  const what = `--listen ${where}`;
  const stopAccepting = keepAccepting(server, { listen: () => listen(server, at), what, clock, log });
  log.info(`listening on http://${where}`, { paths: Object.keys(routes).join(',') });
  // It may be aborted already: listening took some time.
  if (!stop.aborted) await once(stop, 'abort');
  stopAccepting();
  exchanges.close();
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
    body: `${safeJson(processStatus(api, api.services), 2)}\n`,
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

/** A page is served again for this many times as long as it took to make, so making it takes 2 % of a core at most. */
const keptFactor = 50;
/** No page is older than this, in ms. */
const mostKeptMs = 1000;

function createProtocol(api: AdminApi, metrics: Metrics): Protocol {
  const { clock } = api;
  const kept = new Map<string, { readonly response: Promise<Response>; until: number }>();
  const make = async (page: Page | Promise<Page>): Promise<Response> =>
    writeResponse(await page, clock.wall());
  const respond = (path: string, route: Route): Promise<Response> => {
    const last = kept.get(path);
    const startedAt = clock.now();
    if (last && startedAt < last.until) return last.response;
    const made = { response: make(route(api, metrics)), until: Infinity };
    kept.set(path, made);
    return made.response.finally(() => {
      const now = clock.now();
      made.until = now + Math.min(keptFactor * (now - startedAt), mostKeptMs);
    });
  };
  const answer = async (method: string, path: string): Promise<Buffer> => {
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    const response =
      route === undefined
        ? make(text(404, `not found; the paths are ${Object.keys(routes).join(', ')}`))
        : method === 'GET' || method === 'HEAD'
          ? respond(path, route)
          : make(text(405, 'only GET and HEAD'));
    const { whole, head } = await response;
    return method === 'HEAD' ? head : whole;
  };
  return {
    encoding: 'latin1',
    connections: { perSecond: 150, atOnce: 300 },
    mostRequest: mostHead,
    answer(received, isLast) {
      if (isLast && received === '') return null;
      const request = readHead(received, isLast);
      switch (request.kind) {
        case 'incomplete':
          return null;
        case 'invalid':
          return writeResponse(text(request.status, request.why), clock.wall()).whole;
        case 'request':
          return answer(request.method, request.path);
      }
    },
  };
}

async function open(at: Address, { accept }: Exchanges): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, accept);
  listen(server, at);
  await once(server, 'listening');
  return server;
}

function listen(server: Server, { ip, port }: Address): void {
  server.listen({ host: ip, port, backlog: queueLength });
}
