/**
 * Makes the probe of a service's app.
 */
import { systemClock } from '../clock.ts';
import { passwordVariable } from '../config/options.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { messageOf, SetupError } from '../errors.ts';
import { openProbe } from '../probe/open.ts';
import { unknown, type Probe } from '../probe/probe.ts';
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

/** A check that can never work here is one that could not be made, and not the end of us. */
export function forgiving(probe: Probe): Probe {
  return async stop => {
    try {
      return await probe(stop);
    } catch (error) {
      if (error instanceof SetupError) return unknown(messageOf(error));
      throw error;
    }
  };
}
