/**
 * One registered service. The agent makes the checks, polls the app watch, and passes on what they, the address loop, the
 * session and the admins report. core/registration/service.ts decides what that means, and the agent performs it.
 */
import { timerEarlyMs } from '../clock.ts';
import type { Naming } from '../core/layouts/names.ts';
import { recordsUnder } from '../core/lease/writes.ts';
import type { Leftover, ServiceEvent } from '../core/registration/events.ts';
import {
  initialState,
  reduce,
  type ServiceAction,
  type ServiceInput,
  type ServiceRules,
} from '../core/registration/service.ts';
import { statusOf, type AdminService } from '../core/registration/status.ts';
import { loopbackRole, watchRole, type ServiceConfig } from '../core/settings/service.ts';
import { SetupError } from '../errors.ts';
import type { Session, SessionOptions } from '../etcd/session.ts';
import type { AppWatch } from '../kernel/app-watch.ts';
import type { Probe } from '../probe/probe.ts';
import { unlessAborted, Wakeup } from '../retry.ts';
import { keepAddress, type AddressLoopOptions, type AddressSource } from './address-loop.ts';

export interface AgentOptions extends Pick<AddressLoopOptions, 'clock' | 'random' | 'onUnresolvable'> {
  readonly config: ServiceConfig;
  /** What the service is called now. */
  readonly naming: () => Pick<Naming, 'name' | 'others'>;
  readonly probe: Probe;
  readonly source: AddressSource;
  /** Opens what observes the app between the checks; null when that is switched off. */
  readonly openWatch: () => Promise<AppWatch | null>;
  readonly openSession: (hooks: Pick<SessionOptions, 'emit' | 'requestCheck'>) => Session;
  /** Called for everything that the service reports. */
  readonly emit: (event: ServiceEvent) => void;
}

export interface Agent extends AdminService {
  /**
   * Resolves, after `stop` has aborted, when nothing of the service is left in etcd. The value is the moment since which
   * that is so, in monotonic ms; -Infinity if there never was anything.
   * It rejects with a SetupError when the service can never be registered here and `onUnresolvable` is `end`.
   */
  readonly ended: Promise<number>;
}

/** The most that closing the session may take, in ms. */
const closeMs = 1500;

/** Runs until `stop` aborts. */
export function startAgent(options: AgentOptions, stop: AbortSignal): Agent {
  const { config, clock, random, source, emit } = options;
  const role = watchRole(config);
  const rules: ServiceRules = {
    ...config,
    startUntil: clock.now() + config.startPeriodMs,
    sharesPort: role === 'verdict',
    needsListener: role === 'condition',
    loopback: loopbackRole(config),
    onUnresolvable: options.onUnresolvable,
  };
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  /** Ends the wait for the next check, which is then made at once. */
  const wakeup = new Wakeup();
  const addressWakeup = new Wakeup();
  let state = initialState(clock.now());
  let watch: AppWatch | null = null;

  const perform = (action: ServiceAction): void => {
    switch (action.kind) {
      case 'publish':
        return session.publish(action.records, action.checkedAt);
      case 'keep':
        return session.keep(action.triedAt);
      case 'withdraw':
        return session.withdraw(action.reason);
      case 'check-now':
        return wakeup.wake();
      case 'inform-watch':
        return watch?.checked(action.passed);
      case 'emit':
        return emit(action.event);
      case 'end':
        return failed.abort(new SetupError(action.problems));
    }
  };

  const dispatch = (input: ServiceInput): void => {
    const next = reduce(state, input, rules, { now: clock.now(), random: random() });
    state = next.state;
    for (const action of next.actions) perform(action);
  };

  const requestCheck = (): void => dispatch({ kind: 'check-requested' });
  const session = options.openSession({ emit: dispatch, requestCheck });

  /** Nothing is registered before it is known that somebody can reach it. Costs nothing while the watch knows the app. */
  const identifyListener = async (): Promise<void> => {
    if (watch === null || (rules.loopback !== 'withhold' && !rules.needsListener)) return;
    const events = await watch.identify(rules.sharesPort);
    if (ending.aborted) return;
    for (const event of events) dispatch(event);
  };

  const check = async (): Promise<void> => {
    wakeup.reset();
    const startedAt = clock.now();
    const verdict = await options.probe(ending);
    if (ending.aborted) return;
    if (verdict.kind === 'pass') await identifyListener();
    if (ending.aborted) return;
    dispatch({ kind: 'check-ended', verdict, startedAt });
    if (source.networkChanged?.()) addressWakeup.wake();
  };

  /** Waits until the next check is due or requested, or until the watch has news, which it reports. */
  const pause = async (): Promise<void> => {
    const { dueAt } = state.schedule;
    if (watch === null) return clock.sleep(Math.max(0, dueAt - clock.now()), wakeup.signal);
    await watch.wait(dueAt, wakeup.signal);
    if (ending.aborted) return;
    const events = await watch.poll();
    if (ending.aborted) return;
    for (const event of events) dispatch(event);
  };

  /** One thing at a time, so that two checks never run at once. */
  const keepChecking = async (): Promise<void> => {
    ending.addEventListener('abort', () => wakeup.wake(), { once: true });
    while (!ending.aborted) {
      if (wakeup.signal.aborted || clock.now() >= state.schedule.dueAt - timerEarlyMs) await check();
      await pause();
    }
  };

  const work = async (): Promise<void> => {
    const opened = await options.openWatch();
    if (ending.aborted) return opened?.close();
    watch = opened;
    const addressOptions = { ...options, emit: dispatch, wakeup: addressWakeup };
    await Promise.all([keepChecking(), keepAddress(source, addressOptions, ending)]);
  };

  const leftover = (): Leftover | null => {
    const { lease, outage } = session.snapshot();
    if (lease.kind === 'none') return null;
    const keys = recordsUnder(lease.id, state.resolved?.records ?? []).map(({ key }) => key);
    return { lease: lease.id, keys, cause: outage?.causes.at(-1) ?? null };
  };

  const run = async (): Promise<number> => {
    try {
      // A stop waits for none of it: the app, Docker or DNS may be silent, and the key must go now.
      await unlessAborted(work(), ending);
      failed.signal.throwIfAborted();
    } catch (error) {
      failed.abort();
      throw error;
    } finally {
      dispatch({ kind: 'admin', admin: 'stop' });
      watch?.close();
      const confirmed = await session.close(closeMs);
      const left = confirmed ? null : leftover();
      dispatch({ kind: 'closed', confirmed, ...(left && { left }) });
    }
    return state.goneAt;
  };

  return {
    get name() {
      return options.naming().name;
    },
    get otherNames() {
      return options.naming().others;
    },
    ended: run(),
    drain: () => dispatch({ kind: 'admin', admin: 'drain' }),
    resume: () => dispatch({ kind: 'admin', admin: 'register' }),
    status() {
      const now = clock.now();
      const facts = { name: options.naming().name, config, state, ...session.snapshot() };
      return statusOf(facts, now, moment => new Date(clock.wall() - (now - moment)).toISOString());
    },
  };
}
