/**
 * What --listen shows over HTTP: /metrics for Prometheus, /status for machines, /healthz for whoever asks whether
 * dockreg itself works. Nothing can be changed here. Whoever asks slowly, much or often costs little.
 */
import { createServer, type Server } from 'node:http';
import { formatAddress, type Address } from '../core/address/ip.ts';
import { outOfReach, backoffMs, noteFailure, type Outage } from '../core/retry.ts';
import type { Desk } from '../desk.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from './metrics.ts';

export interface Listening extends Desk {
  readonly metrics: Metrics;
  /** A number in [0, 1). */
  readonly chance: () => number;
  readonly log: Log;
}

const bounds = { headersTimeout: 5000, requestTimeout: 5000, connectionsCheckingInterval: 2500 } as const;
/** A connection on which nothing moves is closed, in ms. */
const idleMs = 10_000;
const mostHeaderBytes = 8192;
const mostConnections = 32;

/** Listens until `stop` aborts. A port that is taken is tried again and again. */
export async function listen(at: Address, parts: Listening, stop: AbortSignal): Promise<void> {
  const { clock, chance, log } = parts;
  let outage: Outage | null = null;
  while (!stop.aborted) {
    const server = createReporter(parts);
    try {
      await opened(server, at);
    } catch (error) {
      const noted = noteFailure(outage, messageOf(error), clock.now());
      outage = noted.outage;
      if (noted.report) log.warn(`--listen ${formatAddress(at)}: ${messageOf(error)}; trying on`);
      await clock.sleep(backoffMs(outOfReach, outage.attempts, chance()), stop);
      continue;
    }
    log.info(`listening on http://${formatAddress(at)}`, { paths: Object.keys(routes).join(',') });
    await aborted(stop);
    server.close();
    server.closeAllConnections();
  }
}

/** It may be so already: to listen took its time. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const routes: Readonly<Record<string, (parts: Listening) => Page | Promise<Page>>> = {
  '/metrics': async ({ agents, metrics }) => ({
    status: 200,
    type: metrics.contentType,
    body: await metrics.text(agents),
  }),
  '/status': ({ agents, status }) => ({
    status: 200,
    type: 'application/json',
    body: `${JSON.stringify(status(agents), null, 2)}\n`,
  }),
  '/healthz': ({ agents, status }) => {
    const late = status(agents).services.filter(({ isLate }) => isLate);
    return late.length === 0
      ? text(200, 'ok')
      : text(503, `no check was made in time: ${late.map(({ name }) => name).join(', ')}`);
  },
};

function text(status: number, body: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function createReporter(parts: Listening): Server {
  const server = createServer({ ...bounds, maxHeaderSize: mostHeaderBytes }, (request, response) => {
    const answer = async (): Promise<void> => {
      const { status, type, body } = await choose(request.method, request.url, parts);
      response.writeHead(status, {
        'content-type': type,
        'content-length': Buffer.byteLength(body),
        'cache-control': 'no-store',
        ...(status === 405 && { allow: 'GET, HEAD' }),
        // What else it may have sent is not read.
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

function choose(method: string | undefined, url: string | undefined, parts: Listening): Page | Promise<Page> {
  const path = url?.split('?')[0] ?? '';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return text(404, `there is ${Object.keys(routes).join(', ')}`);
  return method === 'GET' || method === 'HEAD' ? route(parts) : text(405, 'only GET and HEAD');
}

function opened(server: Server, { ip, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, ip, () => {
      // What goes wrong later costs one connection.
      server.off('error', reject).on('error', () => undefined);
      resolve();
    });
  });
}
