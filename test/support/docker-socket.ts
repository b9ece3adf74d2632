/**
 * A fake of the part of the Docker API that dockreg uses, on a Unix socket and optionally on a TCP port, with the
 * answers of Docker 20.10 and the faults that a socket can have. It records every request, so that a test can prove
 * that no other request was sent.
 */
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { ListenOptions, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { atProcessEnd } from './children.ts';
import type { TlsFiles } from './tls.ts';
import { freePort, Journal } from './wait.ts';

/** One published binding, as in `NetworkSettings.Ports`. */
export interface PortBinding {
  readonly HostIp: string;
  readonly HostPort: string;
}

/** `NetworkSettings.Ports`: null for a port that is exposed and not published. */
export type PortMap = Readonly<Record<string, readonly PortBinding[] | null>>;

export interface NetworkEndpoint {
  readonly IPAddress: string;
  readonly GlobalIPv6Address: string;
  readonly Gateway: string;
  readonly NetworkID: string;
  readonly MacAddress: string;
}

export interface HealthAnswer {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: readonly {
    readonly Start: string;
    readonly End: string;
    readonly ExitCode: number;
    readonly Output: string;
  }[];
}

/** The part of Docker's answer to `GET /containers/<id>/json` that is read. */
export interface InspectAnswer {
  readonly Id: string;
  readonly Created: string;
  readonly Name: string;
  readonly Image: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly Restarting: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly StartedAt: string;
    readonly FinishedAt: string;
    /** Left out without a HEALTHCHECK. */
    readonly Health?: HealthAnswer;
  };
  readonly Config: {
    readonly Hostname: string;
    readonly Image: string;
    readonly Labels: Readonly<Record<string, string>>;
    readonly ExposedPorts?: Readonly<Record<string, object>>;
  };
  readonly HostConfig: { readonly NetworkMode: string };
  readonly NetworkSettings: {
    readonly Ports: PortMap;
    readonly IPAddress: string;
    readonly Networks: Readonly<Record<string, NetworkEndpoint>>;
  };
}

export interface InspectOptions {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Default: the first 12 digits of the id, as in Docker. */
  readonly hostname?: string;
  /** Without the leading slash. */
  readonly name?: string;
  readonly image?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: PortMap;
  /** `host`, `none`, `container:<id>` or the name of a network. Default: `default`. */
  readonly networkMode?: string;
  /** Network name to address. Default: from the mode. */
  readonly networks?: Readonly<Record<string, string>>;
  readonly running?: boolean;
  readonly pid?: number;
  /** The result of its HEALTHCHECK. Default: it has no HEALTHCHECK. */
  readonly health?: HealthAnswer;
}

/** What a HEALTHCHECK found: `starting` without a result, or one result. */
export function healthAnswer(status: string, exitCode = 0, output?: string): HealthAnswer {
  const [start, end] = ['2024-01-01T00:00:31.000000000Z', '2024-01-01T00:00:31.050000000Z'];
  const results = [{ Start: start, End: end, ExitCode: exitCode, Output: output ?? '' }];
  return { Status: status, FailingStreak: exitCode, Log: output === undefined ? [] : results };
}

/** An answer with the shape of Docker 20.10's. */
export function inspectAnswer(options: InspectOptions): InspectAnswer {
  const { id, hostname = id.slice(0, 12), name = `app-${id.slice(0, 6)}`, image = 'app:latest' } = options;
  const { labels = {}, ports = {}, networkMode = 'default', running = true, pid = 4242, health } = options;
  const networks = options.networks ?? networksOf(networkMode);
  return {
    Id: id,
    Created: '2024-01-01T00:00:00.000000000Z',
    Name: `/${name}`,
    Image: `sha256:${'0'.repeat(64)}`,
    State: {
      Status: running ? 'running' : 'exited',
      Running: running,
      Paused: false,
      Restarting: false,
      Pid: running ? pid : 0,
      ExitCode: 0,
      StartedAt: '2024-01-01T00:00:01.000000000Z',
      FinishedAt: running ? '0001-01-01T00:00:00Z' : '2024-01-01T00:10:00.000000000Z',
      ...(health && { Health: health }),
    },
    Config: {
      Hostname: hostname,
      Image: image,
      Labels: labels,
      ...(Object.keys(ports).length > 0 && {
        ExposedPorts: Object.fromEntries(Object.keys(ports).map(port => [port, {}])),
      }),
    },
    HostConfig: { NetworkMode: networkMode },
    NetworkSettings: {
      Ports: running ? ports : {},
      IPAddress: networks['bridge'] ?? '',
      Networks: Object.fromEntries(Object.entries(networks).map(([network, ip]) => [network, endpoint(ip)])),
    },
  };
}

/** The bindings of one published port on all addresses, as `docker run -p` makes them; the numbers may differ. */
export function published(port: number, hostPort: number, hostPort6 = hostPort): PortMap {
  const bindings = [
    { HostIp: '0.0.0.0', HostPort: String(hostPort) },
    { HostIp: '::', HostPort: String(hostPort6) },
  ];
  return { [`${port}/tcp`]: bindings };
}

/**
 * - `ok`: answers. `error500`: Docker's JSON with status 500.
 * - `silent`: accepts and never answers. `cut`: the head and half of the body, then nothing, and no end.
 * - `garbage`: status 200 and a text that is not JSON.
 */
export type DockerMode = 'ok' | 'silent' | 'cut' | 'garbage' | 'error500';

export interface DockerRequest {
  /** `performance.now()` milliseconds. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
}

export interface DockerSocketOptions {
  /** Full id to answer. */
  readonly containers?: Readonly<Record<string, InspectAnswer>>;
  /** Listens on a free TCP port of 127.0.0.1 too. */
  readonly tcp?: boolean;
  /** The TCP port uses TLS and requires a client certificate of the authority, as `dockerd --tlsverify` does. */
  readonly tls?: TlsFiles;
  /** The path of the socket. Default: in a temporary folder. */
  readonly socketPath?: string;
}

export class DockerSocket {
  readonly socketPath: string;
  /** The TCP port, if there is one. */
  readonly port: number | undefined;
  readonly #tls: TlsFiles | undefined;
  /** How requests are answered from now on. */
  mode: DockerMode = 'ok';
  readonly #containers: Map<string, InspectAnswer>;
  readonly #others = new Map<string, [status: number, json: unknown]>();
  readonly #requests = new Journal<DockerRequest>('request to Docker');
  readonly #sockets = new Set<Socket>();
  readonly #folder: string;
  readonly #forget: () => void;
  #servers: Server[] = [];

  constructor(options: DockerSocketOptions, folder: string, port: number | undefined) {
    this.#folder = folder;
    this.#containers = new Map(Object.entries(options.containers ?? {}));
    this.socketPath = options.socketPath ?? join(folder, 'docker.sock');
    this.port = port;
    this.#tls = options.tls;
    this.#forget = atProcessEnd(() => {
      rmSync(folder, { recursive: true, force: true });
      rmSync(this.socketPath, { force: true });
    });
  }

  get requests(): readonly DockerRequest[] {
    return this.#requests.entries;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** The next request at or after the index `since` (default: from now on). Rejects with a WaitError. */
  request(timeoutMs = 10_000, since = this.#requests.entries.length): Promise<DockerRequest> {
    return this.#requests.first(() => true, { timeoutMs, since });
  }

  /** Adds a container or replaces its answer. */
  set(answer: InspectAnswer): void {
    this.#containers.set(answer.Id, answer);
  }

  /** Removes a container. It is then unknown. */
  remove(id: string): void {
    this.#containers.delete(id);
  }

  /** Gives a container other ports, as a restart or a reconnected network does. Throws if it is unknown. */
  publish(id: string, ports: PortMap): void {
    const answer = this.#containers.get(id);
    if (answer === undefined) throw new Error(`no container ${id}`);
    this.set({ ...answer, NetworkSettings: { ...answer.NetworkSettings, Ports: ports } });
  }

  /** Answers GET of another path, such as `/info` or `/services/<id>` (without version), with this JSON. */
  answer(path: string, json: unknown): void {
    this.#others.set(path, [200, json]);
  }

  /** Refuses GET of another path with this status and a message in Docker's format. */
  refuse(path: string, status: number, message: string): void {
    this.#others.set(path, [status, { message }]);
  }

  /** Stops listening, removes the socket and closes all connections, as a daemon that ends. Idempotent. */
  close(): void {
    for (const server of this.#servers) server.close();
    this.#servers = [];
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Listens, after `close` again at the same addresses. */
  async listen(): Promise<void> {
    if (this.#servers.length > 0) return;
    const addresses: ListenOptions[] = [{ path: this.socketPath }];
    if (this.port !== undefined) addresses.push({ port: this.port, host: '127.0.0.1' });
    this.#servers = await Promise.all(addresses.map(address => this.#listenAt(address)));
  }

  /** Closes, and removes the folder. Idempotent. */
  async stop(): Promise<void> {
    this.close();
    this.#forget();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #listenAt(address: ListenOptions): Promise<Server> {
    const respond = (request: IncomingMessage, response: ServerResponse): void =>
      this.#serve(request, response);
    const server =
      this.#tls && address.port !== undefined
        ? createTlsServer(tlsOptions(this.#tls), respond)
        : createServer({ keepAliveTimeout: 0 }, respond);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket.unref());
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, () => resolve(server.unref()));
    });
  }

  #serve({ method = '', url: path = '' }: IncomingMessage, response: ServerResponse): void {
    this.#requests.push({ at: performance.now(), method, path });
    response.on('error', () => undefined);
    switch (this.mode) {
      case 'silent':
        return;
      case 'garbage':
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>not Docker</html>\n');
        return;
      case 'error500':
        return reply(response, 500, { message: 'something went wrong in the daemon' });
      case 'cut':
      case 'ok':
        return reply(response, ...this.#find(method, path), this.mode === 'cut');
    }
  }

  #find(method: string, path: string): [status: number, json: unknown] {
    if (method !== 'GET') return [403, { message: 'forbidden by the socket proxy' }];
    const plain = (path.split('?')[0] ?? path).replace(/^\/v\d+\.\d+(?=\/)/, '');
    const other = this.#others.get(plain);
    if (other) return other;
    const asked = /^\/containers\/([^/]+)\/json$/.exec(plain)?.[1];
    return asked === undefined
      ? [404, { message: 'page not found' }]
      : this.#inspect(decodeURIComponent(asked));
  }

  // In Docker's order: the full id, then the name, then a prefix of the id.
  #inspect(asked: string): [status: number, json: unknown] {
    const all = [...this.#containers.values()];
    const exact = this.#containers.get(asked) ?? all.find(({ Name }) => Name === `/${asked}`);
    if (exact) return [200, exact];
    const [match, ...others] = all.filter(({ Id }) => Id.startsWith(asked));
    if (match === undefined) return [404, { message: `No such container: ${asked}` }];
    if (others.length > 0) return [500, { message: `Multiple IDs found with provided prefix: ${asked}` }];
    return [200, match];
  }
}

function tlsOptions({ ca, server: { cert, key } }: TlsFiles): ServerOptions {
  const [authority, certificate, privateKey] = [ca, cert, key].map(path => readFileSync(path));
  return { ca: authority, cert: certificate, key: privateKey, requestCert: true, keepAliveTimeout: 0 };
}

/** Starts a fake Docker API in mode `ok`. */
export async function startDockerSocket(options: DockerSocketOptions = {}): Promise<DockerSocket> {
  const folder = await mkdtemp(join(tmpdir(), 'dockreg-docker-'));
  const docker = new DockerSocket(options, folder, options.tcp ? await freePort() : undefined);
  await docker.listen();
  return docker;
}

function reply(response: ServerResponse, status: number, json: unknown, cut = false): void {
  const body = Buffer.from(`${JSON.stringify(json)}\n`);
  response.writeHead(status, {
    'api-version': '1.41',
    'content-type': 'application/json',
    'content-length': body.length,
    'docker-experimental': 'false',
    ostype: 'linux',
    server: 'Docker/20.10.24+dfsg1 (linux)',
  });
  if (cut) response.write(body.subarray(0, Math.floor(body.length / 2)));
  else response.end(body);
}

function networksOf(mode: string): Readonly<Record<string, string>> {
  if (mode.startsWith('container:')) return {};
  if (mode === 'host' || mode === 'none') return { [mode]: '' };
  return { [mode === 'default' ? 'bridge' : mode]: '172.17.0.2' };
}

function endpoint(ip: string): NetworkEndpoint {
  return {
    IPAddress: ip,
    GlobalIPv6Address: '',
    Gateway: ip && ip.replace(/\d+$/, '1'),
    NetworkID: '1'.repeat(64),
    MacAddress: ip && '02:42:ac:11:00:02',
  };
}
