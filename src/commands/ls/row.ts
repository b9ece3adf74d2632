/**
 * One row of `dockreg ls`: an instance, and what etcd itself knows of its key.
 */
import type { ListedInstance } from '../../core/layouts/listing.ts';

export interface Row extends ListedInstance {
  /** What is left of the lease. Null for a key without a lease, which stays for ever; undefined when not asked for. */
  readonly ttlSeconds: number | null | undefined;
  readonly grantedSeconds: number | null | undefined;
  /** etcd does not keep the time of a change, only its place in the order of all changes. */
  readonly createRevision: number;
  /** How long `--watch` has shown it; null when it was there before. */
  readonly ageSeconds: number | null;
}

/** Two lists of rows with the same fingerprint differ only in the seconds that pass. */
export function fingerprintOf(rows: readonly Row[]): string {
  return JSON.stringify(
    rows.map(({ key, address, weight, createRevision }) => [key, address, weight, createRevision]),
  );
}

/** By service, layout and address, with numbers in their own order. */
export function compareRows(a: Row, b: Row): number {
  const [first, second] = [a, b].map(({ service, layout, address }) => `${service}\n${layout}\n${address}`);
  return (first ?? '').localeCompare(second ?? '', 'en', { numeric: true });
}
