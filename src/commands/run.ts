/**
 * `dockreg` itself: builds the parts that this configuration needs, and no others, and runs an agent for each service.
 * What is heavy is loaded while the first check is under way.
 */
import { startAdmin } from '../admin/start.ts';
import { startAgent, type Agent } from '../agent/agent.ts';
import { systemClock } from '../clock.ts';
import type { Config, ConfigByLabels } from '../config/config.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { formatCheck } from '../core/settings/check.ts';
import { SetupError } from '../errors.ts';
import { withFields, type Fields, type Log } from '../log.ts';
import { agentOptions, tellUnreadLabels } from '../wiring/agent-options.ts';
import { checkAuthorities, checkCertificates } from '../wiring/certificates.ts';
import { createDocker, type DockerAccess } from '../wiring/docker.ts';
import { sharedConnections } from '../wiring/etcd.ts';

/** What people and their scripts tell a program that runs. */
export interface DrainOrders {
  /** Called once: from then on `listener` gets every order, and at once the last one that came before. */
  listen(listener: (order: 'drain' | 'resume') => void): void;
}

/** What comes to the process from outside. */
export interface Signals {
  readonly stop: AbortSignal;
  readonly orders: DrainOrders;
}

export async function run(
  config: Config | ConfigByLabels,
  version: string,
  log: Log,
  { stop, orders }: Signals,
): Promise<void> {
  const startedAt = systemClock.wall();
  const docker = createDocker(config);
  const services = await start(config, { version, docker, log, stop });
  const metrics = config.listen && (await import('../admin/metrics.ts')).createMetrics(version, startedAt);
  const alone = services.length === 1;
  const shared = {
    version,
    alone,
    docker,
    endpoints: config.endpoints,
    connect: sharedConnections(config),
    metrics,
    seeLabels: 'services' in config ? tellUnreadLabels(log) : () => undefined,
  };
  const options = await Promise.all(
    services.map(service =>
      agentOptions(service, { ...shared, log: alone ? log : withFields(log, { service: service.label }) }),
    ),
  );
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  const agents = options.map(each => startAgent(each, ending));
  orders.listen(order => {
    for (const agent of agents) agent[order]();
  });
  const closeAdmin = startAdmin(
    { version, startedAt, services: agents, clock: systemClock },
    { ...config, metrics, log, random: Math.random },
  );
  try {
    const goneAt = await allEnded(agents, failed);
    await drain(log, goneAt + config.drainMs);
  } finally {
    await closeAdmin();
  }
}

interface Start {
  readonly version: string;
  readonly docker: DockerAccess;
  readonly log: Log;
  readonly stop: AbortSignal;
}

/** Tells of the start, and finds out what the services are; none when we are stopped before that is known. */
async function start(
  config: Config | ConfigByLabels,
  { version, docker, log, stop }: Start,
): Promise<readonly ServiceConfig[]> {
  const { endpoints, drainMs } = config;
  const process = {
    version,
    etcd: endpoints.join(','),
    drain: drainMs === 0 ? undefined : `${drainMs}ms`,
  };
  if ('services' in config) {
    const { services } = config;
    const [first, second] = services;
    if (first && !second) log.info('started', { ...process, ...describe(first) });
    else log.info('started', { ...process, services: services.map(({ label }) => label).join(',') });
    if (second) tellServices(services, log);
    await checkCertificates(config, services);
    return services;
  }
  log.info('started', { ...process, services: 'by the labels of this container' });
  await checkCertificates(config, []);
  const { readLabels } = await import('../wiring/labels.ts');
  const labels = await readLabels(docker, { clock: systemClock, random: Math.random, log }, stop);
  if (labels === null) return [];
  const configured = config.withLabels(labels);
  if (!configured.ok) throw new SetupError(configured.problems);
  const { services } = configured.value;
  tellServices(services, log);
  await checkAuthorities(services);
  return services;
}

function tellServices(services: readonly ServiceConfig[], log: Log): void {
  for (const service of services) log.info('configured', { service: service.label, ...describe(service) });
}

function describe({ localPort, check, intervalMs, timeoutMs, ttlSeconds }: ServiceConfig): Fields {
  return {
    port: localPort,
    check: formatCheck(check),
    interval: `${intervalMs}ms`,
    timeout: `${timeoutMs}ms`,
    ttl: `${ttlSeconds}s`,
  };
}

/**
 * When one throws, the others end in good order before that goes on. Resolves with the moment since which nothing of
 * them is left in etcd.
 */
async function allEnded(agents: readonly Agent[], failed: AbortController): Promise<number> {
  const ends = await Promise.allSettled(
    agents.map(({ ended }) =>
      ended.catch((error: unknown) => {
        failed.abort();
        throw error;
      }),
    ),
  );
  let goneAt = -Infinity;
  for (const end of ends) {
    if (end.status === 'rejected') throw end.reason;
    goneAt = Math.max(goneAt, end.value);
  }
  return goneAt;
}

/** Gives those who still send requests the time to hear that the key is gone. */
async function drain(log: Log, until: number): Promise<void> {
  const ms = until - systemClock.now();
  if (ms <= 0) return;
  log.info('the app goes on for those who have not heard yet', { for: `${Math.round(ms)}ms` });
  await systemClock.sleep(ms);
}
