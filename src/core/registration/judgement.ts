/**
 * What a service is judged to be, check after check. Failures count only when they are a fast interval apart, so `fall`
 * of them span a time that the user has chosen, whatever else asks for checks. A refused connect is certain: nothing
 * listens, and no client can connect. It is not counted; it brings the service down, at once or after the time for which
 * an absence is tolerated.
 */
import type { ServiceConfig } from '../settings/service.ts';
import { isConclusive, judge, type Health, type Verdict } from './health.ts';
import { earlyMs } from './schedule.ts';

/** Moments are in monotonic ms. */
export interface Judgement {
  readonly health: Health;
  /** When the last check that counted as a failure began. */
  readonly failedAt: number;
  /** Why the app watch, or a refused check, says that nothing listens on the port; null while that is not so. */
  readonly gone: string | null;
  /** Since when an up service is absent: nothing listened, and no check has passed since; null otherwise. */
  readonly absentSince: number | null;
}

export interface JudgementRules extends Pick<
  ServiceConfig,
  'rise' | 'fall' | 'fastIntervalMs' | 'tolerateMs'
> {
  /** The end of the start period, in monotonic ms. */
  readonly startUntil: number;
  /** Whether the checks and the app watch look at the same port. */
  readonly sharesPort: boolean;
  /** Whether no check passes while the app watch says that nothing listens. */
  readonly needsListener: boolean;
}

export const unjudged: Judgement = {
  health: { status: 'unknown' },
  failedAt: -Infinity,
  gone: null,
  absentSince: null,
};

/** Returns the judgement after one more verdict, of a check that began at `startedAt` (monotonic ms). */
export function judgeCheck(
  before: Judgement,
  verdict: Verdict,
  startedAt: number,
  rules: JudgementRules,
): Judgement {
  const { health, failedAt, absentSince } = before;
  const isUp = health.status === 'up';
  if (isUp && isRefused(verdict, before, rules))
    return { ...before, ...judgeGone(before, verdict.reason, startedAt, rules) };
  // Any other answer about the port means that something listens.
  const gone = rules.sharesPort && isConclusive(verdict) ? null : before.gone;
  if (verdict.kind === 'fail' && isUp && health.fails > 0) {
    const isExtra = startedAt < failedAt + rules.fastIntervalMs - earlyMs;
    if (isExtra) return { ...before, gone };
  }
  const after = judge(health, verdict, rules, startedAt < rules.startUntil);
  return {
    health: after,
    failedAt: verdict.kind === 'fail' ? startedAt : failedAt,
    gone,
    absentSince: after.status === 'up' && verdict.kind !== 'pass' ? absentSince : null,
  };
}

/** Returns what changes when nothing listens at this moment (monotonic ms), for a service that is up. */
export function judgeGone(
  { health, absentSince }: Judgement,
  reason: string,
  moment: number,
  rules: JudgementRules,
): Pick<Judgement, 'health' | 'gone' | 'absentSince'> {
  const since = absentSince ?? moment;
  if (moment < since + rules.tolerateMs - earlyMs) return { health, gone: reason, absentSince: since };
  return { health: { status: 'down', passes: 0, reason }, gone: reason, absentSince: null };
}

/** The verdict of a check, or what the app watch says of the app's port where that decides. */
export function overruled(verdict: Verdict, { gone }: Judgement, { needsListener }: JudgementRules): Verdict {
  if (!needsListener || gone === null || !isConclusive(verdict)) return verdict;
  return { kind: 'fail', reason: gone, trouble: 'refused' };
}

/** Whether the check found that nothing listens on the app's port. */
export function isRefused(
  verdict: Verdict,
  { gone }: Judgement,
  { sharesPort, needsListener }: JudgementRules,
): verdict is Extract<Verdict, { kind: 'fail' }> {
  const isOfPort = sharesPort || (needsListener && gone !== null);
  return isOfPort && verdict.kind === 'fail' && verdict.trouble === 'refused';
}

/** The failed check from which the next one is timed, by its begin; null unless the service is failing. */
export function failingSince({ health, failedAt }: Judgement): number | null {
  return health.status === 'up' && health.fails > 0 ? failedAt : null;
}

/** When a tolerated absence must end, in monotonic ms; Infinity without one, or when something listens again. */
export function absenceEnd({ gone, absentSince }: Judgement, { tolerateMs }: JudgementRules): number {
  return gone === null || absentSince === null ? Infinity : absentSince + tolerateMs;
}
