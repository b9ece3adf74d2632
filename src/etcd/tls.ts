/**
 * The certificates of a connection to etcd.
 */
import type { IOptions } from 'etcd3';
import type { TlsFiles } from '../core/settings/process.ts';
import { readPem } from '../tls/pem.ts';

/** Reads the files for gRPC. Resolves with undefined when no file is named. @throws PemFileError */
export async function readTls(files: TlsFiles): Promise<IOptions['credentials']> {
  if (files.ca === undefined && files.cert === undefined) return undefined;
  const { ca, cert, key } = await readPem(files, file => `--etcd-${file}`);
  return {
    // The package's type requires an authority. Without one gRPC trusts those that Node knows.
    rootCertificate: ca as Buffer,
    ...(cert && key && { certChain: cert, privateKey: key }),
  };
}
