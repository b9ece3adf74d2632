/**
 * What the doctor finds at one step, and how a person reads it.
 */
import { systemClock } from '../../clock.ts';
import { brief } from '../../core/text.ts';
import { formatProblem, type Problem } from '../../errors.ts';

export type FindingStep =
  | 'docker'
  | 'container'
  | 'services'
  | 'port'
  | 'app'
  | 'check'
  | 'address'
  | 'etcd'
  | 'cluster'
  | 'record'
  | 'drain';

export interface Finding {
  /** The service that the step is about, where there are several. */
  readonly service?: string;
  readonly step: FindingStep;
  /** Null where the step was skipped, and for a warning; the detail says why. */
  readonly ok: boolean | null;
  readonly detail: string;
  /** What to do about a fault. */
  readonly hint?: string;
}

export function passed(step: FindingStep, detail: string): Finding {
  return { step, ok: true, detail };
}

/** @param fallbackHint what to do if the problem has no hint of its own */
export function fault(step: FindingStep, problem: Problem, fallbackHint?: string): Finding {
  const { message: detail, hint = fallbackHint } = problem;
  return { step, ok: false, detail, ...(hint !== undefined && { hint }) };
}

/** What is no fault and may still be wrong. */
export function warned(step: FindingStep, problem: Problem): Finding {
  return { ...fault(step, problem), ok: null };
}

export function skipped(step: FindingStep, reason: string): Finding {
  return { step, ok: null, detail: reason };
}

/** Returns how long ago `startedAt` was, in whole ms. */
export function msSince(startedAt: number): number {
  return Math.round(systemClock.now() - startedAt);
}

/** `✗ port       8000/tcp of container web is exposed but not published; start it with -p 8000` */
export function formatFinding({ service, step, ok, detail, ...rest }: Finding): string {
  const mark = ok === null ? '–' : ok ? '✓' : '✗';
  const prefix = service === undefined ? '' : `${brief(service)}: `;
  return `${mark} ${step.padEnd(9)}  ${prefix}${formatProblem({ message: detail, ...rest })}`;
}
