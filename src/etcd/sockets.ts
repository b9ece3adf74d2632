/**
 * Closes what gRPC leaves open. A connection whose peer accepts it and says nothing, or does not speak HTTP/2, is not
 * closed with its client: it would stay for as long as the peer keeps it, and each attempt would leave another one.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';

/** The only place where gRPC shows the sockets that it opens. */
const hook = '_createSecureConnector';

type Connector = ReturnType<ChannelCredentials[typeof hook]>;
type Socket = Parameters<Connector['connect']>[0];

/**
 * How long a connection may be idle after its client was closed, in ms. It may have a request to finish, and gRPC connects
 * again as long as a call waits for a connection: by then the calls that were given up have ended.
 */
const idleMs = 10_000;

export class Sockets {
  readonly #open = new Set<Socket>();
  #isClosed = false;

  /** Returns the credentials, changed so that each connection that is made with them is known here. */
  watch(credentials: ChannelCredentials): ChannelCredentials {
    const create = credentials[hook].bind(credentials);
    credentials[hook] = (...given) => {
      const connector = create(...given);
      const connect = connector.connect.bind(connector);
      connector.connect = socket => {
        this.#open.add(socket);
        socket.once('close', () => this.#open.delete(socket));
        if (this.#isClosed) limitIdleness(socket);
        return connect(socket);
      };
      return connector;
    };
    return credentials;
  }

  close(): void {
    this.#isClosed = true;
    this.#open.forEach(limitIdleness);
  }
}

/** The timer does not keep the process alive. */
function limitIdleness(socket: Socket): void {
  socket.setTimeout(idleMs, () => socket.destroy());
}
