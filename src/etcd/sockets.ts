/**
 * Watches over the connections that gRPC makes to a member of etcd: closes those that gRPC leaves open, and those on
 * which the member sends what nobody asked for. A connection whose peer accepts it and says nothing, or does not speak
 * HTTP/2, is not closed with its client: it would stay for as long as the peer keeps it, and each attempt would leave
 * another one.
 */
import { Duplex } from 'node:stream';
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { FrameMeter } from './frames.ts';

/** The only place where gRPC shows the sockets that it opens. */
const hook = '_createSecureConnector';

type Connector = ReturnType<ChannelCredentials[typeof hook]>;
type Socket = Parameters<Connector['connect']>[0];

/**
 * How long a connection may be idle after its client was closed, in ms. It may have a request to finish, and gRPC connects
 * again as long as a call waits for a connection: by then the calls that were given up have ended.
 */
const idleMs = 10_000;
/** How long it may stay open after that, in ms, whatever is said on it. */
const closedMs = 15_000;

export class Sockets {
  readonly #clock: Clock;
  readonly #open = new Set<Socket>();
  readonly #meters = new Set<FrameMeter>();
  #isClosed = false;
  #flood: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What the member did that cost it the connection, or null. It lasts: no further connection is made for this client. */
  get flood(): string | null {
    return this.#flood;
  }

  /** Returns the credentials, changed so that each connection that is made with them is known here. */
  watch(credentials: ChannelCredentials): ChannelCredentials {
    const create = credentials[hook].bind(credentials);
    credentials[hook] = (...given) => {
      const connector = create(...given);
      const connect = connector.connect.bind(connector);
      connector.connect = async socket => {
        this.#open.add(socket);
        socket.once('close', () => this.#open.delete(socket));
        if (this.#isClosed) this.#limitLife(socket);
        if (this.#flood !== null) socket.destroy();
        const connected = await connect(socket);
        // With TLS, what counts is in it: gRPC takes any stream for a socket.
        return { ...connected, socket: this.#meter(connected.socket) as unknown as Socket };
      };
      return connector;
    };
    return credentials;
  }

  /** A call begins, whose answer is to come. */
  expectAnswer(): void {
    for (const meter of this.#meters) meter.expectAnswer();
  }

  close(): void {
    this.#isClosed = true;
    for (const socket of this.#open) this.#limitLife(socket);
  }

  #limitLife(socket: Socket): void {
    socket.setTimeout(idleMs, () => socket.destroy());
    const cancel = this.#clock.after(closedMs, () => socket.destroy());
    socket.once('close', cancel);
  }

  /** Returns a stream that is the socket until the member sends too much. */
  #meter(socket: Socket): Duplex {
    const meter = new FrameMeter(this.#clock.now());
    this.#meters.add(meter);
    socket.once('close', () => this.#meters.delete(meter));
    return metered(socket, chunk => {
      this.#flood ??= meter.count(chunk, this.#clock.now());
      return this.#flood === null;
    });
  }
}

/** Returns a stream that passes everything on, until `accept` returns false for something that came. */
function metered(socket: Socket, accept: (chunk: Buffer) => boolean): Duplex {
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    writev: (chunks, done) =>
      void socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), done),
    final: done => void socket.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  stream.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    if (!accept(chunk)) stream.destroy();
    else if (!stream.push(chunk)) socket.pause();
  });
  socket.once('end', () => stream.push(null));
  socket.once('error', error => stream.destroy(error));
  socket.once('close', () => stream.destroy());
  return stream;
}
