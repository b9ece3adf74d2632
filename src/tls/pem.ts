/**
 * PEM files of a TLS connection, read and checked when they are needed: those who use them take a broken one without a
 * word and fail later in riddles.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../errors.ts';

/** A file, and the setting that named it, for the message. */
export interface PemFile {
  readonly setting: string;
  readonly path: string;
}

/** What the files hold. */
export interface Pem {
  readonly ca: Buffer | undefined;
  /** Our certificate and its key, if there are any. */
  readonly own: { readonly cert: Buffer; readonly key: Buffer } | undefined;
}

/** A file cannot be used; the message names it and the setting. */
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
