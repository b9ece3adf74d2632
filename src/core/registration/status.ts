/**
 * What a service looks like from outside, as one picture for people and machines. Pure: what is known goes in.
 */
import { formatProblem } from '../../errors.ts';
import { formatAddress, type Address } from '../address/ip.ts';
import type { Health, Verdict } from './health.ts';
import type { Lease } from '../lease/lease.ts';
import { formatLease, recordsUnder } from '../lease/writes.ts';
import { wantedRecords, type Registration } from './registration.ts';

export interface ProcessStatus {
  readonly version: string;
  readonly startedAt: string;
  readonly services: readonly ServiceStatus[];
}

export interface ServiceStatus {
  readonly name: string;
  readonly health: Health['status'];
  /** What the last check, or the app watch, said of it; null before the first. */
  readonly why: string | null;
  /** Since when it has this health. A date, like every moment here. */
  readonly since: string;
  readonly drained: boolean;
  /** Where others reach it; null while that is not known. */
  readonly address: string | null;
  readonly registration: RegistrationStatus;
  readonly registeredSince: string | null;
  /** What it is written as while it is registered. */
  readonly records: readonly { readonly key: string; readonly value: string }[];
  /** What etcd promised: the lease lives for so many seconds more at least. */
  readonly lease: { readonly id: string; readonly remainingSeconds: number } | null;
  /** What goes wrong with etcd, and how many requests have failed since the start. */
  readonly etcdError: string | null;
  readonly etcdErrors: number;
  /** Whether no check was made for longer than ever should be: a fault of dockreg itself. */
  readonly isLate: boolean;
  readonly lastCheck: {
    readonly at: string;
    readonly seconds: number;
    readonly verdict: Verdict['kind'];
    readonly detail: string;
  } | null;
}

/** `uncertain`: it was registered, and etcd has not answered for a TTL. */
export type RegistrationStatus = 'absent' | 'registering' | 'registered' | 'uncertain' | 'withdrawing';

/** Moments are in monotonic ms. */
export interface ServiceFacts {
  readonly name: string;
  readonly ttlSeconds: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startedAt: number;
  readonly registration: Registration;
  readonly why: string | null;
  readonly since: number;
  readonly address: Address | null;
  readonly lease: Lease;
  readonly registeredSince: number | null;
  readonly etcdError: string | null;
  readonly etcdErrors: number;
  readonly lastCheck: {
    readonly startedAt: number;
    readonly tookMs: number;
    readonly verdict: Verdict;
  } | null;
}

/** @param date writes a moment as a date */
export function statusOf(facts: ServiceFacts, now: number, date: (moment: number) => string): ServiceStatus {
  const { lease, lastCheck, registration, registeredSince, address } = facts;
  const status = registrationOf(facts, now);
  const isThere = status === 'registered' || status === 'uncertain';
  const id = lease.kind === 'held' ? lease.id : null;
  const records = recordsUnder(id ?? '', registration.records ?? []);
  return {
    name: facts.name,
    health: registration.health.status,
    why: facts.why,
    since: date(facts.since),
    drained: registration.admin === 'drain',
    address: address && formatAddress(address),
    registration: status,
    registeredSince: isThere && registeredSince !== null ? date(registeredSince) : null,
    records,
    lease:
      lease.kind === 'held'
        ? { id: formatLease(lease.id), remainingSeconds: remainingSeconds(facts, lease.acknowledgedAt, now) }
        : null,
    etcdError: facts.etcdError,
    etcdErrors: facts.etcdErrors,
    isLate: isLate(facts, now),
    lastCheck: lastCheck && {
      at: date(lastCheck.startedAt),
      seconds: lastCheck.tookMs / 1000,
      verdict: lastCheck.verdict.kind,
      detail: detailOf(lastCheck.verdict),
    },
  };
}

export function detailOf(verdict: Verdict): string {
  if (verdict.kind === 'impossible') return formatProblem(verdict.problem);
  return verdict.kind === 'pass' ? verdict.detail : verdict.reason;
}

function registrationOf({ lease, registration, ttlSeconds }: ServiceFacts, now: number): RegistrationStatus {
  const wanted = wantedRecords(registration) !== null;
  switch (lease.kind) {
    case 'none':
      return wanted ? 'registering' : 'absent';
    case 'granting':
      return wanted ? 'registering' : 'withdrawing';
    case 'revoking':
      return 'withdrawing';
    case 'held':
      if (!wanted) return 'withdrawing';
      if (lease.ownership === 'claiming') return 'registering';
      return now - lease.acknowledgedAt >= ttlSeconds * 1000 ? 'uncertain' : 'registered';
  }
}

/** No pace is slower than one check an interval, and a check may take its timeout; twice that is no chance any more. */
function isLate({ lastCheck, startedAt, intervalMs, timeoutMs }: ServiceFacts, now: number): boolean {
  return now - (lastCheck?.startedAt ?? startedAt) > 2 * (intervalMs + timeoutMs);
}

function remainingSeconds({ ttlSeconds }: ServiceFacts, acknowledgedAt: number, now: number): number {
  return Math.max(0, Math.round(ttlSeconds * 1000 - (now - acknowledgedAt)) / 1000);
}
