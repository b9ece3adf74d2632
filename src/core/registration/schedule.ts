/**
 * When the next check is due. While a service comes up (starting, counting passes) or has just gone down, checks come
 * quickly. A service that is up is checked once an interval, and while its checks fail, once a fast interval, as with
 * HAProxy's fastinter: `fall` failures span a time that the user has chosen. The longer a service stays down, the longer
 * the gap, up to the interval. The first gap of a service that is up is random: a thousand containers that start
 * together then do not check, and renew their leases, in step. After that the period is fixed.
 */
import type { Health, Verdict } from './health.ts';

export interface Schedule {
  /** When the next check is due, in monotonic ms. */
  readonly dueAt: number;
  /** When the app changed last, in monotonic ms. */
  readonly unsteadySince: number;
  /** Whether the service is up and its checks keep their period. */
  readonly steady: boolean;
}

export interface CheckOutcome {
  readonly verdict: Verdict['kind'];
  /** The health after the verdict. */
  readonly health: Health;
  /** When the check began, in monotonic ms. */
  readonly startedAt: number;
  /** When the failed check began from which the next one is timed, in monotonic ms; null unless the service is failing. */
  readonly failedAt: number | null;
  /** When an absence that is tolerated ends, in monotonic ms; Infinity without one. */
  readonly absenceEnd: number;
}

export interface Intervals {
  readonly intervalMs: number;
  /** The time between checks while they fail and the service is still up. */
  readonly fastIntervalMs: number;
}

/** The gap between quick checks, in ms, unless the interval is shorter. */
const quickMs = 1000;
/** The gap while a service stays down, as a share of the time that it has been down. */
const downShare = 0.1;
/** The least pause between two checks, in ms, also for an app that uses the whole timeout. */
const restMs = 250;
/** A check that began at most this long before it was due, in ms, was the one that was due: a timer may be early. */
export const earlyMs = 5;

/** The first check is due at once. */
export function startSchedule(now: number): Schedule {
  return { dueAt: now, unsteadySince: now, steady: false };
}

/** The schedule after something about the app has changed: the next checks come quickly. */
export function speedUp(schedule: Schedule, now: number): Schedule {
  return { ...schedule, unsteadySince: now, steady: false };
}

/**
 * Returns the schedule after a check.
 * @param random a number in [0, 1)
 */
export function nextSchedule(
  schedule: Schedule,
  { verdict, health, startedAt, failedAt, absenceEnd }: CheckOutcome,
  now: number,
  { intervalMs, fastIntervalMs }: Intervals,
  random: number,
): Schedule {
  const quick = Math.min(quickMs, intervalMs);
  const restedAt = now + Math.min(restMs, quick);
  const soonest = Math.max(absenceEnd, restedAt);
  if (verdict === 'unknown' || verdict === 'impossible')
    return { ...schedule, dueAt: Math.min(now + quick, soonest) };
  const failingFrom = absenceEnd === Infinity ? failedAt : startedAt;
  if (failingFrom !== null) {
    // A rest makes no failure later than an interval after the one before.
    const rested = Math.min(restedAt, failingFrom + intervalMs);
    const dueAt = Math.min(Math.max(failingFrom + fastIntervalMs, rested), soonest);
    return { ...schedule, dueAt, steady: true };
  }
  if (health.status === 'up') {
    if (!schedule.steady)
      return { ...schedule, dueAt: startedAt + intervalMs * (0.1 + 0.9 * random), steady: true };
    // A check that was requested comes on top of the regular ones and does not move them.
    return schedule.dueAt - startedAt > earlyMs ? schedule : { ...schedule, dueAt: startedAt + intervalMs };
  }
  const unsteadySince = schedule.steady ? startedAt : schedule.unsteadySince;
  const counting = health.status !== 'down' || health.passes > 0;
  const gap = counting ? quick : Math.min(intervalMs, Math.max(quick, downShare * (now - unsteadySince)));
  return { dueAt: Math.max(startedAt + gap, restedAt), unsteadySince, steady: false };
}
