/**
 * What the verdicts of the checks add up to. Rise and fall as in HAProxy's checks: `rise` passes in a row bring a
 * service up, `fall` fails in a row bring it down, and a check that could not be made moves nothing.
 */

import type { Problem } from '../../errors.ts';

/** The answer of one check. */
export type Verdict =
  | { readonly kind: 'pass'; readonly detail: string }
  | { readonly kind: 'fail'; readonly reason: string; readonly trouble: Trouble }
  /** The check could not be made, for a reason of our own that says nothing about the app. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The check can never work here, whatever the app does. */
  | { readonly kind: 'impossible'; readonly problem: Problem };

/** Whether the verdict says something about the app. */
export function isConclusive(verdict: Verdict): verdict is Extract<Verdict, { kind: 'pass' | 'fail' }> {
  return verdict.kind === 'pass' || verdict.kind === 'fail';
}

/** What kind of a fail it is, for whoever counts them: how far the app was reached. */
export type Trouble = 'refused' | 'connection' | 'tls' | 'timeout' | 'answer';

export type Health =
  | { readonly status: 'unknown' }
  /** Not up yet, which is expected of it so soon; `passes` in a row so far, fewer than `rise`. */
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
 * The health after one more verdict. Before the first `up`, one fail is enough to say down: nothing is registered yet.
 * @param isStarting whether the check was made within the start period; it ends, as Docker's, with the first `up`
 */
export function judge(
  health: Health,
  verdict: Verdict,
  { rise, fall }: Thresholds,
  isStarting: boolean,
): Health {
  if (!isConclusive(verdict)) return health;
  const notUp =
    isStarting && (health.status === 'unknown' || health.status === 'starting') ? 'starting' : 'down';
  if (verdict.kind === 'pass') {
    if (health.status === 'up') return health.fails === 0 ? health : { status: 'up', fails: 0 };
    const passes = (health.status === 'unknown' ? 0 : health.passes) + 1;
    return passes >= rise ? { status: 'up', fails: 0 } : { status: notUp, passes, reason: verdict.detail };
  }
  if (health.status !== 'up') return { status: notUp, passes: 0, reason: verdict.reason };
  const fails = health.fails + 1;
  return fails >= fall ? { status: 'down', passes: 0, reason: verdict.reason } : { status: 'up', fails };
}

/** What a change of health says in the log, or nothing if it says nothing new. */
export function describeHealth(
  before: Health,
  after: Health,
  verdict: Verdict,
  { rise, fall }: Thresholds,
): string | null {
  if (!isConclusive(verdict) || before === after) return null;
  if (verdict.kind === 'pass') {
    if (after.status === 'up')
      return before.status === 'up' ? `up again: ${verdict.detail}` : `up ${rise}/${rise}: ${verdict.detail}`;
    return after.status === 'unknown' ? null : `rising ${after.passes}/${rise}: ${verdict.detail}`;
  }
  if (after.status === 'up') return `failing ${after.fails}/${fall}: ${verdict.reason}`;
  if (after.status === 'starting')
    return before.status === 'starting' && before.reason === verdict.reason
      ? null
      : `starting: ${verdict.reason}`;
  if (before.status === 'starting') return `down, and its start period is over: ${verdict.reason}`;
  if (before.status === 'down' && before.passes === 0)
    return before.reason === verdict.reason ? null : `still down: ${verdict.reason}`;
  return before.status === 'up' ? `down ${fall}/${fall}: ${verdict.reason}` : `down: ${verdict.reason}`;
}
