/**
 * `dockreg` itself: builds the parts that this configuration needs, and no others, and runs an agent for each service.
 * What is heavy is loaded while the first check is under way.
 */
import { runAgent, type AgentParts } from '../agent.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { ServiceConfig } from '../config/service-config.ts';
import type { Address } from '../core/address.ts';
import { notation, watchRole } from '../core/check.ts';
import type { Self } from '../docker/locate.ts';
import type { Member } from '../etcd/member.ts';
import { openSession } from '../etcd/session.ts';
import type { Log } from '../log.ts';
import { ConfigError, ExitCode } from '../errors.ts';
import { networkWatcher } from '../host-ip.ts';
import type { Located, Locator } from '../locating.ts';
import { appHost, appProbe, connector, createDocker, recordsAt, type DockerQuestions } from '../parts.ts';

export async function run(config: Config, version: string, log: Log, stop: AbortSignal): Promise<void> {
  const { endpoints, services } = config;
  for (const service of services) {
    log.info('started', {
      version,
      etcd: endpoints.join(','),
      port: service.localPort,
      check: notation(service.check),
      interval: `${service.intervalMs}ms`,
      timeout: `${service.timeoutMs}ms`,
      ttl: `${service.ttlSeconds}s`,
    });
  }
  await checkCertificates(config);
  const shared = { version, log, endpoints, docker: createDocker(config), connect: connector(config) };
  await runAll(await Promise.all(services.map(service => agentParts(service, shared))), stop);
}

/** Runs the agents until `stop` aborts; when one throws, the others end in good order before that goes on. */
async function runAll(agents: readonly AgentParts[], stop: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  const runs = agents.map(parts =>
    runAgent(parts, ending).catch((error: unknown) => {
      failed.abort();
      throw error;
    }),
  );
  const ends = await Promise.allSettled(runs);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** What the services of a process have in common. */
interface Shared {
  readonly version: string;
  readonly log: Log;
  readonly endpoints: readonly string[];
  readonly docker: DockerQuestions;
  readonly connect: (endpoint: string) => Promise<Member>;
}

async function agentParts(service: ServiceConfig, shared: Shared): Promise<AgentParts> {
  const clock = systemClock;
  const chance = Math.random;
  const { log, endpoints, docker, connect, version } = shared;
  return {
    config: service,
    clock,
    log,
    chance,
    probe: await appProbe(service, docker, version),
    locator: createLocator(service, docker),
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
async function checkCertificates({ security: { tls }, engine, services }: Config): Promise<void> {
  const { PemFileError } = await import('../pem.ts');
  try {
    const { readTls } = await import('../etcd/tls.ts');
    await readTls(tls);
    for (const { check } of services)
      if ('tls' in check && check.tls) await (await import('../probe/trust.ts')).readAuthority(check.tls);
    if (services.every(({ advertise }) => advertise.kind === 'literal')) return;
    if (engine.kind === 'unix' || engine.certificates === undefined) return;
    const { readCertificates } = await import('../docker/tls.ts');
    await readCertificates(engine.certificates);
  } catch (error) {
    if (error instanceof PemFileError)
      throw new ConfigError([error.message], ExitCode.config, { cause: error });
    throw error;
  }
}

function createLocator(service: ServiceConfig, docker: DockerQuestions): Locator {
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
      const answer = await docker.locate(self, service, advertise);
      if (answer.kind === 'problem') return answer;
      const how = `container ${self.container.id.slice(0, 12)} by ${self.source}, ${answer.by}`;
      return located(answer.address, self, how);
    },
    networkChanged: networkWatcher(),
    fixed: false,
  };
}
