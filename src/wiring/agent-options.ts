/**
 * Builds what the agent of one service needs: probe, address source, app watch and session. What is heavy is loaded
 * while the first check is under way.
 */
import type { Metrics } from '../admin/metrics.ts';
import type { AddressSource } from '../agent/address-loop.ts';
import type { AgentOptions } from '../agent/agent.ts';
import { logEvent } from '../agent/log.ts';
import { systemClock } from '../clock.ts';
import { everyHostWarning } from '../core/address/every-host.ts';
import type { Address } from '../core/address/ip.ts';
import type { AddressResult, OnUnresolvable } from '../core/address/location.ts';
import { factsOf } from '../core/layouts/instance.ts';
import { recordsOf } from '../core/layouts/records.ts';
import { loopbackRole, watchRole, type ServiceConfig } from '../core/settings/service.ts';
import type { Self } from '../docker/self.ts';
import { success, type Problem } from '../errors.ts';
import { openSession, type SessionOptions } from '../etcd/session.ts';
import type { Log } from '../log.ts';
import { networkChangeDetector } from '../network/changes.ts';
import { appProbe, openHosts } from './app-probe.ts';
import type { DockerAccess } from './docker.ts';

/** What the services of a process share, and the log of this one. */
export interface Shared extends Pick<SessionOptions, 'endpoints' | 'connect'> {
  readonly version: string;
  readonly onUnresolvable: OnUnresolvable;
  readonly log: Log;
  readonly docker: DockerAccess;
  readonly naming: AgentOptions['naming'];
  /** Counts the events of this service; undefined without metrics. */
  readonly count: ReturnType<Metrics['countersOf']> | undefined;
  /**
   * Called whenever Docker has answered about our container. True means that another agent takes the place of this one,
   * which must register nothing.
   */
  readonly onSelf: (self: Self) => boolean;
}

/** Loads the probe of the service, and resolves with what its agent needs. */
export async function agentOptions(service: ServiceConfig, shared: Shared): Promise<AgentOptions> {
  const clock = systemClock;
  const random = Math.random;
  const { version, onUnresolvable, log, endpoints, docker, connect, count, naming } = shared;
  const { ttlSeconds, intervalMs, timeoutMs } = service;
  const hosts = openHosts(service);
  return {
    config: service,
    naming,
    clock,
    random,
    onUnresolvable,
    emit: event => {
      logEvent(log, event, service);
      count?.(event);
    },
    probe: await appProbe(service, docker, version, hosts.ofCheck),
    source: createAddressSource(service, shared),
    openWatch: async () => {
      if (!service.watch || watchRole(service) === 'none') return null;
      const { openAppWatch } = await import('../kernel/app-watch.ts');
      return openAppWatch(hosts.ofApp, { clock, followsAddresses: loopbackRole(service) === 'withhold' });
    },
    openSession: hooks =>
      openSession({
        ...hooks,
        endpoints,
        connect,
        ttlSeconds,
        rules: { renewGapMs: intervalMs * 0.8, freshForMs: intervalMs + timeoutMs + 2000 },
        clock,
        random,
      }),
  };
}

function createAddressSource(service: ServiceConfig, { docker, onSelf, log }: Shared): AddressSource {
  const { advertise } = service;
  const resultOf = (
    address: Address,
    self: Self | null,
    how: string,
    warnings: readonly Problem[],
  ): AddressResult => {
    const container = self ? factsOf(self.container, self.network) : undefined;
    const records = recordsOf({ ...service, address, container });
    return records.ok ? success({ address, records: records.value, how, warnings }) : records;
  };
  if (advertise.kind === 'literal') {
    const { address } = advertise;
    const warning = service.allowLoopback ? undefined : everyHostWarning(address, undefined);
    const resolve = async (): Promise<AddressResult> =>
      resultOf(address, null, '--advertise', warning ? [warning] : []);
    return { resolve, networkChanged: null };
  }
  return {
    async resolve(registered) {
      const self = await docker.findSelf();
      if (onSelf(self)) return new Promise(() => undefined);
      const answer = await docker.resolveAddress(self, service, advertise, registered);
      if (!answer.ok) return answer;
      const { address, by, warnings = [] } = answer.value;
      const how = `container ${self.container.id.slice(0, 12)} by ${self.source}, ${by}`;
      return resultOf(address, self, how, warnings);
    },
    networkChanged: networkChangeDetector(problem =>
      problem === null
        ? log.info('own network can be read again')
        : log.warn(
            `own network cannot be read: ${problem}; a changed address is noticed at the next regular question`,
          ),
    ),
  };
}
