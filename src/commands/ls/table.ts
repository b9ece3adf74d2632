/**
 * The table of `dockreg ls`, grouped by service.
 */
import { alignColumns, formatAge } from '../table.ts';
import type { Row } from './row.ts';

/** The age is shown only by `--watch`: etcd itself does not know it. */
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

/** Replaces control characters: anybody who may write to etcd chooses these names, and they must not steer a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '\uFFFD');
}
