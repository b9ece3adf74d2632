/**
 * One service, wired: checks and addresses go into core/registration.ts as events, and what it decides is done by the
 * session and the log. Nothing is decided here but when to look again.
 */
import type { Clock } from './clock.ts';
import type { Config } from './config/config.ts';
import { formatAddress, type Address } from './core/address.ts';
import { outOfReach, waitMs } from './core/backoff.ts';
import type { Verdict } from './core/health.ts';
import { serviceLayout } from './core/layouts.ts';
import { noteFailure, type Outage } from './core/outage.ts';
import { initialRegistration, register, type RegistrationEvent } from './core/registration.ts';
import type { Session, SessionEvent } from './etcd/session.ts';
import { messageOf, UnavailableError } from './errors.ts';
import type { Log } from './log.ts';
import type { Probe } from './probe/probe.ts';
import { tellSession } from './session-log.ts';

export interface AgentParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** A number in [0, 1). */
  readonly chance: () => number;
  readonly probe: Probe;
  /**
   * Where others reach the app, or the reason why nobody can.
   * @throws UnavailableError while that cannot be found out
   */
  readonly locate: () => Promise<Located>;
  readonly openSession: (hooks: { tell: (event: SessionEvent) => void; askForCheck: () => void }) => Session;
}

export type Located =
  | { readonly kind: 'address'; readonly address: Address; readonly how: string }
  | { readonly kind: 'problem'; readonly problem: string };

/** The address was found out and there is none. */
export class NoAddressError extends Error {
  override readonly name = 'NoAddressError';
}

/** How often the address is looked at again, in ms: a restart or a reconnected network gives a new port. */
const relocateMs = 30_000;
/** A check that took so much longer than its timeout, in ms, was not slow: we ourselves were not running. */
const ownPauseMs = 1000;
/** The wait after a check that could not be made, in ms, and the most that closing the session may take. */
const uncheckedMs = 1000;
const closeMs = 1500;

/**
 * Runs until `stop` aborts, and leaves nothing of ours in etcd.
 * @throws NoAddressError when the first look at the address says that there is none
 */
export async function runAgent(parts: AgentParts, stop: AbortSignal): Promise<void> {
  const { config, clock, log, chance } = parts;
  const rules = { rise: 1, fall: 1, layout: (address: Address) => serviceLayout(config.key, address) };
  const failed = new AbortController();
  const ending = AbortSignal.any([stop, failed.signal]);
  let registration = initialRegistration;
  let checkNow = new AbortController();

  const session = parts.openSession({
    tell: event => tellSession(log, event),
    askForCheck: () => checkNow.abort(),
  });

  const dispatch = (event: RegistrationEvent): void => {
    const { after, actions } = register(registration, event, rules);
    registration = after;
    for (const action of actions) {
      switch (action.kind) {
        case 'publish':
          session.publish(action.records, action.checkedAt);
          break;
        case 'withdraw':
          session.withdraw();
          break;
        case 'tell':
          log[action.level](`app ${action.message}`);
          break;
      }
    }
  };

  const check = async (): Promise<{ verdict: Verdict; startedAt: number }> => {
    const startedAt = clock.now();
    const verdict = await parts.probe(ending);
    const tookMs = clock.now() - startedAt;
    if (tookMs <= config.timeoutMs + ownPauseMs) return { verdict, startedAt };
    return {
      verdict: { kind: 'unknown', reason: `dockreg itself did not run for ${Math.round(tookMs)} ms` },
      startedAt,
    };
  };

  const keepChecking = async (): Promise<void> => {
    let outage: Outage | null = null;
    while (!ending.aborted) {
      checkNow = new AbortController();
      const { verdict, startedAt } = await check();
      if (ending.aborted) return;
      dispatch({ kind: 'checked', verdict, startedAt });
      if (verdict.kind === 'unknown') {
        const noted = noteFailure(outage, verdict.reason, clock.now());
        outage = noted.outage;
        if (noted.say) log.warn(`app could not be checked: ${verdict.reason}`);
      } else outage = null;
      const next = verdict.kind === 'unknown' ? clock.now() + uncheckedMs : startedAt + config.intervalMs;
      await clock.sleep(Math.max(0, next - clock.now()), AbortSignal.any([ending, checkNow.signal]));
    }
  };

  const keepLocating = async (): Promise<void> => {
    let known: string | null = null;
    let outage: Outage | null = null;
    while (!ending.aborted) {
      try {
        const located = await parts.locate();
        if (ending.aborted) return;
        if (located.kind === 'problem') {
          if (known === null) throw new NoAddressError(located.problem);
          throw new UnavailableError(located.problem);
        }
        const text = formatAddress(located.address);
        if (text !== known) log.info(`address ${text}`, { found: located.how, was: known ?? undefined });
        else if (outage) log.info(`address ${text} still holds`, { tries: outage.tries });
        if (text !== known) dispatch({ kind: 'located', address: located.address });
        known = text;
        outage = null;
        if (config.advertise) return;
        await clock.sleep(relocateMs * (0.9 + 0.2 * chance()), ending);
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        const noted = noteFailure(outage, messageOf(error), clock.now());
        outage = noted.outage;
        if (noted.say)
          log.warn(
            known
              ? `address ${known} could not be confirmed: ${messageOf(error)}`
              : `waiting for the address: ${messageOf(error)}`,
          );
        await clock.sleep(waitMs(outOfReach, outage.tries, chance()), ending);
      }
    }
  };

  try {
    await Promise.all([keepChecking(), keepLocating()]);
  } catch (error) {
    failed.abort();
    throw error;
  } finally {
    dispatch({ kind: 'stopping' });
    const confirmed = await session.close(closeMs);
    if (!confirmed)
      log.warn(
        `stopped without an answer from etcd: the key goes with its lease, ${config.ttlSeconds} s at most`,
      );
  }
}
