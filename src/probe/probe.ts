/**
 * What every kind of check has in common. A probe asks once and knows nothing of thresholds.
 */
import { TimeLimitError, within, type Clock } from '../clock.ts';
import type { Trouble, Verdict } from '../core/registration/health.ts';
import { SetupError, messageOf } from '../errors.ts';

/**
 * Asks the app once. What goes wrong on our side is the verdict `unknown`.
 * @throws SetupError and nothing else, when the check can never work here
 */
export type Probe = (signal: AbortSignal) => Promise<Verdict>;

export interface ProbeLimits {
  readonly clock: Clock;
  /** For the whole of a check, in milliseconds. */
  readonly timeoutMs: number;
}

/** As much of an answer as is read, in bytes. */
export const mostBytes = 64 * 1024;

export function pass(detail: string): Verdict {
  return { kind: 'pass', detail };
}

export function fail(reason: string, trouble: Trouble = 'answer'): Verdict {
  return { kind: 'fail', reason, trouble };
}

export function unknown(reason: string): Verdict {
  return { kind: 'unknown', reason };
}

/**
 * A probe made of one way to ask. The signal that it gets aborts when time is up, when the check is no longer wanted,
 * and when there is a verdict: whatever was opened is then to be closed. Errors are put down to the app or to us here.
 * @param what who is asked, for messages: `http://127.0.0.1:8000/`
 */
export function attempt(
  { clock, timeoutMs }: ProbeLimits,
  what: string,
  ask: (signal: AbortSignal) => Promise<Verdict>,
): Probe {
  return async stop => {
    const over = new AbortController();
    try {
      return await within(clock, timeoutMs, what, ask(over.signal), stop);
    } catch (error) {
      if (error instanceof SetupError) throw error;
      if (stop.aborted) return unknown('the check was abandoned');
      if (error instanceof TimeLimitError)
        return fail(`no answer from ${what} within ${timeoutMs} ms`, 'timeout');
      return blame(error);
    } finally {
      over.abort();
    }
  };
}

/** Errors of our own machine: they say nothing about the app. */
const ourOwn = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EADDRNOTAVAIL', 'EACCES', 'EPERM']);

/** What an error of a connection says: whose fault is it? One without a code is no connection's, so it is ours. */
function blame(error: unknown): Verdict {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code !== 'string' || ourOwn.has(code)) return unknown(messageOf(error));
  return fail(messageOf(error), code === 'ECONNREFUSED' || code === 'ENOENT' ? 'refused' : 'connection');
}
