/**
 * The certificates of a connection to etcd.
 */
import type { IOptions } from 'etcd3';
import type { TlsFiles } from '../core/settings/process.ts';
import { readPem } from '../tls/pem.ts';

/** Reads the files for gRPC. Resolves with undefined when no file is named. @throws PemFileError */
export async function readTls({ ca, cert, key }: TlsFiles): Promise<IOptions['credentials']> {
  if (ca === undefined && cert === undefined) return undefined;
  const pem = await readPem(
    ca === undefined ? undefined : { setting: '--etcd-ca', path: ca },
    cert === undefined || key === undefined
      ? undefined
      : { cert: { setting: '--etcd-cert', path: cert }, key: { setting: '--etcd-key', path: key } },
  );
  return {
    // The package's type requires an authority. Without one gRPC trusts those that Node knows.
    rootCertificate: pem.ca as Buffer,
    ...(pem.own && { certChain: pem.own.cert, privateKey: pem.own.key }),
  };
}
