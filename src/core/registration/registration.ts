/**
 * What should stand in etcd for one service, and what must be done about it. Pure: events in, actions out.
 * It keeps true that records are published only for a service that is up, at a known address, and not drained or
 * stopping; whatever ends one of these withdraws them.
 */
import {
  describeHealth,
  isConclusive,
  judge,
  unknownHealth,
  type Health,
  type Thresholds,
  type Verdict,
} from './health.ts';
import type { ServiceRecord } from '../lease/writes.ts';

export interface Registration {
  readonly health: Health;
  /** What it is written as while it is up; null while its address is not known. */
  readonly records: readonly ServiceRecord[] | null;
  /** When the last check that gave a verdict began, in monotonic ms. */
  readonly checkedAt: number;
  readonly admin: AdminState;
}

/** What we were told to do with the service; nothing comes after `stop`. */
export type AdminState = 'register' | 'drain' | 'stop';

export type RegistrationEvent =
  /** A check that began at `startedAt` (monotonic ms) ended with this verdict. */
  | { readonly kind: 'checked'; readonly verdict: Verdict; readonly startedAt: number }
  /** Nobody can connect to the app any more. */
  | { readonly kind: 'app-gone'; readonly reason: string }
  /** The address, and with it the records, are known or have changed. */
  | { readonly kind: 'address-found'; readonly records: readonly ServiceRecord[] }
  /** Others cannot reach the app any more, whatever its health. */
  | { readonly kind: 'address-lost' }
  | { readonly kind: 'admin'; readonly admin: AdminState };

export type Action =
  /** Keep these records in etcd; the app was last asked at `checkedAt` (monotonic ms). */
  | { readonly kind: 'publish'; readonly records: readonly ServiceRecord[]; readonly checkedAt: number }
  /** Remove them, now. */
  | { readonly kind: 'withdraw'; readonly reason: string }
  /** Say what changed. */
  | { readonly kind: 'tell'; readonly level: 'info' | 'warn'; readonly message: string };

export interface RegistrationRules extends Thresholds {
  /** The end of the start period, in monotonic ms. */
  readonly startUntil: number;
}

export const initialRegistration: Registration = {
  health: unknownHealth,
  records: null,
  checkedAt: -Infinity,
  admin: 'register',
};

/** The next state and what to do, in order. */
export function register(
  before: Registration,
  event: RegistrationEvent,
  rules: RegistrationRules,
): { readonly after: Registration; readonly actions: readonly Action[] } {
  const after = next(before, event, rules);
  const actions: Action[] = [];
  if (event.kind === 'checked') {
    const message = describeHealth(before.health, after.health, event.verdict, rules);
    const isGood = event.verdict.kind === 'pass' || after.health.status === 'starting';
    if (message) actions.push({ kind: 'tell', level: isGood ? 'info' : 'warn', message });
  }
  if (event.kind === 'app-gone' && after !== before)
    actions.push({ kind: 'tell', level: 'warn', message: `down: ${event.reason}` });
  if (event.kind === 'admin' && after !== before && after.admin !== 'stop')
    actions.push({ kind: 'tell', level: 'info', message: orderMessages[after.admin] });
  const records = wantedRecords(after);
  if (records) {
    if (after !== before) actions.push({ kind: 'publish', records, checkedAt: after.checkedAt });
  } else if (wantedRecords(before)) {
    actions.push({ kind: 'withdraw', reason: whyNot(after) });
  }
  return { after, actions };
}

function next(state: Registration, event: RegistrationEvent, rules: RegistrationRules): Registration {
  switch (event.kind) {
    case 'checked':
      if (!isConclusive(event.verdict)) return state;
      return {
        ...state,
        health: judge(state.health, event.verdict, rules, event.startedAt < rules.startUntil),
        checkedAt: event.startedAt,
      };
    case 'app-gone':
      // No counting of fails: a refused connect is certain, and each client would meet it.
      return state.health.status === 'up'
        ? { ...state, health: { status: 'down', passes: 0, reason: event.reason } }
        : state;
    case 'address-found':
      return { ...state, records: event.records };
    case 'address-lost':
      return { ...state, records: null };
    case 'admin':
      return state.admin === 'stop' || state.admin === event.admin ? state : { ...state, admin: event.admin };
  }
}

const orderMessages: Readonly<Record<Exclude<AdminState, 'stop'>, string>> = {
  drain: 'drained: not registered, whatever its health, until it is resumed',
  register: 'resumed: registered while it is up',
};

/** What should stand in etcd. */
export function wantedRecords({ health, records, admin }: Registration): readonly ServiceRecord[] | null {
  return health.status === 'up' && admin === 'register' ? records : null;
}

function whyNot({ health, records, admin }: Registration): string {
  if (admin !== 'register') return admin === 'drain' ? 'drained' : 'stopping';
  if (!records) return 'no address';
  return health.status === 'down' ? health.reason : 'not up';
}
