/**
 * Where a check connects to: the app's port or a Unix socket.
 */
export type ProbeTarget =
  | { readonly host: string; readonly port: number }
  /** Of a Unix socket. */
  | { readonly path: string };

/** The Unix socket that the check names, or else the app's port. */
export function targetOf(
  socketPath: string | undefined,
  { host, port }: { readonly host: string; readonly port: number },
): ProbeTarget {
  return socketPath === undefined ? { host, port } : { path: socketPath };
}

/** `127.0.0.1:8000`, `/run/app.sock` */
export function formatTarget(target: ProbeTarget): string {
  return 'path' in target ? target.path : `${target.host}:${target.port}`;
}

/** The host and port of a URL; a Unix socket has none, so it is `localhost`. */
export function authorityOf(target: ProbeTarget): string {
  return 'path' in target ? 'localhost' : formatTarget(target);
}
