/**
 * From what etcd holds under our keys to the one transaction that corrects it. Every write is conditional on what was
 * read, so a late or repeated request changes nothing; only keys under our own lease are ever removed.
 */

/** A lease's id in decimal: 63 bits do not fit a number. */
export type LeaseId = string;

/** Returns the id as etcdctl prints it: 16 hexadecimal digits. */
export function formatLease(lease: LeaseId): string {
  return BigInt(lease).toString(16).padStart(16, '0');
}

/** One key of etcd and its value. */
export interface ServiceRecord {
  readonly key: string;
  readonly value: string;
  /** The id of the lease is appended to the key. */
  readonly underLease?: boolean;
}

/** Returns the records as they are written under this lease. */
export function recordsUnder(lease: LeaseId, records: readonly ServiceRecord[]): ServiceRecord[] {
  return records.map(({ key, value, underLease }) => ({ key: underLease ? `${key}${lease}` : key, value }));
}

/** What etcd holds under one key. */
export interface Stored {
  readonly value: string;
  /** '0' is none. */
  readonly lease: LeaseId;
  readonly modRevision: string;
}

/** What etcd holds, as far as we know. A key that is not in the map is not in etcd. */
export type Observed = ReadonlyMap<string, Stored>;

export interface Write {
  /** Each key must still have this mod revision ('0': it must not exist), or nothing is written. */
  readonly expect: readonly { readonly key: string; readonly modRevision: string }[];
  readonly puts: readonly ServiceRecord[];
  readonly removes: readonly string[];
}

/** How to treat a key of ours that another lease holds. */
export type Ownership =
  /** Our lease is fresh: the key is of our predecessor, so it is taken. */
  | 'claiming'
  /** The key was overwritten. Under a living lease the same value is left: clients find the app. */
  | 'holding'
  /** As `holding`, and another value under a living lease is left too: we took the key back a moment ago. */
  | 'yielding';

/** Returns the write that puts the wanted records and removes ours that are no longer wanted; null if all is right. */
export function planWrite(
  wanted: readonly ServiceRecord[],
  observed: Observed,
  lease: LeaseId,
  ownership: Ownership,
): Write | null {
  const isRight = ({ key, value }: ServiceRecord): boolean => {
    const stored = observed.get(key);
    if (stored === undefined) return false;
    if (stored.lease === lease) return stored.value === value;
    if (stored.lease === '0' || ownership === 'claiming') return false;
    return ownership === 'yielding' || stored.value === value;
  };
  const records = recordsUnder(lease, wanted);
  const puts = records.filter(record => !isRight(record));
  const keys = new Set(records.map(({ key }) => key));
  const removes = [...observed]
    .filter(([key, stored]) => stored.lease === lease && !keys.has(key))
    .map(([key]) => key);
  if (puts.length === 0 && removes.length === 0) return null;
  const expect = [...puts.map(({ key }) => key), ...removes].map(key => ({
    key,
    modRevision: observed.get(key)?.modRevision ?? '0',
  }));
  return { expect, puts, removes };
}

/** Returns the wanted keys that another living lease holds. */
export function contestedKeys(
  wanted: readonly ServiceRecord[],
  observed: Observed,
  lease: LeaseId,
): string[] {
  return recordsUnder(lease, wanted)
    .map(({ key }) => key)
    .filter(key => ![undefined, '0', lease].includes(observed.get(key)?.lease));
}

/** Whether a write only gives new values to keys under our lease: nobody interfered, we want other values now. */
export function isUpdate({ puts, removes }: Write, observed: Observed, lease: LeaseId): boolean {
  return removes.length === 0 && puts.every(({ key }) => observed.get(key)?.lease === lease);
}
