/**
 * The control socket: a Unix socket for the user that dockreg runs as, for `dockreg drain`, `resume` and `status`.
 * Where it cannot be made, a log line says so and everything else goes on.
 */
import { once } from 'node:events';
import { link, lstat, rename, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { codeOf, messageOf } from '../errors.ts';
import { keepAccepting } from './accepting.ts';
import type { AdminApi } from './api.ts';
import { controlProtocol } from './control-protocol.ts';
import { createExchanges, queueLength, type Exchanges } from './exchanges.ts';

/** How often a stale socket may be in the way: another dockreg may be starting at the same path. */
const attempts = 3;

/**
 * Resolves with a function that closes the socket and removes its file; null where the socket cannot be made.
 */
export async function openControlSocket(path: string, api: AdminApi): Promise<(() => void) | null> {
  const exchanges = await createExchanges(controlProtocol(api), api.clock);
  try {
    const server = await takePath(path, exchanges, api.random);
    const { clock, log } = api;
    const what = `--control ${path}`;
    const stopAccepting = keepAccepting(server, { listen: () => listen(server, path), what, clock, log });
    return () => {
      stopAccepting();
      exchanges.close();
    };
  } catch (error) {
    const effect = 'dockreg drain, resume and status cannot reach this one';
    api.log.info(`no control socket: ${messageOf(error)}; ${effect}`);
    return null;
  }
}

async function takePath(path: string, exchanges: Exchanges, random: () => number): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open(path, exchanges);
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE' || attempt === attempts) throw error;
      await removeStale(path, `${path}.${random().toString(36).slice(2)}`);
    }
  }
}

async function open(path: string, { accept }: Exchanges): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept).unref();
  listen(server, path);
  await once(server, 'listening');
  return server;
}

function listen(server: Server, path: string): void {
  // The socket is bound within the call of listen, so it never exists with other permissions.
  const before = process.umask(0o177);
  try {
    server.listen({ path, backlog: queueLength });
  } finally {
    process.umask(before);
  }
}

/**
 * Removes the socket of a program that was killed. Between the look at it and its removal, another dockreg can have put
 * its own socket there. So the file is first moved away, and moved back if it is not the one that was looked at.
 */
async function removeStale(path: string, moved: string): Promise<void> {
  try {
    const stale = await lstat(path, { bigint: true });
    if (!stale.isSocket()) throw new Error(`${path} exists and is not a socket`);
    if (await hasListener(path)) throw belongsToAnother(path);
    await rename(path, moved);
    const { ino, mtimeNs } = await lstat(moved, { bigint: true });
    const isStale = ino === stale.ino && mtimeNs === stale.mtimeNs;
    if (!isStale) await link(moved, path);
    await unlink(moved);
    if (!isStale) throw belongsToAnother(path);
  } catch (error) {
    // Another dockreg was quicker to remove it, or to put its own there.
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function belongsToAnother(path: string): Error {
  const remedy = 'if that is a dockreg too, give each its own --control';
  return new Error(`${path} belongs to another program; ${remedy}`);
}

function hasListener(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', error => resolve(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error))));
  });
}
