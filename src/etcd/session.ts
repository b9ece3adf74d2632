/**
 * Our session with etcd: one loop that brings etcd to the desired state with one request at a time. core/lease decides
 * which request comes next, what an answer means and which endpoint is asked; this file sends and waits. Withdrawing
 * revokes the lease instead of deleting keys: a put that is still under way then fails by itself.
 */
import { randomBytes } from 'node:crypto';
import { TimeLimitError, within, type Clock } from '../clock.ts';
import type { LeaseEvent, SessionEvent } from '../core/lease/events.ts';
import {
  afterFailure,
  afterSuccess,
  endpointOf,
  requestLimitMs,
  retryNow,
  startFailover,
  type Failover,
} from '../core/lease/failover.ts';
import { advance, nextStep, noLease } from '../core/lease/lease.ts';
import type { DesiredState, Lease, LeaseAnswer, LeaseRequest, LeaseRules } from '../core/lease/lease.ts';
import type { LeaseId, ServiceRecord } from '../core/lease/writes.ts';
import { messageOf } from '../errors.ts';
import { Wakeup } from '../retry.ts';
import {
  DeniedError,
  EtcdError,
  LeaseExistsError,
  LeaseGoneError,
  RequestError,
  SlowError,
} from './errors.ts';
import type { CallLimit, LeaseStore } from './ports.ts';

export interface Session {
  /** Keeps these records in etcd; the last check that passed began at `checkedAt` (monotonic ms). Never waits. */
  publish(records: readonly ServiceRecord[], checkedAt: number): void;
  /** Keeps the lease of what is registered, and writes nothing: the check that began at `triedAt` did not pass. */
  keep(triedAt: number): void;
  /** Removes everything, now. A request that is under way is abandoned. */
  withdraw(reason: string): void;
  snapshot(): SessionView;
  /** Withdraws, tries for at most `withinMs`, and ends. Resolves with whether etcd confirmed that nothing is left. */
  close(withinMs: number): Promise<boolean>;
}

export type SessionView = Pick<Failover, 'outage' | 'failures' | 'answeredAt' | 'isUnconfirmed'> & {
  readonly lease: Lease;
};

export interface SessionOptions {
  readonly endpoints: readonly string[];
  readonly connect: (endpoint: string) => Promise<LeaseStore>;
  readonly ttlSeconds: number;
  readonly rules: LeaseRules;
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly emit: (event: SessionEvent) => void;
  /** Asks for a check of the app, now. */
  readonly requestCheck: () => void;
}

export function openSession(options: SessionOptions): Session {
  const { clock, random, emit } = options;
  const rules = { ...options.rules, ttlMs: options.ttlSeconds * 1000 };
  let lease = noLease;
  let desired: DesiredState = { kind: 'nothing', reason: 'nothing to register yet' };
  let failover = startFailover(options.endpoints, random);
  /** The connection to the endpoint in use. */
  let store: LeaseStore | null = null;
  /** Aborts the request under way. */
  let request = new AbortController();
  let isClosing = false;
  const closed = new AbortController();
  const wakeup = new Wakeup();

  // No channel is used again after a failure: one that has lost its peer can stay deaf (grpc-node #2785, #3019).
  const disconnect = (): void => {
    store?.close();
    store = null;
  };

  /** Connects to the endpoint in use. A connection that comes too late is closed. */
  const connect = async ({ ms, signal }: CallLimit): Promise<LeaseStore> => {
    const opening = options.connect(endpointOf(failover));
    try {
      return await within(clock, ms, 'connect', opening, signal);
    } catch (error) {
      void opening.then(late => late.close()).catch(() => undefined);
      if (error instanceof TimeLimitError) throw new RequestError(error.message, { cause: error });
      throw error;
    }
  };

  const apply = (answer: LeaseAnswer): readonly LeaseEvent[] => {
    const advanced = advance(lease, answer, desired, rules);
    lease = advanced.lease;
    return advanced.events;
  };

  const send = async (step: LeaseRequest, limit: CallLimit): Promise<LeaseAnswer> => {
    store ??= await connect(limit);
    const at = clock.now();
    switch (step.kind) {
      case 'grant': {
        const id = step.id ?? chooseLeaseId();
        if (step.id === null) apply({ kind: 'granting', id, askedAt: at });
        await store.grant(id, options.ttlSeconds, limit);
        return { kind: 'granted', at };
      }
      case 'write': {
        const { id, write } = step;
        return store.write(id, write, limit).then(answer => ({ ...answer, write, at: clock.now() }));
      }
      case 'renew': {
        const renewal = await store.renew(step.id, step.keys, limit);
        if (renewal.observed !== null) return { kind: 'renewed', observed: renewal.observed, at };
        apply({ kind: 'kept', at });
        throw renewal.error;
      }
      case 'revoke':
        apply({ ...step, kind: 'revoking' });
        await store.revoke(step.id, limit);
        return { kind: 'revoked' };
    }
  };

  /** Returns the answer to this request that an error is, or throws it. */
  const answerIn = (error: unknown, { kind }: LeaseRequest): LeaseAnswer => {
    if (error instanceof LeaseExistsError && kind === 'grant') return { kind: 'exists' };
    if (error instanceof LeaseGoneError) return { kind: 'gone', at: clock.now(), cause: messageOf(error) };
    throw error;
  };

  /** Sends one request and records what comes of it. */
  const perform = async (step: LeaseRequest): Promise<void> => {
    request = new AbortController();
    const { signal } = request;
    try {
      const ms = requestLimitMs(step.kind, failover, isClosing);
      const answer = await send(step, { ms, signal }).catch((error: unknown) => answerIn(error, step));
      const before = lease;
      const events = apply(answer);
      const answered = { answer, before, after: lease, desired, now: clock.now() };
      const success = afterSuccess(failover, step.kind, answered, rules, random);
      failover = success.failover;
      success.events.forEach(emit);
      const row = failover.setbacks.outage ? ({ isRepeated: true } as const) : {};
      for (const event of events) emit({ ...event, endpoint: endpointOf(failover), ...row });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof EtcdError)) throw error;
      const facts = {
        request: step.kind,
        cause: messageOf(error),
        isDenied: error instanceof DeniedError,
        isAlive: error instanceof SlowError,
        lease,
        now: clock.now(),
        isClosing,
      };
      const failure = afterFailure(failover, facts, rules, random);
      failover = failure.failover;
      if (failure.reconnects) disconnect();
      failure.events.forEach(emit);
    }
  };

  const run = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      // What follows reads everything that earlier wake-ups were about.
      wakeup.reset();
      const now = clock.now();
      const step = nextStep(lease, desired, now, rules);
      if (now < failover.retryAt) {
        await wakeup.sleep(clock, failover.retryAt - now);
      } else if (step.kind === 'idle' || step.kind === 'check') {
        if (isClosing) break;
        if (step.kind === 'check') options.requestCheck();
        await wakeup.wait();
      } else {
        await perform(step);
      }
    }
    disconnect();
  };

  const running = run();

  const session: Session = {
    publish(records, checkedAt) {
      // A retry that waits keeps its turn, unless there was nothing to write before.
      if (desired.kind === 'nothing') failover = retryNow(failover);
      desired = { kind: 'records', records, checkedAt };
      wakeup.wake();
    },
    keep(triedAt) {
      if (desired.kind === 'nothing') return;
      desired = { ...desired, triedAt };
      // Without a lease there is nothing to keep, and what is next needs a check.
      if (lease.kind === 'held') wakeup.wake();
    },
    withdraw(reason) {
      if (desired.kind === 'nothing') return;
      desired = { kind: 'nothing', reason };
      request.abort(new Error('no longer wanted'));
      failover = retryNow(failover);
      wakeup.wake();
    },
    snapshot() {
      const { outage, setbacks, failures, answeredAt, isUnconfirmed } = failover;
      return { lease, outage: outage ?? setbacks.outage, failures, answeredAt, isUnconfirmed };
    },
    async close(withinMs) {
      session.withdraw('stopping');
      isClosing = true;
      // A revocation that began earlier may wait for a silent endpoint longer than the end may take.
      request.abort(new Error('closing'));
      failover = retryNow(failover);
      wakeup.wake();
      const isGone = await Promise.race([
        running.then(() => true),
        clock.sleep(withinMs, closed.signal).then(() => false),
      ]);
      closed.abort();
      request.abort(new Error('closed'));
      wakeup.wake();
      disconnect();
      return isGone;
    },
  };
  return session;
}

/** Returns a random positive id of 63 bits, in decimal. For etcd zero means "choose one for me". */
function chooseLeaseId(): LeaseId {
  const id = randomBytes(8).readBigUInt64BE() >> 1n;
  return id === 0n ? chooseLeaseId() : id.toString();
}
