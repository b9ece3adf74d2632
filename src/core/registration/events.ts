/**
 * Everything that a registered service reports while it runs. Its log lines (agent/log.ts) and its metrics
 * (admin/metrics.ts) are made from these events and from nothing else.
 */
import type { Problem } from '../../errors.ts';
import type { AddressEvent } from '../address/location.ts';
import type { SessionEvent } from '../lease/events.ts';
import type { LeaseId } from '../lease/writes.ts';
import type { WatchEvent } from '../watch/watch.ts';
import type { Health, Verdict } from './health.ts';

/** What admins want for a service. `stop` is final: dockreg itself is being stopped. */
export type AdminState = 'register' | 'drain' | 'stop';

/**
 * The address comes with the events `address-…` and `records-changed`; etcd with those of the session; what the app does
 * between the checks with those of the app watch, of which `app-gone` is reported where it brings the service down.
 */
export type ServiceEvent = OwnEvent | AddressEvent | SessionEvent | WatchEvent;

/** A check ended. The health is given before and after it. */
export interface CheckedEvent {
  readonly kind: 'checked';
  readonly verdict: Verdict;
  readonly tookMs: number;
  readonly before: Health;
  readonly after: Health;
}

type OwnEvent =
  /** The app is not registered, whatever its health, because nobody would reach it. */
  | { readonly kind: 'unreachable'; readonly problem: Problem }
  | CheckedEvent
  /** A check could not be made: the first of a row, each new cause, and then less and less often. */
  | { readonly kind: 'not-checked'; readonly cause: string }
  /** A check could be made again, after a row of checks that could not. */
  | { readonly kind: 'checked-again'; readonly forMs: number }
  /** Nothing listens on the port; the service stays up for at most `forMs` from now on. */
  | { readonly kind: 'absence-tolerated'; readonly reason: string; readonly forMs: number }
  /** The app answers again after an absence that was tolerated. */
  | { readonly kind: 'absence-over'; readonly forMs: number }
  /** The status of the health changed, for whatever reason. */
  | { readonly kind: 'health-changed'; readonly health: Health['status'] }
  /** The service was drained or resumed, or dockreg stops. */
  | { readonly kind: 'admin'; readonly admin: AdminState }
  /** The session with etcd ended. Unless etcd confirmed it, the key may stand until its lease runs out. */
  | { readonly kind: 'closed'; readonly confirmed: boolean; readonly left?: Leftover };

/** What may be left in etcd after a stop that etcd did not confirm. */
export interface Leftover {
  readonly lease: LeaseId;
  readonly keys: readonly string[];
  /** Why etcd did not confirm it; null where it did not answer in time. */
  readonly cause: string | null;
}
