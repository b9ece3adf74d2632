/**
 * Keeps knowing where others reach the app: finds the address, and looks again on an interval and when our own network
 * has changed, because a restart or a reconnected network gives a new port.
 */
import type { Clock } from '../clock.ts';
import { formatAddress, type Address } from '../core/address/ip.ts';
import { outOfReach, backoffMs, noteFailure, type Outage } from '../core/retry.ts';
import type { ServiceRecord } from '../core/lease/writes.ts';
import { messageOf, UnavailableError } from '../errors.ts';
import type { Log } from '../log.ts';

export type Located =
  | {
      readonly kind: 'address';
      readonly address: Address;
      /** What an instance at this address is written as. */
      readonly records: readonly ServiceRecord[];
      readonly how: string;
    }
  | { readonly kind: 'problem'; readonly problem: string };

export interface Locator {
  /**
   * Where others reach the app, or the reason why nobody can.
   * @throws UnavailableError while that cannot be found out
   */
  readonly locate: () => Promise<Located>;
  /** Whether the addresses of our own network are others than at the last call. */
  readonly networkChanged: () => boolean;
  /** The address cannot change. */
  readonly fixed: boolean;
}

export interface LocatingHooks {
  readonly clock: Clock;
  readonly log: Log;
  /** A number in [0, 1). */
  readonly chance: () => number;
  /** Whether there is nothing else for this process to do while there is no address. */
  readonly alone: boolean;
  readonly located: (records: readonly ServiceRecord[], address: Address) => void;
  /** There is no address any more. */
  readonly unlocated: () => void;
}

/** The address was found out and there is none, or an instance there cannot be written as it was asked for. */
export class NoAddressError extends Error {
  override readonly name = 'NoAddressError';
}

/** How often the address is looked at again, in ms. */
const relocateMs = 30_000;
/** An address is believed to be gone when Docker says so so many times in a row. */
const missesToBelieve = 2;

export interface Locating {
  /** Looks again now, if our own network has changed. */
  noteNetwork(): void;
  /**
   * Runs until `ending` aborts.
   * @throws NoAddressError when the first look says that there is none, and we are alone
   */
  run(ending: AbortSignal): Promise<void>;
}

export function createLocating(locator: Locator, hooks: LocatingHooks): Locating {
  const { clock, log, chance } = hooks;
  /** What stands, as text; undefined before the first answer, null while there is none. */
  let known: string | null | undefined;
  /** What was told last of what is written, as text. */
  let written = '';
  let outage: Outage | null = null;
  let misses = 0;
  let wake = new AbortController();

  const hold = (address: Address, records: readonly ServiceRecord[], how: string): void => {
    const text = formatAddress(address);
    const content = JSON.stringify(records);
    if (text !== known) log.info(`address ${text}`, { found: how, was: known ?? undefined });
    else if (outage) log.info(`address ${text} still holds`, { tries: outage.attempts });
    if (text !== known || content !== written) hooks.located(records, address);
    known = text;
    written = content;
  };

  /** One more look without an address: tells the cause now and then, and gives the time until the next look, in ms. */
  const miss = (cause: string): number => {
    const noted = noteFailure(outage, cause, clock.now());
    outage = noted.outage;
    if (noted.report)
      log.warn(`${known ? `address ${known} could not be confirmed` : 'waiting for the address'}: ${cause}`);
    return backoffMs(outOfReach, outage.attempts, chance());
  };

  /** Looks once, and gives the time until the next look, in ms. */
  const look = async (): Promise<number> => {
    let located: Located;
    try {
      located = await locator.locate();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      return miss(messageOf(error));
    }
    if (located.kind === 'address') {
      hold(located.address, located.records, located.how);
      outage = null;
      misses = 0;
      return relocateMs * (0.9 + 0.2 * chance());
    }
    if (known === undefined && hooks.alone) throw new NoAddressError(located.problem);
    const next = miss(located.problem);
    if (known === undefined) return relocateMs * (0.9 + 0.2 * chance());
    misses += 1;
    if (known !== null && misses >= missesToBelieve) {
      log.warn(`address ${known} is gone: ${located.problem}`);
      known = null;
      hooks.unlocated();
    }
    return next;
  };

  return {
    noteNetwork() {
      if (!locator.fixed && locator.networkChanged()) wake.abort();
    },
    async run(ending) {
      ending.addEventListener('abort', () => wake.abort(), { once: true });
      while (!ending.aborted) {
        if (wake.signal.aborted) wake = new AbortController();
        const waitForMs = await look();
        if (locator.fixed) return;
        await clock.sleep(waitForMs, wake.signal);
      }
    },
  };
}
