/**
 * `dockreg` itself: builds the parts that this configuration needs, and no others, and runs an agent for each service.
 * What is heavy is loaded while the first check is under way.
 */
import { startAgent, type Agent, type AgentParts } from '../agent/agent.ts';
import { systemClock } from '../clock.ts';
import type { Config, ConfigByLabels, SharedConfig } from '../config/config.ts';
import { hasLabels, unreadLabels } from '../config/labels.ts';
import type { Metrics } from '../listen/metrics.ts';
import type { ServiceConfig } from '../config/service-config.ts';
import type { Address } from '../core/address/ip.ts';
import { notation, watchRole } from '../core/settings/check.ts';
import type { Self } from '../docker/locate.ts';
import type { Member } from '../etcd/member.ts';
import { openSession } from '../etcd/session.ts';
import { withFields, type Fields, type Log } from '../log.ts';
import { ConfigError, ExitCode } from '../errors.ts';
import { networkWatcher } from '../host-ip.ts';
import type { Located, Locator } from '../agent/locating.ts';
import { openDesk } from '../open-desk.ts';
import {
  appHost,
  appProbe,
  connector,
  createDocker,
  forgiving,
  recordsAt,
  type DockerQuestions,
} from '../parts.ts';

/** What people and their scripts tell a program that runs. */
export interface DrainOrders {
  /** Called once: from then on `listener` gets every order, and at once the last one that came before. */
  listen(listener: (order: 'drain' | 'resume') => void): void;
}

/** What comes to the process from outside. */
export interface Signals {
  readonly stop: AbortSignal;
  readonly orders: DrainOrders;
  /** When somebody looks for the control socket. */
  readonly knock: Promise<void>;
}

export async function run(
  config: Config | ConfigByLabels,
  version: string,
  log: Log,
  { stop, orders, knock }: Signals,
): Promise<void> {
  const startedAt = systemClock.wall();
  const docker = createDocker(config);
  const services = await start(config, { version, docker, log, stop });
  const metrics = config.listen && (await import('../listen/metrics.ts')).createMetrics(version, startedAt);
  const alone = services.length === 1;
  const shared = {
    version,
    alone,
    docker,
    endpoints: config.endpoints,
    connect: connector(config),
    metrics,
    seeLabels: 'services' in config ? tellUnreadLabels(log) : () => undefined,
  };
  const parts = await Promise.all(
    services.map(service =>
      agentParts(service, { ...shared, log: alone ? log : withFields(log, { service: service.handle }) }),
    ),
  );
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  const agents = parts.map(each => startAgent(each, ending));
  orders.listen(order => {
    for (const agent of agents) agent[order]();
  });
  const closeDesk = openDesk(config, knock, metrics, log, {
    agents,
    clock: systemClock,
    status: chosen => ({
      version,
      startedAt: new Date(startedAt).toISOString(),
      services: chosen.map(agent => agent.status()),
    }),
  });
  try {
    const goneAt = await allEnded(agents, failed);
    await drain(log, goneAt + config.drainMs);
  } finally {
    await closeDesk();
  }
}

interface Start {
  readonly version: string;
  readonly docker: DockerQuestions;
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
    else log.info('started', { ...process, services: services.map(({ handle }) => handle).join(',') });
    if (second) tellServices(services, log);
    await checkCertificates(config, services);
    return services;
  }
  log.info('started', { ...process, services: 'by the labels of this container' });
  await checkCertificates(config, []);
  const { readLabels } = await import('../read-labels.ts');
  const labels = await readLabels(docker, { clock: systemClock, chance: Math.random, log }, stop);
  if (labels === null) return [];
  const checked = config.withLabels(labels);
  if ('problems' in checked) throw new ConfigError(checked.problems, ExitCode.config);
  const { services } = checked.config;
  tellServices(services, log);
  await checkAuthorities(services);
  return services;
}

function tellServices(services: readonly ServiceConfig[], log: Log): void {
  for (const service of services) log.info('configured', { service: service.handle, ...describe(service) });
}

function describe({ localPort, check, intervalMs, timeoutMs, ttlSeconds }: ServiceConfig): Fields {
  return {
    port: localPort,
    check: notation(check),
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

/** What the services of a process have in common, and the log of the one that is to be. */
interface Shared {
  readonly version: string;
  /** Whether there is one service only. */
  readonly alone: boolean;
  readonly log: Log;
  readonly endpoints: readonly string[];
  readonly docker: DockerQuestions;
  readonly connect: (endpoint: string) => Promise<Member>;
  readonly metrics: Metrics | undefined;
  readonly seeLabels: (labels: ReadonlyMap<string, string>) => void;
}

/** Who set labels of ours may wonder why nothing comes of them; he is told once. */
function tellUnreadLabels(log: Log): Shared['seeLabels'] {
  let seen = false;
  return labels => {
    if (!seen && hasLabels(labels)) log.warn(unreadLabels);
    seen = true;
  };
}

async function agentParts(service: ServiceConfig, shared: Shared): Promise<AgentParts> {
  const clock = systemClock;
  const chance = Math.random;
  const { version, alone, log, endpoints, docker, connect, metrics } = shared;
  const probe = await appProbe(service, docker, version);
  return {
    config: service,
    clock,
    log,
    chance,
    alone,
    // One service that can never pass is no reason to take the others away.
    probe: alone ? probe : forgiving(probe),
    locator: createLocator(service, shared),
    observe: metrics && (observation => metrics.observe(service.handle, observation)),
    openWatch: async () => {
      if (!service.watch || watchRole(service.check, service.protocol) === 'none') return null;
      const { openAppWatch } = await import('../kernel/app-watch.ts');
      return openAppWatch({ host: appHost, port: service.localPort, clock });
    },
    openSession: hooks =>
      openSession({
        ...hooks,
        endpoints,
        connect,
        ttlSeconds: service.ttlSeconds,
        rules: {
          renewGapMs: service.intervalMs * 0.8,
          freshForMs: service.intervalMs + service.timeoutMs + 2000,
        },
        clock,
        chance,
      }),
  };
}

/** A wrong path is told at the start; a file that is broken later, while it is renewed, is tried again. */
async function checkCertificates(
  { security, engine }: SharedConfig,
  services: readonly ServiceConfig[],
): Promise<void> {
  const isDockerAsked =
    services.some(({ advertise }) => advertise.kind !== 'literal') || services.length === 0;
  await refuseBadFiles(async () => {
    await (await import('../etcd/tls.ts')).readTls(security.tls);
    if (isDockerAsked && engine.kind === 'tcp' && engine.certificates !== undefined)
      await (await import('../docker/tls.ts')).readCertificates(engine.certificates);
  });
  await checkAuthorities(services);
}

/** The same for those of the checks. */
async function checkAuthorities(services: readonly ServiceConfig[]): Promise<void> {
  await refuseBadFiles(async () => {
    for (const { check } of services)
      if ('tls' in check && check.tls) await (await import('../probe/trust.ts')).readAuthority(check.tls);
  });
}

async function refuseBadFiles(read: () => Promise<void>): Promise<void> {
  const { PemFileError } = await import('../pem.ts');
  try {
    await read();
  } catch (error) {
    if (error instanceof PemFileError)
      throw new ConfigError([error.message], ExitCode.config, { cause: error });
    throw error;
  }
}

function createLocator(service: ServiceConfig, { docker, seeLabels }: Shared): Locator {
  const { advertise } = service;
  const located = (address: Address, self: Self | null, how: string): Located => {
    const answer = recordsAt(service, address, self);
    return answer.kind === 'problem' ? answer : { kind: 'address', address, records: answer.records, how };
  };
  if (advertise.kind === 'literal') {
    return {
      locate: () => Promise.resolve(located(advertise.address, null, '--advertise')),
      networkChanged: () => false,
      fixed: true,
    };
  }
  return {
    async locate() {
      const self = await docker.findSelf();
      seeLabels(self.container.labels);
      const answer = await docker.locate(self, service, advertise);
      if (answer.kind === 'problem') return answer;
      const how = `container ${self.container.id.slice(0, 12)} by ${self.source}, ${answer.by}`;
      return located(answer.address, self, how);
    },
    networkChanged: networkWatcher(),
    fixed: false,
  };
}
