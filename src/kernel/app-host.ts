/**
 * Finds the address of this container at which an app can be asked. The one that worked last is asked again, which costs
 * nothing. Only when it refuses, the kernel's table of sockets says at which others the app may listen now.
 */
import type { Clock } from '../clock.ts';
import { hostsOf, usualHosts } from '../core/watch/hosts.ts';
import type { ListeningSocket } from '../core/watch/proc-net.ts';
import { ownAddress } from '../network/own-address.ts';
import { readSockets } from './sockets.ts';

/** What an attempt at one address says: nothing listens there, something does, or neither is known. */
export type Attempt = 'refused' | 'answered' | 'unknown';

export interface AppHost {
  readonly port: number;
  /** The address that is asked first. */
  readonly host: string;
  /** How long the last search for other addresses took, in ms. */
  readonly searchMs: number;
  /** Takes note of the sockets that listen on the port. */
  note(sockets: readonly ListeningSocket[] | null): void;
  /**
   * Asks at `host`, and if that is refused, at the other addresses where something listens. The result is that of the
   * first which is not refused, or else that of `host`.
   */
  ask<T>(askAt: (host: string) => Promise<T>, attemptOf: (answer: T) => Attempt): Promise<T>;
}

/** @param fixed the only address to ask at; by default it is found out */
export function openAppHost(port: number, clock: Clock, fixed?: string): AppHost {
  const [usual = ''] = usualHosts;
  let host = fixed ?? usual;
  let searchMs = 0;
  const search = (): readonly string[] => {
    const startedAt = clock.now();
    const hosts = hostsOf(readSockets(host, port).sockets);
    searchMs = clock.now() - startedAt;
    return hosts;
  };
  return {
    port,
    get host() {
      return host;
    },
    get searchMs() {
      return searchMs;
    },
    note(sockets) {
      const hosts = hostsOf(sockets);
      if (fixed === undefined && !hosts.includes(host)) host = hosts[0] ?? usual;
    },
    async ask(askAt, attemptOf) {
      if (fixed !== undefined) return askAt(fixed);
      const asked = host;
      const dialled = ownAddress(asked);
      const first = dialled === null ? null : { answer: await askAt(dialled) };
      if (first && attemptOf(first.answer) !== 'refused') return first.answer;
      for (const other of search()) {
        const own = other === asked ? null : ownAddress(other);
        if (own === null) continue;
        const answer = await askAt(own);
        if (attemptOf(answer) !== 'answered') continue;
        host = other;
        return answer;
      }
      host = usual;
      return first ? first.answer : askAt(usual);
    },
  };
}
