/**
 * Our session with etcd: one loop that brings etcd to what is wanted, one request at a time, member after member, for
 * ever. What to do next and what an answer means is decided in core/lease.ts; here is only the doing.
 *
 * Withdrawing revokes the lease instead of deleting keys: a put that is still under way then fails by itself.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { denied, outOfReach, backoffMs, noteFailure, type Outage } from '../core/retry.ts';
import type { SessionEvent } from '../core/lease/events.ts';
import { shuffle } from '../core/lease/failover.ts';
import {
  advance,
  nextStep,
  noLease,
  type Lease,
  type LeaseAnswer,
  type LeaseRules,
  type LeaseStep,
  type DesiredState,
} from '../core/lease/lease.ts';
import { contestedKeys, isUpdate, type LeaseId, type ServiceRecord } from '../core/lease/writes.ts';
import { messageOf } from '../errors.ts';
import { DeniedError, LeaseExistsError, LeaseGoneError, MemberError, UnansweredError } from './errors.ts';
import type { CallLimit, EtcdClient } from './member.ts';

export interface Session {
  /** Keep these records for an app whose last check began at `checkedAt`. Called after each check; never waits. */
  publish(records: readonly ServiceRecord[], checkedAt: number): void;
  /** Remove everything, now. What is under way is abandoned. The reason is reported when etcd has confirmed it. */
  withdraw(reason: string): void;
  /** What is known now. */
  snapshot(): SessionView;
  /** Withdraws, tries for at most `withinMs`, and ends. Resolves with whether etcd confirmed that nothing is left. */
  close(withinMs: number): Promise<boolean>;
}

export interface SessionView {
  readonly lease: Lease;
  /** Since when requests fail; null while they do not. */
  readonly outage: Outage | null;
  /** How many have failed since the start. */
  readonly failures: number;
}

export interface SessionOptions {
  readonly endpoints: readonly string[];
  readonly connect: (endpoint: string) => Promise<EtcdClient>;
  readonly ttlSeconds: number;
  readonly rules: LeaseRules;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly emit: (event: SessionEvent) => void;
  /** Asks for a check of the app, now. */
  readonly requestCheck: () => void;
}

/** The most that a request may take, in ms. A revocation starts with little and goes on, so that a silent member costs little. */
const callMs = 3000;
const revokeMs = [500, 1000, 2000] as const;
/** The wait before a member that was not tried in this round. */
const nextMemberMs = 50;

export function openSession(options: SessionOptions): Session {
  const { clock, rules, emit } = options;
  const endpoints = shuffle(options.endpoints, options.random);
  let lease: Lease = noLease;
  let desired: DesiredState = { kind: 'nothing' };
  let withdrawReason = '';
  let outage: Outage | null = null;
  let failures = 0;
  /** What failed last in the outage. */
  let failing: LeaseStep['kind'] | null = null;
  let uncertain = false;
  let at = 0;
  let member: EtcdClient | null = null;
  /** Ends the wait for something to do. */
  let wake: (() => void) | null = null;
  /** Ends the wait for the next try. */
  let hurry = new AbortController();
  /** Ends a request that is no longer wanted. */
  let request = new AbortController();
  let closing = false;
  const closed = new AbortController();

  const endpoint = (): string => endpoints[at] ?? '';
  const apply = (answer: LeaseAnswer): void => {
    lease = advance(lease, answer, desired, rules);
  };

  const perform = async (
    step: Exclude<LeaseStep, { kind: 'idle' | 'check' }>,
    limit: CallLimit,
  ): Promise<void> => {
    member ??= await options.connect(endpoint());
    const sentAt = clock.now();
    switch (step.kind) {
      case 'grant': {
        const id = step.id ?? chooseLeaseId();
        if (step.id === null) apply({ kind: 'asked', id, at: sentAt });
        const askedAt = lease.kind === 'granting' ? lease.askedAt : sentAt;
        try {
          await member.grant(id, options.ttlSeconds, limit);
          return apply({ kind: 'granted', id, at: sentAt });
        } catch (error) {
          if (error instanceof LeaseExistsError) return apply({ kind: 'granted', id, at: askedAt });
          throw error;
        }
      }
      case 'write': {
        const before = lease;
        const answer = await member.write(step.id, step.write, limit);
        if (!answer.done) return apply({ kind: 'refused', write: step.write, observed: answer.observed });
        apply({ kind: 'written', write: step.write, modRevision: answer.modRevision, at: clock.now() });
        const keys = step.write.puts.map(({ key }) => key);
        if (before.kind === 'held' && before.ownership === 'claiming') {
          emit({ kind: 'registered', keys, lease: step.id, endpoint: endpoint() });
        } else if (step.write.removes.length > 0) {
          emit({ kind: 'moved', keys, removed: step.write.removes, endpoint: endpoint() });
        } else if (before.kind === 'held' && isUpdate(step.write, before.observed, step.id)) {
          emit({ kind: 'updated', keys, endpoint: endpoint() });
        } else {
          emit({ kind: 'restored', keys, endpoint: endpoint() });
        }
        return;
      }
      case 'renew': {
        const renewal = await member.renew(step.id, step.keys, limit);
        if (renewal.observed === null) {
          apply({ kind: 'kept', at: sentAt });
          throw renewal.error;
        }
        const { observed } = renewal;
        const contested = desired.kind === 'records' ? contestedKeys(desired.records, observed, step.id) : [];
        const before =
          lease.kind === 'held' && desired.kind === 'records'
            ? contestedKeys(desired.records, lease.observed, step.id)
            : [];
        apply({ kind: 'renewed', observed, at: sentAt });
        if (contested.length > 0 && before.length === 0)
          emit({ kind: 'contested', keys: contested, endpoint: endpoint() });
        return;
      }
      case 'revoke': {
        apply({ kind: 'revoking', id: step.id });
        await member.revoke(step.id, limit).catch((error: unknown) => {
          if (!(error instanceof LeaseGoneError)) throw error;
        });
        apply({ kind: 'revoked' });
        emit({ kind: 'withdrawn', endpoint: endpoint(), lease: step.id, reason: withdrawReason });
        return;
      }
    }
  };

  const succeeded = (): void => {
    if (outage)
      emit({
        kind: 'recovered',
        endpoint: endpoint(),
        tries: outage.attempts,
        forMs: clock.now() - outage.since,
      });
    outage = null;
    failing = null;
    uncertain = false;
  };

  /** Takes note of a failure and says how long to wait before the next try. */
  const failed = (error: unknown): number => {
    const cause = messageOf(error);
    const noted = noteFailure(outage, cause, clock.now());
    outage = noted.outage;
    failures += 1;
    const { attempts: tries } = outage;
    if (noted.report)
      emit({ kind: 'failing', endpoint: endpoint(), cause, tries, forMs: clock.now() - outage.since });
    const isRoundOver = tries % endpoints.length === 0;
    // To connect anew would only add to the work of one that has more than it can do.
    const stay = isRoundOver && error instanceof UnansweredError && error.isAlive;
    if (!stay) {
      member?.close();
      member = null;
      at = (at + 1) % endpoints.length;
    }
    if (!isRoundOver) return nextMemberMs;
    const isDenied = error instanceof DeniedError;
    const wait = backoffMs(isDenied ? denied : outOfReach, tries / endpoints.length, options.random());
    // A lease asks for no rights to be kept alive.
    return isDenied && lease.kind === 'held' ? Math.min(wait, rules.renewGapMs) : wait;
  };

  const noteUncertainty = (): void => {
    const forMs = lease.kind === 'held' ? clock.now() - lease.acknowledgedAt : 0;
    const wasUncertain = uncertain;
    uncertain = forMs >= options.ttlSeconds * 1000;
    if (wasUncertain || !uncertain || lease.kind !== 'held') return;
    emit({ kind: 'uncertain', lease: lease.id, forMs });
  };

  const turn = async (step: Exclude<LeaseStep, { kind: 'idle' | 'check' }>): Promise<void> => {
    request = new AbortController();
    const { signal } = request;
    const limitMs =
      step.kind === 'revoke' ? (revokeMs[Math.min(outage?.attempts ?? 0, 2)] ?? callMs) : callMs;
    try {
      await perform(step, { ms: limitMs, signal });
      // A lease that was renewed between two tries to write does not make the writing succeed.
      const isBetween =
        step.kind === 'renew' &&
        failing === 'write' &&
        nextStep(lease, desired, clock.now(), rules).kind === 'write';
      if (!isBetween) succeeded();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LeaseGoneError) {
        succeeded();
        apply({ kind: 'lost', at: clock.now() });
        emit({
          kind: 'lost',
          lease: 'id' in step && step.id ? step.id : '',
          endpoint: endpoint(),
          cause: messageOf(error),
        });
        return;
      }
      if (!(error instanceof MemberError || error instanceof DeniedError)) throw error;
      failing = step.kind;
      const pause = failed(error);
      noteUncertainty();
      hurry = new AbortController();
      await clock.sleep(closing ? nextMemberMs : pause, hurry.signal);
    }
  };

  const run = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      const step = nextStep(lease, desired, clock.now(), rules);
      if (step.kind !== 'idle' && step.kind !== 'check') {
        await turn(step);
        continue;
      }
      if (closing) break;
      const woken = new Promise<void>(resolve => {
        wake = resolve;
      });
      if (step.kind === 'check') options.requestCheck();
      await woken;
    }
    member?.close();
    member = null;
  };

  const running = run();

  return {
    publish(records, checkedAt) {
      const news = desired.kind === 'nothing';
      desired = { kind: 'records', records, checkedAt };
      wake?.();
      // A try that waits for its turn keeps its turn: checks go on at their own pace while etcd is away.
      if (news) hurry.abort();
    },
    withdraw(reason) {
      if (desired.kind === 'nothing') return;
      withdrawReason = reason;
      desired = { kind: 'nothing' };
      request.abort(new Error('no longer wanted'));
      wake?.();
      hurry.abort();
    },
    snapshot: () => ({ lease, outage, failures }),
    async close(withinMs) {
      this.withdraw('stopping');
      closing = true;
      wake?.();
      hurry.abort();
      const limit = new AbortController();
      const gone = await Promise.race([
        running.then(() => true),
        clock.sleep(withinMs, limit.signal).then(() => false),
      ]);
      limit.abort();
      closed.abort();
      wake?.();
      hurry.abort();
      request.abort(new Error('closed'));
      await running;
      return gone;
    },
  };
}

/** A random positive id of 63 bits, in decimal. Zero means "choose one for me" to etcd. */
function chooseLeaseId(): LeaseId {
  const id = randomBytes(8).readBigUInt64BE() >> 1n;
  return id === 0n ? chooseLeaseId() : id.toString();
}
