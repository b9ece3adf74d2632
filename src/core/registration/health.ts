/**
 * The health that the verdicts of the checks add up to. Rise and fall work as in HAProxy: `rise` passes in a row bring a
 * service up, `fall` fails in a row bring it down, and a check that could not be made changes nothing.
 */
import { formatProblem, type Problem } from '../../errors.ts';

/** The answer of one check. */
export type Verdict =
  | { readonly kind: 'pass'; readonly detail: string }
  | { readonly kind: 'fail'; readonly reason: string; readonly trouble: Trouble }
  /**
   * The check could not be made this time. It says nothing about the app. With `isOurs`, dockreg lacks something or
   * Docker does not answer, so a registered key stays; without it, the key goes with its lease.
   */
  | { readonly kind: 'unknown'; readonly reason: string; readonly isOurs?: true }
  /** The check can never be made here, until a person changes something. */
  | { readonly kind: 'impossible'; readonly problem: Problem };

/** Whether the verdict says something about the app. */
export function isConclusive(verdict: Verdict): verdict is Extract<Verdict, { kind: 'pass' | 'fail' }> {
  return verdict.kind === 'pass' || verdict.kind === 'fail';
}

/** How far a failed check reached the app. The metrics count by it. */
export type Trouble = 'refused' | 'connection' | 'tls' | 'timeout' | 'answer';

export type Health =
  | { readonly status: 'unknown' }
  /** Not up yet, within the start period; `passes` in a row so far, fewer than `rise`. */
  | { readonly status: 'starting'; readonly passes: number; readonly reason: string }
  /** `fails` in a row so far, fewer than `fall`. */
  | { readonly status: 'up'; readonly fails: number }
  /** `passes` in a row so far, fewer than `rise`. */
  | { readonly status: 'down'; readonly passes: number; readonly reason: string };

export interface Thresholds {
  readonly rise: number;
  readonly fall: number;
}

export const unknownHealth: Health = { status: 'unknown' };

/**
 * Returns the health after one more verdict. Before the first `up` a single fail means down: nothing is registered yet.
 * @param isStarting whether the check began within the start period; the first `up` ends it, as in Docker
 */
export function judge(health: Health, verdict: Verdict, rules: Thresholds, isStarting: boolean): Health {
  if (!isConclusive(verdict)) return health;
  const notUp =
    isStarting && (health.status === 'unknown' || health.status === 'starting') ? 'starting' : 'down';
  if (verdict.kind === 'pass') {
    if (health.status === 'up') return health.fails === 0 ? health : { status: 'up', fails: 0 };
    const passes = (health.status === 'unknown' ? 0 : health.passes) + 1;
    return passes >= rules.rise
      ? { status: 'up', fails: 0 }
      : { status: notUp, passes, reason: verdict.detail };
  }
  if (health.status !== 'up') return { status: notUp, passes: 0, reason: verdict.reason };
  const fails = health.fails + 1;
  return fails >= rules.fall
    ? { status: 'down', passes: 0, reason: verdict.reason }
    : { status: 'up', fails };
}

/** What a verdict says, for people. */
export function detailOf(verdict: Verdict): string {
  if (verdict.kind === 'impossible') return formatProblem(verdict.problem);
  return verdict.kind === 'pass' ? verdict.detail : verdict.reason;
}
