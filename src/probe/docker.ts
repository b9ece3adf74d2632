/**
 * The check that the container already has: what its own HEALTHCHECK found. Docker looks on a schedule of its own, so
 * the answer is as old as that; while Docker does not answer there is no verdict.
 */
import { within } from '../clock.ts';
import type { ContainerView } from '../core/address/container.ts';
import { messageOf } from '../errors.ts';
import { fail, pass, unknown, type ProbeLimits, type Probe } from './probe.ts';

/** @param inspect inspects our own container. It rejects with an UnavailableError while that cannot be done. */
export function dockerProbe(inspect: () => Promise<ContainerView>, { clock, timeoutMs }: ProbeLimits): Probe {
  return async stop => {
    let container: ContainerView;
    try {
      container = await within(clock, timeoutMs, 'Docker', inspect(), stop);
    } catch (error) {
      return unknown(messageOf(error));
    }
    const { health, name, id } = container;
    if (health === undefined) {
      const problem = {
        message: `container ${name || id.slice(0, 12)} has no HEALTHCHECK, and --check docker asks for what it found`,
        hint: 'give its image one (or docker run --health-cmd), or choose another --check',
      };
      return { kind: 'impossible', problem };
    }
    const reported = `Docker says ${health.status}${health.output && `: ${health.output}`}`;
    return health.status === 'healthy' ? pass(reported) : fail(reported);
  };
}
