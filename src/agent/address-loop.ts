/**
 * Resolves where others reach the app: at the start, then at an interval and when our own network has changed, because a
 * restart or a reconnected network gives a new port. core/address/location.ts decides what an answer means.
 */
import type { Clock } from '../clock.ts';
import type { Address } from '../core/address/ip.ts';
import {
  noteAnswer,
  unknownLocation,
  type AddressEvent,
  type AddressResult,
  type OnUnresolvable,
} from '../core/address/location.ts';
import { UnavailableError } from '../errors.ts';
import { unlessAborted, type Wakeup } from '../retry.ts';

export interface AddressSource {
  /**
   * Resolves with where others reach the app, or with the reason why they cannot.
   * @param registered the address that is known until now, which is kept while it still holds
   * @throws UnavailableError while that cannot be found out
   */
  readonly resolve: (registered: Address | undefined) => Promise<AddressResult>;
  /** Whether the addresses of our own network have changed since the last call; null when the address is fixed. */
  readonly networkChanged: (() => boolean) | null;
}

export interface AddressLoopOptions {
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly onUnresolvable: OnUnresolvable;
  readonly emit: (event: AddressEvent) => void;
  /** Makes the loop resolve the address again at once. */
  readonly wakeup: Wakeup;
}

/** Runs until `ending` aborts, which also abandons an answer that is awaited, or until a fixed address is resolved. */
export async function keepAddress(
  { resolve, networkChanged }: AddressSource,
  { clock, random, onUnresolvable, emit, wakeup }: AddressLoopOptions,
  ending: AbortSignal,
): Promise<void> {
  let location = unknownLocation;
  ending.addEventListener('abort', () => wakeup.wake(), { once: true });
  while (!ending.aborted) {
    const answering = resolve(location.known?.address).catch((error: unknown) => {
      if (error instanceof UnavailableError) return error;
      throw error;
    });
    const answer = await unlessAborted(answering, ending);
    if (answer === null || ending.aborted) return;
    const step = noteAnswer(location, answer, onUnresolvable, clock.now(), random());
    ({ location } = step);
    step.events.forEach(emit);
    if (networkChanged === null) return;
    await wakeup.sleep(clock, step.waitMs);
  }
}
