/**
 * Parses the kernel's tables of TCP sockets, /proc/net/tcp and /proc/net/tcp6: which sockets listen on a port?
 * Source: Documentation/networking/proc_net_tcp.rst of the kernel.
 */
import { canonicalIp, isIPv6 } from '../address/ip.ts';

/** A TCP socket that listens. */
export interface ListeningSocket {
  /** The local address, without brackets: `0.0.0.0`, `127.0.0.1`, `::`, `::ffff:127.0.0.1`. */
  readonly ip: string;
  readonly port: number;
  /** The user that created it. */
  readonly uid: number;
  /** The kernel's number of the socket; another socket on the same port has another. */
  readonly inode: string;
  /** How many connections wait to be accepted. */
  readonly waiting: number;
}

const listen = '0A';

/**
 * The share of the time that reading the table may cost: little beside other readings, more where there is nothing else
 * to read, and most while an app is awaited at an address where it can be registered. And the least time between two
 * readings, in ms.
 */
const share = { beside: 0.0002, only: 0.001, awaited: 0.01 } as const;
const leastGapMs = 1000;

/** The time from a reading of the table that took so long to the next, in ms. */
export function tableGapMs(tookMs: number, role: keyof typeof share): number {
  return Math.max(leastGapMs, tookMs / share[role]);
}

/**
 * Returns the sockets that listen on `port`, in the complete lines of the beginning of a table, and whether the text is
 * `complete`: it reaches a socket that does not listen, and all listening sockets come before it.
 */
export function readTable(
  text: string,
  port: number,
): { readonly sockets: readonly ListeningSocket[]; readonly complete: boolean } {
  const lines = text.split('\n').slice(1, -1);
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets: ListeningSocket[] = [];
  for (const line of lines) {
    const [, local = '', , state, queues = '', , , uid = '', , inode = ''] = line.trim().split(/\s+/);
    if (state !== listen) return { sockets, complete: true };
    if (!local.endsWith(suffix)) continue;
    sockets.push({
      ip: parseIp(local.slice(0, -suffix.length)),
      port,
      uid: Number(uid),
      inode,
      waiting: Number.parseInt(queues.split(':')[1] ?? '0', 16),
    });
  }
  return { sockets, complete: false };
}

/** Returns all ports on which a socket of the table listens. */
export function readPorts(text: string): readonly number[] {
  const lines = text.split('\n').slice(1, -1);
  return lines.flatMap(line => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    return state === listen ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [];
  });
}

/**
 * Sorts the socket first that a connect to `host` reaches: the kernel prefers the exact address, then the wildcard of
 * its family.
 */
export function byReach(sockets: readonly ListeningSocket[], host: string): readonly ListeningSocket[] {
  const rank = ({ ip }: ListeningSocket): number => {
    if (ip === host || ip === `::ffff:${host}`) return 0;
    if (ip === '0.0.0.0' || ip === '::') return isIPv6(ip) === isIPv6(host) ? 1 : 2;
    return 3;
  };
  return sockets.toSorted((a, b) => rank(a) - rank(b));
}

/** The kernel writes each 32-bit word of an address in the machine's byte order, which is little-endian here. */
function parseIp(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap(word => (word.match(/../g) ?? []).toReversed());
  if (bytes.length === 4) return bytes.map(byte => Number.parseInt(byte, 16)).join('.');
  const ip = canonicalIp((bytes.join('').match(/.{4}/g) ?? []).join(':'));
  // A socket at a mapped IPv4 address is still in the table of IPv6.
  return isIPv6(ip) ? ip : `::ffff:${ip}`;
}
