/**
 * The certificates of a connection to etcd, read and checked: gRPC takes a broken authority without a word and fails
 * later in riddles.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { IOptions } from 'etcd3';
import type { TlsFiles } from '../core/security.ts';
import { messageOf } from '../errors.ts';

export type TlsCredentials = NonNullable<IOptions['credentials']>;

/** A file of --etcd-ca, --etcd-cert or --etcd-key cannot be used; the message names it. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
}

/** What gRPC needs of the files, or undefined when none is named. @throws TlsFileError */
export async function readTls({ ca, cert, key }: TlsFiles): Promise<TlsCredentials | undefined> {
  if (ca === undefined && cert === undefined) return undefined;
  const [authority, certificate, privateKey] = await Promise.all([
    read('--etcd-ca', ca),
    read('--etcd-cert', cert),
    read('--etcd-key', key),
  ]);
  if (authority) check('--etcd-ca', ca, () => new X509Certificate(authority));
  if (certificate) check('--etcd-cert', cert, () => new X509Certificate(certificate));
  if (certificate && privateKey) {
    check('--etcd-key', key, () => createSecureContext({ cert: certificate, key: privateKey }));
  }
  return {
    // The package's type asks for an authority; gRPC takes none for those that Node knows.
    rootCertificate: authority as Buffer,
    ...(certificate && privateKey && { certChain: certificate, privateKey }),
  };
}

async function read(flag: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TlsFileError(`${flag} ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function check(flag: string, path: string | undefined, parse: () => unknown): void {
  try {
    parse();
  } catch (cause) {
    throw new TlsFileError(`${flag} ${path} is not usable PEM: ${messageOf(cause)}`, { cause });
  }
}
