/**
 * Notices that this container's network was connected, disconnected or connected anew.
 */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { canonicalIp, reservedRange } from '../core/address/ip.ts';
import { messageOf } from '../errors.ts';

/**
 * Returns a function that answers whether our own addresses have changed since its last call. While the kernel does not
 * show them (no netlink socket may be opened, or no descriptor is left), nothing is known to have changed.
 * @param onVisible called when they cannot be read, with the cause, and with null when they can be again
 */
export function networkChangeDetector(
  onVisible: (problem: string | null) => void = () => undefined,
): () => boolean {
  let before: string | null = null;
  let isVisible = true;
  const read = (): boolean => {
    try {
      const now = snapshot();
      const changed = before !== null && now !== before;
      before = now;
      if (!isVisible) onVisible(null);
      isVisible = true;
      return changed;
    } catch (error) {
      if (isVisible) onVisible(systemCause(error));
      isVisible = false;
      return false;
    }
  };
  read();
  return read;
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

/** An error of node:os names the failed call, and hides the code of the kernel in its `info`. */
export function systemCause(error: unknown): string {
  const info: unknown = error instanceof Error && 'info' in error ? error.info : undefined;
  const errno =
    typeof info === 'object' && info !== null && 'errno' in info ? Math.abs(Number(info.errno)) : 0;
  const [code = `error ${errno}`, text = ''] = getSystemErrorMap().get(-errno) ?? [];
  return errno === 0 ? messageOf(error) : `${code}: ${text}`;
}

/** The index is empty where /sys is not mounted. */
function indexOf(name: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8').trim();
  } catch {
    return '';
  }
}
