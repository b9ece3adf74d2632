/**
 * Reads the certificates for a remote engine from a folder, under the names that the docker CLI uses.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { readPem, type Pem } from '../tls/pem.ts';

/**
 * Reads `ca.pem`, which must have issued the engine's certificate, and our `cert.pem` and `key.pem`, which may both be
 * missing where the engine asks for none.
 * @throws PemFileError
 */
export async function readCertificates(folder: string): Promise<Pem> {
  const [ca, cert, key] = [join(folder, 'ca.pem'), join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const exist = await Promise.all([exists(cert), exists(key)]);
  return readPem({ ca, ...(exist.includes(true) && { cert, key }) }, () => 'DOCKER_CERT_PATH:');
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
