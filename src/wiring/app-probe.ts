/**
 * Opens the probe of a service, and says what the command of an exec check finds in its environment.
 */
import { systemClock } from '../clock.ts';
import { passwordVariable, variableOf } from '../config/options.ts';
import type { Verdict } from '../core/registration/health.ts';
import { asksPort, type Check } from '../core/settings/check.ts';
import { checkedPort, type ServiceConfig } from '../core/settings/service.ts';
import { containerEnvironment } from '../environment.ts';
import { openAppHost, type AppHost, type Attempt } from '../kernel/app-host.ts';
import { openProbe } from '../probe/open.ts';
import type { Probe } from '../probe/probe.ts';
import { rememberHeader } from '../secrets.ts';
import type { DockerAccess } from './docker.ts';

/** Where the app and its check are asked, in our own container. They are the same unless the check has its own port. */
export function openHosts(service: ServiceConfig): { readonly ofApp: AppHost; readonly ofCheck: AppHost } {
  const { localPort, checkHost } = service;
  const port = checkedPort(service);
  const ofCheck = openAppHost(port, systemClock, checkHost);
  return { ofApp: port === localPort ? ofCheck : openAppHost(localPort, systemClock), ofCheck };
}

/** A probe is kept for each address at which the app was asked, up to this many. */
const mostProbes = 4;

export async function appProbe(
  { check, localPort, timeoutMs }: ServiceConfig,
  docker: DockerAccess,
  version: string,
  appHost: AppHost,
): Promise<Probe> {
  rememberSecrets(check);
  const openAt = (host: string): Promise<Probe> =>
    openProbe(check, {
      host,
      port: appHost.port,
      clock: systemClock,
      timeoutMs,
      userAgent: `dockreg/${version}`,
      env: commandEnvironment(containerEnvironment(), localPort),
      inspect: async () => (await docker.findSelf()).network,
    });
  const first = await openAt(appHost.host);
  if (!asksPort(check)) return first;
  const probes = new Map([[appHost.host, first]]);
  const probeAt = async (host: string): Promise<Probe> => {
    const known = probes.get(host);
    if (known) return known;
    if (probes.size >= mostProbes) probes.clear();
    const probe = await openAt(host);
    probes.set(host, probe);
    return probe;
  };
  return signal => appHost.ask(async host => (await probeAt(host))(signal), attemptOf);
}

/** What we could not do ourselves, such as a connect over IPv6 where there is none, is not known. */
function attemptOf(verdict: Verdict): Attempt {
  if (verdict.kind === 'unknown' || verdict.kind === 'impossible') return 'unknown';
  return verdict.kind === 'fail' && verdict.trouble === 'refused' ? 'refused' : 'answered';
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
