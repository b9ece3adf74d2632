/**
 * The kernel's table of TCP sockets, /proc/net/tcp and /proc/net/tcp6, read for one question: who listens on a port?
 * The format is that of the kernel's Documentation/networking/proc_net_tcp.rst.
 */

/** A TCP socket that listens. */
export interface ListeningSocket {
  /** The local address, without brackets: `0.0.0.0`, `127.0.0.1`, `::`. */
  readonly ip: string;
  readonly port: number;
  /** The user that made it. */
  readonly uid: number;
  /** The kernel's number of the socket; another socket on the same port has another. */
  readonly inode: string;
  /** How many connections wait to be accepted. */
  readonly waiting: number;
}

/** What the top of a table tells. */
export interface TableTop {
  /** The sockets that listen on the port. */
  readonly sockets: readonly ListeningSocket[];
  /** Whether a socket that does not listen was met: all that listen come before it, and nothing after it matters. */
  readonly complete: boolean;
}

const listen = '0A';

/** The listening sockets of `port` in the complete lines of a table's beginning. */
export function readTable(text: string, port: number): TableTop {
  const lines = text.split('\n').slice(1, -1);
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets: ListeningSocket[] = [];
  for (const line of lines) {
    const [, local = '', , state, queues = '', , , uid = '', , inode = ''] = line.trim().split(/\s+/);
    if (state !== listen) return { sockets, complete: true };
    if (!local.endsWith(suffix)) continue;
    sockets.push({
      ip: ipOf(local.slice(0, -suffix.length)),
      port,
      uid: Number(uid),
      inode,
      waiting: Number.parseInt(queues.split(':')[1] ?? '0', 16),
    });
  }
  return { sockets, complete: false };
}

/** An address that only this machine (or this network namespace) reaches. */
export function isLoopback(ip: string): boolean {
  return /^(::ffff:)?127\./.test(ip) || ip === '::1';
}

/** That which a connect to `host` reaches first: the kernel prefers the exact address, then the wildcard of its family. */
export function byReach(sockets: readonly ListeningSocket[], host: string): readonly ListeningSocket[] {
  const rank = ({ ip }: ListeningSocket): number => {
    if (ip === host || ip === `::ffff:${host}`) return 0;
    if (ip === '0.0.0.0' || ip === '::') return isIPv6(ip) === isIPv6(host) ? 1 : 2;
    return 3;
  };
  return sockets.toSorted((a, b) => rank(a) - rank(b));
}

function isIPv6(ip: string): boolean {
  return ip.includes(':');
}

/** The kernel writes each 32-bit word of an address as a number of the machine, which is little-endian here. */
function ipOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap(word =>
    (word.match(/../g) ?? []).map(byte => Number.parseInt(byte, 16)).toReversed(),
  );
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  );
  const full = groups.join(':');
  if (full.startsWith('0:0:0:0:0:ffff:')) return `::ffff:${bytes.slice(12).join('.')}`;
  const [zeros] = [...full.matchAll(/(?<![\da-f])0(?::0)+(?![\da-f])/g)].toSorted(
    ([a], [b]) => b.length - a.length,
  );
  if (zeros === undefined) return full;
  const end = zeros.index + zeros[0].length;
  return `${full.slice(0, zeros.index).replace(/:$/, '')}::${full.slice(end).replace(/^:/, '')}`;
}
