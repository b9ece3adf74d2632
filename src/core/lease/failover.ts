/**
 * Which endpoint of etcd is asked next, and when: a failed request goes to the next endpoint at once, and a round in
 * which all of them failed is followed by a wait. Pure: the caller passes time and randomness.
 */
import { backoffMs, denied, noteFailure, outOfReach, type Outage } from '../retry.ts';
import type { OutageEvent } from './events.ts';
import { nextStep, type Lease, type LeaseRequest, type LeaseRules } from './lease.ts';
import { afterAnswer, noSetbacks, type Answered, type Setbacks } from './setbacks.ts';

export interface Failover {
  /** The endpoint in use comes first, then those that are next. */
  readonly endpoints: readonly string[];
  /** No request starts before this moment, in monotonic ms. */
  readonly retryAt: number;
  /** Null while requests succeed. */
  readonly outage: Outage | null;
  /** When a request last succeeded, in monotonic ms; null before the first. */
  readonly answeredAt: number | null;
  /**
   * Whether nothing has confirmed the lease since a request failed. A write that was refused does not count: etcd answers,
   * and renewals go on.
   */
  readonly isUnconfirmed: boolean;
  /** How many requests have failed since the start. */
  readonly failures: number;
  /** The kind of the request that failed last in the outage. */
  readonly failed: LeaseRequest['kind'] | null;
  readonly isUncertain: boolean;
  /** How many requests have failed since the session began to close. */
  readonly closingFailures: number;
  /** Answers in a row that led nowhere. */
  readonly setbacks: Setbacks;
}

interface Advanced {
  readonly failover: Failover;
  readonly events: readonly OutageEvent[];
}

/** A request that failed, and the circumstances. */
export interface Failure {
  readonly request: LeaseRequest['kind'];
  readonly cause: string;
  /** etcd refused it: a wrong password, a missing permission. */
  readonly isDenied: boolean;
  /** No answer came in time, but the member shows signs of life. */
  readonly isAlive: boolean;
  readonly lease: Lease;
  /** In monotonic ms. */
  readonly now: number;
  /** The session is about to end, so no wait is long. */
  readonly isClosing: boolean;
}

/** The wait before a request to an endpoint that was not tried in this round, in ms. */
const nextEndpointMs = 50;

/** The most that a request may take, in ms. */
const requestMs = 3000;
/** The same for a revocation, by the failures before it: a silent member costs little time at first. */
const revokeMs = [500, 1000, 2000] as const;
/** The time in which each endpoint has its turn when the session closes, in ms. */
const closingMs = 1500;
/** The least that a revocation may take then, in ms. */
const leastRevokeMs = 100;

/**
 * Returns the state at the start. The endpoints are in a random order, each order equally likely: so a fleet spreads over
 * all members, and the instances of a lost member over all that are left.
 * @param random returns a number in [0, 1)
 */
export function startFailover(names: readonly string[], random: () => number): Failover {
  const left = [...names];
  const endpoints = names.flatMap(() => left.splice(Math.floor(random() * left.length), 1));
  return {
    endpoints,
    retryAt: -Infinity,
    outage: null,
    answeredAt: null,
    isUnconfirmed: false,
    failures: 0,
    failed: null,
    isUncertain: false,
    closingFailures: 0,
    setbacks: noSetbacks,
  };
}

/** Returns the endpoint in use. */
export function endpointOf({ endpoints: [first = ''] }: Failover): string {
  return first;
}

/** Returns the most that a request may take now, in ms. */
export function requestLimitMs(
  request: LeaseRequest['kind'],
  { outage, endpoints, closingFailures }: Failover,
  isClosing: boolean,
): number {
  if (request !== 'revoke') return requestMs;
  if (!isClosing) return revokeMs[outage?.attempts ?? 0] ?? revokeMs[2];
  // What failed before the end says nothing about the endpoints that are next, and little time is left.
  if (closingFailures >= endpoints.length) return revokeMs[1];
  const share = Math.floor(closingMs / endpoints.length) - nextEndpointMs;
  return Math.max(leastRevokeMs, Math.min(revokeMs[0], share));
}

/** The desired state has changed, so the next request need not wait. */
export function retryNow(before: Failover): Failover {
  return { ...before, retryAt: -Infinity };
}

/** etcd answered a request. */
export function afterSuccess(
  before: Failover,
  request: LeaseRequest['kind'],
  answered: Answered,
  rules: LeaseRules,
  random: () => number,
): Advanced {
  const { now, after: lease, desired } = answered;
  const endpoint = endpointOf(before);
  const { setbacks, waitMs, cause } = afterAnswer(before.setbacks, answered, rules, random);
  const retryAt = waitMs === 0 ? before.retryAt : now + waitMs;
  const failover = { ...before, setbacks, retryAt, answeredAt: now, isUnconfirmed: false };
  const events: OutageEvent[] = [];
  const { outage, failed } = before;
  // A renewal between two failed writes does not make the write succeed.
  const stillFails =
    request === 'renew' && failed === 'write' && nextStep(lease, desired, now, rules).kind === 'write';
  const isOver = outage !== null && !stillFails;
  if (isOver) events.push({ kind: 'recovered', endpoint, tries: outage.attempts, forMs: now - outage.since });
  if (cause !== null && setbacks.outage !== null) {
    const { attempts: tries, since } = setbacks.outage;
    events.push({ kind: 'fruitless', endpoint, cause, tries, forMs: now - since });
  }
  return {
    failover: isOver ? { ...failover, outage: null, failed: null, isUncertain: false } : failover,
    events,
  };
}

/** A request failed. `reconnects` says whether the connection is to be closed. */
export function afterFailure(
  before: Failover,
  { request, cause, isDenied, isAlive, lease, now, isClosing }: Failure,
  { renewGapMs, ttlMs }: LeaseRules & { readonly ttlMs: number },
  random: () => number,
): Advanced & { readonly reconnects: boolean } {
  const { outage, report } = noteFailure(before.outage, cause, now);
  const { attempts: tries, since } = outage;
  const [endpoint = '', ...others] = before.endpoints;
  const silentMs = lease.kind === 'held' ? now - lease.acknowledgedAt : 0;
  const isUncertain = silentMs >= ttlMs;
  const events: OutageEvent[] = [];
  if (report) events.push({ kind: 'failing', endpoint, cause, tries, forMs: now - since });
  if (lease.kind === 'held' && isUncertain && !before.isUncertain)
    events.push({ kind: 'uncertain', lease: lease.id, forMs: silentMs });

  const isRoundOver = tries % before.endpoints.length === 0;
  // A new connection would only add to the work of a member that has more than it can do.
  const reconnects = !(isRoundOver && isAlive);
  let waitMs = nextEndpointMs;
  if (isRoundOver && !isClosing) {
    waitMs = backoffMs(isDenied ? denied : outOfReach, tries / before.endpoints.length, random());
    // Where etcd renews a lease without a permission, a denied write must not delay the renewal.
    if (isDenied && lease.kind === 'held') waitMs = Math.min(waitMs, renewGapMs);
  }
  const endpoints = reconnects ? [...others, endpoint] : before.endpoints;
  const failures = before.failures + 1;
  const failover = {
    ...before,
    endpoints,
    retryAt: now + waitMs,
    outage,
    isUnconfirmed: before.isUnconfirmed || request === 'renew' || !isDenied,
    failures,
    failed: request,
    isUncertain,
    closingFailures: before.closingFailures + (isClosing ? 1 : 0),
  };
  return { failover, events, reconnects };
}
