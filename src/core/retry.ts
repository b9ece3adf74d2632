/**
 * The waits before the next attempt, and which failures of a lasting outage are worth a log line. Pure: the caller passes
 * time and randomness.
 */

export interface Backoff {
  /** The first wait, in ms. */
  readonly firstMs: number;
  /** No wait is longer, in ms. */
  readonly mostMs: number;
}

/** etcd, Docker or a port is out of reach: try again soon. */
export const outOfReach: Backoff = { firstMs: 600, mostMs: 2000 };
/** The server refused (password, permission): a person must act first, and each attempt costs the server. */
export const denied: Backoff = { firstMs: 2000, mostMs: 30_000 };
/** etcd answers, but nothing comes of it: each round is several requests and a check of the app. */
export const fruitless: Backoff = { firstMs: 2000, mostMs: 8000 };

/**
 * Returns the delay before attempt number `attempt`, in ms (1 is the first repetition). It doubles up to the most, and
 * the upper half of each delay is random.
 * @param random a number in [0, 1)
 */
export function backoffMs({ firstMs, mostMs }: Backoff, attempt: number, random: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 16));
  return Math.round(full / 2 + (full / 2) * random);
}

/** etcd has more password checks to do than it can. */
const crowded: Backoff = { firstMs: 1000, mostMs: 15_000 };
/** etcd answers a request that costs it nothing within this time, in ms, unless it is busy. */
const promptMs = 100;

/**
 * Returns 0 when etcd may be asked for a password check, or else the wait before the next measurement, in ms. Each check
 * costs etcd a bcrypt: so a fleet that lost its tokens has only as many under way as leave etcd responsive. An instance
 * that waited often accepts slower answers.
 * @param answerMs how long etcd just took to answer a request that costs it nothing
 * @param attempt 1 for the first
 * @param random a number in [0, 1)
 */
export function passwordCheckWaitMs(answerMs: number, attempt: number, random: number): number {
  return answerMs <= promptMs * attempt ? 0 : backoffMs(crowded, attempt, random);
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

/** Records one more failure. `report` is true for the first one, for each new cause, and then less and less often. */
export function noteFailure(
  before: Outage | null,
  cause: string,
  now: number,
): { readonly outage: Outage; readonly report: boolean } {
  const noFailure: Outage = { since: now, attempts: 0, causes: [], reportedAt: now };
  const { since, attempts, causes, reportedAt } = before ?? noFailure;
  const isNew = causes.length < mostCauses && !causes.includes(cause);
  const report = isNew || now - since >= Math.max(firstSummaryMs, 2 * (reportedAt - since));
  const outage = { since, attempts: attempts + 1, causes: isNew ? [...causes, cause] : causes };
  return { outage: { ...outage, reportedAt: report ? now : reportedAt }, report };
}
