/**
 * The certificates of a connection to a remote engine, in a folder and under names as the docker CLI has them.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { readPem, type Pem } from '../tls/pem.ts';

/**
 * `ca.pem`, which the engine's certificate must be of, and `cert.pem` and `key.pem`, ours, which may both be missing
 * where the engine asks for none.
 * @throws PemFileError
 */
export async function readCertificates(folder: string): Promise<Pem> {
  const file = (name: string): { setting: string; path: string } => ({
    setting: 'DOCKER_CERT_PATH:',
    path: join(folder, name),
  });
  const [cert, key] = [file('cert.pem'), file('key.pem')];
  const isThere = await Promise.all([cert, key].map(({ path }) => exists(path)));
  return readPem(file('ca.pem'), isThere.includes(true) ? { cert, key } : undefined);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
