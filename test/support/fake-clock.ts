/**
 * A clock that stands still until a test moves it. Between two timers, everything that waits for a settled promise
 * runs, so a test sees the exact state of a loop at each moment.
 */
import type { Clock } from '../../src/clock.ts';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** So that a loop that waits for no time at all fails its test instead of hanging it. */
const mostRuns = 10_000;

export class FakeClock implements Clock {
  #now: number;
  #timers: Timer[] = [];

  /** @param now the monotonic time at the start, in ms; the wall clock shows the same */
  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter(each => each !== timer);
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      if (signal?.aborted) return resolve();
      const finish = (): void => {
        cancel();
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const cancel = this.after(ms, finish);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }

  async repeat(ms: number, tick: () => boolean, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.sleep(ms, signal);
      if (!signal.aborted && !tick()) return;
    }
  }

  /** When the timers fire, in ms from now, soonest first. */
  get due(): readonly number[] {
    return this.#timers.map(({ at }) => at - this.#now).toSorted((a, b) => a - b);
  }

  /** Runs what is due in the next `ms`, in order, each at its time, and what follows from it. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (let runs = 0; ; runs++) {
      if (runs > mostRuns) throw new Error(`more than ${mostRuns} timers ran within ${ms} ms: a loop spins`);
      await settle();
      const [next] = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      // A timer that was due while the process was suspended runs late.
      this.#now = Math.max(this.#now, next.at);
      this.#timers = this.#timers.filter(timer => timer !== next);
      next.run();
    }
    this.#now = until;
    await settle();
  }

  /** Lets time pass without running anything, as when the process is stopped. */
  suspend(ms: number): void {
    this.#now += ms;
  }
}

/** Resolves when everything that waits on a settled promise has run. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}
