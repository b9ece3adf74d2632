/**
 * A swarm on Docker hosts of the bed: enough of a control plane for services, their tasks and what the engine reports
 * about them. On some kernels its routing mesh carries no traffic, and no test needs that.
 */
import { type Host } from './lan.ts';
import { eventually } from './wait.ts';

/** The label of each container of a task. */
const serviceLabel = 'com.docker.swarm.service.id';

export async function startSwarm(host: Host): Promise<void> {
  await host.docker(['swarm', 'init', '--advertise-addr', host.ip]);
}

/** Makes another host a worker in the swarm of a manager. */
export async function joinSwarm(manager: Host, worker: Host): Promise<void> {
  const token = await manager.docker(['swarm', 'join-token', '--quiet', 'worker']);
  const words = ['--advertise-addr', worker.ip, '--token', token, `${manager.ip}:2377`];
  await worker.docker(['swarm', 'join', ...words]);
}

/** Takes a host out of its swarm, and waits until the containers of its tasks are gone. */
export async function stopSwarm(host: Host): Promise<void> {
  await host.docker(['swarm', 'leave', '--force']);
  await eventually(
    'the end of all tasks',
    async () => (await host.docker(['ps', '--all', '--quiet', '--filter', `label=${serviceLabel}`])) === '',
    { timeoutMs: 30_000 },
  );
}

/** Creates a service with options of `docker service create`. Resolves with its id. */
export async function createService(
  host: Host,
  name: string,
  options: readonly string[],
  image: string,
  command: readonly string[] = [],
): Promise<string> {
  // With an id instead of a name, the engine does not ask a registry for the image.
  const id = await host.docker(['images', '--quiet', '--no-trunc', image]);
  return host.docker(['service', 'create', '--detach', '--name', name, ...options, id, ...command]);
}

/** The ids of the containers of the service's tasks, once `count` of them run that are not in `except`. */
export async function taskContainers(
  host: Host,
  serviceId: string,
  count = 1,
  except: readonly string[] = [],
): Promise<string[]> {
  const filter = `label=${serviceLabel}=${serviceId}`;
  return eventually(
    `${count} tasks of service ${serviceId}`,
    async () => {
      const ids = await host.docker(['ps', '--quiet', '--no-trunc', '--filter', filter]);
      const found = ids.split('\n').filter(id => id !== '' && !except.includes(id));
      return found.length === count && found;
    },
    { timeoutMs: 60_000 },
  );
}

/** Removes a service and waits until its task has ended. */
export async function removeService(host: Host, serviceId: string): Promise<void> {
  const filter = `label=${serviceLabel}=${serviceId}`;
  await host.docker(['service', 'rm', serviceId]);
  await eventually(
    `the end of service ${serviceId}`,
    async () => (await host.docker(['ps', '--quiet', '--filter', filter])) === '',
    { timeoutMs: 30_000 },
  );
}
