/**
 * The records of a service at an address.
 */
import type { ServiceConfig } from '../core/settings/service.ts';
import type { Address } from '../core/address/ip.ts';
import { factsOf, instanceOf } from '../core/layouts/instance.ts';
import { recordsOf } from '../core/layouts/records.ts';
import type { ServiceRecord } from '../core/lease/writes.ts';
import type { Self } from '../docker/self.ts';
import type { Result } from '../errors.ts';

/** @param self this container; null when Docker is not asked */
export function recordsAt(
  service: ServiceConfig,
  address: Address,
  self: Self | null,
): Result<readonly ServiceRecord[]> {
  const { localPort, protocol, publication, spec } = service;
  const container = self ? factsOf(self.container, self.network) : undefined;
  return recordsOf(publication, () => instanceOf(spec, { address, localPort, protocol }, container));
}
