/**
 * The questions that we ask the Docker engine: GET `/containers/<id>/json`, and in a swarm GET `/services/<id>` and
 * `/info`. Nothing else is ever sent, so a proxy in front of the socket can forbid all the rest. Podman's compatible API
 * gives the same answers.
 */
import Docker from 'dockerode';
import { type Clock, withDeadline } from '../clock.ts';
import type { Binding, ContainerView, IngressPort } from '../core/address/container.ts';
import { formatEngineEndpoint, type EngineEndpoint } from '../core/settings/process.ts';
import { messageOf, UnavailableError, type Problem } from '../errors.ts';
import { tlsHint, tlsMessage, type TlsHints } from '../tls/hints.ts';
import { PemFileError } from '../tls/pem.ts';

/** Each method rejects with an UnavailableError when there is no usable answer. */
export interface Engine {
  /** The container with this id (12 or 64 hexadecimal digits), or null if the engine knows none. */
  inspect(id: string): Promise<ContainerView | null>;
  /** The node's address in its swarm; null outside of a swarm, and where a proxy refuses the question. */
  nodeIp(): Promise<string | null>;
  /** The ports that a swarm service publishes on every node; null on a worker, and where a proxy refuses the question. */
  ingressPorts(serviceId: string): Promise<IngressPort[] | null>;
}

/** The most that one question may take, in ms. */
const timeLimitMs = 3000;

export function connectEngine(endpoint: EngineEndpoint, clock: Clock): Engine {
  /** The answer to `question`; null for an error that `isAnswer` accepts. */
  const ask = async <T>(
    question: (docker: Requests, options: RequestOptions) => Promise<T>,
    isAnswer: (error: unknown) => boolean,
  ): Promise<T | null> => {
    try {
      const docker = connect(await connectionOf(endpoint));
      return await withDeadline(clock, timeLimitMs, abortSignal => question(docker, { abortSignal }));
    } catch (error) {
      if (isAnswer(error)) return null;
      if (error instanceof PemFileError) throw new UnavailableError(error.message, { cause: error });
      throw new UnavailableError(explain(endpoint, error), { cause: error });
    }
  };

  return {
    async inspect(id) {
      // The library sends an id as part of a path: the redirect that answers `../x` would end the process.
      if (!/^[0-9a-f]{12,64}$/.test(id)) return null;
      return ask(
        async (docker, options) => viewOf(await docker.getContainer(id).inspect(options)),
        error => statusOf(error) === 404,
      );
    },
    nodeIp: () => ask(async (docker, options) => nodeIpOf(await docker.info(options)), isWithheld),
    async ingressPorts(serviceId) {
      if (!/^[0-9a-z]{12,64}$/.test(serviceId)) return null;
      return ask(
        async (docker, options) => ingressOf(await docker.getService(serviceId).inspect(options)),
        error => isWithheld(error) || isOnWorker(error),
      );
    },
  };
}

/** Reads the certificates for each question, so that renewed ones are used at once. @throws PemFileError */
async function connectionOf(endpoint: EngineEndpoint): Promise<Docker.DockerOptions> {
  if (endpoint.kind === 'unix') return { socketPath: endpoint.path };
  const { host, port, certificates } = endpoint;
  if (certificates === undefined) return { protocol: 'http', host, port };
  const { readCertificates } = await import('./tls.ts');
  return { protocol: 'https', host, port, ...(await readCertificates(certificates)) };
}

interface RequestOptions {
  readonly abortSignal: AbortSignal;
}

/** The library's methods that we call. Its own types lack some answers, and the options of `info`. */
interface Requests {
  getContainer(id: string): { inspect(options: RequestOptions): Promise<InspectAnswer> };
  getService(id: string): { inspect(options: RequestOptions): Promise<ServiceAnswer> };
  info(options: RequestOptions): Promise<InfoAnswer>;
}

/** Hides DOCKER_HOST from the library, which reads it even when it gets options, and prefers it to them. */
function connect(options: Docker.DockerOptions): Requests {
  const variable = process.env['DOCKER_HOST'];
  delete process.env['DOCKER_HOST'];
  try {
    return new Docker(options);
  } finally {
    if (variable !== undefined) process.env['DOCKER_HOST'] = variable;
  }
}

export type InspectAnswer = Partial<Docker.ContainerInspectInfo>;

/**
 * Reads the answer of Docker or podman to GET /containers/<id>/json.
 * @throws Error when it does not describe a container
 */
export function viewOf(answer: InspectAnswer): ContainerView {
  // A body that is not JSON comes as a Buffer.
  if (typeof answer.Id !== 'string') throw new Error(notDocker);
  const { Ports, Networks } = answer.NetworkSettings ?? {};
  return {
    id: answer.Id,
    name: (answer.Name ?? '').replace(/^\//, ''),
    running: answer.State?.Running ?? false,
    image: answer.Config?.Image ?? '',
    labels: new Map(Object.entries(answer.Config?.Labels ?? {})),
    networkMode: answer.HostConfig?.NetworkMode ?? '',
    ports: new Map(Object.entries(Ports ?? {}).map(([port, bindings]) => [port, bindingsOf(bindings)])),
    networks: new Map(
      Object.entries(Networks ?? {}).map(([name, { IPAddress, GlobalIPv6Address }]) => [
        name,
        { ipv4: IPAddress, ipv6: GlobalIPv6Address },
      ]),
    ),
    health: healthOf(answer.State?.Health),
  };
}

/** Unlike the library's types, Docker answers null for a port that is not published, and podman may leave HostIp out. */
function bindingsOf(
  answer: readonly { readonly HostIp?: string; readonly HostPort: string }[] | null,
): Binding[] {
  return (answer ?? []).map(({ HostIp = '', HostPort }) => ({ hostIp: HostIp, hostPort: Number(HostPort) }));
}

/** Without a HEALTHCHECK Docker leaves the answer out or gives `none`, and podman gives an empty status. */
function healthOf(answer: Docker.ContainerInspectInfo['State']['Health']): ContainerView['health'] {
  if (!answer?.Status || answer.Status === 'none') return undefined;
  const last = answer.Log?.at(-1);
  const line = last?.Output.trim().split('\n').at(-1) ?? '';
  return { status: answer.Status, output: last ? `exit ${last.ExitCode}${line && `: ${line}`}` : '' };
}

export interface InfoAnswer {
  readonly Swarm?: { readonly NodeAddr?: string };
}

/** Reads the answer to GET /info. */
export function nodeIpOf(answer: InfoAnswer): string | null {
  if (Buffer.isBuffer(answer)) throw new Error(notDocker);
  return answer.Swarm?.NodeAddr || null;
}

export interface ServiceAnswer {
  readonly ID?: string;
  readonly Endpoint?: { readonly Ports?: readonly Docker.PortConfig[] };
}

/** Reads the answer to GET /services/<id>. */
export function ingressOf({ ID, Endpoint }: ServiceAnswer): IngressPort[] {
  if (ID === undefined) throw new Error(notDocker);
  return (Endpoint?.Ports ?? []).flatMap(({ Protocol, TargetPort, PublishedPort, PublishMode }) =>
    PublishMode === 'ingress' && PublishedPort !== undefined
      ? [{ target: `${TargetPort}/${Protocol}`, publishedPort: PublishedPort }]
      : [],
  );
}

const notDocker = 'the answer is not of a Docker API: is this the right socket?';

/** What went wrong, with what to do about it where that is known. */
function explain(endpoint: EngineEndpoint, error: unknown): Problem {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (endpoint.kind === 'unix' && code === 'ENOENT')
    return {
      message: `no Docker socket at ${endpoint.path}`,
      hint: `mount it with -v /var/run/docker.sock:${endpoint.path}, name it with --docker, or do without it: --advertise IP:PORT`,
    };
  if (endpoint.kind === 'unix' && code === 'EACCES')
    return {
      message: `may not open the Docker socket ${endpoint.path}`,
      hint: "run dockreg as root or in the socket's group (docker run --group-add), or do without it: --advertise IP:PORT",
    };
  const message = `Docker at ${formatEngineEndpoint(endpoint)}: ${tlsMessage(error)}`;
  const hint = endpoint.kind === 'tcp' ? tlsHint(error, tlsHints(endpoint.certificates)) : undefined;
  return { message, ...(hint !== undefined && { hint }) };
}

function tlsHints(certificates: string | undefined): TlsHints {
  if (certificates === undefined)
    return { 'tls-expected': 'it speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH' };
  const renew = 'renew its certificate, or set the clock';
  return {
    'unknown-authority': `its certificate is not of the authority in ${certificates}/ca.pem`,
    'wrong-name': 'name it in --docker as its certificate does',
    expired: renew,
    'not-yet-valid': renew,
    'certificate-refused': `it refuses us; cert.pem and key.pem in ${certificates} must be of an authority that it knows`,
    'not-tls': 'it does not speak TLS there; use its TLS port, or unset DOCKER_TLS_VERIFY',
  };
}

/** A proxy in front of the socket refuses the question, or an engine other than Docker does not know it. */
function isWithheld(error: unknown): boolean {
  return statusOf(error) === 403 || statusOf(error) === 404;
}

/** A worker refuses for good. A manager whose swarm has lost its leader answers 503 too, but only for now. */
function isOnWorker(error: unknown): boolean {
  return statusOf(error) === 503 && messageOf(error).includes('not a swarm manager');
}

function statusOf(error: unknown): unknown {
  return error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
}
