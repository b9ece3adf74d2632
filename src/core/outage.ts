/**
 * A failure that repeats is told when it begins, once for each new cause, and after that ever more seldom: never one
 * line a try.
 */

export interface Outage {
  /** When the first of the failures in a row came, in monotonic ms. */
  readonly since: number;
  readonly tries: number;
  /** The causes that were told, and when something was told last. */
  readonly told: readonly string[];
  readonly toldAt: number;
}

const firstSummaryMs = 60_000;
const mostCauses = 8;

/** One more failure: the outage after it, and whether it is worth a line. */
export function noteFailure(
  before: Outage | null,
  cause: string,
  now: number,
): { readonly outage: Outage; readonly say: boolean } {
  if (before === null) return { outage: { since: now, tries: 1, told: [cause], toldAt: now }, say: true };
  const isNew = before.told.length < mostCauses && !before.told.includes(cause);
  const isTime = now - before.since >= Math.max(firstSummaryMs, 2 * (before.toldAt - before.since));
  const outage = { ...before, tries: before.tries + 1 };
  if (!isNew && !isTime) return { outage, say: false };
  return {
    outage: { ...outage, told: isNew ? [...before.told, cause] : before.told, toldAt: now },
    say: true,
  };
}
