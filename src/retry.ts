/**
 * The waits of the program's loops: one that can be ended early, and the one loop that repeats what fails.
 */
import { once } from 'node:events';
import type { Clock } from './clock.ts';
import { backoffMs, noteFailure, type Backoff, type Outage } from './core/retry.ts';
import { messageOf } from './errors.ts';

/** Without a reason of its own, an abort would make an error with a stack each time. */
const woken = new Error('woken');

/** A sleep for one sleeper that others can end. A wake-up that comes while nobody sleeps ends the next sleep at once. */
export class Wakeup {
  #controller = new AbortController();

  /** Aborts at the next wake-up; after that sleep there is another one. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  wake(): void {
    this.#controller.abort(woken);
  }

  /** Forgets the wake-ups so far. */
  reset(): void {
    if (this.signal.aborted) this.#controller = new AbortController();
  }

  /** Resolves at the next wake-up. */
  async wait(): Promise<void> {
    if (!this.signal.aborted) await once(this.signal, 'abort');
    this.reset();
  }

  /** Resolves after `ms`, or at the next wake-up. */
  async sleep(clock: Clock, ms: number): Promise<void> {
    await clock.sleep(ms, this.signal);
    this.reset();
  }
}

/**
 * Settles as `work` does, or resolves with null when the signal aborts before. The work itself continues; its late
 * rejection is ignored.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => resolve(null);
    signal.addEventListener('abort', abandon, { once: true });
    if (signal.aborted) abandon();
    work.finally(() => signal.removeEventListener('abort', abandon)).then(resolve, reject);
  });
}

export interface RetryOptions {
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly backoff: Backoff;
  /** Whether the error may go away; another one ends the loop. */
  readonly isTransient: (error: unknown) => boolean;
  /** Called for a failure that is worth a log line. */
  readonly report: (cause: string) => void;
}

/**
 * Repeats `work` until it succeeds. Resolves with null when `stop` aborts before.
 * @throws what `work` throws, unless it is transient
 */
export async function retry<T>(
  work: () => Promise<T>,
  { clock, random, backoff, isTransient, report }: RetryOptions,
  stop: AbortSignal,
): Promise<T | null> {
  let outage: Outage | null = null;
  while (!stop.aborted) {
    try {
      return await work();
    } catch (error) {
      if (!isTransient(error)) throw error;
      const cause = messageOf(error);
      const noted = noteFailure(outage, cause, clock.now());
      outage = noted.outage;
      if (noted.report) report(cause);
      await clock.sleep(backoffMs(backoff, outage.attempts, random()), stop);
    }
  }
  return null;
}
