/**
 * The tables that the container bench prints: one for a single version, one that compares two.
 */

/** One measure of one version, or of something that belongs to no version. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly version?: 'base' | 'head';
  /** One value per run. */
  readonly values: readonly number[];
  /** The same measure of something that does nothing, taken in the same run: what the ratio refers to. */
  readonly reference?: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** Prints the median, minimum and maximum of each row, and the ratio of the median to the reference. */
export function printTable(rows: readonly Row[]): void {
  console.log('| measure | median | min | max | unit | runs | ratio |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const { what, unit, values, reference } of rows) {
    const range = values.length > 1 ? [show(Math.min(...values)), show(Math.max(...values))] : ['', ''];
    const ratio = reference === undefined ? '' : showRatio(median(values), reference);
    printRow([what, show(median(values)), ...range, unit, values.length, ratio]);
  }
}

/** Prints the medians of base and head side by side, with their ranges and the ratio of head to base. */
export function printComparison(rows: readonly Row[]): void {
  console.log('| measure | unit | base | base min–max | head | head min–max | head / base |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const head of rows.filter(({ version }) => version === 'head')) {
    const base = rows.find(({ what, version }) => what === head.what && version === 'base');
    if (base === undefined) continue;
    const medians = [median(base.values), median(head.values)] as const;
    const cells = [show(medians[0]), showRange(base.values), show(medians[1]), showRange(head.values)];
    printRow([head.what, head.unit, ...cells, showRatio(medians[1], medians[0])]);
  }
}

function printRow(cells: readonly (string | number)[]): void {
  console.log(`| ${cells.join(' | ')} |`);
}

function showRange(values: readonly number[]): string {
  return values.length > 1 ? `${show(Math.min(...values))}–${show(Math.max(...values))}` : '';
}

function showRatio(value: number, reference: number): string {
  const ratio = value / reference;
  return Number.isFinite(ratio) ? ratio.toFixed(2) : '';
}

function show(value: number): string {
  if (!Number.isFinite(value)) return '';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
