/**
 * The contract of every check: a probe asks the app once and returns a verdict. It never throws, never exits, and knows
 * nothing of thresholds or of what the process does with the verdict.
 */
import { TimeLimitError, within, type Clock } from '../clock.ts';
import type { ContainerView } from '../core/address/container.ts';
import { formatAddress } from '../core/address/ip.ts';
import type { Trouble, Verdict } from '../core/registration/health.ts';
import { ownTrouble } from '../core/shortage.ts';
import { clean } from '../core/text.ts';
import { codeOf, formatProblem, messageOf } from '../errors.ts';
import type { AppAddress } from '../network/closing.ts';

export type Probe = (signal: AbortSignal) => Promise<Verdict>;

export interface ProbeOptions {
  readonly clock: Clock;
  /** For a whole check, in ms. */
  readonly timeoutMs: number;
  /** Where the app listens, unless the check names a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly userAgent: string;
  /** The environment of a command. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Inspects our own container. It rejects with an UnavailableError while Docker does not answer. */
  readonly inspect: () => Promise<ContainerView>;
}

/** Where a check connects to. */
export interface ProbeTarget {
  readonly address: AppAddress;
  /** `127.0.0.1:8000`, `/run/app.sock` */
  readonly text: string;
  /** The host and port of a URL; a Unix socket has none, so it is `localhost`. */
  readonly authority: string;
  /** The name that a certificate must have, unless the check says another: an IP address, or `localhost`. */
  readonly name: string;
}

/** The Unix socket that the check names, or else the app's port. */
export function targetOf(socketPath: string | undefined, { host, port }: ProbeOptions): ProbeTarget {
  if (socketPath !== undefined) {
    const name = 'localhost';
    return { address: { path: socketPath }, text: socketPath, authority: name, name };
  }
  // The zone of a link-local address means something on this machine alone.
  const name = host.replace(/%.*$/, '');
  const authority = formatAddress({ ip: name, port });
  return { address: { host, port }, text: formatAddress({ ip: host, port }), authority, name };
}

export function pass(detail: string): Verdict {
  return { kind: 'pass', detail };
}

export function fail(reason: string, trouble: Trouble = 'answer'): Verdict {
  return { kind: 'fail', reason, trouble };
}

export function unknown(reason: string): Verdict {
  return { kind: 'unknown', reason };
}

/** The check could not be made for a reason that is dockreg's own or Docker's: a registered key stays. */
export function unchecked(reason: string): Verdict {
  return { kind: 'unknown', reason, isOurs: true };
}

/** The verdict when the caller aborts a check. */
export const abandoned = unknown('the check was abandoned');

/** What a check can report when its time is up. */
export interface Progress {
  /** What came of the answer so far, on one line; undefined for nothing. */
  came: () => string | undefined;
  /** What a person can do about it; undefined where only the app can. */
  hint?: () => string | undefined;
}

/**
 * Makes a probe that calls `ask` once per check. The signal of `ask` aborts when time is up, when the caller aborts, and
 * when there is a verdict; `ask` must then close what it opened. An error of `ask` becomes a verdict. What a verdict says
 * is on one line and not longer than is printed.
 * @param subject what is asked, for messages: `http://127.0.0.1:8000/`
 */
export function attempt(
  { clock, timeoutMs }: ProbeOptions,
  subject: string,
  ask: (signal: AbortSignal, progress: Progress) => Promise<Verdict>,
): Probe {
  return async stop => {
    const over = new AbortController();
    const progress: Progress = { came: () => undefined };
    try {
      const verdict = await within(clock, timeoutMs, subject, ask(over.signal, progress), stop);
      return printable(unlessClockIsOff(verdict, clock.wall()));
    } catch (error) {
      if (stop.aborted) return abandoned;
      if (!(error instanceof TimeLimitError)) return printable(verdictOf(error));
      const came = progress.came();
      const what = came === undefined ? 'no answer' : 'no complete answer';
      const rest = came === undefined ? '' : `: ${came}`;
      const message = `${what} from ${subject} within ${timeoutMs} ms${rest}`;
      const hint = progress.hint?.();
      return printable(fail(formatProblem({ message, ...(hint !== undefined && { hint }) }), 'timeout'));
    } finally {
      over.abort();
    }
  };
}

function printable(verdict: Verdict): Verdict {
  switch (verdict.kind) {
    case 'pass':
      return { ...verdict, detail: clean(verdict.detail) };
    case 'fail':
    case 'unknown':
      return { ...verdict, reason: clean(verdict.reason) };
    case 'impossible':
      return verdict;
  }
}

/** No dockreg is older, so a clock that says less, in ms since 1970, was never set. */
const firstRelease = Date.UTC(2025, 0, 1);

/** A certificate that begins in the future says nothing about the app where our own clock is wrong. */
function unlessClockIsOff(verdict: Verdict, wall: number): Verdict {
  if (wall >= firstRelease || verdict.kind !== 'fail' || !verdict.reason.includes('not yet valid'))
    return verdict;
  return unchecked(
    `${verdict.reason}, but the clock says ${new Date(wall).toISOString()}; set the host's clock`,
  );
}

/** An error with a code is that of a connection to the app, unless our own machine is to blame. */
export function verdictOf(error: unknown): Verdict {
  const own = ownTrouble(error);
  if (own) return unchecked(formatProblem(own));
  // A file of ours that cannot be read. The name, because loading its class would load node:tls.
  if (error instanceof Error && error.name === 'PemFileError') return unchecked(messageOf(error));
  const code = codeOf(error);
  if (code === '') return unknown(messageOf(error));
  return fail(messageOf(error), code === 'ECONNREFUSED' || code === 'ENOENT' ? 'refused' : 'connection');
}
