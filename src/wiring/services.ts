/**
 * Finds out which services to register, and logs what was configured: by flags or a file at once, by the labels of our
 * container as soon as Docker answers.
 */
import { systemClock } from '../clock.ts';
import type { AnyConfig } from '../config/config.ts';
import { hasLabels, unreadLabels } from '../config/sources/labels.ts';
import { namesOf, type Naming } from '../core/layouts/names.ts';
import { outOfReach } from '../core/retry.ts';
import { formatCheck } from '../core/settings/check.ts';
import type { SharedConfig } from '../core/settings/process.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { SetupError, UnavailableError } from '../errors.ts';
import type { Fields, Log } from '../log.ts';
import { retry } from '../retry.ts';
import type { DockerAccess } from './docker.ts';

/**
 * Resolves with none when `stop` aborts before the labels are known.
 * @throws SetupError when the labels or a certificate cannot be used
 */
export async function readServices(
  config: AnyConfig,
  { version, docker, log }: { readonly version: string; readonly docker: DockerAccess; readonly log: Log },
  stop: AbortSignal,
): Promise<readonly ServiceConfig[]> {
  const { endpoints, drainMs } = config;
  const given = 'services' in config ? config.services : [];
  const names = namesOf(given, undefined);
  const [only] = given.length === 1 ? given : [];
  log.info('started', {
    version,
    etcd: endpoints.join(','),
    drain: drainMs === 0 ? undefined : `${drainMs}ms`,
    services: only ? undefined : names.map(({ name }) => name).join(',') || 'by the labels of this container',
    ...(only && describeService(only, names[0])),
  });
  if (!only) logServices(given, log);
  if ('services' in config) for (const warning of config.warnings) log.warn(warning);
  await checkFiles(given, config);
  if ('services' in config) return given;
  const labels = await retry(
    // The copy reads every label now, where an odd one can be asked for again.
    async () => new Map((await docker.findSelf()).container.labels),
    {
      clock: systemClock,
      random: Math.random,
      backoff: outOfReach,
      isTransient: error => error instanceof UnavailableError,
      report: cause =>
        log.warn(
          `waiting for the labels of this container, as no --port, --service or --config is given: ${cause}`,
        ),
    },
    stop,
  );
  if (labels === null) return [];
  const configured = config.withLabels(labels);
  if (!configured.ok) throw new SetupError(configured.problems);
  const { services, warnings } = configured.value;
  logServices(services, log);
  for (const warning of warnings) log.warn(warning);
  await checkFiles(services);
  return services;
}

/** Returns a function that warns once of labels that are not read, because the services are configured elsewhere. */
export function warnOfUnreadLabels(log: Log): (labels: ReadonlyMap<string, string>) => void {
  let checked = false;
  return labels => {
    if (!checked && hasLabels(labels)) log.warn(unreadLabels);
    checked = true;
  };
}

/**
 * Reads the PEM files for the checks and, with `shared`, for etcd and for Docker, if it is asked, so that a wrong path is
 * reported at once. Later each file is read again when it is needed, and a bad one does not end dockreg.
 * @throws SetupError when a file cannot be used
 */
async function checkFiles(services: readonly ServiceConfig[], shared?: SharedConfig): Promise<void> {
  const { PemFileError } = await import('../tls/pem.ts');
  const usesDocker = services.some(({ advertise }) => advertise.kind !== 'literal') || services.length === 0;
  const engine = usesDocker ? shared?.engine : undefined;
  try {
    if (shared) await (await import('../etcd/tls.ts')).readTls(shared.security.tls);
    if (engine?.kind === 'tcp' && engine.certificates !== undefined)
      await (await import('../docker/tls.ts')).readCertificates(engine.certificates);
    for (const { check } of services)
      if ('tls' in check && check.tls) await (await import('../probe/trust.ts')).readTlsFiles(check.tls);
  } catch (error) {
    if (error instanceof PemFileError) throw new SetupError(error.problems, { cause: error });
    throw error;
  }
}

function logServices(services: readonly ServiceConfig[], log: Log): void {
  const names = namesOf(services, undefined);
  for (const [index, service] of services.entries())
    log.info('configured', describeService(service, names[index]));
}

/** What of the configuration the log shows. */
export function describeService(
  { localPort, check, intervalMs, timeoutMs, ttlSeconds }: ServiceConfig,
  naming?: Naming,
): Fields {
  const { name, listed = [] } = naming ?? {};
  return {
    service: name,
    // What `dockreg ls` calls it, where that is another name.
    listed: listed.filter(each => each !== name).join(',') || undefined,
    port: localPort,
    check: formatCheck(check),
    interval: `${intervalMs}ms`,
    timeout: `${timeoutMs}ms`,
    ttl: `${ttlSeconds}s`,
  };
}
