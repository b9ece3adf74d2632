/**
 * Arithmetic with spans of time. A list of spans is always sorted, without overlaps and without empty spans.
 */

/** From `from` to `to`, in ms; `to` is excluded. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The time that any of the lists covers. */
export function union(...lists: readonly (readonly Span[])[]): Span[] {
  const joined: { from: number; to: number }[] = [];
  const sorted = lists
    .flat()
    .filter(({ from, to }) => from < to)
    .toSorted((a, b) => a.from - b.from);
  for (const { from, to } of sorted) {
    const last = joined.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined;
}

/** The time that all of the lists cover. */
export function intersect(first: readonly Span[], ...others: readonly (readonly Span[])[]): Span[] {
  return others.reduce<Span[]>(
    (left, right) =>
      union(
        left.flatMap(a => right.map(b => ({ from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) }))),
      ),
    union(first),
  );
}

/** The time that `within` covers and `spans` does not. */
export function complement(spans: readonly Span[], within: Span): Span[] {
  const gaps: Span[] = [];
  let from = within.from;
  for (const span of union(spans)) {
    gaps.push({ from, to: Math.min(span.from, within.to) });
    from = Math.max(from, span.to);
  }
  gaps.push({ from, to: within.to });
  return union(gaps);
}

/** When a switch was on, from the times at which it was set. The last setting holds until `end`. */
export function whileOn(
  settings: readonly { readonly at: number; readonly on: boolean }[],
  end: number,
): Span[] {
  return union(
    settings.flatMap(({ at, on }, index) => (on ? [{ from: at, to: settings[index + 1]?.at ?? end }] : [])),
  );
}

export function covers(spans: readonly Span[], span: Span): boolean {
  return spans.some(({ from, to }) => from <= span.from && span.to <= to);
}

export function touches(spans: readonly Span[], span: Span): boolean {
  return spans.some(({ from, to }) => from < span.to && span.from < to);
}
