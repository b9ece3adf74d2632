/**
 * How failures are repeated and reported: the wait before the next attempt, and which failures of a lasting outage are
 * worth a log line. Pure: the caller passes time and randomness.
 */

export interface Backoff {
  /** The first wait, in ms. */
  readonly firstMs: number;
  /** No wait is longer, in ms. */
  readonly mostMs: number;
}

/** etcd, Docker or a port is out of reach: try again soon, and never in step with a thousand other instances. */
export const outOfReach: Backoff = { firstMs: 600, mostMs: 2000 };
/** The server answered and refused (password, permission): a person must act first, and each attempt costs the server. */
export const denied: Backoff = { firstMs: 2000, mostMs: 30_000 };

/**
 * Returns the delay before attempt number `attempt`, in ms (1 is the first repetition). It doubles up to the most, and
 * the upper half of each delay is random.
 * @param random a number in [0, 1)
 */
export function backoffMs({ firstMs, mostMs }: Backoff, attempt: number, random: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 16));
  return Math.round(full / 2 + (full / 2) * random);
}

/** A row of failures without a success between them. */
export interface Outage {
  /** When the first failure came, in monotonic ms. */
  readonly since: number;
  readonly attempts: number;
  /** The causes that were reported, oldest first. */
  readonly causes: readonly string[];
  /** When something was reported last, in monotonic ms. */
  readonly reportedAt: number;
}

const firstSummaryMs = 60_000;
const mostCauses = 8;

/**
 * Records one more failure and says whether to report it: the first failure, each new cause, and after that ever more
 * seldom. There is never a log line for every attempt.
 */
export function noteFailure(
  before: Outage | null,
  cause: string,
  now: number,
): { readonly outage: Outage; readonly report: boolean } {
  if (before === null)
    return { outage: { since: now, attempts: 1, causes: [cause], reportedAt: now }, report: true };
  const isNew = before.causes.length < mostCauses && !before.causes.includes(cause);
  const isTime = now - before.since >= Math.max(firstSummaryMs, 2 * (before.reportedAt - before.since));
  const outage = { ...before, attempts: before.attempts + 1 };
  if (!isNew && !isTime) return { outage, report: false };
  return {
    outage: { ...outage, causes: isNew ? [...before.causes, cause] : before.causes, reportedAt: now },
    report: true,
  };
}
