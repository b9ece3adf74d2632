/**
 * `dockreg` itself: builds the parts that this configuration needs, and no others, and runs the agent. What is heavy is
 * loaded while the first check is under way.
 */
import { runAgent } from '../agent.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Access, Member } from '../etcd/member.ts';
import { openSession } from '../etcd/session.ts';
import type { Log } from '../log.ts';
import { ConfigError, ExitCode } from '../errors.ts';
import { findHostIp, networkWatcher } from '../host-ip.ts';
import type { Locator } from '../locating.ts';
import { httpProbe } from '../probe/http.ts';

/** Where the app is asked: at home. */
const appHost = '127.0.0.1';

export async function run(config: Config, version: string, log: Log, stop: AbortSignal): Promise<void> {
  const clock = systemClock;
  const chance = Math.random;
  log.info('started', {
    version,
    etcd: config.endpoints.join(','),
    port: config.localPort,
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
      probe: httpProbe({
        url: `http://${appHost}:${config.localPort}/`,
        timeoutMs: config.timeoutMs,
        userAgent: `dockreg/${version}`,
      }),
      locator: createLocator(config),
      openWatch: async () => {
        if (!config.watch) return null;
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
async function checkCertificates({ security: { tls }, engine, advertise }: Config): Promise<void> {
  const { PemFileError } = await import('../pem.ts');
  try {
    const { readTls } = await import('../etcd/tls.ts');
    await readTls(tls);
    if (advertise.kind === 'literal' || engine.kind === 'unix' || engine.certificates === undefined) return;
    const { readCertificates } = await import('../docker/tls.ts');
    await readCertificates(engine.certificates);
  } catch (error) {
    if (error instanceof PemFileError)
      throw new ConfigError([error.message], ExitCode.config, { cause: error });
    throw error;
  }
}

/** The client of etcd is large, and loaded when it is first needed. The token is shared by all connections. */
function connector({ security }: Config): (endpoint: string) => Promise<Member> {
  let access: Access | undefined;
  return async endpoint => {
    const [{ connectMember }, { createTokenKeeper }] = await Promise.all([
      import('../etcd/member.ts'),
      import('../etcd/token.ts'),
    ]);
    access ??= { clock: systemClock, tls: security.tls, tokens: createTokenKeeper(security.user) };
    return connectMember(endpoint, access);
  };
}

function createLocator(config: Config): Locator {
  const {
    advertise,
    container: ownId,
    engine: endpoint,
    ip: host,
    localPort,
    protocol,
    allowLoopback,
  } = config;
  if (advertise.kind === 'literal') {
    const { address } = advertise;
    return {
      locate: () => Promise.resolve({ kind: 'address', address, how: '--advertise' }),
      networkChanged: () => false,
      fixed: true,
    };
  }
  return {
    async locate() {
      const [{ connectEngine }, { findSelf, locate }] = await Promise.all([
        import('../docker/engine.ts'),
        import('../docker/locate.ts'),
      ]);
      const engine = connectEngine(endpoint, systemClock);
      const { container, source, network } = await findSelf(engine, ownId);
      const hostIp = host && (await findHostIp(host));
      const answer = await locate(engine, network, { localPort, protocol, advertise, hostIp, allowLoopback });
      if (answer.kind === 'problem') return answer;
      const how = `container ${container.id.slice(0, 12)} by ${source}, ${answer.by}`;
      return { kind: 'address', address: answer.address, how };
    },
    networkChanged: networkWatcher(),
    fixed: false,
  };
}
