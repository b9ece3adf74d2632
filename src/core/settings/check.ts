/**
 * How the app is asked whether it is well: one kind of check, with all that it needs to know.
 */
import type { Protocol } from '../address/ip.ts';

export type Check = HttpCheck | TcpCheck | GrpcCheck | ExecCheck | DockerCheck;

export interface HttpCheck {
  readonly kind: 'http';
  readonly method: string;
  /** With its query, beginning with a slash. */
  readonly path: string;
  /** Names and values in the order given; a name may come twice. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Which statuses pass. */
  readonly statuses: readonly StatusRange[];
  /** What the body must show. */
  readonly body: Expectation | undefined;
  /** Undefined for plain HTTP. */
  readonly tls: CheckTls | undefined;
  /** A Unix socket in place of the app's port. */
  readonly socketPath: string | undefined;
}

export interface TcpCheck {
  readonly kind: 'tcp';
  /** What is said after connecting. */
  readonly send: Uint8Array | undefined;
  /** What the answer must show; without it, to connect is enough. */
  readonly expect: Expectation | undefined;
  readonly socketPath: string | undefined;
}

/** The standard health protocol, grpc.health.v1. */
export interface GrpcCheck {
  readonly kind: 'grpc';
  /** The empty string asks for the server as a whole. */
  readonly service: string;
  readonly tls: CheckTls | undefined;
  readonly socketPath: string | undefined;
}

/** A command line for /bin/sh, as in CMD-SHELL of Docker's HEALTHCHECK. */
export interface ExecCheck {
  readonly kind: 'exec';
  readonly command: string;
}

/** What the container's own HEALTHCHECK found, as Docker tells it. */
export interface DockerCheck {
  readonly kind: 'docker';
}

/** Both ends belong to it. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export interface Expectation {
  /** As it was written, for messages. */
  readonly text: string;
  /** To be found anywhere in the answer. */
  readonly wanted: Uint8Array | RegExp;
}

export interface CheckTls {
  /** A PEM file; without it the authorities that Node knows hold. */
  readonly ca: string | undefined;
  /** The name that is asked for (SNI) and that the certificate must bear; without it, the address. */
  readonly serverName: string | undefined;
  /** Whether any certificate will do. */
  readonly insecure: boolean;
}

/** The check in its notation, without what the further options say. */
export function formatCheck(check: Check): string {
  switch (check.kind) {
    case 'http':
      return `${check.tls ? 'https' : 'http'}:${check.path}`;
    case 'grpc':
      return `${check.tls ? 'grpcs' : 'grpc'}${check.service && `:${check.service}`}`;
    case 'exec':
      return `exec:${check.command}`;
    case 'tcp':
    case 'docker':
      return check.kind;
  }
}

/**
 * What the app watch, which sees who listens on the app's TCP port, is to such a check.
 * - `verdict`: the check goes through the port, so where nothing listens any more it could only fail.
 * - `reason`: the check goes another way and only it can tell; what happens at the port is a reason to make it.
 * - `none`: the app is on UDP, where nobody listens; or Docker looks when it looks, and asking sooner gives nothing newer.
 */
export function watchRole(check: Check, protocol: Protocol): 'verdict' | 'reason' | 'none' {
  const aside = protocol === 'tcp' ? 'reason' : 'none';
  switch (check.kind) {
    case 'http':
    case 'tcp':
    case 'grpc':
      return check.socketPath === undefined ? 'verdict' : aside;
    case 'exec':
      return aside;
    case 'docker':
      return 'none';
  }
}
