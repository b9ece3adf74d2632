/**
 * Time, in one place: everything that waits or measures goes through a Clock, so that a test can hold every timer.
 * `now` is monotonic: a step of the wall clock moves nothing.
 */

export interface Clock {
  /** Milliseconds on a monotonic clock with an arbitrary origin. It counts while the process is stopped. */
  now(): number;
  /** Milliseconds since 1970, for people and for peers that want a date. Never used to measure. */
  wall(): number;
  /** Resolves after `ms`, or at once when the signal aborts: a sleep that is cut short is not an error. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` after `ms`, unless what it gives back is called before. */
  after(ms: number, run: () => void): () => void;
  /**
   * Calls `tick` every `ms` for as long as it answers true. Resolves when it does not, or at once when the signal aborts.
   * For what ticks all day: it costs half of a sleep after a sleep.
   */
  repeat(ms: number, tick: () => boolean, signal: AbortSignal): Promise<void>;
}

/** A timer may end so much before its time, in ms; to wait again for the rest would cost one more wake-up. */
export const timerEarlyMs = 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve();
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish, { once: true });
    }),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  repeat: (ms, tick, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return resolve();
      const finish = (): void => {
        clearInterval(timer);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setInterval(() => {
        try {
          if (!tick()) finish();
        } catch (error) {
          finish();
          reject(error);
        }
      }, ms);
      signal.addEventListener('abort', finish, { once: true });
    }),
};

/** As much of a time that we did not run counts, in ms. */
const ownStepMs = 250;

/**
 * The clock, with an `after` that counts only while we ourselves run. A process that had to wait for a processor, or was
 * stopped, finds its timers over before it has read what came meanwhile; it must not take its own absence for another's.
 */
export function ownTime(clock: Clock): Clock {
  return {
    ...clock,
    after(ms, run) {
      const next = (left: number): (() => void) =>
        clock.after(Math.min(left, ownStepMs), () => {
          if (left <= ownStepMs) return run();
          cancel = next(left - ownStepMs);
        });
      let cancel = next(ms);
      return () => cancel();
    },
  };
}

/** The promise did not settle in time. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError';
}

/**
 * Settles as `work` does, or rejects after `ms` with a TimeLimitError, or with the signal's reason when it aborts.
 * The work itself goes on: whoever starts it gives it a deadline of its own. Its late rejection is nobody's any more.
 */
export function within<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', abandon);
    };
    const fail = (reason: unknown): void => {
      end();
      reject(reason);
    };
    const abandon = (): void => fail(signal?.reason);
    const cancel = clock.after(ms, () => fail(new TimeLimitError(`${what}: no answer within ${ms} ms`)));
    signal?.addEventListener('abort', abandon, { once: true });
    if (signal?.aborted) abandon();
    work.finally(end).then(resolve, reject);
  });
}

/** Runs `work` with a signal that aborts, with a TimeLimitError as its reason, when `ms` have passed. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const cancel = clock.after(ms, () => limit.abort(new TimeLimitError(`no answer within ${ms} ms`)));
  try {
    return await work(limit.signal);
  } catch (error) {
    limit.signal.throwIfAborted();
    throw error;
  } finally {
    cancel();
  }
}
