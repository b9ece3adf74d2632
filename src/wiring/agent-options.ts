/**
 * Builds what the agent of one service needs: probe, address source, app watch and session. What is heavy is loaded
 * while the first check is under way.
 */
import type { AgentOptions } from '../agent/agent.ts';
import type { AddressResult, AddressSource } from '../agent/address-loop.ts';
import { systemClock } from '../clock.ts';
import { hasLabels, unreadLabels } from '../config/sources/labels.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import type { Address } from '../core/address/ip.ts';
import { watchRole } from '../core/settings/check.ts';
import type { Self } from '../docker/self.ts';
import type { LeaseStore } from '../etcd/ports.ts';
import { openSession } from '../etcd/session.ts';
import { formatProblem } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../admin/metrics.ts';
import { networkChangeDetector } from '../network/changes.ts';
import { appHost, appProbe } from './app-probe.ts';
import type { DockerAccess } from './docker.ts';
import { recordsAt } from './records.ts';

/** What the services of a process have in common, and the log of the one that is to be. */
export interface Shared {
  readonly version: string;
  /** Whether there is one service only. */
  readonly alone: boolean;
  readonly log: Log;
  readonly endpoints: readonly string[];
  readonly docker: DockerAccess;
  readonly connect: (endpoint: string) => Promise<LeaseStore>;
  readonly metrics: Metrics | undefined;
  readonly seeLabels: (labels: ReadonlyMap<string, string>) => void;
}

/** Who set labels of ours may wonder why nothing comes of them; he is told once. */
export function tellUnreadLabels(log: Log): Shared['seeLabels'] {
  let seen = false;
  return labels => {
    if (!seen && hasLabels(labels)) log.warn(unreadLabels);
    seen = true;
  };
}

export async function agentOptions(service: ServiceConfig, shared: Shared): Promise<AgentOptions> {
  const clock = systemClock;
  const random = Math.random;
  const { version, alone, log, endpoints, docker, connect, metrics } = shared;
  return {
    config: service,
    clock,
    log,
    random,
    alone,
    probe: await appProbe(service, docker, version),
    source: createAddressSource(service, shared),
    observe: metrics && (observation => metrics.observe(service.label, observation)),
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
        random,
      }),
  };
}

function createAddressSource(service: ServiceConfig, { docker, seeLabels }: Shared): AddressSource {
  const { advertise } = service;
  const located = (address: Address, self: Self | null, how: string): AddressResult => {
    const answer = recordsAt(service, address, self);
    return answer.ok
      ? { kind: 'address', address, records: answer.value, how }
      : { kind: 'problem', problem: answer.problems.map(formatProblem).join(', ') };
  };
  if (advertise.kind === 'literal') {
    return {
      resolve: () => Promise.resolve(located(advertise.address, null, '--advertise')),
      networkChanged: () => false,
      fixed: true,
    };
  }
  return {
    async resolve() {
      const self = await docker.findSelf();
      seeLabels(self.container.labels);
      const answer = await docker.resolveAddress(self, service, advertise);
      if (!answer.ok) return { kind: 'problem', problem: answer.problems.map(formatProblem).join(', ') };
      const { address, by } = answer.value;
      const how = `container ${self.container.id.slice(0, 12)} by ${self.source}, ${by}`;
      return located(address, self, how);
    },
    networkChanged: networkChangeDetector(),
    fixed: false,
  };
}
