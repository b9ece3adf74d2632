/**
 * The control socket: a Unix socket for the user that dockreg runs as, for `dockreg drain`, `resume` and `status`.
 * Where it cannot be made, a log line says so and everything else goes on.
 */
import { once } from 'node:events';
import { lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { codeOf, messageOf } from '../errors.ts';
import { keepAccepting } from './accepting.ts';
import type { AdminApi } from './api.ts';
import { serveConnection } from './control-connection.ts';

/** More connections than this at once are turned away. */
const mostConnections = 8;

/** Resolves with a function that closes and removes the socket; null where the socket cannot be made. */
export async function openControlSocket(path: string, api: AdminApi): Promise<(() => void) | null> {
  const serve = (socket: Socket): void => {
    socket.on('error', () => undefined);
    void serveConnection(socket, api);
  };
  try {
    const server = await open(path, serve).catch(async (error: unknown) => {
      if (codeOf(error) !== 'EADDRINUSE') throw error;
      await removeStale(path);
      return open(path, serve);
    });
    const { clock, log } = api;
    return keepAccepting(server, {
      listen: () => listen(server, path),
      what: `--control ${path}`,
      clock,
      log,
    });
  } catch (error) {
    const effect = 'dockreg drain, resume and status cannot reach this one';
    api.log.info(`no control socket: ${messageOf(error)}; ${effect}`);
    return null;
  }
}

async function open(path: string, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, serve).unref();
  server.maxConnections = mostConnections;
  listen(server, path);
  await once(server, 'listening');
  return server;
}

function listen(server: Server, path: string): void {
  // The socket is bound within the call of listen, so it never exists with other permissions.
  const before = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
}

/** Removes the socket of a program that was killed. */
async function removeStale(path: string): Promise<void> {
  if (!(await lstat(path)).isSocket()) throw new Error(`${path} exists and is not a socket`);
  if (!(await hasListener(path))) return unlink(path);
  throw new Error(
    `${path} belongs to another program; if that is a dockreg too, give each its own --control`,
  );
}

function hasListener(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', error => resolve(codeOf(error) !== 'ECONNREFUSED'));
  });
}
