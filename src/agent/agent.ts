/**
 * One service, wired: checks, addresses and what the app watch sees go into core/registration.ts as events, and what it
 * decides is done by the session and the log. When to check is core/pace.ts; the watch gives reasons to check sooner.
 */
import { timerEarlyMs, type Clock } from '../clock.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { watchRole } from '../core/settings/check.ts';
import { isConclusive, type Health, type Verdict } from '../core/registration/health.ts';
import type { SessionEvent } from '../core/lease/events.ts';
import { noteFailure, type Outage } from '../core/retry.ts';
import { speedUp, nextSchedule, startSchedule } from '../core/registration/schedule.ts';
import { initialRegistration, register, type RegistrationEvent } from '../core/registration/registration.ts';
import { detailOf, statusOf, type ServiceFacts, type ServiceStatus } from '../core/registration/status.ts';
import type { WatchEvent } from '../core/watch/watch.ts';
import { SetupError } from '../errors.ts';
import type { Session } from '../etcd/session.ts';
import type { AppWatch } from '../kernel/app-watch.ts';
import { createAddressLoop, type AddressSource } from './address-loop.ts';
import type { Log } from '../log.ts';
import type { Probe } from '../probe/probe.ts';
import { logSessionEvent } from './session-log.ts';
import { logWatchEvent } from './watch-log.ts';

export interface AgentOptions {
  readonly config: ServiceConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Whether this is the only service of the process. */
  readonly alone: boolean;
  readonly probe: Probe;
  readonly source: AddressSource;
  /** What sees the app between the checks; null when that is switched off. */
  readonly openWatch: () => Promise<AppWatch | null>;
  /** Nobody counts unless it is asked for. */
  readonly observe: ((event: AgentEvent) => void) | undefined;
  readonly openSession: (hooks: { emit: (event: SessionEvent) => void; requestCheck: () => void }) => Session;
}

/** What those who count are told. */
export type AgentEvent =
  | { readonly kind: 'checked'; readonly verdict: Verdict; readonly tookMs: number }
  /** Its health is another. */
  | { readonly kind: 'health-changed'; readonly health: Health['status'] }
  /** The session told something. */
  | { readonly kind: 'told'; readonly event: SessionEvent['kind'] };

type Picture = Pick<ServiceFacts, 'since' | 'why' | 'address' | 'registeredSince' | 'lastCheck'>;

/** A check that took so much longer than its timeout, in ms, was not slow: we ourselves were not running. */
const ownPauseMs = 1000;
/** The most that closing the session may take, in ms. */
const closeMs = 1500;

export interface Agent {
  readonly name: string;
  /**
   * Resolves when nothing of ours is left in etcd, after `stop` has aborted, with the moment since which that is so, in
   * monotonic ms; -Infinity if there never was anything.
   * It rejects with a SetupError when the service is alone and it has no address at the start, or an impossible check.
   */
  readonly ended: Promise<number>;
  /** Keeps the service out of etcd, whatever its health, until it is resumed. */
  drain(): void;
  resume(): void;
  status(): ServiceStatus;
}

/** Runs until `stop` aborts. */
export function startAgent(options: AgentOptions, stop: AbortSignal): Agent {
  const { config, clock, log, random, observe } = options;
  const begunAt = clock.now();
  const rules = {
    rise: config.rise,
    fall: config.fall,
    startUntil: begunAt + config.startPeriodMs,
  };
  /** Whether the checks and the watch look at the same: the app's port. */
  const sharesPort = watchRole(config.check, config.protocol) === 'verdict';
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  let registration = initialRegistration;
  let watch: AppWatch | null = null;
  let schedule = startSchedule(clock.now());
  let uncheckedOutage: Outage | null = null;
  let goneAt = -Infinity;
  /** What nobody needs to know but those who ask for the status. */
  let picture: Picture = { since: begunAt, why: null, address: null, registeredSince: null, lastCheck: null };
  /** A check is wanted now, whatever the pace; `wake` ends the wait for it. */
  let asked = false;
  let wake = new AbortController();
  const askForCheck = (): void => {
    asked = true;
    wake.abort();
  };

  const session = options.openSession({
    emit: event => {
      if (event.kind === 'withdrawn' || event.kind === 'lost') goneAt = clock.now();
      if (event.kind === 'registered') picture = { ...picture, registeredSince: clock.now() };
      observe?.({ kind: 'told', event: event.kind });
      logSessionEvent(log, event);
    },
    requestCheck: askForCheck,
  });

  const dispatch = (event: RegistrationEvent): void => {
    const { after, actions } = register(registration, event, rules);
    if (after.health.status !== registration.health.status) {
      picture = { ...picture, since: clock.now() };
      observe?.({ kind: 'health-changed', health: after.health.status });
    }
    if (event.kind === 'app-gone') picture = { ...picture, why: event.reason };
    registration = after;
    for (const action of actions) {
      switch (action.kind) {
        case 'publish':
          session.publish(action.records, action.checkedAt);
          break;
        case 'withdraw':
          session.withdraw(action.reason);
          break;
        case 'tell':
          log[action.level](`app ${action.message}`);
          break;
      }
    }
  };

  const addressLoop = createAddressLoop(options.source, {
    clock,
    log,
    random,
    alone: options.alone,
    onAddress: (records, address) => {
      picture = { ...picture, address };
      dispatch({ kind: 'address-found', records });
    },
    onAddressLost: () => {
      picture = { ...picture, address: null };
      dispatch({ kind: 'address-lost' });
    },
  });

  const check = async (): Promise<{ verdict: Verdict; startedAt: number; tookMs: number }> => {
    const startedAt = clock.now();
    const verdict = await options.probe(ending);
    const tookMs = clock.now() - startedAt;
    if (tookMs <= config.timeoutMs + ownPauseMs) return { verdict, startedAt, tookMs };
    const reason = `dockreg itself did not run for ${Math.round(tookMs)} ms`;
    return { verdict: { kind: 'unknown', reason }, startedAt, tookMs };
  };

  const checkOnce = async (): Promise<void> => {
    const lastCheck = await check();
    if (ending.aborted) return;
    const { verdict, startedAt, tookMs } = lastCheck;
    if (verdict.kind === 'impossible' && options.alone) throw new SetupError(verdict.problem);
    const why = isConclusive(verdict) ? detailOf(verdict) : picture.why;
    picture = { ...picture, lastCheck, why };
    observe?.({ kind: 'checked', verdict, tookMs });
    dispatch({ kind: 'checked', verdict, startedAt });
    if (isConclusive(verdict)) {
      uncheckedOutage = null;
      if (sharesPort) watch?.checked(verdict.kind === 'pass');
    } else {
      const cause = detailOf(verdict);
      const noted = noteFailure(uncheckedOutage, cause, clock.now());
      uncheckedOutage = noted.outage;
      if (noted.report) log.warn(`app could not be checked: ${cause}`);
    }
    const outcome = { verdict: verdict.kind, health: registration.health, startedAt };
    schedule = nextSchedule(schedule, outcome, clock.now(), config.intervalMs, random());
    addressLoop.noteNetwork();
  };

  const onWatchEvent = (news: WatchEvent): void => {
    logWatchEvent(log, news);
    switch (news.kind) {
      case 'app-gone':
        schedule = speedUp(schedule, clock.now());
        return sharesPort ? dispatch(news) : askForCheck();
      case 'listening':
      case 'replaced':
      case 'stopped':
        schedule = speedUp(schedule, clock.now());
        askForCheck();
        return;
      case 'waiting':
        return askForCheck();
      case 'resumed':
        if (registration.health.status !== 'up') askForCheck();
        return;
      case 'watching':
      case 'loopback':
        return;
    }
  };

  /** One thing at a time, so that never two questions to the app are under way. */
  const keepChecking = async (): Promise<void> => {
    ending.addEventListener('abort', () => wake.abort(), { once: true });
    while (!ending.aborted) {
      if (asked || clock.now() >= schedule.dueAt - timerEarlyMs) {
        asked = false;
        if (wake.signal.aborted) wake = new AbortController();
        await checkOnce();
      }
      if (watch === null) {
        await clock.sleep(Math.max(0, schedule.dueAt - clock.now()), wake.signal);
        continue;
      }
      await watch.wait(schedule.dueAt, wake.signal);
      if (!ending.aborted) for (const news of await watch.poll()) onWatchEvent(news);
    }
  };

  const run = async (): Promise<number> => {
    try {
      watch = await options.openWatch();
      await Promise.all([keepChecking(), addressLoop.run(ending)]);
    } catch (error) {
      failed.abort();
      throw error;
    } finally {
      dispatch({ kind: 'admin', admin: 'stop' });
      watch?.close();
      const confirmed = await session.close(closeMs);
      if (!confirmed) {
        goneAt = clock.now();
        log.warn(
          `stopped without an answer from etcd: the key goes with its lease, ${config.ttlSeconds} s at most`,
        );
      }
    }
    return goneAt;
  };

  return {
    name: config.label,
    ended: run(),
    drain: () => dispatch({ kind: 'admin', admin: 'drain' }),
    resume: () => dispatch({ kind: 'admin', admin: 'register' }),
    status() {
      const now = clock.now();
      const { lease, outage, failures } = session.snapshot();
      const { ttlSeconds, intervalMs, timeoutMs } = config;
      const facts = {
        name: config.label,
        ...{ ttlSeconds, intervalMs, timeoutMs, startedAt: begunAt },
        ...{ registration, lease, ...picture },
        etcdError: outage?.causes.at(-1) ?? null,
        etcdErrors: failures,
      };
      return statusOf(facts, now, moment => new Date(clock.wall() - (now - moment)).toISOString());
    },
  };
}
