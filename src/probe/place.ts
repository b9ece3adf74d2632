/**
 * Where the app is asked: at its port or at a Unix socket.
 */
import { connect, type Socket } from 'node:net';

export type Place =
  | { readonly host: string; readonly port: number }
  /** Of a Unix socket. */
  | { readonly path: string };

/** `127.0.0.1:8000`, `/run/app.sock` */
export function formatPlace(place: Place): string {
  return 'path' in place ? place.path : `${place.host}:${place.port}`;
}

/** A connection of its own, for one check. */
export function dial(place: Place): Socket {
  return connect(place);
}
