/**
 * The narrow ports to one member of etcd, one for each kind of user. Every request ends within its limit, none is
 * repeated, and every failure is one of etcd/errors.ts, or the signal's reason when the signal aborts.
 */
import type { LeaseId, Observed, ServiceRecord, Stored, Write } from '../core/lease/writes.ts';

export interface CallLimit {
  /**
   * The most that one call may take with all its attempts and the wait for a token, in ms during which this process runs.
   * A password check that it began continues. A list counts each page as a call.
   */
  readonly ms: number;
  /** Aborts when the answer is no longer wanted. The call itself may still be done. */
  readonly signal?: AbortSignal;
}

export interface Connection {
  /** Closes the connection, at once or when the password check that is under way is done. */
  close(): void;
}

/** What a session does with its lease. */
export interface LeaseStore extends Connection {
  /** @throws LeaseExistsError when the id is taken, by an earlier attempt of ours */
  grant(id: LeaseId, ttlSeconds: number, limit: CallLimit): Promise<unknown>;
  /** Keeps the lease alive and reads the keys, both at once. @throws LeaseGoneError */
  renew(id: LeaseId, keys: readonly string[], limit: CallLimit): Promise<Renewal>;
  /** Does the write in one transaction under the lease. @throws LeaseGoneError */
  write(id: LeaseId, write: Write, limit: CallLimit): Promise<WriteAnswer>;
  /** Deletes the lease and every key under it. @throws LeaseGoneError */
  revoke(id: LeaseId, limit: CallLimit): Promise<unknown>;
}

/** The lease was kept alive. Without `observed` the keys could not be read, and `error` says why. */
export type Renewal = { readonly observed: Observed } | { readonly observed: null; readonly error: unknown };

export type WriteAnswer =
  | { readonly kind: 'written'; readonly modRevision: string }
  /** Nothing was written: some keys are not as expected. This is what they are. */
  | { readonly kind: 'refused'; readonly observed: Observed };

/** What `dockreg doctor` asks. */
export interface Inspector extends Connection {
  /** The member answers this alone, without the others. */
  status(limit: CallLimit): Promise<MemberStatus>;
  /**
   * Sends the write of these records with a condition that is always false: etcd checks the permissions and the size,
   * a majority agrees, and nothing is written. Resolves with what etcd holds under the keys.
   */
  checkWrite(records: readonly ServiceRecord[], limit: CallLimit): Promise<Observed>;
}

export interface MemberStatus {
  readonly version: string;
  readonly clusterId: string;
  /** Whether the member knows a leader. */
  readonly hasLeader: boolean;
  /** Alarms that are raised in the cluster, such as `NOSPACE`. */
  readonly alarms: readonly string[];
}

/** What `dockreg ls` reads. */
export interface KeyReader extends Connection {
  /** Resolves with all keys that begin with `prefix`, in order. */
  list(prefix: string, limit: CallLimit): Promise<readonly ListedKey[]>;
  /** Resolves with null when the lease does not exist. */
  timeToLive(id: LeaseId, limit: CallLimit): Promise<TimeToLive | null>;
}

export interface ListedKey extends Omit<Stored, 'modRevision'> {
  readonly key: string;
  readonly createRevision: string;
}

export interface TimeToLive {
  readonly leftSeconds: number;
  readonly grantedSeconds: number;
}

export interface EtcdClient extends LeaseStore, Inspector, KeyReader {}
