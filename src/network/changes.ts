/**
 * Notices that this container's network was connected, disconnected or connected anew.
 */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { canonicalIp, reservedRange } from '../core/address/ip.ts';

/** Returns a function that answers whether our own addresses have changed since its last call. */
export function networkChangeDetector(): () => boolean {
  let before = snapshot();
  return () => {
    const now = snapshot();
    const changed = now !== before;
    before = now;
    return changed;
  };
}

/**
 * All interfaces with their addresses, as text. An interface that is connected anew mostly gets its old address, but a
 * new index. Link-local addresses are left out: on the host's network they come and go with every container.
 */
function snapshot(): string {
  return Object.entries(networkInterfaces())
    .map(([name, list = []]) => {
      const ips = list.map(({ address }) => canonicalIp(address)).filter(ip => reservedRange(ip) === null);
      return ips.length > 0 ? `${name} ${indexOf(name)} ${ips.join(' ')}` : '';
    })
    .join('\n');
}

/** The index is empty where /sys is not mounted. */
function indexOf(name: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8').trim();
  } catch {
    return '';
  }
}
