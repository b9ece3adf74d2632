/**
 * The table that the benches print: median, least and most of the runs, and a ratio within the same run.
 */

export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** To the bare thing that was measured in the same run. */
  readonly ratio?: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

export function printTable(rows: readonly Row[]): void {
  console.log('| measure | median | min | max | unit | runs | ratio |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const { what, unit, values, ratio } of rows) {
    const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(show);
    const spread = values.length > 1 ? `${least} | ${most}` : ' | ';
    console.log(
      `| ${what} | ${middle} | ${spread} | ${unit} | ${values.length} | ${ratio?.toFixed(2) ?? ''} |`,
    );
  }
}

function show(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
