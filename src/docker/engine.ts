/**
 * The questions that we ask the Docker engine: GET `/containers/<id>/json`, and in a swarm GET `/services/<id>` and
 * `/info`. Nothing else is ever sent, so a proxy in front of the socket can forbid all the rest. Podman's compatible API
 * gives the same answers.
 */
import Docker from 'dockerode';
import { type Clock, within } from '../clock.ts';
import { readContainer, readIngress, readNodeIp } from '../core/address/answer.ts';
import type { ContainerView, IngressPort } from '../core/address/container.ts';
import { formatEngineEndpoint, type EngineEndpoint } from '../core/settings/process.ts';
import { messageOf, UnavailableError } from '../errors.ts';
import { PemFileError } from '../tls/pem.ts';
import { explain } from './explain.ts';
import { createTransport, StatusError, type Bounds, type Target, type Transport } from './transport.ts';

/** Each method rejects with an UnavailableError when there is no usable answer. */
export interface Engine {
  /** The container with this id (12 or 64 hexadecimal digits), or null if the engine knows none. */
  inspect(id: string): Promise<ContainerView | null>;
  /** The node's address in its swarm; null outside of a swarm, and where a proxy refuses the question. */
  nodeIp(): Promise<string | null>;
  /** The ports that a swarm service publishes on every node; null on a worker, and where a proxy refuses the question. */
  ingressPorts(serviceId: string): Promise<IngressPort[] | null>;
}

/** What one question may take. An answer has 10 to 100 KiB; its labels, variables and mounts can make it larger. */
const defaultBounds: Bounds = { timeMs: 3000, bytes: 4 * 2 ** 20 };

export function connectEngine(endpoint: EngineEndpoint, clock: Clock, bounds = defaultBounds): Engine {
  const place = `Docker at ${formatEngineEndpoint(endpoint)}`;

  /** The answer to `question`, as `read` reads it; null for an error that `isAnswer` accepts. */
  const ask = async <T>(
    question: (docker: Docker) => Promise<unknown>,
    read: (answer: unknown) => T,
    isAnswer: (error: unknown) => boolean,
  ): Promise<T | null> => {
    let answer: unknown;
    try {
      const until = clock.now() + bounds.timeMs;
      const target = await within(clock, bounds.timeMs, 'its certificates', targetOf(endpoint));
      const left = { ...bounds, timeMs: Math.max(1, Math.ceil(until - clock.now())) };
      answer = await question(connect(createTransport(target, left, clock)));
    } catch (error) {
      if (isAnswer(error)) return null;
      if (error instanceof PemFileError) throw new UnavailableError(error.problems, { cause: error });
      throw new UnavailableError(explain(endpoint, error), { cause: error });
    }
    return read(answer);
  };

  return {
    async inspect(id) {
      // The library sends an id as a part of the path.
      if (!/^[0-9a-f]{12,64}$/.test(id)) return null;
      return ask(
        docker => docker.getContainer(id).inspect(),
        answer => readContainer(answer, place, id),
        error => statusOf(error) === 404,
      );
    },
    nodeIp: () =>
      ask(
        docker => docker.info(),
        answer => readNodeIp(answer, place),
        isWithheld,
      ),
    async ingressPorts(serviceId) {
      if (!/^[0-9a-z]{12,64}$/.test(serviceId)) return null;
      return ask(
        docker => docker.getService(serviceId).inspect(),
        answer => readIngress(answer, place, serviceId),
        error => isWithheld(error) || isOnWorker(error),
      );
    },
  };
}

/** Reads the certificates for each question, so that renewed ones are used at once. @throws PemFileError */
async function targetOf(endpoint: EngineEndpoint): Promise<Target> {
  if (endpoint.kind === 'unix') return { socketPath: endpoint.path };
  const { host, port, certificates } = endpoint;
  if (certificates === undefined) return { host, port, pem: undefined };
  const { readCertificates } = await import('./tls.ts');
  return { host, port, pem: await readCertificates(certificates) };
}

/** With a transport of ours, the library neither makes its own nor reads DOCKER_HOST. Its types lack this option. */
function connect(modem: Transport): Docker {
  const options: Docker.DockerOptions & { readonly modem: Transport } = { modem };
  return new Docker(options);
}

/** A proxy in front of the socket refuses the question, or an engine other than Docker does not know it. */
function isWithheld(error: unknown): boolean {
  return statusOf(error) === 403 || statusOf(error) === 404;
}

/** A worker refuses for good. A manager whose swarm has lost its leader answers 503 too, but only for now. */
function isOnWorker(error: unknown): boolean {
  return statusOf(error) === 503 && messageOf(error).includes('not a swarm manager');
}

function statusOf(error: unknown): number | undefined {
  return error instanceof StatusError ? error.statusCode : undefined;
}
