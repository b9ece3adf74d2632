/**
 * Checks that labels of our container give in registrator's way. Docker answers after the first checks have begun, so a
 * service whose check differs then starts again, before anything of it is registered.
 */
import type { Completed, Config } from '../config/config.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { UnavailableError } from '../errors.ts';
import type { Log } from '../log.ts';

/** The service at this index with the check of the labels; null where they change nothing. */
export type LabelledChecks = (index: number, labels: ReadonlyMap<string, string>) => ServiceConfig | null;

/** The labels of a container do not change, so they are read once. */
export function createLabelledChecks(config: Config, log: Log): LabelledChecks {
  let known: Completed | null | undefined;
  return (index, labels) => {
    if (known === undefined) known = read(config, labels, log);
    const before = config.services[index];
    const after = known?.services[index];
    if (before === undefined || after === undefined || isSame(before, after)) return null;
    return after;
  };
}

function read(config: Config, labels: ReadonlyMap<string, string>, log: Log): Completed | null {
  try {
    const completed = config.withCheckLabels(labels);
    for (const warning of completed?.warnings ?? [])
      if (!config.warnings.includes(warning)) log.warn(warning);
    return completed;
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    log.warn(`the labels SERVICE_… of this container are not read: ${error.message}`);
    return null;
  }
}

function isSame(a: ServiceConfig, b: ServiceConfig): boolean {
  const [first, second] = [a, b].map(({ check, intervalMs, timeoutMs, ttlSeconds }) =>
    JSON.stringify({ check, intervalMs, timeoutMs, ttlSeconds }),
  );
  return first === second;
}
