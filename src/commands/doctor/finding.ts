/**
 * What the doctor finds at one step, and how a person reads it.
 */

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
  /** Whose step it is, where there are several services and it is not of all. */
  readonly service?: string;
  readonly step: FindingStep;
  /** Null where nothing could be looked at; the detail says why. */
  readonly ok: boolean | null;
  readonly detail: string;
  /** The way out, where something is wrong and one is known. */
  readonly hint?: string;
}

export function well(step: FindingStep, detail: string): Finding {
  return { step, ok: true, detail };
}

/** Our messages say what is wrong, then `; `, then the way out; `hint` is for those that say only the first. */
export function ill(step: FindingStep, message: string, hint?: string): Finding {
  const [, detail = message, ownHint = hint] = /^(.*?); (.*)$/.exec(message) ?? [];
  return { step, ok: false, detail, ...(ownHint !== undefined && { hint: ownHint }) };
}

export function skipped(step: FindingStep, why: string): Finding {
  return { step, ok: null, detail: why };
}

/** `✗ port       8000/tcp of container web is exposed but not published; start it with -p 8000` */
export function formatFinding({ service, step, ok, detail, hint }: Finding): string {
  const mark = ok === null ? '–' : ok ? '✓' : '✗';
  const prefix = service === undefined ? '' : `${service}: `;
  return `${mark} ${step.padEnd(9)}  ${prefix}${detail}${hint === undefined ? '' : `; ${hint}`}`;
}
