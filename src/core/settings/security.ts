/**
 * How dockreg and etcd authenticate each other. Files are named here and read for each new connection, so a file that is
 * replaced on disk is used without a restart.
 */

export interface Security {
  readonly tls: TlsFiles;
  readonly user: User | undefined;
}

/** Paths of PEM files; undefined is not used. Without `ca`, the authorities that Node knows are trusted. */
export interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** A user of etcd. */
export interface User {
  readonly name: string;
  readonly password: { readonly text: string } | { readonly file: string };
}
