/**
 * Opens the probe of a service, and says what the command of an exec check finds in its environment.
 */
import { systemClock } from '../clock.ts';
import { passwordVariable, variableOf } from '../config/options.ts';
import type { Check } from '../core/settings/check.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { containerEnvironment } from '../environment.ts';
import { openProbe } from '../probe/open.ts';
import type { Probe } from '../probe/probe.ts';
import { rememberHeader } from '../secrets.ts';
import type { DockerAccess } from './docker.ts';

/** The app is probed in our own container. */
export const appHost = '127.0.0.1';

export function appProbe(
  { check, localPort, timeoutMs }: ServiceConfig,
  docker: DockerAccess,
  version: string,
): Promise<Probe> {
  rememberSecrets(check);
  return openProbe(check, {
    host: appHost,
    port: localPort,
    clock: systemClock,
    timeoutMs,
    userAgent: `dockreg/${version}`,
    env: commandEnvironment(containerEnvironment(), localPort),
    inspect: async () => (await docker.findSelf()).network,
  });
}

/** Variables of ours that can hold a password, a token or a header: the settings of a check can be in each of them. */
const secretVariables = [passwordVariable, variableOf('check'), variableOf('service')];

function isSecret(name: string, text = ''): boolean {
  if (name === variableOf('etcd')) return text.includes('@');
  return secretVariables.some(secret => name === secret || name.startsWith(`${secret}_`));
}

/** The environment of the container without our secrets, and with the port of the service. */
export function commandEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  port: number,
): Readonly<Record<string, string | undefined>> {
  const harmless = Object.entries(env).filter(([name, text]) => !isSecret(name, text));
  return { ...Object.fromEntries(harmless), [variableOf('port')]: String(port) };
}

function rememberSecrets(check: Check): void {
  if (check.kind === 'http') for (const [, value] of check.headers) rememberHeader(value);
  if (check.kind === 'tcp')
    for (const line of Buffer.from(check.send ?? [])
      .toString()
      .split('\n'))
      rememberHeader(line.trim());
}
