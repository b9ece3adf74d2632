/**
 * The table of `dockreg ls`, grouped by service.
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
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map(line => line[column]?.length ?? 0)),
  );
  return [head, ...lines]
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

function formatAge(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)}m` : `${Math.floor(seconds / 3600)}h`;
}
