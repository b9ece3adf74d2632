/** The settings of a check, one type for each kind. */
import { clean } from '../text.ts';

/** How much of a check is shown, in characters. */
const mostShown = 200;

/** `docker` is the result of the container's own HEALTHCHECK, as Docker reports it. */
export type Check = HttpCheck | TcpCheck | GrpcCheck | ExecCheck | { readonly kind: 'docker' };

export interface HttpCheck {
  readonly kind: 'http';
  readonly version: 'HTTP/1.1' | 'HTTP/2';
  readonly method: string;
  /** Begins with a slash and includes the query. */
  readonly path: string;
  /** In the given order; a name may occur twice. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The statuses that pass. */
  readonly statuses: readonly StatusRange[];
  /** What the body must contain. */
  readonly body: Expectation | undefined;
  /** Undefined for plain HTTP. */
  readonly tls: CheckTls | undefined;
  /** A Unix socket to ask instead of the app's port. */
  readonly socketPath: string | undefined;
  readonly proxyProtocol: ProxyProtocol | undefined;
}

export interface TcpCheck {
  readonly kind: 'tcp';
  /** What to send after the connect. */
  readonly send: Uint8Array | undefined;
  /** What the answer must contain; undefined if a connect is enough. */
  readonly expect: Expectation | undefined;
  readonly socketPath: string | undefined;
  readonly proxyProtocol: ProxyProtocol | undefined;
}

/** The standard health protocol of gRPC, grpc.health.v1. */
export interface GrpcCheck {
  readonly kind: 'grpc';
  /** The empty string means the server as a whole. */
  readonly service: string;
  readonly tls: CheckTls | undefined;
  readonly socketPath: string | undefined;
  readonly proxyProtocol: ProxyProtocol | undefined;
}

/** A command line for /bin/sh, as in CMD-SHELL of Docker's HEALTHCHECK. */
export interface ExecCheck {
  readonly kind: 'exec';
  readonly command: string;
}

/** Includes both ends. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export interface Expectation {
  /** As the user wrote it, for messages. */
  readonly text: string;
  /** Matches anywhere in the answer. */
  readonly wanted: Uint8Array | RegExp;
}

/** The version of HAProxy's PROXY protocol, whose header an app behind a proxy may expect before all else. */
export type ProxyProtocol = 'v1' | 'v2';

export interface CheckTls {
  /** A PEM file; undefined for the authorities that Node knows. */
  readonly ca: string | undefined;
  /** PEM files of our certificate and its key: both or none. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** The name that is sent (SNI) and that the certificate must have; undefined for the address. */
  readonly serverName: string | undefined;
  /** Whether any certificate is accepted. */
  readonly insecure: boolean;
}

/**
 * The value of `--check`, without the check's further options and without what may hold a secret: the query of a path,
 * the arguments of a command. A long one is cut.
 */
export function formatCheck(check: Check): string {
  switch (check.kind) {
    case 'http':
      return clean(`${formatScheme(check)}:${formatPath(check.path)}`, mostShown);
    case 'grpc':
      return clean(`${check.tls ? 'grpcs' : 'grpc'}${check.service && `:${check.service}`}`, mostShown);
    case 'exec':
      return `exec:${formatCommand(check.command)}`;
    case 'tcp':
    case 'docker':
      return check.kind;
  }
}

/** The scheme of an HTTP check, as in `--check`. */
export function formatScheme({ version, tls }: HttpCheck): 'http' | 'https' | 'h2c' | 'h2' {
  if (version === 'HTTP/2') return tls ? 'h2' : 'h2c';
  return tls ? 'https' : 'http';
}

/** The path without its query. */
export function formatPath(path: string): string {
  return path.replace(/\?.*$/s, '?***');
}

/** The program without its arguments. A variable that is set before it may be a secret. */
export function formatCommand(command: string): string {
  const [, program, rest] = /^\s*([\w./-]{1,100})(?:\s+(\S.*))?\s*$/s.exec(command) ?? [];
  return program === undefined ? '***' : `${program}${rest === undefined ? '' : ' ***'}`;
}

/** Whether the check connects to a TCP port. */
export function asksPort(check: Check): boolean {
  return 'socketPath' in check && check.socketPath === undefined;
}
