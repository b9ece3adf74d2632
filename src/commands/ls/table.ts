/**
 * Tables for people: that of `dockreg ls`, grouped by service, and what all tables have in common.
 */
import type { Row } from './ls.ts';

/** With its last line ended. The age stands there only while somebody watches: etcd tells none. */
export function formatTable(rows: readonly Row[], watch: boolean): string {
  if (rows.length === 0) return 'no instances\n';
  const head = ['SERVICE', 'ADDRESS', 'HOST', 'TTL LEFT', ...(watch ? ['AGE'] : []), 'REVISION', 'LAYOUT'];
  const lines = rows.map((row, index) => [
    row.service === rows[index - 1]?.service ? '' : printable(row.service),
    row.address,
    printable(row.host),
    row.ttlSeconds === null ? 'no lease' : `${row.ttlSeconds}/${row.grantedSeconds ?? 0} s`,
    ...(watch ? [row.ageSeconds === null ? '' : formatAge(row.ageSeconds)] : []),
    String(row.createRevision),
    row.layout,
  ]);
  return alignColumns([head, ...lines]);
}

/** Each line as one of text, with its end. */
export function alignColumns(lines: readonly (readonly string[])[]): string {
  const [head = []] = lines;
  const widths = head.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)));
  return lines
    .map(
      line =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Names come from whoever may write to etcd; what steers a terminal is not let through. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '\uFFFD');
}

/** `12s`, `3m`, `2h` */
export function formatAge(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)}m` : `${Math.floor(seconds / 3600)}h`;
}
