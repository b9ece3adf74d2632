/**
 * From what stands under our keys in etcd to the one transaction that makes it right. Every write is conditional on
 * what was seen, so a late or repeated request changes nothing; only keys under our own lease are ever removed.
 */

/** A lease's id in decimal: 63 bits do not fit a number. */
export type LeaseId = string;

/** As etcdctl prints it: 16 hexadecimal digits. */
export function formatLease(lease: LeaseId): string {
  return BigInt(lease || '0')
    .toString(16)
    .padStart(16, '0');
}

/** One key of etcd and its value. */
export interface ServiceRecord {
  readonly key: string;
  readonly value: string;
  /** The key goes on with the id of the lease that it hangs on. */
  readonly underLease?: boolean;
}

/** The records as they stand under this lease. */
export function recordsUnder(lease: LeaseId, records: readonly ServiceRecord[]): ServiceRecord[] {
  return records.map(({ key, value, underLease }) => ({ key: underLease ? `${key}${lease}` : key, value }));
}

/** What etcd holds under one key. */
export interface Stored {
  readonly value: string;
  /** The lease that the key hangs on; '0' is none. */
  readonly lease: LeaseId;
  readonly modRevision: string;
}

/** Keys that are not in the map are not in etcd, as far as we know. */
export type Observed = ReadonlyMap<string, Stored>;

export interface Write {
  /** Each key must still have this mod revision ('0': it must not exist), or nothing of the write is done. */
  readonly expect: readonly { readonly key: string; readonly modRevision: string }[];
  readonly puts: readonly ServiceRecord[];
  readonly removes: readonly string[];
}

/** How to meet a key of ours that stands under a lease of somebody else. */
export type Ownership =
  /** We come new to the address (a fresh lease): whoever held it before is our predecessor. */
  | 'claiming'
  /** We hold the address; somebody wrote over it. The same value under a living lease is left: the app is found. */
  | 'holding'
  /** As `keep`, and another value under a living lease is left too: we took it back a moment ago. */
  | 'yielding';

/** The write that brings the wanted records about and removes ours that are no longer wanted; null if all is right. */
export function planWrite(
  wanted: readonly ServiceRecord[],
  observed: Observed,
  lease: LeaseId,
  ownership: Ownership,
): Write | null {
  const records = recordsUnder(lease, wanted);
  const puts = records.filter(record => !stands(record, observed.get(record.key), lease, ownership));
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

/** The wanted keys that stand under a lease of somebody else. */
export function contestedKeys(
  wanted: readonly ServiceRecord[],
  observed: Observed,
  lease: LeaseId,
): string[] {
  return recordsUnder(lease, wanted)
    .map(({ key }) => key)
    .filter(key => ![undefined, '0', lease].includes(observed.get(key)?.lease));
}

/** Whether a write only brings new values to keys that stand under our lease, as we ourselves want them now. */
export function isUpdate({ puts, removes }: Write, observed: Observed, lease: LeaseId): boolean {
  return removes.length === 0 && puts.every(({ key }) => observed.get(key)?.lease === lease);
}

function stands(
  record: ServiceRecord,
  stored: Stored | undefined,
  lease: LeaseId,
  ownership: Ownership,
): boolean {
  if (stored === undefined) return false;
  if (stored.lease === lease) return stored.value === record.value;
  if (stored.lease === '0' || ownership === 'claiming') return false;
  return ownership === 'yielding' || stored.value === record.value;
}
