/**
 * The metrics for Prometheus: counters that follow the events of the services, and gauges that are read from their status
 * at each scrape. Names and units follow https://prometheus.io/docs/practices/naming.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { SessionEvent } from '../core/lease/events.ts';
import type { ServiceEvent } from '../core/registration/events.ts';
import type { Health, Trouble, Verdict } from '../core/registration/health.ts';
import type { AdminService, ServiceStatus } from '../core/registration/status.ts';
import { clean } from '../core/text.ts';

export interface Metrics {
  readonly contentType: string;
  /**
   * Sets the counters of a service to 0, and returns what counts its events.
   * @param nameOf its name, which may change
   */
  countersOf(nameOf: () => string): (event: ServiceEvent) => void;
  /** Resolves with all metrics in the text format. */
  text(services: readonly AdminService[]): Promise<string>;
}

const registrationEvents: Record<
  Exclude<SessionEvent['kind'], 'failing' | 'fruitless' | 'recovered'>,
  true
> = {
  registered: true,
  withdrawn: true,
  lost: true,
  restored: true,
  moved: true,
  updated: true,
  contested: true,
  uncertain: true,
};
/** Every status that the health can change to. */
const healths: Record<Exclude<Health['status'], 'unknown'>, true> = { starting: true, up: true, down: true };
/** The reasons that a check of each verdict can have. */
const reasons: Record<Verdict['kind'], readonly (Trouble | 'none')[]> = {
  pass: ['none'],
  fail: ['refused', 'connection', 'tls', 'timeout', 'answer'],
  unknown: ['none'],
  impossible: ['none'],
};
/** What is read from the status at a scrape, by the name of its gauge. Null sets no value. */
const readings: Record<string, readonly [help: string, read: (status: ServiceStatus) => number | null]> = {
  up: ['Whether the health is up.', status => Number(status.health === 'up')],
  health_since_timestamp_seconds: ['When the health changed last.', status => unixSeconds(status.since)],
  drained: ['Whether the service is drained.', status => Number(status.drained)],
  registered: [
    'Whether the records stand in etcd, as of its last answer; 0 also when that is older than a TTL.',
    ({ registration }) => Number(registration === 'registered' || registration === 'unconfirmed'),
  ],
  unconfirmed: [
    'Whether the records stood in etcd when it last answered, and requests fail since.',
    ({ registration }) => Number(registration === 'unconfirmed' || registration === 'uncertain'),
  ],
  address_warning: [
    'Whether `status` has a warning about the address.',
    status => Number(status.addressWarning !== null),
  ],
  etcd_answered_timestamp_seconds: [
    'When a request to etcd last succeeded.',
    status => unixSeconds(status.etcdAnsweredAt),
  ],
  registered_since_timestamp_seconds: [
    'When it was registered.',
    status => unixSeconds(status.registeredSince),
  ],
  lease_remaining_seconds: [
    'How long the lease lives at least.',
    status => status.lease?.remainingSeconds ?? null,
  ],
  last_check_timestamp_seconds: ['When the last check began.', status => unixSeconds(status.lastCheck?.at)],
};

/** Begins what stands for the name of a service until a scrape. No name has it, as names are cleaned. */
const placeholder = '\0';

/** @param startedAt in ms since 1970 */
export function createMetrics(version: string, startedAt: number): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = <T extends string>(name: string, help: string, ...labelNames: readonly T[]): Gauge<T> =>
    new Gauge({ name, help, labelNames, registers });
  const counter = <T extends string>(name: string, help: string, ...labels: readonly T[]) =>
    new Counter({ name: `dockreg_service_${name}`, help, labelNames: ['service', ...labels], registers });
  gauge('dockreg_build_info', 'The version that runs; always 1.', 'version').set({ version }, 1);
  gauge('process_start_time_seconds', 'When dockreg started.').set(startedAt / 1000);

  const checks = counter(
    'checks_total',
    'Checks of the app by verdict; failed ones also by how far they reached the app.',
    'verdict',
    'reason',
  );
  const durations = new Histogram({
    name: 'dockreg_service_check_duration_seconds',
    help: 'How long the checks of the app took.',
    labelNames: ['service'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  const transitions = counter('health_transitions_total', 'Changes of the health, by the new one.', 'health');
  const registrations = counter('registration_events_total', 'Changes of the records in etcd.', 'event');
  const errors = counter('etcd_errors_total', 'Requests to etcd that failed.');

  const gauges = Object.entries(readings).map(
    ([name, [help, read]]) => [gauge(`dockreg_service_${name}`, help, 'service'), read] as const,
  );

  const names: (() => string)[] = [];
  const withNames = (text: string): string =>
    text.replaceAll(/(?<=[{,]service=")\0(\d+)(?=")/g, (_, index: string) =>
      clean(names[Number(index)]?.() ?? '').replaceAll(/["\\]/g, String.raw`\$&`),
    );

  return {
    contentType: registry.contentType,
    countersOf(nameOf) {
      const service = `${placeholder}${names.length}`;
      names.push(nameOf);
      for (const [verdict, each] of Object.entries(reasons))
        for (const reason of each) checks.inc({ service, verdict, reason }, 0);
      for (const health of Object.keys(healths)) transitions.inc({ service, health }, 0);
      for (const event of Object.keys(registrationEvents)) registrations.inc({ service, event }, 0);
      durations.zero({ service });
      return event => {
        if (event.kind === 'health-changed') transitions.inc({ service, health: event.health });
        if (event.kind in registrationEvents) registrations.inc({ service, event: event.kind });
        if (event.kind !== 'checked') return;
        const { verdict, tookMs } = event;
        const reason = verdict.kind === 'fail' ? verdict.trouble : 'none';
        checks.inc({ service, verdict: verdict.kind, reason });
        durations.observe({ service }, tookMs / 1000);
      };
    },
    async text(services) {
      errors.reset();
      for (const [each] of gauges) each.reset();
      for (const service of services) {
        const status = service.status();
        const labels = { service: clean(status.name) };
        errors.inc(labels, status.etcdErrors);
        for (const [each, read] of gauges) {
          const value = read(status);
          if (value !== null) each.set(labels, value);
        }
      }
      return withNames(await registry.metrics());
    },
  };
}

function unixSeconds(date: string | null | undefined): number | null {
  return date ? Date.parse(date) / 1000 : null;
}
