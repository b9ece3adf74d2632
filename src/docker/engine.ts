/**
 * What we ask of the Docker engine, in our words: GET on `/containers/<id>/json`, and in a swarm on `/services/<id>` and
 * `/info`; nothing else, so that a proxy in front of the socket can forbid all the rest. Podman's compatible API answers
 * the same.
 */
import Docker from 'dockerode';
import { type Clock, withDeadline } from '../clock.ts';
import type {
  Binding,
  ContainerHealth,
  ContainerView,
  IngressPort,
  NetworkView,
} from '../core/address/container.ts';
import { formatEngineEndpoint, type EngineEndpoint } from '../core/settings/engine.ts';
import { messageOf, UnavailableError, type Problem } from '../errors.ts';
import { tlsHint, tlsMessage, type TlsHints } from '../tls/hints.ts';
import { PemFileError } from '../tls/pem.ts';

export interface Engine {
  /**
   * The container with this id (12 or 64 hexadecimal digits), or null if the engine knows none.
   * @throws UnavailableError when there is no usable answer, with the way out
   */
  inspect(id: string): Promise<ContainerView | null>;
  /**
   * The node's address in its swarm; null outside of a swarm and where we may not ask.
   * @throws UnavailableError when there is no usable answer
   */
  nodeIp(): Promise<string | null>;
  /**
   * The ports that a swarm service publishes on every node; null where that is not told: on a worker, and where we may
   * not ask.
   * @throws UnavailableError when there is no usable answer
   */
  ingressPorts(serviceId: string): Promise<IngressPort[] | null>;
}

const timeLimitMs = 3000;

export function connectEngine(endpoint: EngineEndpoint, clock: Clock): Engine {
  /** What `question` gives; null for a refusal that is an answer. */
  const ask = async <T>(
    question: (docker: Docker, abortSignal: AbortSignal) => Promise<T>,
    isAnswer: (error: unknown) => boolean,
  ): Promise<T | null> => {
    try {
      const docker = client(await placeOf(endpoint));
      return await withDeadline(clock, timeLimitMs, abortSignal => question(docker, abortSignal));
    } catch (error) {
      if (isAnswer(error)) return null;
      if (error instanceof PemFileError) throw new UnavailableError(error.message, { cause: error });
      throw new UnavailableError(explain(endpoint, error), { cause: error });
    }
  };

  return {
    async inspect(id) {
      // The library sends an id as a path and follows what comes back: `../x` would end the process.
      if (!/^[0-9a-f]{12,64}$/.test(id)) return null;
      return ask(
        async (docker, abortSignal) => viewOf(await docker.getContainer(id).inspect({ abortSignal })),
        isUnknown,
      );
    },
    nodeIp: () =>
      ask(async (docker, abortSignal) => nodeIpOf(await askInfo(docker, abortSignal)), isWithheld),
    async ingressPorts(serviceId) {
      if (!/^[0-9a-z]{12,64}$/.test(serviceId)) return null;
      return ask(
        async (docker, abortSignal) => ingressOf(await inspectService(docker, serviceId, abortSignal)),
        error => isWithheld(error) || isOnWorker(error),
      );
    },
  };
}

/** Certificates are read for each question, so that renewed ones are taken up. @throws PemFileError */
async function placeOf(endpoint: EngineEndpoint): Promise<Docker.DockerOptions> {
  if (endpoint.kind === 'unix') return { socketPath: endpoint.path };
  const { host, port, certificates } = endpoint;
  if (certificates === undefined) return { protocol: 'http', host, port };
  const { readCertificates } = await import('./tls.ts');
  const { ca, own } = await readCertificates(certificates);
  return { protocol: 'https', host, port, ca, ...own };
}

/** The library reads DOCKER_HOST and what goes with it even when it is told the place, and believes it more. */
function client(place: Docker.DockerOptions): Docker {
  const variable = process.env['DOCKER_HOST'];
  delete process.env['DOCKER_HOST'];
  try {
    return new Docker(place);
  } finally {
    if (variable !== undefined) process.env['DOCKER_HOST'] = variable;
  }
}

export type InspectAnswer = Partial<Docker.ContainerInspectInfo>;

/**
 * A container as Docker and podman answer it.
 * @throws Error when it is none
 */
export function viewOf(answer: InspectAnswer): ContainerView {
  // A body that is not JSON comes as a Buffer.
  if (typeof answer.Id !== 'string') throw new Error(notDocker);
  const ports = Object.entries(answer.NetworkSettings?.Ports ?? {}).map(
    ([port, bindings]): [string, Binding[]] => [
      port,
      ((bindings ?? []) as { HostIp?: string; HostPort: string }[]).map(({ HostIp = '', HostPort }) => ({
        hostIp: HostIp,
        hostPort: Number(HostPort),
      })),
    ],
  );
  const networks = Object.entries(answer.NetworkSettings?.Networks ?? {}).map(
    ([name, at]): [string, NetworkView] => [name, { ipv4: at.IPAddress, ipv6: at.GlobalIPv6Address }],
  );
  return {
    id: answer.Id,
    name: (answer.Name ?? '').replace(/^\//, ''),
    running: answer.State?.Running ?? false,
    image: answer.Config?.Image ?? '',
    labels: new Map(Object.entries(answer.Config?.Labels ?? {})),
    networkMode: answer.HostConfig?.NetworkMode ?? '',
    ports: new Map(ports),
    networks: new Map(networks),
    health: healthOf(answer.State?.Health),
  };
}

type HealthAnswer = Docker.ContainerInspectInfo['State']['Health'];

/** Without a HEALTHCHECK Docker leaves it out or says `none`, and podman says nothing. */
function healthOf(answer: HealthAnswer): ContainerHealth | undefined {
  if (!answer?.Status || answer.Status === 'none') return undefined;
  const last = answer.Log?.at(-1);
  const line = last?.Output.trim().split('\n').at(-1) ?? '';
  return { status: answer.Status, output: last ? `exit ${last.ExitCode}${line && `: ${line}`}` : '' };
}

/** Of GET /info. */
export function nodeIpOf(answer: unknown): string | null {
  if (Buffer.isBuffer(answer)) throw new Error(notDocker);
  return (answer as { Swarm?: { NodeAddr?: string } }).Swarm?.NodeAddr || null;
}

/** Of GET /services/<id>. */
export function ingressOf(answer: unknown): IngressPort[] {
  const { ID, Endpoint } = answer as { ID?: string; Endpoint?: { Ports?: EndpointPort[] } };
  if (ID === undefined) throw new Error(notDocker);
  return (Endpoint?.Ports ?? [])
    .filter(({ PublishMode }) => PublishMode === 'ingress')
    .map(({ Protocol, TargetPort, PublishedPort }) => ({
      target: `${TargetPort}/${Protocol}`,
      publishedPort: PublishedPort,
    }));
}

// The types do not know that these two take a signal as a container's inspect does.

function askInfo(
  docker: { info(options: object): Promise<unknown> },
  abortSignal: AbortSignal,
): Promise<unknown> {
  return docker.info({ abortSignal });
}

function inspectService(docker: Docker, id: string, abortSignal: AbortSignal): Promise<unknown> {
  const service: { inspect(options: object): Promise<unknown> } = docker.getService(id);
  return service.inspect({ abortSignal });
}

interface EndpointPort {
  readonly Protocol: string;
  readonly TargetPort: number;
  readonly PublishedPort: number;
  readonly PublishMode: string;
}

const notDocker = 'the answer is not of a Docker API: is this the right socket?';

/** What went wrong, with what to do about it where that is known. */
function explain(endpoint: EngineEndpoint, error: unknown): Problem {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (endpoint.kind === 'unix' && code === 'ENOENT') {
    return {
      message: `no Docker socket at ${endpoint.path}`,
      hint: `mount it with -v /var/run/docker.sock:${endpoint.path}, name it with --docker, or do without it: --advertise IP:PORT`,
    };
  }
  if (endpoint.kind === 'unix' && code === 'EACCES') {
    return {
      message: `may not open the Docker socket ${endpoint.path}`,
      hint: "run dockreg as root or in the socket's group (docker run --group-add), or do without it: --advertise IP:PORT",
    };
  }
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

function isUnknown(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** By a proxy in front of the socket, or because an engine other than Docker has no such page. */
function isWithheld(error: unknown): boolean {
  return statusOf(error) === 403 || statusOf(error) === 404;
}

/** A manager whose swarm has lost its leader answers 503 too, but for now only. */
function isOnWorker(error: unknown): boolean {
  return statusOf(error) === 503 && messageOf(error).includes('not a swarm manager');
}

function statusOf(error: unknown): unknown {
  return error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
}
