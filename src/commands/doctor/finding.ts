/**
 * What the doctor finds at one step, and how a person reads it.
 */

export type Step =
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
  readonly step: Step;
  /** Null where nothing could be looked at; the detail says why. */
  readonly ok: boolean | null;
  readonly detail: string;
  /** The way out, where something is wrong and one is known. */
  readonly fix?: string;
}

export function well(step: Step, detail: string): Finding {
  return { step, ok: true, detail };
}

/** Our messages say what is wrong, then `; `, then the way out; `fix` is for those that say only the first. */
export function ill(step: Step, message: string, fix?: string): Finding {
  const [, detail = message, wayOut = fix] = /^(.*?); (.*)$/.exec(message) ?? [];
  return { step, ok: false, detail, ...(wayOut !== undefined && { fix: wayOut }) };
}

export function skipped(step: Step, why: string): Finding {
  return { step, ok: null, detail: why };
}

/** `✗ port       8000/tcp of container web is exposed but not published; start it with -p 8000` */
export function formatFinding({ service, step, ok, detail, fix }: Finding): string {
  const mark = ok === null ? '–' : ok ? '✓' : '✗';
  const whose = service === undefined ? '' : `${service}: `;
  return `${mark} ${step.padEnd(9)}  ${whose}${detail}${fix === undefined ? '' : `; ${fix}`}`;
}
