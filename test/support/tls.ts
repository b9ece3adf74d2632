/**
 * Certificates for tests, made by the openssl command in a temporary folder: an authority and the certificates that it
 * issues, with names and a lifetime in seconds, so that tests of expiry, rotation and wrong names use real ones.
 */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { atProcessEnd } from './children.ts';

const run = promisify(execFile);

/** Paths of a PEM certificate and its PEM key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Paths of the files for a server and a client that trust one authority. */
export interface TlsFiles {
  readonly ca: string;
  readonly server: CertificateFiles;
  readonly client: CertificateFiles;
}

export interface IssueOptions {
  /** DNS names and IP addresses in the certificate. Default: `127.0.0.1` and `localhost`. */
  readonly names?: readonly string[];
  /**
   * The subject's common name, which is etcd's user with client certificates. Default: the file's name; '' for none.
   */
  readonly commonName?: string;
  /** Seconds from now until it expires; negative for one that has expired. Default: one day. */
  readonly expiresInSeconds?: number;
}

/** A certificate authority in a folder of its own. */
export class Authority {
  /** Path of the authority's own certificate. */
  readonly ca: string;
  readonly #folder: string;
  readonly #forget: () => void;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(folder: string) {
    this.#folder = folder;
    this.ca = join(folder, 'ca.pem');
    this.#forget = atProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  }

  /** Makes an authority. Rejects when openssl does. */
  static async make(commonName = 'dockreg test authority'): Promise<Authority> {
    const folder = await mkdtemp(join(tmpdir(), 'dockreg-tls-'));
    const authority = new Authority(folder);
    await mkdir(join(folder, 'issued'));
    await writeFile(join(folder, 'index.txt'), '');
    await writeFile(join(folder, 'ca.cnf'), configuration(folder));
    await openssl(
      'req',
      '-x509',
      ...newKey(join(folder, 'ca-key.pem')),
      '-days',
      '30',
      '-out',
      authority.ca,
      ...subject(commonName),
    );
    return authority;
  }

  /**
   * Issues a certificate for server and client use as `<name>.pem`. Issued again under the same name, it replaces the
   * old one in one step and keeps the key, so that a reader never finds a pair that does not match.
   */
  async issue(name: string, options: IssueOptions = {}): Promise<CertificateFiles> {
    // openssl rewrites the authority's index file, so one at a time.
    const issued = this.#queue.then(() => this.#issue(name, options));
    this.#queue = issued.catch(() => undefined);
    return issued;
  }

  /** Removes the folder with all certificates. */
  async remove(): Promise<void> {
    this.#forget();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #issue(name: string, options: IssueOptions): Promise<CertificateFiles> {
    const { names = ['127.0.0.1', 'localhost'], commonName = name, expiresInSeconds = 86_400 } = options;
    const path = (ending: string): string => join(this.#folder, `${name}${ending}`);
    const files: CertificateFiles = { cert: path('.pem'), key: path('-key.pem') };
    const request = ['req', '-new', '-out', path('.csr'), ...subject(commonName)];
    const known = await access(files.key).then(
      () => true,
      () => false,
    );
    await openssl(...request, ...(known ? ['-key', files.key] : newKey(files.key)));
    await writeFile(path('.ext'), extensions(names));
    const start = opensslDate(Math.min(0, expiresInSeconds) - 3600);
    const dates = ['-startdate', start, '-enddate', opensslDate(expiresInSeconds)];
    const config = ['-config', join(this.#folder, 'ca.cnf'), '-extfile', path('.ext')];
    await openssl('ca', '-batch', '-notext', ...config, ...dates, '-in', path('.csr'), '-out', path('.new'));
    await rename(path('.new'), files.cert);
    return files;
  }
}

/** An authority with a `server` and a `client` certificate. */
export async function makeTls(
  options: IssueOptions = {},
): Promise<TlsFiles & { readonly authority: Authority }> {
  const authority = await Authority.make();
  const server = await authority.issue('server', options);
  const client = await authority.issue('client');
  return { ca: authority.ca, server, client, authority };
}

async function openssl(...args: string[]): Promise<void> {
  await run('openssl', args);
}

function newKey(path: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path];
}

function subject(commonName: string): string[] {
  return ['-subj', commonName === '' ? '/O=dockreg' : `/CN=${commonName}`];
}

function opensslDate(secondsFromNow: number): string {
  const iso = new Date(Date.now() + secondsFromNow * 1000).toISOString();
  return `${iso.slice(0, 19).replaceAll(/[-T:]/g, '')}Z`;
}

function extensions(names: readonly string[]): string {
  const alternatives = names.map(name => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  // etcd's JSON gateway connects to etcd with the server's certificate, so each certificate is for both uses.
  return `subjectAltName=${alternatives}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n`;
}

function configuration(folder: string): string {
  return `[ca]
default_ca = this
[this]
database = ${folder}/index.txt
new_certs_dir = ${folder}/issued
certificate = ${folder}/ca.pem
private_key = ${folder}/ca-key.pem
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = optional
organizationName = optional
`;
}
