/**
 * The life of our lease in etcd, as data: what is known of it, what to do next, and what an answer changes.
 *
 * It keeps true: the server alone says that a lease is gone, until then we keep its id and ask again; nothing is
 * granted or written for an app that was not asked a moment ago; a lease that is to be revoked is never written under
 * again; after a loss the app is checked before anything is written.
 */
import {
  contestedKeys,
  planWrite,
  recordsUnder,
  type Ownership,
  type LeaseId,
  type Observed,
  type ServiceRecord,
  type Stored,
  type Write,
} from './writes.ts';

export type Lease =
  /** None. The next is asked for only on behalf of a check that began after `notBefore` (monotonic ms). */
  | { readonly kind: 'none'; readonly notBefore: number }
  /** Asked for with an id of our own choice, so that a repeated request cannot leave a second lease behind. */
  | { readonly kind: 'granting'; readonly id: LeaseId; readonly askedAt: number }
  | HeldLease
  /** To be revoked; whether it still exists is not known. */
  | { readonly kind: 'revoking'; readonly id: LeaseId };

export interface HeldLease {
  readonly kind: 'held';
  readonly id: LeaseId;
  /** When the last request that the server acknowledged was sent, in monotonic ms: it lives a TTL from there at least. */
  readonly acknowledgedAt: number;
  /** What stands under the keys that we wrote or want. */
  readonly observed: Observed;
  /** `take` until our records were written once. */
  readonly ownership: 'claiming' | 'holding';
  /** How often we took a key back from a living lease of somebody else, and until when we leave it to him now. */
  readonly contest: { readonly times: number; readonly yieldUntil: number };
}

export type DesiredState =
  | { readonly kind: 'nothing' }
  /** These records, for an app whose last check began at `checkedAt` (monotonic ms). */
  | { readonly kind: 'records'; readonly records: readonly ServiceRecord[]; readonly checkedAt: number };

export interface LeaseRules {
  /** No renewal sooner than this after the last one, in milliseconds. */
  readonly renewGapMs: number;
  /** A check that began longer ago than this, in milliseconds, says nothing about the app any more. */
  readonly freshForMs: number;
}

export type LeaseStep =
  /** Nothing to do until something changes. */
  | { readonly kind: 'idle' }
  /** Nothing may be done before the app was checked again. */
  | { readonly kind: 'check' }
  | { readonly kind: 'grant'; readonly id: LeaseId | null }
  | { readonly kind: 'write'; readonly id: LeaseId; readonly write: Write }
  /** Keep the lease alive and look at these keys. */
  | { readonly kind: 'renew'; readonly id: LeaseId; readonly keys: readonly string[] }
  | { readonly kind: 'revoke'; readonly id: LeaseId };

export type LeaseAnswer =
  | { readonly kind: 'asked'; readonly id: LeaseId; readonly at: number }
  /** The lease exists since `at` or later. */
  | { readonly kind: 'granted'; readonly id: LeaseId; readonly at: number }
  | { readonly kind: 'written'; readonly write: Write; readonly modRevision: string; readonly at: number }
  /** Somebody changed a key since we looked; nothing was written. */
  | { readonly kind: 'refused'; readonly write: Write; readonly observed: Observed }
  | { readonly kind: 'renewed'; readonly observed: Observed; readonly at: number }
  /** The lease was kept alive; what stands under the keys could not be seen. */
  | { readonly kind: 'kept'; readonly at: number }
  /** The server says that the lease does not exist. */
  | { readonly kind: 'lost'; readonly at: number }
  | { readonly kind: 'revoking'; readonly id: LeaseId }
  | { readonly kind: 'revoked' };

export const noLease: Lease = { kind: 'none', notBefore: -Infinity };

/** A contested key is taken back after one renewal, then two, four, … at most this many. */
const longestYield = 64;

export function nextStep(lease: Lease, desired: DesiredState, now: number, rules: LeaseRules): LeaseStep {
  if (lease.kind === 'revoking') return { kind: 'revoke', id: lease.id };
  if (desired.kind === 'nothing')
    return lease.kind === 'none' ? { kind: 'idle' } : { kind: 'revoke', id: lease.id };

  const notBefore = Math.max(now - rules.freshForMs, lease.kind === 'none' ? lease.notBefore : -Infinity);
  if (desired.checkedAt <= notBefore) return { kind: 'check' };
  if (lease.kind !== 'held') return { kind: 'grant', id: lease.kind === 'granting' ? lease.id : null };

  const write = planWrite(desired.records, lease.observed, lease.id, ownershipOf(lease, now));
  const sinceRenewal = desired.checkedAt > lease.acknowledgedAt ? now - lease.acknowledgedAt : 0;
  // A write that fails and fails must not cost the lease.
  if (write && sinceRenewal < 2 * rules.renewGapMs) return { kind: 'write', id: lease.id, write };
  if (sinceRenewal < rules.renewGapMs) return { kind: 'idle' };
  const wanted = recordsUnder(lease.id, desired.records).map(({ key }) => key);
  const keys = new Set([...wanted, ...lease.observed.keys()]);
  return { kind: 'renew', id: lease.id, keys: [...keys] };
}

/** What an answer of etcd makes of the lease. An answer that no longer fits the state changes nothing. */
export function advance(lease: Lease, answer: LeaseAnswer, desired: DesiredState, rules: LeaseRules): Lease {
  switch (answer.kind) {
    case 'asked':
      return { kind: 'granting', id: answer.id, askedAt: answer.at };
    case 'granted':
      return {
        kind: 'held',
        id: answer.id,
        acknowledgedAt: answer.at,
        observed: new Map(),
        ownership: 'claiming',
        contest: { times: 0, yieldUntil: -Infinity },
      };
    case 'written':
      return lease.kind === 'held'
        ? afterWrite(lease, answer.write, answer.modRevision, answer.at, rules)
        : lease;
    case 'refused':
      return lease.kind === 'held' ? afterRefusal(lease, answer.write, answer.observed) : lease;
    case 'renewed':
      return lease.kind === 'held' ? afterRenewal(lease, answer.observed, answer.at, desired) : lease;
    case 'kept':
      return lease.kind === 'held' ? { ...lease, acknowledgedAt: answer.at } : lease;
    case 'lost':
      return { kind: 'none', notBefore: answer.at };
    case 'revoking':
      return { kind: 'revoking', id: answer.id };
    case 'revoked':
      return noLease;
  }
}

function ownershipOf({ ownership, contest }: HeldLease, now: number): Ownership {
  return ownership === 'holding' && now < contest.yieldUntil ? 'yielding' : ownership;
}

function afterWrite(
  lease: HeldLease,
  write: Write,
  modRevision: string,
  at: number,
  rules: LeaseRules,
): HeldLease {
  const observed = new Map<string, Stored>(lease.observed);
  for (const key of write.removes) observed.delete(key);
  for (const { key, value } of write.puts) observed.set(key, { value, lease: lease.id, modRevision });
  const tookBack =
    lease.ownership === 'holding' && contestedKeys(write.puts, lease.observed, lease.id).length > 0;
  if (!tookBack) return { ...lease, observed, ownership: 'holding' };
  const times = lease.contest.times + 1;
  const yieldMs = rules.renewGapMs * Math.min(2 ** times, longestYield);
  return { ...lease, observed, contest: { times, yieldUntil: at + yieldMs } };
}

function afterRefusal(lease: HeldLease, write: Write, looked: Observed): HeldLease {
  const observed = new Map(lease.observed);
  for (const { key } of write.expect) observed.delete(key);
  for (const [key, stored] of looked) observed.set(key, stored);
  return { ...lease, observed };
}

function afterRenewal(lease: HeldLease, observed: Observed, at: number, desired: DesiredState): HeldLease {
  const quiet = desired.kind === 'records' && contestedKeys(desired.records, observed, lease.id).length === 0;
  const over = quiet && at > lease.contest.yieldUntil;
  return {
    ...lease,
    acknowledgedAt: at,
    observed,
    contest: over ? { times: 0, yieldUntil: -Infinity } : lease.contest,
  };
}
