/**
 * The status of a service, as people and programs see it from outside. Pure: facts go in, a picture comes out.
 */
import { formatProblem } from '../../errors.ts';
import { formatAddress } from '../address/ip.ts';
import type { Failover } from '../lease/failover.ts';
import type { Lease } from '../lease/lease.ts';
import { formatLease, recordsUnder } from '../lease/writes.ts';
import type { ServiceConfig } from '../settings/service.ts';
import { detailOf, type Health, type Verdict } from './health.ts';
import { wantedRecords, type ServiceState } from './service.ts';

/** One registered service, as admins see and control it. */
export interface AdminService {
  readonly name: string;
  /** What people may call it too, such as its port. Several services may share one of these. */
  readonly otherNames: readonly string[];
  /** Keeps the service out of etcd, whatever its health, until it is resumed. */
  drain(): void;
  resume(): void;
  status(): ServiceStatus;
}

export interface ProcessStatus {
  readonly version: string;
  readonly startedAt: string;
  readonly services: readonly ServiceStatus[];
}

/** Every moment is an ISO date. */
export interface ServiceStatus {
  readonly name: string;
  readonly health: Health['status'];
  /**
   * What the last verdict, or the app watch, says about the health, and why an app that is up is not registered; null
   * before the first check.
   */
  readonly why: string | null;
  /** Since when the service has this health. */
  readonly since: string;
  readonly drained: boolean;
  /** Where others reach it; null while that is not known. */
  readonly address: string | null;
  /** Why the address is not known, or could not be confirmed; null while it is confirmed, and before the first answer. */
  readonly addressCause: string | null;
  readonly registration: RegistrationStatus;
  readonly registeredSince: string | null;
  /** What is written for it while it is registered. */
  readonly records: readonly { readonly key: string; readonly value: string }[];
  /** What people should know about the address, such as that others would do as well; null for nothing. */
  readonly addressWarning: string | null;
  /** The lease lives for at least this long, as etcd has promised. */
  readonly lease: { readonly id: string; readonly remainingSeconds: number } | null;
  /** When a request to etcd last succeeded; null before the first. While etcd fails, `registration` is as of then. */
  readonly etcdAnsweredAt: string | null;
  /** Why requests to etcd fail now; null while they do not. */
  readonly etcdError: string | null;
  /** How many requests to etcd have failed since the start. */
  readonly etcdErrors: number;
  /** Whether the last check is longer ago than it can be while dockreg works. */
  readonly isLate: boolean;
  /** Since when no check could be made, for a reason that is not the app's; null while checks are made. */
  readonly uncheckedSince: string | null;
  readonly lastCheck: {
    readonly at: string;
    readonly seconds: number;
    readonly verdict: Verdict['kind'];
    readonly detail: string;
  } | null;
}

/**
 * `unconfirmed`: it was registered when etcd last answered, and requests fail since. `uncertain`: they have failed for a
 * TTL, so the records may be gone.
 */
export type RegistrationStatus =
  | 'absent'
  | 'registering'
  | 'registered'
  | 'unconfirmed'
  | 'uncertain'
  | 'withdrawing';

/** The state of the agent, and what its session says about etcd. */
export interface ServiceFacts extends Pick<Failover, 'outage' | 'failures' | 'answeredAt' | 'isUnconfirmed'> {
  readonly name: string;
  readonly config: Pick<ServiceConfig, 'ttlSeconds' | 'intervalMs' | 'timeoutMs'>;
  readonly state: ServiceState;
  readonly lease: Lease;
}

/**
 * @param now in monotonic ms
 * @param date writes a monotonic moment as a date
 */
export function statusOf(facts: ServiceFacts, now: number, date: (moment: number) => string): ServiceStatus {
  const { config, state, lease, outage, failures, answeredAt } = facts;
  const { lastCheck, registeredSince, resolved } = state;
  const registration = registrationOf(facts, now);
  const isThere =
    registration === 'registered' || registration === 'unconfirmed' || registration === 'uncertain';
  const ttlMs = config.ttlSeconds * 1000;
  const held = lease.kind === 'held' ? lease : null;
  return {
    name: facts.name,
    health: state.health.status,
    why: whyOf(state),
    since: date(state.healthSince),
    drained: state.admin === 'drain',
    address: resolved && formatAddress(resolved.address),
    addressCause: state.addressCause,
    registration,
    registeredSince: isThere && registeredSince !== null ? date(registeredSince) : null,
    records: recordsUnder(held?.id ?? '', resolved?.records ?? []),
    addressWarning: resolved?.warnings?.map(formatProblem).join('; ') || null,
    lease: held && {
      id: formatLease(held.id),
      remainingSeconds: Math.max(0, Math.round(ttlMs - (now - held.acknowledgedAt)) / 1000),
    },
    etcdAnsweredAt: answeredAt === null ? null : date(answeredAt),
    etcdError: outage?.causes.at(-1) ?? null,
    etcdErrors: failures,
    // A check is due within an interval and takes its timeout at most. Before the first, healthSince is the start.
    isLate: now - (lastCheck?.startedAt ?? state.healthSince) > 2 * (config.intervalMs + config.timeoutMs),
    uncheckedSince: state.checkOutage && date(state.checkOutage.since),
    lastCheck: lastCheck && {
      at: date(lastCheck.startedAt),
      seconds: lastCheck.tookMs / 1000,
      verdict: lastCheck.verdict.kind,
      detail: detailOf(lastCheck.verdict),
    },
  };
}

function whyOf({ why, health, unreachable }: ServiceState): string | null {
  if (unreachable === null || health.status !== 'up') return why;
  return `${why ?? ''}; not registered: the app ${formatProblem(unreachable)}`;
}

function registrationOf(
  { config, state, lease, isUnconfirmed }: ServiceFacts,
  now: number,
): RegistrationStatus {
  const isWanted = wantedRecords(state) !== null;
  if (lease.kind === 'none' && !isWanted) return 'absent';
  if (lease.kind === 'revoking' || !isWanted) return 'withdrawing';
  if (lease.kind !== 'held' || lease.ownership === 'claiming') return 'registering';
  if (now - lease.acknowledgedAt >= config.ttlSeconds * 1000) return 'uncertain';
  return isUnconfirmed ? 'unconfirmed' : 'registered';
}
