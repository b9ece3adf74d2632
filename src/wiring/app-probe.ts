/**
 * Makes the probe for the app of a service.
 */
import { systemClock } from '../clock.ts';
import { passwordVariable } from '../config/options.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { openProbe } from '../probe/open.ts';
import type { Probe } from '../probe/probe.ts';
import type { DockerAccess } from './docker.ts';

/** Where the app is probed: in this container. */
export const appHost = '127.0.0.1';

export function appProbe(
  { check, localPort, timeoutMs }: ServiceConfig,
  docker: DockerAccess,
  version: string,
): Promise<Probe> {
  return openProbe(check, {
    host: appHost,
    port: localPort,
    clock: systemClock,
    timeoutMs,
    userAgent: `dockreg/${version}`,
    env: { ...process.env, [passwordVariable]: undefined, DOCKREG_PORT: String(localPort) },
    inspect: async () => (await docker.findSelf()).network,
  });
}
