/**
 * The ways in which the program ends or waits on purpose. A class per cause: whoever catches one knows what to do.
 */

/** Exit codes, as in BSD's sysexits.h from 64 on. */
export const ExitCode = {
  ok: 0,
  /** The doctor found something wrong; a service is not up. */
  unwell: 1,
  /** The command line or environment is wrong. */
  usage: 64,
  /** What was asked for cannot be had now; only commands that ask end with it. */
  unavailable: 69,
  /** A fault of our own. */
  internal: 70,
  /** A configuration that can never work here, such as a port that this container does not publish. */
  config: 78,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Something that the person who started us must change; the program ends with `exitCode`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly exitCode: ExitCode;
  readonly problems: readonly string[];

  constructor(problems: readonly string[], exitCode: ExitCode, options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.problems = problems;
    this.exitCode = exitCode;
  }
}

/** Surroundings that are late or gone for now: waited for, never a reason for the registrar to end. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

/** The message of anything that was thrown, on one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replaceAll(/\s+/g, ' ').trim();
}
