/**
 * How we know etcd and etcd knows us. Files are named, not held: they are read anew for each connection, so that what
 * is renewed on disk is taken up without a restart.
 */

export interface Security {
  readonly tls: TlsFiles;
  readonly user: User | undefined;
}

/** Paths of PEM files; what is undefined is not used. Without `ca` the authorities that Node knows hold. */
export interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface User {
  readonly name: string;
  readonly password: { readonly text: string } | { readonly file: string };
}
