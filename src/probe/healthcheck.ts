/**
 * The check `docker`: the result of the container's own HEALTHCHECK. Docker runs that on its own schedule, so the result
 * is as old as its last run. While Docker does not answer, the verdict is `unknown`, and the key stays.
 */
import { within } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { fail, pass, unchecked, type Probe, type ProbeOptions } from './probe.ts';

export function healthcheckProbe({ clock, timeoutMs, inspect }: ProbeOptions): Probe {
  return async stop => {
    try {
      const { health, title } = await within(clock, timeoutMs, 'Docker', inspect(), stop);
      if (health === undefined) {
        const message = `container ${title} has no HEALTHCHECK, and --check docker needs one`;
        const hint = 'add one to its image (or docker run --health-cmd), or choose another --check';
        return { kind: 'impossible', problem: { message, hint } };
      }
      const result = `Docker says ${health.status}${health.output && `: ${health.output}`}`;
      return health.status === 'healthy' ? pass(result) : fail(result);
    } catch (error) {
      return unchecked(messageOf(error));
    }
  };
}
