/** The settings of the process: how etcd and Docker are reached, and what else its services share. */
import type { Address } from '../address/ip.ts';
import type { Layout } from '../layouts/formats.ts';

/** What the services of a process share. */
export interface SharedConfig {
  /** `http://host:port`, at least one. */
  readonly endpoints: readonly string[];
  readonly security: Security;
  readonly engine: EngineEndpoint;
  /** The id of this container; undefined when the user gives none. */
  readonly container: string | undefined;
  /** At a stop, how long dockreg runs on after its keys are gone, in ms. */
  readonly drainMs: number;
  /** The path of the control socket; null for none. */
  readonly control: string | null;
  /** Where the HTTP endpoint listens; undefined for none. */
  readonly listen: Address | undefined;
  readonly logFormat: LogFormat;
}

/** Where `dockreg ls` looks for instances. */
export interface ListConfig extends Pick<SharedConfig, 'endpoints' | 'security'> {
  readonly layouts: readonly Layout[];
  /** The only service to list; undefined for all. */
  readonly name: string | undefined;
}

/** How dockreg and etcd authenticate each other. Files are read for each new connection, so they may be replaced. */
export interface Security {
  readonly tls: TlsFiles;
  readonly user: User | undefined;
}

/** Paths of PEM files; undefined is not used. Without `ca`, the authorities that Node knows are trusted. */
export type TlsFiles = Readonly<Record<'ca' | 'cert' | 'key', string | undefined>>;

/** A user of etcd. */
export interface User {
  readonly name: string;
  readonly password: { readonly text: string } | { readonly file: string };
}

/** Where the API of a Docker engine is. */
export type EngineEndpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** The folder of the certificates for TLS. Without it the connection is plain HTTP. */
      readonly certificates?: string;
    };

/** `unix:///var/run/docker.sock`, `tcp://10.1.0.101:2375`. */
export function formatEngineEndpoint(endpoint: EngineEndpoint): string {
  return endpoint.kind === 'unix' ? `unix://${endpoint.path}` : `tcp://${endpoint.host}:${endpoint.port}`;
}

export type LogFormat = 'logfmt' | 'json';
