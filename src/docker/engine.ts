/**
 * What we ask of the Docker engine, in our words: one GET on `/containers/<id>/json`, nothing else, so that a proxy in
 * front of the socket can forbid all the rest. Podman's compatible API answers the same.
 */
import Docker from 'dockerode';
import { type Clock, withDeadline } from '../clock.ts';
import type { Binding, ContainerView } from '../core/address.ts';
import { formatEngineEndpoint, type EngineEndpoint } from '../core/engine.ts';
import { messageOf, UnavailableError } from '../errors.ts';

export interface Engine {
  /**
   * The container with this id (12 or 64 hexadecimal digits), or null if the engine knows none.
   * @throws UnavailableError when there is no usable answer, with the way out
   */
  inspect(id: string): Promise<ContainerView | null>;
}

const timeLimitMs = 3000;

export function connectEngine(endpoint: EngineEndpoint, clock: Clock): Engine {
  // An explicit protocol and place: left to itself the library reads DOCKER_HOST and HOME.
  const docker =
    endpoint.kind === 'unix'
      ? new Docker({ socketPath: endpoint.path })
      : new Docker({ protocol: 'http', host: endpoint.host, port: endpoint.port });

  return {
    async inspect(id) {
      // The library sends an id as a path and follows what comes back: `../x` would end the process.
      if (!/^[0-9a-f]{12,64}$/.test(id)) return null;
      try {
        return await withDeadline(clock, timeLimitMs, async abortSignal =>
          viewOf(await docker.getContainer(id).inspect({ abortSignal })),
        );
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw new UnavailableError(explain(endpoint, error), { cause: error });
      }
    },
  };
}

type InspectAnswer = Partial<Docker.ContainerInspectInfo>;

function viewOf(answer: InspectAnswer): ContainerView {
  // A body that is not JSON comes as a Buffer.
  if (typeof answer.Id !== 'string') throw new Error('the answer is no container: is this a Docker API?');
  const ports = Object.entries(answer.NetworkSettings?.Ports ?? {}).map(
    ([port, bindings]): [string, Binding[]] => [
      port,
      ((bindings ?? []) as { HostIp?: string; HostPort: string }[]).map(({ HostIp = '', HostPort }) => ({
        hostIp: HostIp,
        hostPort: Number(HostPort),
      })),
    ],
  );
  return {
    id: answer.Id,
    name: (answer.Name ?? '').replace(/^\//, ''),
    running: answer.State?.Running ?? false,
    networkMode: answer.HostConfig?.NetworkMode ?? '',
    ports: new Map(ports),
  };
}

function explain(endpoint: EngineEndpoint, error: unknown): string {
  const at = formatEngineEndpoint(endpoint);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (endpoint.kind === 'unix' && code === 'ENOENT') {
    return `no Docker socket at ${endpoint.path}; mount it with -v /var/run/docker.sock:${endpoint.path}, name it with --docker, or do without it: --advertise IP:PORT`;
  }
  if (endpoint.kind === 'unix' && code === 'EACCES') {
    return `may not open the Docker socket ${endpoint.path}; run dockreg as root or in the socket's group (docker run --group-add), or do without it: --advertise IP:PORT`;
  }
  return `Docker at ${at}: ${messageOf(error)}`;
}

function statusOf(error: unknown): unknown {
  return error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
}
