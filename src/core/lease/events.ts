/**
 * What a session reports. Each event is a transition, never a tick. It feeds the log and the metrics alike.
 */
import type { LeaseId } from './writes.ts';

/** What an answer of etcd changed. */
export type LeaseEvent =
  /** The records were written for the first time under this lease. */
  | { readonly kind: 'registered'; readonly keys: readonly string[]; readonly lease: LeaseId }
  /** Keys that others had deleted or overwritten are back. */
  | { readonly kind: 'restored'; readonly keys: readonly string[] }
  /** The keys stay, with new values. */
  | { readonly kind: 'updated'; readonly keys: readonly string[] }
  | { readonly kind: 'moved'; readonly keys: readonly string[]; readonly removed: readonly string[] }
  /** The lease is revoked, and its keys are gone. `reason` is the one given to `withdraw`. */
  | { readonly kind: 'withdrawn'; readonly lease: LeaseId; readonly reason: string }
  /** etcd says that our lease does not exist. */
  | { readonly kind: 'lost'; readonly lease: LeaseId; readonly cause: string }
  /** Another living lease holds keys of ours. */
  | { readonly kind: 'contested'; readonly keys: readonly string[] };

/** Whether requests succeed. */
export type OutageEvent =
  /** Reported for the first failure, for each new cause, and then less and less often. */
  | ({ readonly kind: 'failing'; readonly cause: string } & Attempts)
  | ({ readonly kind: 'recovered' } & Attempts)
  /** etcd answers, but nothing lasts. Reported for the first setback that repeats, and then as rarely as `failing`. */
  | ({ readonly kind: 'fruitless'; readonly cause: string } & Attempts)
  /** No endpoint has acknowledged the lease for a TTL: it is not known whether the keys still exist. */
  | { readonly kind: 'uncertain'; readonly lease: LeaseId; readonly forMs: number };

export type SessionEvent =
  | (LeaseEvent & {
      readonly endpoint: string;
      /** One more of a row that `fruitless` reports. */
      readonly isRepeated?: true;
    })
  | OutageEvent;

/** Counted from the first failure. */
interface Attempts {
  readonly endpoint: string;
  readonly tries: number;
  readonly forMs: number;
}
