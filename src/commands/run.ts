/**
 * `dockreg` itself: builds the parts that this configuration needs, and no others, and runs the agent. What is heavy is
 * loaded while the first check is under way.
 */
import { runAgent, type Located } from '../agent.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { openSession } from '../etcd/session.ts';
import type { Log } from '../log.ts';
import { httpProbe } from '../probe/http.ts';

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
  await runAgent(
    {
      config,
      clock,
      log,
      chance,
      probe: httpProbe({
        url: `http://127.0.0.1:${config.localPort}/`,
        timeoutMs: config.timeoutMs,
        userAgent: `dockreg/${version}`,
      }),
      locate: locator(config),
      openSession: hooks =>
        openSession({
          ...hooks,
          endpoints: config.endpoints,
          connect: async endpoint => (await import('../etcd/member.ts')).connectMember(endpoint, clock),
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

function locator(config: Config): () => Promise<Located> {
  const { advertise, container: ownId, engine: endpoint, ip, localPort } = config;
  if (advertise) return () => Promise.resolve({ kind: 'address', address: advertise, how: 'advertise' });
  return async () => {
    const [{ connectEngine }, { locate }] = await Promise.all([
      import('../docker/engine.ts'),
      import('../docker/locate.ts'),
    ]);
    const { container, source, answer } = await locate(
      connectEngine(endpoint, systemClock),
      {
        localPort,
        protocol: 'tcp',
        ip,
      },
      ownId,
    );
    if (answer.kind === 'problem') return answer;
    return {
      kind: 'address',
      address: answer.address,
      how: `container ${container.id.slice(0, 12)} by ${source}`,
    };
  };
}
