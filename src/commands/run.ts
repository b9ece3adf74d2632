/**
 * `dockreg` itself, from start to stop: finds out which services to register, runs an agent for each, opens the admin API,
 * and at a stop lingers for `--drain` after the keys are gone. What is heavy is loaded while the first check runs.
 */
import type { Metrics } from '../admin/metrics.ts';
import { startAdmin } from '../admin/start.ts';
import { startAgent, type Agent, type AgentOptions } from '../agent/agent.ts';
import { systemClock } from '../clock.ts';
import type { AnyConfig } from '../config/config.ts';
import { withFields, type Log } from '../log.ts';
import { useLookups } from '../network/resolve.ts';
import { unlessAborted } from '../retry.ts';
import { agentOptions } from '../wiring/agent-options.ts';
import { createDocker } from '../wiring/docker.ts';
import { sharedConnections } from '../wiring/etcd.ts';
import { createNames } from '../wiring/names.ts';
import { readServices, warnOfUnreadLabels } from '../wiring/services.ts';

/** The most that closing the admin API may take, in ms. It may wait for another program, at a socket that it found. */
const closeAdminMs = 100;

/** What the signals of the process ask for. */
export interface Signals {
  /** Aborts when the process is to stop. */
  readonly stop: AbortSignal;
  /**
   * Called once: from then on `listener` is called for each command to drain or to resume all services, and at once for
   * the last one that came before.
   */
  readonly onAdminCommand: (listener: (command: 'drain' | 'resume') => void) => void;
}

/**
 * Resolves when everything is stopped.
 * @throws SetupError when the configuration can never work here
 */
export async function run(
  config: AnyConfig,
  version: string,
  log: Log,
  { stop, onAdminCommand }: Signals,
): Promise<void> {
  const startedAt = systemClock.wall();
  useLookups();
  // Nothing is registered yet, so a stop need not wait for what the start still waits for.
  const prepared = await unlessAborted(prepare(config, version, log, startedAt, stop), stop);
  if (prepared === null) return;
  const { options, metrics } = prepared;
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  const agents = options.map(each => startAgent(each, ending));
  onAdminCommand(command => {
    for (const agent of agents) agent[command]();
  });
  const api = { version, startedAt, services: agents, clock: systemClock, random: Math.random, log };
  const closeAdmin = startAdmin(api, config, metrics);
  try {
    const goneAt = await allEnded(agents, failed);
    const isGone = agents.every(agent => agent.status().registration === 'absent');
    await linger(log, goneAt + config.drainMs, isGone);
  } finally {
    await Promise.race([closeAdmin(), systemClock.sleep(closeAdminMs)]);
  }
}

/** Finds out which services to register, and resolves with what the agent of each needs. */
async function prepare(
  config: AnyConfig,
  version: string,
  log: Log,
  startedAt: number,
  stop: AbortSignal,
): Promise<{ readonly options: readonly AgentOptions[]; readonly metrics: Metrics | undefined }> {
  const docker = createDocker(config);
  const services = await readServices(config, { version, docker, log }, stop);
  const names = createNames(services, log);
  const metrics = config.listen && (await import('../admin/metrics.ts')).createMetrics(version, startedAt);
  const isOnly = services.length === 1;
  const shared = {
    version,
    onUnresolvable: isOnly ? ('end' as const) : ('wait' as const),
    endpoints: config.endpoints,
    docker,
    connect: sharedConnections(config),
    metrics,
    names,
    onLabels: 'services' in config ? warnOfUnreadLabels(log) : () => undefined,
  };
  const options = await Promise.all(
    services.map(service => {
      const own = withFields(log, () => ({ service: names.of(service).name }));
      return agentOptions(service, { ...shared, log: isOnly ? log : own });
    }),
  );
  return { options, metrics };
}

/**
 * Resolves with the moment since which nothing of the agents is left in etcd, in monotonic ms. When one of them fails, the
 * others end first.
 */
async function allEnded(agents: readonly Agent[], failed: AbortController): Promise<number> {
  const ends = agents.map(({ ended }) => ended);
  await Promise.allSettled(ends.map(ended => ended.finally(() => failed.abort())));
  return Math.max(...(await Promise.all(ends)));
}

/** Keeps the app serving until `until`, so that clients can notice that its key is gone, if it is. */
async function linger(log: Log, until: number, isGone: boolean): Promise<void> {
  const ms = until - systemClock.now();
  if (ms <= 0) return;
  const what = isGone ? 'key removed' : 'key not confirmed as removed';
  log.info(`lingering: ${what}, waiting for clients to notice`, { for: `${Math.round(ms)}ms` });
  await systemClock.sleep(ms);
}
