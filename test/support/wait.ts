/**
 * Waits for tests, always for an event and always with a deadline; nothing here sleeps until things have probably
 * happened. All times are `performance.now()` milliseconds, so that the records of fakes and watchers can be compared.
 */
import { createServer } from 'node:net';

/** What a probe of `eventually` returns while the result is not there yet. */
export type NotYet = undefined | null | false | 0 | '';

export interface WaitOptions {
  /** Milliseconds until the wait fails. Default: 10,000. */
  readonly timeoutMs?: number;
  /** Milliseconds between two probes. Default: 50. */
  readonly everyMs?: number;
}

/** The event did not come in time. */
export class WaitError extends Error {
  override readonly name = 'WaitError';
}

/**
 * Resolves with the first truthy result of `probe`; an error of the probe counts as "not yet".
 * Rejects with a WaitError that names `what`, the last result or error, and the time. A probe that hangs is abandoned.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | NotYet | Promise<T | NotYet>,
  { timeoutMs = 10_000, everyMs = 50 }: WaitOptions = {},
): Promise<T> {
  const elapsed = stopwatch();
  let last = 'no answer yet';
  let cause: unknown;
  for (;;) {
    const left = timeoutMs - elapsed();
    if (left <= 0) throw new WaitError(`${what}: not within ${timeoutMs} ms (last: ${last})`, { cause });
    try {
      const answer = await inTime(Promise.resolve(probe()), left, 'the probe did not answer');
      if (answer) return answer;
      last = show(answer);
      cause = undefined;
    } catch (error) {
      last = String(error);
      cause = error;
    }
    await pause(Math.max(1, Math.min(everyMs, timeoutMs - elapsed())));
  }
}

/** Settles as `work` does, or rejects with a WaitError naming `what` after `timeoutMs` milliseconds. */
export async function inTime<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new WaitError(`${what} (${Math.round(timeoutMs)} ms)`)), timeoutMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Resolves after `ms` milliseconds, or at once when the signal aborts. For the period of a loop, not to wait for an
 * event.
 */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal?.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

/** Starts a stopwatch: the returned function gives the milliseconds since. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => performance.now() - start;
}

const portsGiven = new Set<number>();

/**
 * A TCP port of 127.0.0.1 on which nothing listens, never returned twice by this process. It is below the kernel's
 * ephemeral range, so that no outgoing connection takes it while its server is down between two starts.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    if (!portsGiven.has(port) && (await isFree(port))) {
      portsGiven.add(port);
      return port;
    }
  }
  throw new WaitError('no free port between 15000 and 31999 in 200 attempts');
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export interface FindOptions {
  /** Milliseconds until the wait fails. Default: 10,000. */
  readonly timeoutMs?: number;
  /** The first index that counts. Default: 0, so existing entries count. */
  readonly since?: number;
  /** Ends the wait early: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A list that only grows, with a wait for an entry. */
export class Journal<T> {
  readonly #what: string;
  readonly #entries: T[] = [];
  readonly #waiters = new Set<() => void>();

  /** @param what names an entry in the message of a failed wait */
  constructor(what: string) {
    this.#what = what;
  }

  /** All entries so far, oldest first. */
  get entries(): readonly T[] {
    return this.#entries;
  }

  push(entry: T): void {
    this.#entries.push(entry);
    for (const wake of this.#waiters) wake();
  }

  /**
   * The index of the first entry at or after `since` that matches. Rejects with a WaitError that shows the last ones.
   */
  indexOf(predicate: (entry: T) => boolean, options: FindOptions = {}): Promise<number> {
    const { timeoutMs = 10_000, since = 0, signal } = options;
    return new Promise((resolve, reject) => {
      let next = since;
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(search);
        signal?.removeEventListener('abort', abort);
      };
      const fail = (error: unknown): void => {
        settle();
        reject(error);
      };
      const search = (): void => {
        try {
          for (; next < this.#entries.length; next++) {
            if (!predicate(this.#entries[next] as T)) continue;
            settle();
            return resolve(next);
          }
        } catch (error) {
          fail(error);
        }
      };
      const abort = (): void => fail(signal?.reason);
      const timer = setTimeout(() => {
        const arrived = this.#entries.slice(since);
        const tail = arrived.slice(-10).map(entry => `\n  ${show(entry)}`);
        const counted = `${arrived.length} so far, the last:${tail.join('')}`;
        fail(new WaitError(`no such ${this.#what} within ${timeoutMs} ms; ${counted}`));
      }, timeoutMs);
      this.#waiters.add(search);
      signal?.addEventListener('abort', abort, { once: true });
      search();
    });
  }

  /** The first entry at or after `since` that matches. Rejects like `indexOf`. */
  async first(predicate: (entry: T) => boolean, options: FindOptions = {}): Promise<T> {
    return this.#entries[await this.indexOf(predicate, options)] as T;
  }
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
