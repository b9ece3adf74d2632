/**
 * When the next check is due. In doubt (starting, changing, counting) checks come quickly, as with HAProxy's fastinter;
 * a service that is up is checked every interval; one that stays down ever more gently, down to every interval.
 *
 * The gap before the second check of a service that is up is drawn by chance: a thousand containers that start together
 * then do not check, and renew their leases, in step. After that the period is fixed.
 */
import type { Health, Verdict } from './health.ts';

export interface Pace {
  /** When the next check is due, in monotonic ms. */
  readonly dueAt: number;
  /** When the last change of the app came, in monotonic ms. */
  readonly doubtSince: number;
  /** Whether the service is up and its checks keep their period. */
  readonly settled: boolean;
}

export interface CheckOutcome {
  readonly verdict: Verdict['kind'];
  /** What the verdict made of the service. */
  readonly health: Health;
  /** When the check began, in monotonic ms. */
  readonly startedAt: number;
}

/** From check to check while in doubt, in ms, unless the interval is shorter. */
const quickMs = 1000;
/** The gap while a service stays down, as a share of the time that it has been down. */
const downShare = 0.1;
/** Even an app that uses up the whole timeout gets a pause between two checks, in ms. */
const restMs = 250;
/** A check that began less than this before it was due was the one that was due; a timer may be early. In ms. */
const earlyMs = 5;

/** The first check is due at once. */
export function startPace(now: number): Pace {
  return { dueAt: now, doubtSince: now, settled: false };
}

/** Something about the app changed, so the checks that follow come quickly. */
export function doubt(pace: Pace, now: number): Pace {
  return { ...pace, doubtSince: now, settled: false };
}

/**
 * The pace after a check.
 * @param chance a number in [0, 1)
 */
export function paceAfter(
  pace: Pace,
  { verdict, health, startedAt }: CheckOutcome,
  now: number,
  intervalMs: number,
  chance: number,
): Pace {
  const quick = Math.min(quickMs, intervalMs);
  if (verdict === 'unknown') return { ...pace, dueAt: now + quick };
  if (health.status === 'up' && health.fails === 0) {
    if (!pace.settled)
      return { ...pace, dueAt: startedAt + intervalMs * (0.1 + 0.9 * chance), settled: true };
    // A check for a reason of its own comes on top of the regular ones and does not move them.
    return pace.dueAt - startedAt > earlyMs ? pace : { ...pace, dueAt: startedAt + intervalMs };
  }
  const doubtSince = pace.settled ? startedAt : pace.doubtSince;
  const counting = health.status !== 'down' || health.passes > 0;
  const gap = counting ? quick : Math.min(intervalMs, Math.max(quick, downShare * (now - doubtSince)));
  return { dueAt: Math.max(startedAt + gap, now + Math.min(restMs, quick)), doubtSince, settled: false };
}
