/**
 * A server that hands each connection to a function of the test, over TCP, TLS or a Unix socket, for bytes that no
 * correct server would send.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

import type { CertificateFiles } from './tls.ts';
import { freePort } from './wait.ts';

export interface RawServerOptions {
  /** Speaks TLS with this certificate. */
  readonly certificate?: CertificateFiles;
  /** More about TLS, such as whether the client needs a certificate. */
  readonly tls?: TlsOptions;
  /** Listens on this Unix socket instead of a port. */
  readonly path?: string;
}

export class RawServer {
  /** 0 on a Unix socket. */
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connectionsSeen = 0;

  constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket: Socket) => {
      this.#connectionsSeen++;
      this.#sockets.add(socket.unref());
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  get connectionsSeen(): number {
    return this.#connectionsSeen;
  }

  /** Stops listening and ends all connections. Idempotent. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Starts a server, by default on a free port of 127.0.0.1. A TLS connection is handed over after its handshake. */
export async function startRawServer(
  serve: (socket: Socket) => void,
  { certificate, tls, path }: RawServerOptions = {},
): Promise<RawServer> {
  const serveOne = (socket: Socket): void => serve(socket.on('error', () => undefined));
  const server = certificate
    ? createTlsServer(
        { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key), ...tls },
        serveOne,
      ).on('tlsClientError', () => undefined)
    : createServer(serveOne);
  const port = path === undefined ? await freePort() : 0;
  const raw = new RawServer(server, port);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path === undefined ? { port, host: '127.0.0.1' } : { path }, resolve);
  });
  server.unref();
  return raw;
}
