/**
 * Time, in one place: everything that waits or measures goes through a Clock, so that a test can hold every timer.
 */

export interface Clock {
  /** Milliseconds on a monotonic clock with an arbitrary origin. It counts while the process is stopped. */
  now(): number;
  /** Milliseconds since 1970, for people and for peers that want a date. Never used to measure. */
  wall(): number;
  /** Resolves after `ms`, or at once when the signal aborts: a sleep that is cut short is not an error. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` after `ms`, unless the returned function is called before. */
  after(ms: number, run: () => void): () => void;
  /** Calls `tick` every `ms` until it returns false or the signal aborts. Costs half of a sleep after each tick. */
  repeat(ms: number, tick: () => boolean, signal?: AbortSignal): Promise<void>;
}

/** How early a timer may fire, in ms. To wait again for the rest would cost one more wake-up. */
export const timerEarlyMs = 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  sleep: (ms, signal) => systemClock.repeat(ms, () => false, signal),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  repeat: (ms, tick, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return resolve();
      const finish = (): void => {
        clearInterval(timer);
        signal?.removeEventListener('abort', finish);
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
      signal?.addEventListener('abort', finish, { once: true });
    }),
};

/** The longest stretch, in ms, that one firing of a timer may consume of a limit. */
const ownStepMs = 250;

/**
 * Returns the clock with an `after` that counts only while this process runs. After a stop, or a wait for a processor,
 * timers fire before the process has read the answers that came meanwhile: its own absence must not count as a peer's.
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
 * Settles as `work` does, or rejects after `ms` with a TimeLimitError, or with the signal's reason when it aborts. The
 * work itself continues, so it needs a deadline of its own. Its late rejection is ignored.
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
