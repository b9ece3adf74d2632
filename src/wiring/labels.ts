/**
 * Reads the labels of our container, for as long as it takes.
 */
import type { Clock } from '../clock.ts';
import { outOfReach } from '../core/retry.ts';
import { UnavailableError } from '../errors.ts';
import type { Log } from '../log.ts';
import { retry } from '../retry.ts';
import type { DockerAccess } from './docker.ts';

export interface LabelOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
}

/** Resolves with null when `stop` aborts before Docker answers. */
export function readLabels(
  docker: Pick<DockerAccess, 'findSelf'>,
  { clock, log, random }: LabelOptions,
  stop: AbortSignal,
): Promise<ReadonlyMap<string, string> | null> {
  const read = async (): Promise<ReadonlyMap<string, string>> => (await docker.findSelf()).container.labels;
  return retry(
    read,
    {
      clock,
      random,
      backoff: outOfReach,
      isTransient: error => error instanceof UnavailableError,
      report: cause =>
        log.warn(
          `waiting for the labels of this container, as no --port, --service or --config is given: ${cause}`,
        ),
    },
    stop,
  );
}
