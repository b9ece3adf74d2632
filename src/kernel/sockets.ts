/**
 * Reads which sockets listen on a port from /proc/net/tcp and /proc/net/tcp6 of our own network namespace. For each read
 * the kernel walks through all connections of the machine, which takes up to milliseconds, so callers read seldom.
 */
import { openSync, readFileSync, readSync } from 'node:fs';
import { isIPv6 } from '../core/address/ip.ts';
import { byReach, readPorts, readTable, type ListeningSocket } from '../core/watch/proc-net.ts';
import { isShortage } from '../core/shortage.ts';
import { codeOf, messageOf } from '../errors.ts';

export interface SocketTable {
  /** The socket that a connect to the host reaches comes first; null when the kernel does not show the sockets. */
  readonly sockets: readonly ListeningSocket[] | null;
  /** Why the kernel does not show them, or the empty string. */
  readonly problem: string;
  /** Whether that may change: a resource has run out. */
  readonly isPassing: boolean;
}

const ipv4Table = '/proc/net/tcp';
const ipv6Table = '/proc/net/tcp6';
/** The kernel returns one page per read. */
const pageBytes = 4096;
/** The files of the tables, by path. They stay open, so that they can be read when no descriptor is left. */
const openFiles = new Map<string, number>();

/** The sockets that listen on the port. With a known socket, only the table that contains it is read. */
export function readSockets(host: string, port: number, known?: ListeningSocket): SocketTable {
  const chosen = known ? [isIPv6(known.ip) ? ipv6Table : ipv4Table] : [ipv4Table, ipv6Table];
  const sockets: ListeningSocket[] = [];
  const errors: unknown[] = [];
  for (const path of chosen) {
    try {
      sockets.push(...readOne(path, port));
    } catch (error) {
      errors.push(error);
    }
  }
  const isPassing = errors.some(error => isShortage(codeOf(error)));
  // Half of the tables could look as if nothing listened.
  if (errors.length === chosen.length || isPassing)
    return { sockets: null, problem: messageOf(errors[0]), isPassing };
  return { sockets: byReach(sockets, host), problem: '', isPassing };
}

function readOne(path: string, port: number): readonly ListeningSocket[] {
  const file = openFiles.get(path) ?? openSync(path, 'r');
  openFiles.set(path, file);
  const page = Buffer.allocUnsafe(pageBytes);
  let text = '';
  for (let at = 0; ;) {
    // A read from the beginning makes the kernel walk through its sockets again.
    const bytes = readSync(file, page, 0, pageBytes, at);
    at += bytes;
    text += page.toString('latin1', 0, bytes);
    const { sockets, complete } = readTable(text, port);
    if (complete || bytes === 0) return sockets;
  }
}

/** All ports on which a socket of our network namespace listens, in order; none where the kernel does not show them. */
export function listeningPorts(): readonly number[] {
  const ports = [ipv4Table, ipv6Table].flatMap(path => {
    try {
      return readPorts(readFileSync(path, 'latin1'));
    } catch {
      return [];
    }
  });
  return [...new Set(ports)].toSorted((a, b) => a - b);
}
