/**
 * Reads and checks the PEM files of a TLS connection when they are needed. The libraries that use them accept a broken
 * file silently, and fail later with an unclear message.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../errors.ts';

/** A file, and the setting that names it, for messages. */
export interface PemFile {
  readonly setting: string;
  readonly path: string;
}

/** The content of the files. */
export interface Pem {
  readonly ca: Buffer | undefined;
  /** Our certificate and its key. */
  readonly own: { readonly cert: Buffer; readonly key: Buffer } | undefined;
}

/** A file cannot be used. The message names the file and the setting. */
export class PemFileError extends Error {
  override readonly name = 'PemFileError';
}

/** @throws PemFileError */
export async function readPem(
  ca: PemFile | undefined,
  own: { readonly cert: PemFile; readonly key: PemFile } | undefined,
): Promise<Pem> {
  const [authority, cert, key] = await Promise.all([ca, own?.cert, own?.key].map(read));
  if (ca && authority) check(ca, () => new X509Certificate(authority));
  if (own === undefined || cert === undefined || key === undefined) return { ca: authority, own: undefined };
  check(own.cert, () => new X509Certificate(cert));
  check(own.key, () => createSecureContext({ cert, key }));
  return { ca: authority, own: { cert, key } };
}

async function read(file: PemFile | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  const { setting, path } = file;
  try {
    return await readFile(path);
  } catch (cause) {
    throw new PemFileError(`${setting} ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function check({ setting, path }: PemFile, parse: () => unknown): void {
  try {
    parse();
  } catch (cause) {
    throw new PemFileError(`${setting} ${path} is not usable PEM: ${messageOf(cause)}`, { cause });
  }
}
