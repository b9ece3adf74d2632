/**
 * Reads who listens on a port from /proc/net/tcp and /proc/net/tcp6 of our own network namespace.
 *
 * A read costs the kernel a walk through all connections of the machine, up to milliseconds, so callers do it seldom.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { byReach, readTable, type ListeningSocket } from '../core/watch/proc-net.ts';
import { messageOf } from '../errors.ts';

export interface SocketTable {
  /** That which a connect to the host reaches first; null when the kernel does not show them. */
  readonly sockets: readonly ListeningSocket[] | null;
  /** Why it does not, or the empty string. */
  readonly problem: string;
}

const tables = { four: '/proc/net/tcp', six: '/proc/net/tcp6' } as const;

/** The kernel gives a page at a time. */
const pageBytes = 4096;

/** The sockets that listen on the port. Given one that is known, only the table in which it stands is read. */
export function readSockets(host: string, port: number, known?: ListeningSocket): SocketTable {
  const both = [tables.four, tables.six];
  const chosen = known ? [known.ip.includes(':') ? tables.six : tables.four] : both;
  const sockets: ListeningSocket[] = [];
  const problems: string[] = [];
  for (const path of chosen) {
    try {
      sockets.push(...readOne(path, port));
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (problems.length === chosen.length) return { sockets: null, problem: problems[0] ?? '' };
  return { sockets: byReach(sockets, host), problem: '' };
}

function readOne(path: string, port: number): readonly ListeningSocket[] {
  const file = openSync(path, 'r');
  try {
    const page = Buffer.allocUnsafe(pageBytes);
    let text = '';
    for (;;) {
      const bytes = readSync(file, page, 0, pageBytes, null);
      text += page.toString('latin1', 0, bytes);
      const { sockets, complete } = readTable(text, port);
      if (complete || bytes === 0) return sockets;
    }
  } finally {
    closeSync(file);
  }
}
