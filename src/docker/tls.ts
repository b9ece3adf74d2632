/**
 * Reads the certificates for a remote engine from a folder, under the names that the docker CLI uses.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { readPem, type Pem, type PemFile } from '../tls/pem.ts';

/**
 * Reads `ca.pem`, which must have issued the engine's certificate, and our `cert.pem` and `key.pem`, which may both be
 * missing where the engine asks for none.
 * @throws PemFileError
 */
export async function readCertificates(folder: string): Promise<Pem> {
  const file = (name: string): PemFile => ({ setting: 'DOCKER_CERT_PATH:', path: join(folder, name) });
  const own = { cert: file('cert.pem'), key: file('key.pem') };
  const exist = await Promise.all([exists(own.cert.path), exists(own.key.path)]);
  return readPem(file('ca.pem'), exist.includes(true) ? own : undefined);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
