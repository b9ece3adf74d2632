/**
 * Answers that lead nowhere: a lease is granted and then does not exist, a write is refused again and again, a key is
 * gone after each put. Each is an answer and not a failure, but what follows it must wait as after a failure. The first
 * setback of each kind costs no wait, because others do such things once. Only a renewal that finds everything in place
 * ends the row: renewals have a shortest gap, so etcd cannot end it at once. Pure: the caller passes time and randomness.
 */
import { backoffMs, fruitless, noteFailure, type Outage } from '../retry.ts';
import { needsWrite, type DesiredState, type Lease, type LeaseAnswer, type LeaseRules } from './lease.ts';

/** What an answer did. Moments are monotonic ms. */
export interface Answered {
  readonly answer: LeaseAnswer;
  readonly before: Lease;
  readonly after: Lease;
  readonly desired: DesiredState;
  readonly now: number;
}

/** A row of setbacks. */
export interface Setbacks {
  /** The kinds that came. */
  readonly kinds: readonly LeaseAnswer['kind'][];
  /** All but the first of each kind: those that are odd. Null while there is none. */
  readonly outage: Outage | null;
}

export const noSetbacks: Setbacks = { kinds: [], outage: null };

/** Returns the row after an answer; for a setback also how long the next request waits, in ms, and what to report. */
export function afterAnswer(
  row: Setbacks,
  answered: Answered,
  rules: LeaseRules,
  random: () => number,
): { readonly setbacks: Setbacks; readonly waitMs: number; readonly cause: string | null } {
  const cause = setbackIn(answered);
  if (cause === null) return { setbacks: isConfirmed(answered) ? noSetbacks : row, waitMs: 0, cause: null };
  const { kind } = answered.answer;
  if (!row.kinds.includes(kind))
    return { setbacks: { ...row, kinds: [...row.kinds, kind] }, waitMs: 0, cause: null };
  const { outage, report } = noteFailure(row.outage, cause, answered.now);
  const backoff = backoffMs(fruitless, outage.attempts, random());
  // The renewal of a lease that lives must not wait for long.
  const waitMs = answered.after.kind === 'held' ? Math.min(backoff, rules.renewGapMs) : backoff;
  return { setbacks: { ...row, outage }, waitMs, cause: report ? cause : null };
}

/** Whether etcd shows that all is as desired, some time after it said so. */
function isConfirmed({ answer, after, desired, now }: Answered): boolean {
  if (answer.kind !== 'renewed' || after.kind !== 'held' || desired.kind !== 'records') return false;
  return !needsWrite(after, desired, now);
}

/** Returns what is odd about an answer that leads nowhere; null for one that does not. */
function setbackIn({ answer, before, after, desired, now }: Answered): string | null {
  if (before.kind !== 'held' && before.kind !== 'granting') return null;
  switch (answer.kind) {
    case 'gone':
      return before.kind === 'granting'
        ? 'it says that the lease which it is to grant does not exist'
        : 'it grants a lease and then says that the lease does not exist';
    case 'refused': {
      if (after.kind !== 'held' || !needsWrite(after, desired, now)) return null;
      const isSame = answer.write.expect.every(
        ({ key, modRevision }) => (answer.observed.get(key)?.modRevision ?? '0') === modRevision,
      );
      return isSame
        ? 'it refuses a write because a key has changed, and shows the key unchanged'
        : 'it refuses a write because a key has changed, again and again';
    }
    case 'renewed':
      if (before.kind !== 'held' || after.kind !== 'held') return null;
      return !needsWrite(before, desired, now) && needsWrite(after, desired, now)
        ? 'the keys that it wrote are gone or overwritten at the next look, again and again'
        : null;
    case 'exists':
    case 'granted':
    case 'granting':
    case 'kept':
    case 'revoked':
    case 'revoking':
    case 'written':
      return null;
  }
}
