/**
 * A connection to the app, such as that of one check, and how it is closed. The side that closes a TCP connection first
 * keeps a TIME_WAIT for 60 s. On the app's port that would stop an app without SO_REUSEADDR from listening again. So:
 *
 * - dockreg closes first where the app does not: it sends a FIN, and reads until the app's FIN. What is not read would
 *   make the kernel send a RST, which the app would see.
 * - Where the app closes first, dockreg answers its FIN with a RST, which removes the TIME_WAIT. The app has closed the
 *   connection, so it does not see the RST.
 *
 * The connection is a stream over the socket, because the streams of Node (HTTP, HTTP/2, TLS) end or destroy what they
 * are given. Here that only starts the closing, which takes at most twice `mostMs`. No verdict waits for it.
 */
import { createConnection, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { ProxyProtocol } from '../core/settings/check.ts';
import { proxyHeader } from './proxy-protocol.ts';

/** How long dockreg waits for the app's FIN after its own, and before its own where the app says that it closes, in ms. */
const mostMs = 200;
/** How long it waits before its own FIN in any case, in ms: many apps close after their answer and do not say so. */
const leastMs = 20;
/** How much of what the app still sends is read, in bytes. */
const mostBytes = 1024 * 1024;

/** Where the app listens: a port or a Unix socket. */
export type AppAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export class Connection extends Duplex {
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #isTcp: boolean;
  #hasAppClosed = false;
  /** How long the app may take to close first, in ms. */
  #waitMs = leastMs;

  constructor(address: AppAddress, clock: Clock, proxyProtocol?: ProxyProtocol) {
    super();
    this.#clock = clock;
    this.#isTcp = !('path' in address);
    // Without it Node would answer the app's FIN with a FIN.
    this.#socket = createConnection({ ...address, allowHalfOpen: true, noDelay: true })
      .once('connect', () => {
        if (proxyProtocol) this.#socket.write(proxyHeader(proxyProtocol, this.#socket));
        this.emit('connect');
      })
      .on('data', (part: Buffer) => {
        if (!this.push(part)) this.#socket.pause();
      })
      .once('end', () => {
        this.#hasAppClosed = true;
        this.push(null);
      })
      .on('error', error => this.destroy(error));
  }

  /** Call it when the app says that it closes the connection. */
  expectClose(): void {
    this.#waitMs = mostMs;
  }

  /** Resolves when the closing is over. */
  whenClosed(): Promise<void> {
    return new Promise(resolve => {
      if (this.#socket.closed) resolve();
      else this.#socket.once('close', () => resolve());
    });
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(part: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const write = (): unknown => this.#socket.write(part, encoding, done);
    // Not before the header of the PROXY protocol.
    if (this.#socket.connecting) this.#socket.once('connect', write);
    else write();
  }

  override _final(done: () => void): void {
    // The FIN waits until the connection is destroyed.
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#close();
    done(error);
  }

  #close(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (socket.connecting) return void socket.destroy();
    if (this.#hasAppClosed) return this.#reset();
    let bytes = 0;
    let hasFinished = false;
    let cancel: (() => void) | undefined;
    const finish = (): void => {
      if (socket.destroyed || this.#hasAppClosed) return;
      hasFinished = true;
      socket.end();
      cancel = this.#clock.after(mostMs, () => socket.destroy());
    };
    socket
      .removeAllListeners('data')
      .on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > mostBytes) socket.destroy();
      })
      // After both FINs Node closes the socket by itself.
      .once('end', () => hasFinished || this.#reset())
      .once('close', () => cancel?.())
      .resume();
    // After a pause of this process a timer fires before the event loop has read a FIN of the app that is there.
    cancel = this.#clock.after(this.#waitMs, () => setImmediate(finish));
  }

  #reset(): void {
    if (this.#isTcp) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}
