/**
 * The control socket: a Unix socket for the user that dockreg runs as, on which `dockreg drain`, `resume` and `status`
 * ask. It is a convenience: where it cannot be made, that is told, and all else goes on. What answers is loaded with the
 * first question.
 */
import { lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Desk } from '../desk.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';

export interface ControlSocket {
  /** Takes the socket away. */
  close(): void;
}

/** So many may ask at once; more are turned away. */
const mostConnections = 8;

/** Null where it cannot be made. */
export async function openControlSocket(path: string, desk: Desk, log: Log): Promise<ControlSocket | null> {
  const serve = async (socket: Socket): Promise<void> => {
    socket.on('error', () => undefined);
    const { serveOne } = await import('./answer.ts');
    await serveOne(socket, desk);
  };
  try {
    const server = await listen(path, serve).catch(async (error: unknown) => {
      if (codeOf(error) !== 'EADDRINUSE') throw error;
      await removeStale(path);
      return listen(path, serve);
    });
    return { close: () => server.close() };
  } catch (error) {
    log.info(`no control socket: ${messageOf(error)}; dockreg drain, resume and status cannot ask this one`);
    return null;
  }
}

function listen(path: string, serve: (socket: Socket) => Promise<void>): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, socket => void serve(socket));
    server.maxConnections = mostConnections;
    server.once('error', reject);
    // It is bound in this call, so nobody sees it with other rights.
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        // What goes wrong later costs one conversation.
        server.off('error', reject).on('error', () => undefined);
        resolve(server);
      });
    } finally {
      process.umask(before);
    }
    server.unref();
  });
}

/** Removes the socket of somebody who was killed. */
async function removeStale(path: string): Promise<void> {
  if (!(await lstat(path)).isSocket()) throw new Error(`${path} is there and is no socket`);
  if (await hasListener(path))
    throw new Error(`${path} is another program's; if that is a dockreg too, give each its own --control`);
  await unlink(path);
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

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
