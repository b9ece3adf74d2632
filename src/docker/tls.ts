/**
 * What only a remote engine with TLS needs: Node's https, and the certificates in a folder, under the names that the
 * docker CLI uses.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readPem, type Pem } from '../tls/pem.ts';

export { request } from 'node:https';

/**
 * Reads `ca.pem`, which must have issued the engine's certificate, and our `cert.pem` and `key.pem`, which may both be
 * missing where the engine asks for none.
 * @throws PemFileError
 */
export function readCertificates(folder: string): Promise<Pem> {
  const [ca, cert, key] = [join(folder, 'ca.pem'), join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const hasOwn = existsSync(cert) || existsSync(key);
  return readPem({ ca, ...(hasOwn && { cert, key }) }, () => 'DOCKER_CERT_PATH:');
}
