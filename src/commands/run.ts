/**
 * `dockreg` itself: builds the parts that this configuration needs, and no others, and runs the agent. What is heavy is
 * loaded while the first check is under way.
 */
import { runAgent } from '../agent.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Address } from '../core/address.ts';
import { notation, watchRole } from '../core/check.ts';
import type { Self } from '../docker/locate.ts';
import { openSession } from '../etcd/session.ts';
import type { Log } from '../log.ts';
import { ConfigError, ExitCode } from '../errors.ts';
import { networkWatcher } from '../host-ip.ts';
import type { Located, Locator } from '../locating.ts';
import { appHost, appProbe, askDocker, connector, recordsAt } from '../parts.ts';

export async function run(config: Config, version: string, log: Log, stop: AbortSignal): Promise<void> {
  const clock = systemClock;
  const chance = Math.random;
  log.info('started', {
    version,
    etcd: config.endpoints.join(','),
    port: config.localPort,
    check: notation(config.check),
    interval: `${config.intervalMs}ms`,
    timeout: `${config.timeoutMs}ms`,
    ttl: `${config.ttlSeconds}s`,
  });
  await checkCertificates(config);
  await runAgent(
    {
      config,
      clock,
      log,
      chance,
      probe: await appProbe(config, version),
      locator: createLocator(config),
      openWatch: async () => {
        if (!config.watch || watchRole(config.check, config.protocol) === 'none') return null;
        const { openAppWatch } = await import('../kernel/app-watch.ts');
        return openAppWatch({ host: appHost, port: config.localPort, clock });
      },
      openSession: hooks =>
        openSession({
          ...hooks,
          endpoints: config.endpoints,
          connect: connector(config),
          ttlSeconds: config.ttlSeconds,
          rules: {
            renewGapMs: config.intervalMs * 0.8,
            freshForMs: config.intervalMs + config.timeoutMs + 2000,
          },
          clock,
          chance,
        }),
    },
    stop,
  );
}

/** A wrong path is told at the start; a file that is broken later, while it is renewed, is tried again. */
async function checkCertificates({ security: { tls }, check, engine, advertise }: Config): Promise<void> {
  const { PemFileError } = await import('../pem.ts');
  try {
    const { readTls } = await import('../etcd/tls.ts');
    await readTls(tls);
    if ('tls' in check && check.tls) await (await import('../probe/trust.ts')).readAuthority(check.tls);
    if (advertise.kind === 'literal' || engine.kind === 'unix' || engine.certificates === undefined) return;
    const { readCertificates } = await import('../docker/tls.ts');
    await readCertificates(engine.certificates);
  } catch (error) {
    if (error instanceof PemFileError)
      throw new ConfigError([error.message], ExitCode.config, { cause: error });
    throw error;
  }
}

function createLocator(config: Config): Locator {
  const { advertise } = config;
  const located = (address: Address, self: Self | null, how: string): Located => {
    const answer = recordsAt(config, address, self);
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
      const docker = await askDocker(config, advertise);
      const self = await docker.findSelf();
      const answer = await docker.locate(self);
      if (answer.kind === 'problem') return answer;
      const how = `container ${self.container.id.slice(0, 12)} by ${self.source}, ${answer.by}`;
      return located(answer.address, self, how);
    },
    networkChanged: networkWatcher(),
    fixed: false,
  };
}
