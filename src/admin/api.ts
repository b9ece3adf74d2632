/**
 * The admin API of a running dockreg: what the control socket and the HTTP endpoint can ask for.
 */
import type { Clock } from '../clock.ts';
import type { AdminService, ProcessStatus } from '../core/registration/status.ts';
import type { Log } from '../log.ts';

export interface AdminApi {
  readonly version: string;
  /** When the process started, in ms since 1970. */
  readonly startedAt: number;
  readonly services: readonly AdminService[];
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** Returns the status of the process, with these of its services. */
export function processStatus(api: AdminApi, services: readonly AdminService[]): ProcessStatus {
  return {
    version: api.version,
    startedAt: new Date(api.startedAt).toISOString(),
    services: services.map(service => service.status()),
  };
}
