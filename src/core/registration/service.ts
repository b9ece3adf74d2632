/**
 * The state of one registered service, and what each input makes of it. Pure: inputs come in, actions go out, and the
 * agent performs them. It keeps true that records are published only for a service that is up, at a known address, and
 * neither drained nor stopping. Whatever ends one of these withdraws them, before any other action. A service in doubt,
 * which is up although its last check failed or nothing listens, keeps what it has and gets nothing new.
 */
import type { OnUnresolvable, ResolvedAddress } from '../address/location.ts';
import type { Problem } from '../../errors.ts';
import type { ServiceRecord } from '../lease/writes.ts';
import { noteFailure, type Outage } from '../retry.ts';
import type { loopbackRole, ServiceConfig } from '../settings/service.ts';
import { loopbackProblem } from '../watch/hosts.ts';
import type { AdminState, ServiceEvent } from './events.ts';
import { detailOf, isConclusive, type Verdict } from './health.ts';
import {
  absenceEnd,
  failingSince,
  judgeCheck,
  judgeGone,
  overruled,
  unjudged,
  type Judgement,
  type JudgementRules,
} from './judgement.ts';
import { nextSchedule, speedUp, startSchedule, type Schedule } from './schedule.ts';

/** Moments are in monotonic ms. */
export interface ServiceState extends Judgement {
  /** Since when the health has its status. */
  readonly healthSince: number;
  /** What the last verdict, or the app watch, says about the health; null before the first. */
  readonly why: string | null;
  readonly admin: AdminState;
  /** Where others reach the app; null while that is not known. */
  readonly resolved: ResolvedAddress | null;
  /** Why nobody would reach the app at its address, so that it is not registered; null while that is not so. */
  readonly unreachable: Problem | null;
  /** Why the address is not known, or could not be confirmed; null while it is confirmed, and before the first answer. */
  readonly addressCause: string | null;
  /** When the last check that passed began. */
  readonly checkedAt: number;
  /** Nothing is published before a check passes that began at this moment or later; null once one has. */
  readonly unprovenSince: number | null;
  readonly lastCheck: {
    readonly startedAt: number;
    readonly tookMs: number;
    readonly verdict: Verdict;
  } | null;
  readonly schedule: Schedule;
  /** The row of checks that could not be made; null after one that could. */
  readonly checkOutage: Outage | null;
  readonly registeredSince: number | null;
  /** Since when nothing is left in etcd; -Infinity if there never was anything. */
  readonly goneAt: number;
}

export interface ServiceRules extends JudgementRules, Pick<ServiceConfig, 'intervalMs' | 'timeoutMs'> {
  readonly onUnresolvable: OnUnresolvable;
  readonly loopback: ReturnType<typeof loopbackRole>;
}

export type ServiceInput =
  /** A check that began at `startedAt`, in monotonic ms, ended with this verdict. */
  | { readonly kind: 'check-ended'; readonly verdict: Verdict; readonly startedAt: number }
  /** The session needs a check before it may write. */
  | { readonly kind: 'check-requested' }
  | Exclude<ServiceEvent, OwnReport>;

/** What only the reducer reports. */
type OwnReport = {
  kind:
    | 'checked'
    | 'not-checked'
    | 'checked-again'
    | 'absence-tolerated'
    | 'absence-over'
    | 'unreachable'
    | 'health-changed';
};

export type ServiceAction =
  /** Keep these records in etcd for an app whose last check began at `checkedAt`, in monotonic ms. */
  | { readonly kind: 'publish'; readonly records: readonly ServiceRecord[]; readonly checkedAt: number }
  /** Keep what is registered: an attempt to check that began at `triedAt` (monotonic ms) says nothing about the app. */
  | { readonly kind: 'keep'; readonly triedAt: number }
  /** Remove them, now. */
  | { readonly kind: 'withdraw'; readonly reason: string }
  /** Check the app now, whatever the schedule says. */
  | { readonly kind: 'check-now' }
  /** Pass the outcome of a check on to the app watch. */
  | { readonly kind: 'inform-watch'; readonly passed: boolean }
  | { readonly kind: 'emit'; readonly event: ServiceEvent }
  /** End the agent: the service can never be registered here. */
  | { readonly kind: 'end'; readonly problems: readonly Problem[] };

/** When an input came, in monotonic ms, and a random number in [0, 1). */
export interface Moment {
  readonly now: number;
  readonly random: number;
}

export interface Transition {
  readonly state: ServiceState;
  /** In the order in which they are to be performed. */
  readonly actions: readonly ServiceAction[];
}

/** A check that took this much longer than its timeout, in ms, was not slow: dockreg itself did not run. */
const ownPauseMs = 1000;

export function initialState(now: number): ServiceState {
  return {
    ...unjudged,
    healthSince: now,
    why: null,
    admin: 'register',
    resolved: null,
    unreachable: null,
    addressCause: null,
    checkedAt: -Infinity,
    unprovenSince: null,
    lastCheck: null,
    schedule: startSchedule(now),
    checkOutage: null,
    registeredSince: null,
    goneAt: -Infinity,
  };
}

/** Returns the next state and what to do. */
export function reduce(
  before: ServiceState,
  input: ServiceInput,
  rules: ServiceRules,
  moment: Moment,
): Transition {
  const { state, actions } = respond(before, input, rules, moment);
  const inEtcd = reconcile(before, state);
  const { status } = state.health;
  if (status === before.health.status) return { state, actions: [...inEtcd, ...actions] };
  return {
    state: { ...state, healthSince: moment.now },
    actions: [...inEtcd, ...actions, emit({ kind: 'health-changed', health: status })],
  };
}

/** The records that should stand in etcd; null for none. */
export function wantedRecords(state: ServiceState): readonly ServiceRecord[] | null {
  const { health, resolved, unreachable, admin, unprovenSince } = state;
  const isWanted =
    health.status === 'up' && admin === 'register' && unreachable === null && unprovenSince === null;
  return isWanted && resolved ? resolved.records : null;
}

function reconcile(before: ServiceState, after: ServiceState): readonly ServiceAction[] {
  const records = wantedRecords(after);
  const previous = wantedRecords(before);
  if (records === null) return previous ? [{ kind: 'withdraw', reason: whyNot(after) }] : [];
  if (isInDoubt(after) || (records === previous && after.checkedAt === before.checkedAt)) return [];
  return [{ kind: 'publish', records, checkedAt: after.checkedAt }];
}

function whyNot({ health, resolved, unreachable, admin }: ServiceState): string {
  if (admin !== 'register') return admin === 'drain' ? 'drained' : 'stopping';
  if (resolved === null) return 'no address';
  if (health.status === 'up' && unreachable) return `the app ${unreachable.message}`;
  if (health.status === 'up') return 'its address changed while it failed';
  return health.status === 'down' ? health.reason : 'not up';
}

function respond(before: ServiceState, input: ServiceInput, rules: ServiceRules, moment: Moment): Transition {
  const { now } = moment;
  switch (input.kind) {
    case 'check-ended':
      return afterCheck(before, input, rules, moment);
    case 'check-requested':
      return { state: before, actions: [checkNow] };
    case 'admin':
      if (before.admin === 'stop' || before.admin === input.admin) return { state: before, actions: [] };
      if (input.admin !== 'register') return reporting(input, { ...before, admin: input.admin });
      // What the checks found before may be out of date: the app may have been replaced meanwhile.
      return reporting(input, { ...before, admin: input.admin, unprovenSince: now }, checkNow);
    case 'address-found': {
      const unprovenSince = isInDoubt(before) ? now : before.unprovenSince;
      return reporting(input, { ...before, resolved: input.resolved, addressCause: null, unprovenSince });
    }
    case 'records-changed':
      return reporting(input, { ...before, resolved: input.resolved, addressCause: null });
    case 'address-warning': {
      const { resolved } = before;
      return reporting(input, {
        ...before,
        resolved: resolved && { ...resolved, warnings: input.warnings },
      });
    }
    case 'address-confirmed':
      return reporting(input, { ...before, addressCause: null });
    case 'address-unconfirmed':
      return reporting(input, { ...before, addressCause: input.cause });
    case 'address-lost':
      return reporting(input, { ...before, resolved: null, addressCause: input.cause });
    case 'address-unresolvable':
      return reporting(input, before, { kind: 'end', problems: input.problems });
    case 'registered':
      return reporting(input, { ...before, registeredSince: now });
    case 'withdrawn':
    case 'lost':
      return reporting(input, { ...before, goneAt: now });
    case 'closed':
      return reporting(input, input.confirmed ? before : { ...before, goneAt: now });
    case 'app-gone':
    case 'listening':
    case 'replaced':
    case 'stopped': {
      const reason = input.kind === 'app-gone' ? input.reason : null;
      const gone = input.kind === 'stopped' ? before.gone : reason;
      const quick = { ...before, gone, schedule: speedUp(before.schedule, now) };
      if (input.kind !== 'app-gone' || reason === null) return reporting(input, quick, checkNow);
      if (!rules.sharesPort && !rules.needsListener) return { state: quick, actions: [checkNow] };
      if (quick.health.status !== 'up') return { state: { ...quick, why: reason }, actions: [] };
      const judged = judgeGone(before, reason, now, rules);
      const after = { ...quick, ...judged, why: reason };
      // A refused connect is certain, and every client meets it.
      if (judged.health.status !== 'up') return reporting(input, after);
      const dueAt = Math.min(after.schedule.dueAt, now + rules.fastIntervalMs, absenceEnd(after, rules));
      return {
        state: { ...after, schedule: { ...after.schedule, dueAt } },
        actions: absenceEvents(before, after, now, rules),
      };
    }
    case 'absent': {
      const gone = "nothing listens on the app's port";
      return { state: rules.needsListener ? { ...before, gone } : before, actions: [] };
    }
    case 'loopback': {
      if (rules.loopback === 'allow') return { state: before, actions: [] };
      if (rules.loopback === 'warn') return reporting(input, before);
      const unreachable = loopbackProblem(input.socket);
      return reporting({ kind: 'unreachable', problem: unreachable }, { ...before, unreachable });
    }
    case 'reachable':
      if (rules.loopback === 'allow') return { state: before, actions: [] };
      return reporting(input, { ...before, unreachable: null });
    case 'waiting':
      return reporting(input, before, checkNow);
    case 'resumed':
      return before.health.status === 'up' ? reporting(input, before) : reporting(input, before, checkNow);
    case 'restored':
    case 'updated':
    case 'moved':
    case 'contested':
    case 'failing':
    case 'recovered':
    case 'fruitless':
    case 'uncertain':
    case 'watching':
      return reporting(input, before);
  }
}

function afterCheck(
  before: ServiceState,
  check: Extract<ServiceInput, { kind: 'check-ended' }>,
  rules: ServiceRules,
  { now, random }: Moment,
): Transition {
  const { startedAt } = check;
  const tookMs = now - startedAt;
  const reason = `dockreg itself did not run for ${Math.round(tookMs)} ms`;
  const verdict: Verdict =
    tookMs > rules.timeoutMs + ownPauseMs
      ? { kind: 'unknown', reason }
      : overruled(check.verdict, before, rules);
  if (verdict.kind === 'impossible' && rules.onUnresolvable === 'end')
    return { state: before, actions: [{ kind: 'end', problems: [verdict.problem] }] };
  const judged = judgeCheck(before, verdict, startedAt, rules);
  const { health } = judged;
  const outcome = {
    verdict: verdict.kind,
    health,
    startedAt,
    failedAt: failingSince(judged),
    absenceEnd: absenceEnd(judged, rules),
  };
  const schedule = nextSchedule(before.schedule, outcome, now, rules, random);
  const state = { ...before, ...judged, schedule, lastCheck: { startedAt, tookMs, verdict } };
  const checked = emit({ kind: 'checked', verdict, tookMs, before: before.health, after: health });
  const detail = detailOf(verdict);
  if (isConclusive(verdict)) {
    const inform: ServiceAction = { kind: 'inform-watch', passed: verdict.kind === 'pass' };
    const row = before.checkOutage;
    const again = row ? [emit({ kind: 'checked-again', forMs: now - row.since })] : [];
    const reports = rules.sharesPort ? [...again, checked, inform] : [...again, checked];
    const actions = [...reports, ...absenceEvents(before, judged, now, rules)];
    const checkedState = { ...state, why: detail, checkOutage: null };
    if (verdict.kind === 'fail')
      // Nothing is written for an app that did not answer. While it is up all the same, its lease is kept.
      return {
        state: checkedState,
        actions: health.status === 'up' ? [...actions, { kind: 'keep', triedAt: startedAt }] : actions,
      };
    const isProven = startedAt >= (before.unprovenSince ?? -Infinity);
    const unprovenSince = isProven ? null : before.unprovenSince;
    return { state: { ...checkedState, checkedAt: startedAt, unprovenSince }, actions };
  }
  const { outage, report } = noteFailure(before.checkOutage, detail, now);
  const unchecked = { ...state, checkOutage: outage };
  const notChecked = report ? [checked, emit({ kind: 'not-checked', cause: detail })] : [checked];
  const isOurs = verdict.kind === 'unknown' && verdict.isOurs === true;
  if (!isOurs || health.status !== 'up') return { state: unchecked, actions: notChecked };
  const { gone } = before;
  // No check can say more than the app watch, which says that no client can connect.
  const gonePart = gone === null ? null : judgeGone(before, gone, startedAt, rules);
  if (gone === null || gonePart?.health.status === 'up') {
    const keep: ServiceAction = { kind: 'keep', triedAt: startedAt };
    return { state: unchecked, actions: [...notChecked, keep] };
  }
  return {
    state: { ...unchecked, ...gonePart, why: gone },
    actions: [emit({ kind: 'app-gone', reason: gone }), ...notChecked],
  };
}

/** Whether the service is up although the app did not answer a moment ago. */
function isInDoubt({ health, absentSince }: Judgement): boolean {
  return health.status === 'up' && (health.fails > 0 || absentSince !== null);
}

/** Reports that an absence begins to be tolerated, or that it is over because the app answers. */
function absenceEvents(
  before: Judgement,
  { health, gone, absentSince }: Judgement,
  now: number,
  { tolerateMs }: ServiceRules,
): readonly ServiceAction[] {
  if (before.absentSince === null)
    return absentSince === null
      ? []
      : [emit({ kind: 'absence-tolerated', reason: gone ?? '', forMs: tolerateMs })];
  if (absentSince !== null || health.status !== 'up') return [];
  return [emit({ kind: 'absence-over', forMs: now - before.absentSince })];
}

const checkNow: ServiceAction = { kind: 'check-now' };

function emit(event: ServiceEvent): ServiceAction {
  return { kind: 'emit', event };
}

function reporting(event: ServiceEvent, state: ServiceState, ...more: readonly ServiceAction[]): Transition {
  return { state, actions: [emit(event), ...more] };
}
