/**
 * The admin API of a running dockreg: what the control socket and the HTTP endpoint can ask and order.
 */
import type { Clock } from '../clock.ts';
import type { ProcessStatus, ServiceStatus } from '../core/registration/status.ts';

/** One registered service, as an admin sees it. */
export interface AdminService {
  readonly name: string;
  /** Keeps the service out of etcd, whatever its health, until it is resumed. */
  drain(): void;
  resume(): void;
  status(): ServiceStatus;
}

export interface AdminApi {
  readonly version: string;
  /** When the process started, in ms since 1970. */
  readonly startedAt: number;
  readonly services: readonly AdminService[];
  readonly clock: Clock;
}

/** The status of the process, with these of its services. */
export function processStatus(
  { version, startedAt }: AdminApi,
  services: readonly AdminService[],
): ProcessStatus {
  return {
    version,
    startedAt: new Date(startedAt).toISOString(),
    services: services.map(service => service.status()),
  };
}
