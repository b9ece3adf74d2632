/**
 * The network interfaces of this container, and which addresses are its own.
 */
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { canonicalIp } from '../core/address/ip.ts';

export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/** In place of the interfaces where the kernel does not show them. */
export const unreadable: Interfaces = {};

/** Our interfaces. Where the kernel does not show them, an address still stands for itself and a name may be in DNS. */
export function ownInterfaces(): Interfaces {
  try {
    return networkInterfaces();
  } catch {
    return unreadable;
  }
}

/** Whether one of our interfaces has this address, in its canonical form. */
export function isOwn(ip: string, interfaces: Interfaces = ownInterfaces()): boolean {
  return Object.values(interfaces).some(list => list?.some(({ address }) => canonicalIp(address) === ip));
}
