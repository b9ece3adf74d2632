/**
 * Reads and checks the PEM files of a TLS connection when they are needed. The libraries that use them accept a broken
 * file silently, and fail later with an unclear message.
 */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { codeOf, messageOf, ProblemError } from '../errors.ts';
import { readRegularFile } from '../files.ts';

/** The authority that we trust, our certificate, and its key; undefined for a file that is not named. */
export type PemPaths = { readonly [File in 'ca' | 'cert' | 'key']?: string | undefined };

/** The content of the files. */
export type Pem = { readonly [File in keyof PemPaths]-?: Buffer | undefined };

/** How a key with a passphrase begins, in its two forms. */
const encrypted = /^(?:-----BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED)/m;

/** A file cannot be used. The message names the file and the setting. */
export class PemFileError extends ProblemError {
  override readonly name = 'PemFileError';
}

const hintUnreadable = 'name a file that is in this container and that dockreg may read';
const hintUnusable = 'name a file in PEM format, which begins with -----BEGIN';
const hintMismatch = 'name the key and the certificate that belong together';
const hintEncrypted = 'write the key without it: openssl pkey -in KEY -out NEW-KEY';

/**
 * Reads the files that are named.
 * @param settingOf returns the setting that names a file, for messages: `--etcd-ca`
 * @throws PemFileError
 */
export async function readPem(paths: PemPaths, settingOf: (file: keyof PemPaths) => string): Promise<Pem> {
  const refuse = (file: keyof PemPaths, reason: string, cause: unknown, hint: string): never => {
    const isOther = /^ERR_OSSL_X509_KEY_(?:VALUES|TYPE)_MISMATCH$/.test(codeOf(cause));
    const rest = isOther
      ? `is not the key of ${settingOf('cert')} ${paths.cert}`
      : `${reason}: ${messageOf(cause)}`;
    const message = `${settingOf(file)} ${paths[file]} ${rest}`;
    throw new PemFileError({ message, hint: isOther ? hintMismatch : hint }, { cause });
  };
  const read = async (file: keyof PemPaths): Promise<Buffer | undefined> => {
    const path = paths[file];
    return path === undefined
      ? undefined
      : readRegularFile(path).catch(cause => refuse(file, 'cannot be read', cause, hintUnreadable));
  };
  const check = (file: keyof PemPaths, parse: () => unknown): void => {
    try {
      parse();
    } catch (cause) {
      refuse(file, 'is not usable PEM', cause, hintUnusable);
    }
  };
  const [ca, cert, key] = await Promise.all([read('ca'), read('cert'), read('key')]);
  if (ca) check('ca', () => new X509Certificate(ca));
  if (cert) check('cert', () => new X509Certificate(cert));
  if (key && encrypted.test(key.toString('latin1')))
    refuse(
      'key',
      'cannot be used',
      new Error('it needs a passphrase, which dockreg cannot give'),
      hintEncrypted,
    );
  if (cert && key) check('key', () => createSecureContext({ cert, key }));
  return { ca, cert, key };
}
