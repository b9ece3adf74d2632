/**
 * A limit on how often something is done: so many at once, and after that so many a second.
 */

export interface AllowanceRules {
  readonly perSecond: number;
  readonly atOnce: number;
}

/**
 * Returns a function that takes one from the allowance and returns how long to wait before it may be used, in ms; 0 while
 * there is enough. It takes monotonic ms.
 */
export function createAllowance({ perSecond, atOnce }: AllowanceRules): (now: number) => number {
  const eachMs = 1000 / perSecond;
  /** When the one that is taken next may be used, if nothing is saved up. */
  let due = -Infinity;
  return now => {
    due = Math.max(due, now - atOnce * eachMs) + eachMs;
    return Math.max(0, due - now);
  };
}
