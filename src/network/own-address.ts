/**
 * Which addresses are those of this container, as a connect needs them.
 */
import { networkInterfaces } from 'node:os';
import { canonicalIp, isLoopback } from '../core/address/ip.ts';

/**
 * The address as a connect needs it: a link-local one with its interface. Null for an address that this container does not
 * have, or not any more: another one may have it now.
 */
export function ownAddress(ip: string): string | null {
  const interfaces = isLoopback(ip) ? null : readInterfaces();
  if (interfaces === null) return ip;
  for (const [name, list = []] of Object.entries(interfaces)) {
    const own = list.find(({ address }) => canonicalIp(address) === ip);
    if (own) return 'scopeid' in own && own.scopeid ? `${ip}%${name}` : ip;
  }
  return null;
}

/** Null where the kernel does not show them. */
function readInterfaces(): ReturnType<typeof networkInterfaces> | null {
  try {
    return networkInterfaces();
  } catch {
    return null;
  }
}
