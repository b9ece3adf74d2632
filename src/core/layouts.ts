/**
 * Which keys and values a healthy service becomes.
 */
import { formatAddress, type Address } from './address.ts';

/** One key of etcd and its value. */
export interface ServiceRecord {
  readonly key: string;
  readonly value: string;
}

/** The default layout: `/<parent>/<ip>:<port>` = `running`. */
export function serviceLayout(parent: string, address: Address): ServiceRecord[] {
  return [{ key: `/${parent}/${formatAddress(address)}`, value: 'running' }];
}
