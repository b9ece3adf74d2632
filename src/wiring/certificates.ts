/**
 * Reads the certificates that the configuration names, at the start, so that a wrong path is reported at once. Later each
 * file is read again when it is needed, so one that is being renewed then ends nothing.
 */
import type { SharedConfig } from '../core/settings/process.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { SetupError } from '../errors.ts';

/**
 * Reads the files for etcd, for Docker where it is asked, and for the checks.
 * @throws SetupError when a file cannot be used
 */
export async function checkCertificates(
  { security, engine }: SharedConfig,
  services: readonly ServiceConfig[],
): Promise<void> {
  const usesDocker = services.some(({ advertise }) => advertise.kind !== 'literal') || services.length === 0;
  await refuseBadFiles(async () => {
    await (await import('../etcd/tls.ts')).readTls(security.tls);
    if (usesDocker && engine.kind === 'tcp' && engine.certificates !== undefined)
      await (await import('../docker/tls.ts')).readCertificates(engine.certificates);
  });
  await checkAuthorities(services);
}

/**
 * Reads the authorities of the checks.
 * @throws SetupError when a file cannot be used
 */
export async function checkAuthorities(services: readonly ServiceConfig[]): Promise<void> {
  await refuseBadFiles(async () => {
    for (const { check } of services)
      if ('tls' in check && check.tls) await (await import('../probe/trust.ts')).readAuthority(check.tls);
  });
}

async function refuseBadFiles(read: () => Promise<void>): Promise<void> {
  const { PemFileError } = await import('../tls/pem.ts');
  try {
    await read();
  } catch (error) {
    if (error instanceof PemFileError) throw new SetupError(error.message, { cause: error });
    throw error;
  }
}
