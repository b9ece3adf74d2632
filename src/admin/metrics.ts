/**
 * What happened, for Prometheus: what is counted as it happens, and what is read when somebody asks. Names and units are
 * those of https://prometheus.io/docs/practices/naming.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AgentEvent } from '../agent/agent.ts';
import type { AdminService } from './api.ts';
import type { Trouble } from '../core/registration/health.ts';
import type { ServiceStatus } from '../core/registration/status.ts';

export interface Metrics {
  readonly contentType: string;
  /** Counts what an agent tells. */
  observe(service: string, event: AgentEvent): void;
  /** In the text format. */
  text(services: readonly AdminService[]): Promise<string>;
}

/** What a check that did not fail has as its reason. */
const noTrouble = 'none';
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export function createMetrics(version: string, startedAt: number): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['service'] as const;
  const gauge = (name: string, help: string): Gauge<'service'> =>
    new Gauge({ name: `dockreg_${name}`, help, labelNames, registers });

  new Gauge({
    name: 'dockreg_build_info',
    help: 'The version that runs; always 1.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When dockreg started, in seconds since 1970.',
    registers,
  }).set(startedAt / 1000);

  const checks = new Counter({
    name: 'dockreg_checks_total',
    help: 'Checks of the app by verdict, and by how far a failed one came. Unknown is a fault of dockreg itself; impossible, of the configuration.',
    labelNames: ['service', 'verdict', 'reason'],
    registers,
  });
  const durations = new Histogram({
    name: 'dockreg_check_duration_seconds',
    help: 'How long the checks of the app took.',
    labelNames,
    buckets,
    registers,
  });
  const transitions = new Counter({
    name: 'dockreg_health_transitions_total',
    help: 'Changes of health, by what it became.',
    labelNames: ['service', 'health'],
    registers,
  });
  const events = new Counter({
    name: 'dockreg_registration_events_total',
    help: 'What became of the records in etcd.',
    labelNames: ['service', 'event'],
    registers,
  });
  const errors = new Counter({
    name: 'dockreg_etcd_errors_total',
    help: 'Requests to etcd that failed.',
    labelNames,
    registers,
  });

  const read: readonly [Gauge<'service'>, (status: ServiceStatus) => number | null][] = [
    [gauge('service_up', 'Whether the app passes its checks.'), ({ health }) => Number(health === 'up')],
    [
      gauge('service_health_since_timestamp_seconds', 'Since when it has its health, in seconds since 1970.'),
      ({ since }) => Date.parse(since) / 1000,
    ],
    [gauge('service_drained', 'Whether it is drained.'), ({ drained }) => Number(drained)],
    [
      gauge('service_registered', 'Whether its records stand in etcd, as far as is known.'),
      ({ registration }) => Number(registration === 'registered'),
    ],
    [
      gauge('registered_since_timestamp_seconds', 'Since when, in seconds since 1970.'),
      ({ registeredSince }) => (registeredSince === null ? null : Date.parse(registeredSince) / 1000),
    ],
    [
      gauge('lease_remaining_seconds', 'For how long etcd has promised to keep the lease at least.'),
      ({ lease }) => lease && lease.remainingSeconds,
    ],
    [
      gauge('last_check_timestamp_seconds', 'When the last check began, in seconds since 1970.'),
      ({ lastCheck }) => lastCheck && Date.parse(lastCheck.at) / 1000,
    ],
  ];

  const countCheck = (service: string, verdict: string, reason: Trouble | typeof noTrouble): void =>
    checks.inc({ service, verdict, reason });

  return {
    contentType: registry.contentType,
    observe(service, event) {
      switch (event.kind) {
        case 'checked': {
          const { verdict, tookMs } = event;
          countCheck(service, verdict.kind, verdict.kind === 'fail' ? verdict.trouble : noTrouble);
          durations.observe({ service }, tookMs / 1000);
          return;
        }
        case 'health-changed':
          return transitions.inc({ service, health: event.health });
        case 'told':
          if (event.event !== 'failing' && event.event !== 'recovered')
            events.inc({ service, event: event.event });
      }
    },
    text(services) {
      errors.reset();
      for (const [each] of read) each.reset();
      for (const service of services) {
        const status = service.status();
        const labels = { service: status.name };
        errors.inc(labels, status.etcdErrors);
        for (const [each, valueOf] of read) {
          const value = valueOf(status);
          if (value !== null) each.set(labels, value);
        }
      }
      return registry.metrics();
    },
  };
}
