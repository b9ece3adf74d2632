/**
 * When the next check is due. In doubt (starting, changing, counting) checks come quickly, as with HAProxy's fastinter;
 * a service that is up is checked every interval; one that stays down ever more gently, down to every interval.
 *
 * The gap before the second check of a service that is up is drawn by chance: a thousand containers that start together
 * then do not check, and renew their leases, in step. After that the period is fixed.
 */
import type { Health, Verdict } from './health.ts';

export interface Schedule {
  /** When the next check is due, in monotonic ms. */
  readonly dueAt: number;
  /** When the last change of the app came, in monotonic ms. */
  readonly unsteadySince: number;
  /** Whether the service is up and its checks keep their period. */
  readonly steady: boolean;
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
export function startSchedule(now: number): Schedule {
  return { dueAt: now, unsteadySince: now, steady: false };
}

/** Something about the app changed, so the checks that follow come quickly. */
export function speedUp(schedule: Schedule, now: number): Schedule {
  return { ...schedule, unsteadySince: now, steady: false };
}

/**
 * The pace after a check.
 * @param random a number in [0, 1)
 */
export function nextSchedule(
  schedule: Schedule,
  { verdict, health, startedAt }: CheckOutcome,
  now: number,
  intervalMs: number,
  random: number,
): Schedule {
  const quick = Math.min(quickMs, intervalMs);
  if (verdict === 'unknown' || verdict === 'impossible') return { ...schedule, dueAt: now + quick };
  if (health.status === 'up' && health.fails === 0) {
    if (!schedule.steady)
      return { ...schedule, dueAt: startedAt + intervalMs * (0.1 + 0.9 * random), steady: true };
    // A check for a reason of its own comes on top of the regular ones and does not move them.
    return schedule.dueAt - startedAt > earlyMs ? schedule : { ...schedule, dueAt: startedAt + intervalMs };
  }
  const unsteadySince = schedule.steady ? startedAt : schedule.unsteadySince;
  const counting = health.status !== 'down' || health.passes > 0;
  const gap = counting ? quick : Math.min(intervalMs, Math.max(quick, downShare * (now - unsteadySince)));
  return { dueAt: Math.max(startedAt + gap, now + Math.min(restMs, quick)), unsteadySince, steady: false };
}
