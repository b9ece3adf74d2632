/**
 * The addresses at which an app can be asked, by the sockets that listen on its port, and whether others reach it there.
 */
import { canonicalIp, formatAddress, isLoopback, reservedRange } from '../address/ip.ts';
import type { Problem } from '../../errors.ts';
import type { ListeningSocket } from './proc-net.ts';

/** Where an app is asked of which nothing is known. */
export const usualHosts: readonly string[] = ['127.0.0.1', '::1'];

/**
 * The addresses to try, one after the other. A wildcard answers on loopback; that of IPv6 on ::1 alone where the app wants
 * no IPv4, which the kernel's table does not show.
 */
export function hostsOf(sockets: readonly ListeningSocket[] | null): readonly string[] {
  const hosts = (sockets ?? []).flatMap(({ ip }) => {
    const plain = canonicalIp(ip);
    if (plain === '::') return usualHosts;
    return [plain === '0.0.0.0' ? '127.0.0.1' : plain];
  });
  if (hosts.length === 0) return usualHosts;
  const rank = (host: string): number => {
    if (usualHosts.includes(host)) return usualHosts.indexOf(host);
    return reservedRange(host) === 'link-local' ? 3 : 2;
  };
  return [...new Set(hosts)].toSorted((a, b) => rank(a) - rank(b));
}

/** The first socket, if all of them are at loopback addresses; null if not, or if none is known. */
export function loopbackOnly(sockets: readonly ListeningSocket[] | null): ListeningSocket | null {
  const [first] = sockets ?? [];
  return first && sockets?.every(({ ip }) => isLoopback(ip)) ? first : null;
}

/** The sockets with those first that others may reach: their end matters more than that of one on loopback. */
export function othersFirst(sockets: readonly ListeningSocket[]): readonly ListeningSocket[] {
  return sockets.toSorted((a, b) => Number(isLoopback(a.ip)) - Number(isLoopback(b.ip)));
}

export type ReachEvent =
  /** The app listens on loopback addresses only; emitted once, until it is `reachable`. */
  | { readonly kind: 'loopback'; readonly socket: ListeningSocket }
  /** The app listens on another address too, and did not before. */
  | { readonly kind: 'reachable'; readonly socket: ListeningSocket };

/** What is new; null for nothing. Sockets that are not shown, such as for lack of a resource, say nothing. */
export function reachNews(
  wasLoopbackOnly: boolean,
  sockets: readonly ListeningSocket[] | null,
): ReachEvent | null {
  const loopback = loopbackOnly(sockets);
  if (loopback) return wasLoopbackOnly ? null : { kind: 'loopback', socket: loopback };
  const other = sockets?.find(({ ip }) => !isLoopback(ip));
  return other && wasLoopbackOnly ? { kind: 'reachable', socket: other } : null;
}

/** What is wrong with an app that listens on this loopback address only. */
export function loopbackProblem(socket: Pick<ListeningSocket, 'ip' | 'port'>): Problem {
  return {
    message: `listens on ${formatAddress(socket)} only, where no other host or container reaches it, not even through a published port`,
    hint: 'let it listen on 0.0.0.0, or set --allow-unreachable if something here passes connections on to it',
  };
}
