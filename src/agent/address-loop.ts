/**
 * Resolves where others reach the app: at the start, then at an interval and when our own network has changed, because a
 * restart or a reconnected network gives a new port. What an answer means is decided in core/address/location.ts.
 */
import type { Clock } from '../clock.ts';
import {
  noteAnswer,
  unknownLocation,
  type AddressEvent,
  type AddressResult,
  type OnUnresolvable,
} from '../core/address/location.ts';
import { UnavailableError } from '../errors.ts';
import { Wakeup } from '../retry.ts';

export interface AddressSource {
  /**
   * Resolves with where others reach the app, or with the reason why they cannot.
   * @throws UnavailableError while that cannot be found out
   */
  readonly resolve: () => Promise<AddressResult>;
  /** Whether the addresses of our own network have changed since the last call. */
  readonly networkChanged: () => boolean;
  /** The address cannot change. */
  readonly fixed: boolean;
}

export interface AddressLoopOptions {
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly onUnresolvable: OnUnresolvable;
  readonly emit: (event: AddressEvent) => void;
}

export interface AddressLoop {
  /** Resolves the address again now, if our own network has changed. */
  noteNetwork(): void;
  /** Runs until `ending` aborts, or until an address is resolved that cannot change. */
  run(ending: AbortSignal): Promise<void>;
}

export function createAddressLoop(source: AddressSource, options: AddressLoopOptions): AddressLoop {
  const { clock, random, onUnresolvable, emit } = options;
  const wakeup = new Wakeup();
  let location = unknownLocation;
  return {
    noteNetwork() {
      if (!source.fixed && source.networkChanged()) wakeup.wake();
    },
    async run(ending) {
      ending.addEventListener('abort', () => wakeup.wake(), { once: true });
      while (!ending.aborted) {
        const answer = await source.resolve().catch(answerOf);
        const step = noteAnswer(location, answer, onUnresolvable, clock.now(), random());
        location = step.location;
        for (const event of step.events) emit(event);
        if (source.fixed) return;
        await wakeup.sleep(clock, step.waitMs);
      }
    },
  };
}

function answerOf(error: unknown): UnavailableError {
  if (error instanceof UnavailableError) return error;
  throw error;
}
