/**
 * The life of our lease in etcd as data: what is known of it, which request comes next, and what an answer changes. Only
 * the server says that a lease is gone; until then its id is kept. A lease is granted and written under only for an app
 * that was checked a moment ago, and after the loss of the lease before it. Nothing is written under a lease that is to
 * be revoked.
 */
import type { LeaseEvent } from './events.ts';
import { contestedKeys, isUpdate, planWrite, recordsUnder } from './writes.ts';
import type { LeaseId, Observed, ServiceRecord, Write } from './writes.ts';

export type Lease =
  /** None. The next one needs a check that began after `notBefore` (monotonic ms). */
  { readonly kind: 'none'; readonly notBefore: number } | UnansweredLease | HeldLease;

/** It was requested, and etcd may already have done it. */
type UnansweredLease =
  /** Requested with an id of our own choice, so that a repeated request cannot leave a second lease behind. */
  | { readonly kind: 'granting'; readonly id: LeaseId; readonly askedAt: number }
  | { readonly kind: 'revoking'; readonly id: LeaseId; readonly reason: string };

export interface HeldLease {
  readonly kind: 'held';
  readonly id: LeaseId;
  /** When the last request that the server acknowledged was sent, in monotonic ms. The lease lives a TTL from then on. */
  readonly acknowledgedAt: number;
  /** What etcd holds under the keys that we wrote or want. */
  readonly observed: Observed;
  /** `claiming` until our records were written once. */
  readonly ownership: 'claiming' | 'holding';
  /** How often we took a key back from a living lease of another owner, and until when we leave it there now. */
  readonly contest: { readonly times: number; readonly yieldUntil: number };
}

export type DesiredState =
  /** No records, and why. */
  | { readonly kind: 'nothing'; readonly reason: string }
  /**
   * These records; the last check that passed began at `checkedAt` (monotonic ms). If one has failed since that does not
   * count yet, or could not be made, it began at `triedAt`: the lease is kept, and nothing is written.
   */
  | {
      readonly kind: 'records';
      readonly records: readonly ServiceRecord[];
      readonly checkedAt: number;
      readonly triedAt?: number;
    };

export interface LeaseRules {
  /** The shortest time between two renewals, in ms. */
  readonly renewGapMs: number;
  /** How long a check counts from its start, in ms. */
  readonly freshForMs: number;
}

export type LeaseRequest =
  /** Without an id the caller chooses one. */
  | { readonly kind: 'grant'; readonly id: LeaseId | null }
  | { readonly kind: 'write'; readonly id: LeaseId; readonly write: Write }
  /** Keep the lease alive and read these keys. */
  | { readonly kind: 'renew'; readonly id: LeaseId; readonly keys: readonly string[] }
  | { readonly kind: 'revoke'; readonly id: LeaseId; readonly reason: string };

export type LeaseStep =
  /** Nothing to do until something changes. */
  | { readonly kind: 'idle' }
  /** Nothing to do before the app is checked again. */
  | { readonly kind: 'check' }
  | LeaseRequest;

/** An answer of etcd, or a request that is about to be sent. Moments are monotonic ms. */
export type LeaseAnswer =
  | UnansweredLease
  /** The request that was sent at `at` succeeded. */
  | { readonly kind: 'granted'; readonly at: number }
  /** A lease with our id exists: an earlier request was done. */
  | { readonly kind: 'exists' }
  | { readonly kind: 'written'; readonly write: Write; readonly modRevision: string; readonly at: number }
  /** A key has changed since we read it; nothing was written. */
  | { readonly kind: 'refused'; readonly write: Write; readonly observed: Observed }
  | { readonly kind: 'renewed'; readonly observed: Observed; readonly at: number }
  /** The lease was kept alive; the keys could not be read. */
  | { readonly kind: 'kept'; readonly at: number }
  | { readonly kind: 'revoked' }
  /** The lease does not exist. */
  | { readonly kind: 'gone'; readonly at: number; readonly cause: string };

export interface Advanced {
  readonly lease: Lease;
  readonly events: readonly LeaseEvent[];
}

export const noLease: Lease = { kind: 'none', notBefore: -Infinity };

const noContest = { times: 0, yieldUntil: -Infinity };

/** A contested key is taken back after one renewal, then two, four, … at most this many. */
const longestYield = 64;

/** Returns what to do next. */
export function nextStep(lease: Lease, desired: DesiredState, now: number, rules: LeaseRules): LeaseStep {
  if (lease.kind === 'revoking') return { kind: 'revoke', id: lease.id, reason: lease.reason };
  if (desired.kind === 'nothing')
    return lease.kind === 'none'
      ? { kind: 'idle' }
      : { kind: 'revoke', id: lease.id, reason: desired.reason };

  const notBefore = Math.max(now - rules.freshForMs, lease.kind === 'none' ? lease.notBefore : -Infinity);
  const triedAt = Math.max(desired.checkedAt, desired.triedAt ?? -Infinity);
  const isChecked = desired.checkedAt > notBefore && desired.checkedAt === triedAt;
  if (!isChecked && (lease.kind !== 'held' || triedAt <= notBefore)) return { kind: 'check' };
  if (lease.kind !== 'held') return { kind: 'grant', id: lease.kind === 'granting' ? lease.id : null };

  const write = isChecked ? nextWrite(lease, desired.records, now) : null;
  const sinceRenewal = triedAt > lease.acknowledgedAt ? now - lease.acknowledgedAt : 0;
  // A write that keeps failing must not cost the lease.
  if (write && sinceRenewal < 2 * rules.renewGapMs) return { kind: 'write', id: lease.id, write };
  if (sinceRenewal < rules.renewGapMs) return { kind: 'idle' };
  const wanted = recordsUnder(lease.id, desired.records).map(({ key }) => key);
  const keys = new Set([...wanted, ...lease.observed.keys()]);
  return { kind: 'renew', id: lease.id, keys: [...keys] };
}

/** Whether etcd does not hold what is desired, as far as we know. */
export function needsWrite(lease: HeldLease, desired: DesiredState, now: number): boolean {
  return desired.kind === 'records' && nextWrite(lease, desired.records, now) !== null;
}

function nextWrite(lease: HeldLease, records: readonly ServiceRecord[], now: number): Write | null {
  const yields = lease.ownership === 'holding' && now < lease.contest.yieldUntil;
  return planWrite(records, lease.observed, lease.id, yields ? 'yielding' : lease.ownership);
}

/** Returns the lease after an answer, and the events. An answer that does not fit the state changes nothing. */
export function advance(
  lease: Lease,
  answer: LeaseAnswer,
  desired: DesiredState,
  rules: LeaseRules,
): Advanced {
  switch (answer.kind) {
    case 'granting':
    case 'revoking':
      return { lease: answer, events: [] };
    case 'granted':
    case 'exists': {
      if (lease.kind !== 'granting') break;
      const acknowledgedAt = answer.kind === 'granted' ? answer.at : lease.askedAt;
      const observed: Observed = new Map();
      const held = { acknowledgedAt, observed, ownership: 'claiming', contest: noContest } as const;
      return { lease: { kind: 'held', id: lease.id, ...held }, events: [] };
    }
    case 'written':
      if (lease.kind !== 'held') break;
      return { lease: afterWrite(lease, answer, rules), events: [writeEvent(lease, answer.write)] };
    case 'refused': {
      if (lease.kind !== 'held') break;
      const expected = new Set(answer.write.expect.map(({ key }) => key));
      const others = [...lease.observed].filter(([key]) => !expected.has(key));
      return settleClaim({ ...lease, observed: new Map([...others, ...answer.observed]) }, desired);
    }
    case 'renewed':
      if (lease.kind !== 'held') break;
      return afterRenewal(lease, answer.observed, answer.at, desired);
    case 'kept':
      if (lease.kind !== 'held') break;
      return { lease: { ...lease, acknowledgedAt: answer.at }, events: [] };
    case 'revoked':
    case 'gone': {
      if (lease.kind === 'revoking')
        return { lease: noLease, events: [{ kind: 'withdrawn', lease: lease.id, reason: lease.reason }] };
      if (lease.kind === 'none' || answer.kind === 'revoked') break;
      const { at: notBefore, cause } = answer;
      return { lease: { kind: 'none', notBefore }, events: [{ kind: 'lost', lease: lease.id, cause }] };
    }
  }
  return { lease, events: [] };
}

function writeEvent(lease: HeldLease, write: Write): LeaseEvent {
  const keys = write.puts.map(({ key }) => key);
  if (lease.ownership === 'claiming') return { kind: 'registered', keys, lease: lease.id };
  if (write.removes.length > 0) return { kind: 'moved', keys, removed: write.removes };
  return { kind: isUpdate(write, lease.observed, lease.id) ? 'updated' : 'restored', keys };
}

function afterWrite(
  lease: HeldLease,
  { write, modRevision, at }: Extract<LeaseAnswer, { kind: 'written' }>,
  rules: LeaseRules,
): HeldLease {
  const observed = new Map(lease.observed);
  for (const key of write.removes) observed.delete(key);
  for (const { key, value } of write.puts) observed.set(key, { value, lease: lease.id, modRevision });
  const tookBack =
    lease.ownership === 'holding' && contestedKeys(write.puts, lease.observed, lease.id).length > 0;
  if (!tookBack) return { ...lease, observed, ownership: 'holding' };
  const times = lease.contest.times + 1;
  const yieldMs = rules.renewGapMs * Math.min(2 ** times, longestYield);
  return { ...lease, observed, contest: { times, yieldUntil: at + yieldMs } };
}

/** Our first write was done if the records are under our lease: then only its answer was lost. */
function settleClaim(lease: HeldLease, desired: DesiredState): Advanced {
  const isDone =
    lease.ownership === 'claiming' &&
    desired.kind === 'records' &&
    planWrite(desired.records, lease.observed, lease.id, 'claiming') === null;
  if (!isDone) return { lease, events: [] };
  const keys = recordsUnder(lease.id, desired.records).map(({ key }) => key);
  return {
    lease: { ...lease, ownership: 'holding' },
    events: [{ kind: 'registered', keys, lease: lease.id }],
  };
}

function afterRenewal(lease: HeldLease, observed: Observed, at: number, desired: DesiredState): Advanced {
  const records = desired.kind === 'records' ? desired.records : [];
  const keys = contestedKeys(records, observed, lease.id);
  const isNew = keys.length > 0 && contestedKeys(records, lease.observed, lease.id).length === 0;
  const isOver = desired.kind === 'records' && keys.length === 0 && at > lease.contest.yieldUntil;
  const contest = isOver ? noContest : lease.contest;
  const claimed = settleClaim({ ...lease, acknowledgedAt: at, observed, contest }, desired);
  return isNew ? { ...claimed, events: [...claimed.events, { kind: 'contested', keys }] } : claimed;
}
