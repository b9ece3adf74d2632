/**
 * `dockreg` itself, from start to stop: finds out which services to register, runs an agent for each, opens the admin API,
 * and at a stop lingers for `--drain` after the keys are gone. What is heavy is loaded while the first check runs.
 */
import type { Metrics } from '../admin/metrics.ts';
import { startAdmin } from '../admin/start.ts';
import type { Agent, AgentOptions } from '../agent/agent.ts';
import { startReplaceable } from '../agent/replaceable.ts';
import { systemClock } from '../clock.ts';
import type { AnyConfig } from '../config/config.ts';
import type { Naming } from '../core/layouts/names.ts';
import type { ServiceConfig } from '../core/settings/service.ts';

import { withFields, type Log } from '../log.ts';
import { useLookups } from '../network/resolve.ts';
import { unlessAborted } from '../retry.ts';
import { agentOptions } from '../wiring/agent-options.ts';
import { createDocker } from '../wiring/docker.ts';
import { sharedConnections } from '../wiring/etcd.ts';
import { createLabelledChecks } from '../wiring/labelled-checks.ts';
import { createNames, type Names } from '../wiring/names.ts';
import { describeService, readServices, warnOfUnreadLabels } from '../wiring/services.ts';

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
  const { starters, metrics } = prepared;
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  const agents = starters.map(start => start(ending));
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

type Starter = (stop: AbortSignal) => Agent;

/** Finds out which services to register, and resolves with what starts the agent of each. */
async function prepare(
  config: AnyConfig,
  version: string,
  log: Log,
  startedAt: number,
  stop: AbortSignal,
): Promise<{ readonly starters: readonly Starter[]; readonly metrics: Metrics | undefined }> {
  const docker = createDocker(config);
  const services = await readServices(config, { version, docker, log }, stop);
  const names = createNames(services, log);
  const metrics = config.listen && (await import('../admin/metrics.ts')).createMetrics(version, startedAt);
  const isOnly = services.length === 1;
  const onLabels = 'services' in config ? warnOfUnreadLabels(log) : () => undefined;
  const checks = 'services' in config ? createLabelledChecks(config, log) : null;
  const shared = {
    version,
    onUnresolvable: isOnly ? ('end' as const) : ('wait' as const),
    endpoints: config.endpoints,
    docker,
    connect: sharedConnections(config),
  };
  const onSelf = (self: Parameters<Names['learn']>[0]): void => {
    onLabels(self.container.labels);
    names.learn(self);
  };
  const prepareOne = async (service: ServiceConfig, index: number): Promise<Starter> => {
    const naming = (): Naming => names.of(service);
    const own = {
      ...shared,
      naming,
      count: metrics?.countersOf(() => naming().name),
      log: isOnly ? log : withFields(log, () => ({ service: naming().name })),
    };
    let replace: ((next: Promise<AgentOptions>) => void) | null = null;
    const replacement = new Promise<AgentOptions>(resolve => (replace = resolve));
    // An agent that has ended waits for no other.
    replacement.catch(() => undefined);
    const first = await agentOptions(service, {
      ...own,
      onSelf(self) {
        onSelf(self);
        const labelled = checks?.(index, self.container.labels) ?? null;
        if (labelled === null) return false;
        own.log.info('configured by labels of this container', describeService(labelled, naming()));
        replace?.(
          agentOptions(labelled, {
            ...own,
            onSelf(again) {
              onSelf(again);
              return false;
            },
          }),
        );
        return true;
      },
    });
    return end => startReplaceable(first, replacement, end);
  };
  return { starters: await Promise.all(services.map(prepareOne)), metrics };
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
