/**
 * Where the app is asked: at its port or at a Unix socket.
 */
import { connect, type Socket } from 'node:net';

export type ProbeTarget =
  | { readonly host: string; readonly port: number }
  /** Of a Unix socket. */
  | { readonly path: string };

/** `127.0.0.1:8000`, `/run/app.sock` */
export function formatTarget(target: ProbeTarget): string {
  return 'path' in target ? target.path : `${target.host}:${target.port}`;
}

/** A connection of its own, for one check. */
export function dial(target: ProbeTarget): Socket {
  return connect(target);
}
