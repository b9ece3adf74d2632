/**
 * A TCP proxy on 127.0.0.1 that injects faults. "Up" is from the client to the target, "down" the other direction. A
 * silent direction holds its bytes, its FIN and its RST, as a network that drops packets does.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

import { reset } from './sockets.ts';
import { eventually, freePort, Journal, type FindOptions } from './wait.ts';

/**
 * - `pass`: everything passes.
 * - `refuse`: nothing listens, and open connections are reset.
 * - `silent`: connections are accepted and held; nothing passes in either direction.
 * - `silent-up`, `silent-down`: nothing passes in that direction.
 * - `delayMs`: everything passes, that many milliseconds later in each direction.
 */
export type ProxyMode =
  | 'pass'
  | 'refuse'
  | 'silent'
  | 'silent-up'
  | 'silent-down'
  | { readonly delayMs: number };

export interface SetModeOptions {
  /** What happens to held connections and bytes: they go on (as when a network heals), or are reset. */
  readonly held?: 'deliver' | 'drop';
}

export interface ProxyStats {
  /** Connections accepted since the start. */
  readonly accepted: number;
  /** Connections whose client has not closed them. */
  readonly open: number;
  /** Bytes that passed, without those that are held. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** Beyond this the proxy stops reading, so that the sender meets a full window in the end. */
const heldBytesLimit = 1 << 20;

/** The faulty link to one target. It has no listener: `take` receives connections that were accepted elsewhere. */
export class Link {
  readonly #targetPort: number;
  readonly #connections = new Set<Connection>();
  readonly #arrivals = new Journal<number>('connection');
  #mode: ProxyMode = 'pass';
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  get mode(): ProxyMode {
    return this.#mode;
  }

  get stats(): ProxyStats {
    const open = [...this.#connections].filter(connection => !connection.clientGone).length;
    return {
      accepted: this.#arrivals.entries.length,
      open,
      bytesUp: this.#bytesUp,
      bytesDown: this.#bytesDown,
    };
  }

  /** Applies to new and open connections at once. */
  async set(mode: ProxyMode, { held = 'deliver' }: SetModeOptions = {}): Promise<void> {
    this.#mode = mode;
    if (mode === 'refuse' || held === 'drop') this.dropConnections();
    for (const connection of this.#connections) connection.apply(mode);
  }

  /** Resets both sides of all open connections. New ones follow the mode. */
  dropConnections(): void {
    for (const connection of this.#connections) connection.reset();
    this.#connections.clear();
  }

  /** Resolves when a connection has arrived at or after the index `since` (see `stats.accepted`). */
  async arrival(options: FindOptions = {}): Promise<void> {
    await this.#arrivals.indexOf(() => true, options);
  }

  /** Takes a connection that was accepted with `allowHalfOpen`. */
  accept(client: Socket): void {
    client.on('error', () => undefined);
    client.unref();
    this.#arrivals.push(performance.now());
    if (this.#mode === 'refuse') return reset(client);
    const connection = new Connection(client, this.#targetPort, {
      up: bytes => (this.#bytesUp += bytes),
      down: bytes => (this.#bytesDown += bytes),
      closed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    connection.apply(this.#mode);
  }
}

/** A Link with a listener on 127.0.0.1. */
export class Proxy extends Link {
  readonly port: number;
  #server: Server | undefined;
  #closed = false;

  constructor(port: number, targetPort: number) {
    super(targetPort);
    this.port = port;
  }

  /** `127.0.0.1:<port>`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Also stops or starts listening. Rejects when another process took the port meanwhile. */
  override async set(mode: ProxyMode, options: SetModeOptions = {}): Promise<void> {
    if (this.#closed) throw new Error('the proxy is closed');
    if (mode === 'refuse') this.#unlisten();
    await super.set(mode, options);
    if (mode !== 'refuse' && this.#server === undefined) {
      this.#server = await eventually(`listening on ${this.address}`, () =>
        listen(this.port, socket => this.accept(socket)),
      );
    }
  }

  /** Stops listening and resets all connections. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#unlisten();
    this.dropConnections();
  }

  #unlisten(): void {
    this.#server?.close();
    this.#server = undefined;
  }
}

/** Starts a proxy to a port on 127.0.0.1 in mode `pass`. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const proxy = new Proxy(await freePort(), targetPort);
  await proxy.set('pass');
  return proxy;
}

/** Listens on 127.0.0.1 as a Link needs it. The listener does not keep the process alive. */
export function listen(port: number, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server.unref()));
  });
}

interface ConnectionEvents {
  readonly up: (bytes: number) => void;
  readonly down: (bytes: number) => void;
  readonly closed: () => void;
}

class Connection {
  readonly #client: Socket;
  readonly #targetPort: number;
  readonly #events: ConnectionEvents;
  readonly #up: Flow;
  #down: Flow | undefined;
  #target: Socket | undefined;

  constructor(client: Socket, targetPort: number, events: ConnectionEvents) {
    this.#client = client;
    this.#targetPort = targetPort;
    this.#events = events;
    this.#up = new Flow(client, events.up);
  }

  get clientGone(): boolean {
    return this.#client.destroyed || this.#client.readableEnded;
  }

  apply(mode: ProxyMode): void {
    const delayMs = typeof mode === 'object' ? mode.delayMs : 0;
    if (mode !== 'silent' && this.#target === undefined) this.#dial();
    this.#up.shape(mode === 'silent' || mode === 'silent-up', delayMs);
    this.#down?.shape(mode === 'silent' || mode === 'silent-down', delayMs);
  }

  reset(): void {
    this.#up.stop();
    this.#down?.stop();
    reset(this.#client);
    if (this.#target) reset(this.#target);
  }

  #dial(): void {
    // A client that came and went while the link was silent, without a byte, never reaches the target.
    if (this.clientGone && !this.#up.hasBytes) return this.#events.closed();
    const target = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.#target = target.unref();
    target.on('error', () => undefined);
    this.#down = new Flow(target, this.#events.down);
    this.#down.to(this.#client);
    this.#up.to(target);
    const gone = (): void => {
      if (this.#client.destroyed && target.destroyed) this.#events.closed();
    };
    this.#client.once('close', gone);
    target.once('close', gone);
  }
}

interface Parcel {
  readonly dueAt: number;
  readonly content: Buffer | 'end' | 'reset';
}

/** One direction of a connection: a queue that passes, passes late, or not at all. */
class Flow {
  readonly #from: Socket;
  readonly #passed: (bytes: number) => void;
  readonly #queue: Parcel[] = [];
  #to: Socket | undefined;
  #heldBytes = 0;
  #held = true;
  #delayMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, passed: (bytes: number) => void) {
    this.#from = from;
    this.#passed = passed;
    from.on('data', (chunk: Buffer) => this.#push(chunk));
    from.once('end', () => this.#push('end'));
    from.once('close', () => {
      if (!from.readableEnded) this.#push('reset');
    });
  }

  get hasBytes(): boolean {
    return this.#heldBytes > 0;
  }

  to(socket: Socket): void {
    this.#to = socket;
    socket.on('drain', () => this.#pump());
  }

  shape(held: boolean, delayMs: number): void {
    this.#held = held;
    this.#delayMs = delayMs;
    this.#pump();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#held = true;
  }

  #push(content: Parcel['content']): void {
    this.#queue.push({ dueAt: performance.now() + this.#delayMs, content });
    this.#heldBytes += sizeOf(content);
    if (this.#heldBytes > heldBytesLimit) this.#from.pause();
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const to = this.#to;
    if (to === undefined) return;
    for (let parcel = this.#queue[0]; parcel !== undefined; parcel = this.#queue[0]) {
      if (this.#held || to.writableNeedDrain) return;
      const early = this.#delayMs === 0 ? 0 : parcel.dueAt - performance.now();
      if (early > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(early)).unref();
        return;
      }
      this.#queue.shift();
      this.#deliver(to, parcel.content);
    }
  }

  #deliver(to: Socket, content: Parcel['content']): void {
    const bytes = sizeOf(content);
    this.#heldBytes -= bytes;
    this.#passed(bytes);
    if (this.#heldBytes <= heldBytesLimit && this.#from.isPaused()) this.#from.resume();
    if (content === 'reset') reset(to);
    else if (content === 'end') to.end();
    else if (to.writable) to.write(content);
  }
}

function sizeOf(content: Parcel['content']): number {
  return typeof content === 'string' ? 0 : content.length;
}
