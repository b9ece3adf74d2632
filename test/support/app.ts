/**
 * An HTTP app in the test's own process that answers as configured, in many bad ways too. It records its requests and
 * counts open connections. It never closes an idle connection, so a client that keeps one open is noticed.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { reset } from './sockets.ts';
import { eventually, freePort, Journal, pause } from './wait.ts';

/**
 * - `ok`: 200 and a short text. `{ status }`: that status, with a body and headers.
 * - `hang`: reads the request and never answers. `reset`: resets the connection.
 * - `{ slowMs }`: 200 after that many milliseconds.
 * - `drip`: the head of an answer, one byte every 100 ms, never complete.
 * - `endless`: 200 and a body without an end, as fast as the client reads.
 * - `{ redirect }`: 302 to that location.
 */
export type Behaviour =
  | 'ok'
  | 'hang'
  | 'reset'
  | 'drip'
  | 'endless'
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly slowMs: number }
  | { readonly redirect: string };

export interface AppRequest {
  /** When its head was complete, in `performance.now()` milliseconds. */
  readonly at: number;
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Number of the connection, from 1 in order of arrival. */
  readonly connection: number;
  /** Whether an earlier request came on the same connection, so that the client kept it open. */
  readonly reused: boolean;
}

export class App {
  readonly host: string;
  readonly port: number;
  readonly #requests = new Journal<AppRequest>('request to the app');
  readonly #connections = new Map<Socket, { readonly number: number; requests: number }>();
  readonly #byPath = new Map<string, Behaviour>();
  #behaviour: Behaviour = 'ok';
  #connectionsSeen = 0;
  #server: Server | undefined;

  constructor(host: string, port: number) {
    this.host = host;
    this.port = port;
  }

  get requests(): readonly AppRequest[] {
    return this.#requests.entries;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  get connectionsSeen(): number {
    return this.#connectionsSeen;
  }

  /** Sets the answer to all requests, or to those for one path (without its query), which has precedence. */
  respond(behaviour: Behaviour, path?: string): void {
    if (path === undefined) this.#behaviour = behaviour;
    else this.#byPath.set(path, behaviour);
  }

  /** The next request at or after the index `since` (default: from now on). Rejects with a WaitError. */
  request(timeoutMs = 10_000, since = this.#requests.entries.length): Promise<AppRequest> {
    return this.#requests.first(() => true, { timeoutMs, since });
  }

  /** Stops listening and resets all connections. Idempotent. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#connections.keys()) reset(socket);
  }

  /** Listens, after `close` again on the same port. Rejects when another process has taken it. */
  async listen(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
    server.on('connection', socket => this.#connected(socket));
    server.on('request', (request, response) => void this.#answer(request, response));
    this.#server = await eventually(
      `the app listening on ${this.host}:${this.port}`,
      () =>
        new Promise<Server>((resolve, reject) => {
          server.once('error', reject);
          server.listen(this.port, this.host, () => resolve(server.unref()));
        }),
    );
  }

  #connected(socket: Socket): void {
    this.#connections.set(socket.unref(), { number: ++this.#connectionsSeen, requests: 0 });
    socket.on('error', () => undefined);
    socket.once('close', () => this.#connections.delete(socket));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '', headers, socket } = request;
    response.on('error', () => undefined);
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    const reused = connection.requests++ > 0;
    const behaviour = this.#byPath.get(path.split('?')[0] ?? path) ?? this.#behaviour;
    this.#requests.push({
      at: performance.now(),
      method,
      path,
      headers,
      connection: connection.number,
      reused,
    });
    if (typeof behaviour === 'object') return this.#answerWith(behaviour, response);
    switch (behaviour) {
      case 'ok':
        response.end('ok\n');
        return;
      case 'hang':
        return;
      case 'reset':
        reset(socket);
        return;
      case 'drip':
        return drip(socket);
      case 'endless':
        return endless(response);
    }
  }

  async #answerWith(behaviour: Extract<Behaviour, object>, response: ServerResponse): Promise<void> {
    if ('slowMs' in behaviour) {
      await pause(behaviour.slowMs);
      response.end('late\n');
    } else if ('redirect' in behaviour) {
      response.writeHead(302, { location: behaviour.redirect }).end();
    } else {
      response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body ?? `${behaviour.status}\n`);
    }
  }
}

/** Starts an app that answers `ok`, by default on a free port of every IPv4 address. */
export async function startApp({
  port,
  host = '0.0.0.0',
}: { port?: number; host?: string } = {}): Promise<App> {
  const app = new App(host, port ?? (await freePort()));
  await app.listen();
  return app;
}

async function drip(socket: Socket): Promise<void> {
  for (const byte of 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Filler: ') {
    if (socket.destroyed) return;
    socket.write(byte);
    await pause(100);
  }
  while (!socket.destroyed) {
    socket.write('x');
    await pause(100);
  }
}

function endless(response: ServerResponse): void {
  const chunk = Buffer.alloc(16_384, 'x');
  const fill = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', fill);
  fill();
}
