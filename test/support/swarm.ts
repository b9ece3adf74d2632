/**
 * A swarm of one node, on a host of the bed with Docker: enough of a control plane for services, their tasks and what
 * the engine tells of them. Its routing mesh carries no traffic on every kernel, and no test needs it.
 */
import { type Host } from './lan.ts';
import { eventually } from './wait.ts';

export async function startSwarm(host: Host): Promise<void> {
  await host.docker(['swarm', 'init', '--advertise-addr', host.ip]);
}

/** Ends its services and their containers too. */
export async function stopSwarm(host: Host): Promise<void> {
  await host.docker(['swarm', 'leave', '--force']);
}

/** Makes a service of one task; `options` as `docker service create` has them. Answers its id. */
export async function createService(
  host: Host,
  name: string,
  options: readonly string[],
  image: string,
  command: readonly string[] = [],
): Promise<string> {
  // With an id in place of a name, nobody asks a registry for the image.
  const id = await host.docker(['images', '--quiet', '--no-trunc', image]);
  return host.docker(['service', 'create', '--detach', '--name', name, ...options, id, ...command]);
}

/** The id of the container of the service's one task, once it runs; of a new task if `other` names the last one. */
export async function taskContainer(host: Host, serviceId: string, other = ''): Promise<string> {
  const filter = `label=com.docker.swarm.service.id=${serviceId}`;
  return eventually(
    `a task of service ${serviceId}`,
    async () => {
      const id = await host.docker(['ps', '--quiet', '--no-trunc', '--filter', filter]);
      return id !== other && id;
    },
    { timeoutMs: 30_000 },
  );
}

/** Removes a service and waits until its task has ended. */
export async function removeService(host: Host, serviceId: string): Promise<void> {
  const filter = `label=com.docker.swarm.service.id=${serviceId}`;
  await host.docker(['service', 'rm', serviceId]);
  await eventually(
    `the end of service ${serviceId}`,
    async () => (await host.docker(['ps', '--quiet', '--filter', filter])) === '',
    { timeoutMs: 30_000 },
  );
}
