/**
 * Reads the labels of our container, for as long as it takes.
 */
import type { Clock } from '../clock.ts';
import { outOfReach, backoffMs, noteFailure, type Outage } from '../core/retry.ts';
import { messageOf, UnavailableError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DockerAccess } from './docker.ts';

export interface LabelHooks {
  readonly clock: Clock;
  readonly log: Log;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** Null when `stop` aborts before Docker answers. */
export async function readLabels(
  docker: Pick<DockerAccess, 'findSelf'>,
  { clock, log, random }: LabelHooks,
  stop: AbortSignal,
): Promise<ReadonlyMap<string, string> | null> {
  let outage: Outage | null = null;
  while (!stop.aborted) {
    try {
      return (await docker.findSelf()).container.labels;
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      const noted = noteFailure(outage, messageOf(error), clock.now());
      outage = noted.outage;
      if (noted.report)
        log.warn(
          `waiting for the labels of this container, as no --port, --service or --config is given: ${messageOf(error)}`,
        );
      await clock.sleep(backoffMs(outOfReach, outage.attempts, random()), stop);
    }
  }
  return null;
}
