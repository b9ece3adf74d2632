/**
 * Problems that a person can solve, results, an error class per cause, and exit codes.
 */
import { clean, firstLines } from './core/text.ts';

/** Something that a person must change. Both texts begin in lower case and end without a full stop. */
export interface Problem {
  /** What is wrong. It names the input and the rule. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** A value, or every problem that is in the way of one. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function success<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function failure(...problems: readonly Problem[]): Result<never> {
  return { ok: false, problems };
}

/** Returns the value; undefined where there is a problem instead. */
export function valueOf<T>(result: Result<T>): T | undefined {
  return result.ok ? result.value : undefined;
}

export function problemsOf(result: Result<unknown>): readonly Problem[] {
  return result.ok ? [] : result.problems;
}

/** `message; hint`, on one line and safe to print. */
export function formatProblem({ message, hint }: Problem): string {
  return hint === undefined ? clean(message) : `${clean(message)}; ${clean(hint)}`;
}

/** One line for each problem; of very many the first ones, and how many more there are. */
export function formatProblems(problems: readonly Problem[]): readonly string[] {
  return firstLines(problems.map(formatProblem));
}

/** An error that consists of problems; its message has one a line. A text is a problem without a hint. */
export class ProblemError extends Error {
  override readonly name: string = 'ProblemError';
  readonly problems: readonly Problem[];

  constructor(problem: string | Problem | readonly Problem[], options?: ErrorOptions) {
    const problems = [problem].flat().map(each => (typeof each === 'string' ? { message: each } : each));
    super(formatProblems(problems).join('\n'), options);
    this.problems = problems;
  }
}

/** The command line or the environment is wrong. */
export class UsageError extends ProblemError {
  override readonly name = 'UsageError';
}

/** The configuration can never work here, such as a port that this container does not publish. */
export class SetupError extends ProblemError {
  override readonly name = 'SetupError';
}

/** Docker, etcd or a dockreg does not answer for now. A registrar waits for it and never ends because of it. */
export class UnavailableError extends ProblemError {
  override readonly name = 'UnavailableError';
}

/** Exit codes, as in BSD's sysexits.h from 64 on. Only main.ts chooses one. */
export const ExitCode = {
  ok: 0,
  /** `doctor` found a fault; `status` found a service that is not up. */
  notOk: 1,
  /** The command line or the environment is wrong. */
  usage: 64,
  /** What a command asked for does not answer now. */
  unavailable: 69,
  /** A fault of dockreg itself. */
  internal: 70,
  /** The configuration can never work here. */
  config: 78,
  /** A second SIGINT during a stop: 128 and the signal's number, as a shell reports it. */
  interrupted: 130,
  /** A second SIGTERM during a stop. */
  terminated: 143,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The message of anything that was thrown, on one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replaceAll(/\s+/g, ' ').trim();
}

/** The code of a system error, such as ECONNREFUSED; the empty string for an error without a code. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** The first problem of an error; its message for an error without problems. */
export function problemOf(error: unknown): Problem {
  const [first] = error instanceof ProblemError ? error.problems : [];
  return first ?? { message: messageOf(error) };
}
