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
