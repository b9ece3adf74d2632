/**
 * How long to wait before the next try. Pure: the caller brings the chance.
 */

export interface Backoff {
  /** The first wait, in milliseconds. */
  readonly firstMs: number;
  /** No wait is longer, in milliseconds. */
  readonly mostMs: number;
}

/** etcd or Docker is out of reach: soon again, and never in step with a thousand others. */
export const outOfReach: Backoff = { firstMs: 600, mostMs: 2000 };
/** etcd has more password checks to do than it can. */
const crowded: Backoff = { firstMs: 1000, mostMs: 15_000 };
/** A question that costs nothing is answered sooner, in ms, unless others keep etcd busy. */
const promptMs = 100;

/**
 * Whether to ask for a password check now, as one listens before one speaks: 0 for yes, or how long to wait, in ms,
 * before the next try. A fleet that lost its tokens so asks for as many at once as etcd can do without letting anyone
 * wait for long, however many that are. Who has waited often contents himself with slower answers.
 * @param answerMs what etcd took a moment ago for a question that costs nothing
 * @param attempt 1 for the first
 * @param chance a number in [0, 1)
 */
export function passwordCheckWaitMs(answerMs: number, attempt: number, chance: number): number {
  return answerMs <= promptMs * attempt ? 0 : waitMs(crowded, attempt, chance);
}

/** We were answered and refused (password, permission): a person must act first, and each try costs the server. */
export const denied: Backoff = { firstMs: 2000, mostMs: 30_000 };

/**
 * The wait before try number `attempt` (1 is the first repetition), doubling up to the most, with the upper half of
 * each wait drawn by chance.
 * @param chance a number in [0, 1)
 */
export function waitMs({ firstMs, mostMs }: Backoff, attempt: number, chance: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 16));
  return Math.round(full / 2 + (full / 2) * chance);
}
