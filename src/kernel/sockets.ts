/**
 * Reads which sockets listen on a port from /proc/net/tcp and /proc/net/tcp6 of our own network namespace. For each read
 * the kernel walks through all connections of the machine, which takes up to milliseconds, so callers read seldom.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { isIPv6 } from '../core/address/ip.ts';
import { byReach, readTable, type ListeningSocket } from '../core/watch/proc-net.ts';
import { messageOf } from '../errors.ts';

export interface SocketTable {
  /** The socket that a connect to the host reaches comes first; null when the kernel does not show the sockets. */
  readonly sockets: readonly ListeningSocket[] | null;
  /** Why the kernel does not show them, or the empty string. */
  readonly problem: string;
}

const ipv4Table = '/proc/net/tcp';
const ipv6Table = '/proc/net/tcp6';
/** The kernel returns one page per read. */
const pageBytes = 4096;

/** The sockets that listen on the port. With a known socket, only the table that contains it is read. */
export function readSockets(host: string, port: number, known?: ListeningSocket): SocketTable {
  const chosen = known ? [isIPv6(known.ip) ? ipv6Table : ipv4Table] : [ipv4Table, ipv6Table];
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
