/**
 * Keeps knowing where others reach the app: finds the address, and looks again on an interval and when our own network
 * has changed, because a restart or a reconnected network gives a new port.
 */
import type { Clock } from '../clock.ts';
import { formatAddress, type Address } from '../core/address/ip.ts';
import { outOfReach, backoffMs, noteFailure, type Outage } from '../core/retry.ts';
import type { ServiceRecord } from '../core/lease/writes.ts';
import { messageOf, SetupError, UnavailableError } from '../errors.ts';
import type { Log } from '../log.ts';

export type AddressResult =
  | {
      readonly kind: 'address';
      readonly address: Address;
      /** What an instance at this address is written as. */
      readonly records: readonly ServiceRecord[];
      readonly how: string;
    }
  | { readonly kind: 'problem'; readonly problem: string };

export interface AddressSource {
  /**
   * Where others reach the app, or the reason why nobody can.
   * @throws UnavailableError while that cannot be found out
   */
  readonly resolve: () => Promise<AddressResult>;
  /** Whether the addresses of our own network are others than at the last call. */
  readonly networkChanged: () => boolean;
  /** The address cannot change. */
  readonly fixed: boolean;
}

export interface AddressLoopOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Whether there is nothing else for this process to do while there is no address. */
  readonly alone: boolean;
  readonly onAddress: (records: readonly ServiceRecord[], address: Address) => void;
  /** There is no address any more. */
  readonly onAddressLost: () => void;
}

/** How often the address is looked at again, in ms. */
const relocateMs = 30_000;
/** An address is believed to be gone when Docker says so so many times in a row. */
const missesToBelieve = 2;

export interface AddressLoop {
  /** Looks again now, if our own network has changed. */
  noteNetwork(): void;
  /**
   * Runs until `ending` aborts.
   * @throws SetupError when the first look says that there is none, and we are alone
   */
  run(ending: AbortSignal): Promise<void>;
}

export function createAddressLoop(source: AddressSource, options: AddressLoopOptions): AddressLoop {
  const { clock, log, random } = options;
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
    if (text !== known || content !== written) options.onAddress(records, address);
    known = text;
    written = content;
  };

  /** One more look without an address: tells the cause now and then, and gives the time until the next look, in ms. */
  const miss = (cause: string): number => {
    const noted = noteFailure(outage, cause, clock.now());
    outage = noted.outage;
    if (noted.report)
      log.warn(`${known ? `address ${known} could not be confirmed` : 'waiting for the address'}: ${cause}`);
    return backoffMs(outOfReach, outage.attempts, random());
  };

  /** Looks once, and gives the time until the next look, in ms. */
  const look = async (): Promise<number> => {
    let result: AddressResult;
    try {
      result = await source.resolve();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      return miss(messageOf(error));
    }
    if (result.kind === 'address') {
      hold(result.address, result.records, result.how);
      outage = null;
      misses = 0;
      return relocateMs * (0.9 + 0.2 * random());
    }
    if (known === undefined && options.alone) throw new SetupError(result.problem);
    const next = miss(result.problem);
    if (known === undefined) return relocateMs * (0.9 + 0.2 * random());
    misses += 1;
    if (known !== null && misses >= missesToBelieve) {
      log.warn(`address ${known} is gone: ${result.problem}`);
      known = null;
      options.onAddressLost();
    }
    return next;
  };

  return {
    noteNetwork() {
      if (!source.fixed && source.networkChanged()) wake.abort();
    },
    async run(ending) {
      ending.addEventListener('abort', () => wake.abort(), { once: true });
      while (!ending.aborted) {
        if (wake.signal.aborted) wake = new AbortController();
        const waitForMs = await look();
        if (source.fixed) return;
        await clock.sleep(waitForMs, wake.signal);
      }
    },
  };
}
