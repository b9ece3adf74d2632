/**
 * What Docker knows about this container and its address. The engine's client is loaded with the first question.
 */
import { systemClock } from '../clock.ts';
import type { SharedConfig } from '../core/settings/process.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import type { Address } from '../core/address/ip.ts';
import type { AddressQuestion, AdvertisedAddress } from '../core/address/advertise.ts';
import type { Engine } from '../docker/engine.ts';
import type { Self } from '../docker/self.ts';
import type { Result } from '../errors.ts';
import { resolveHostIp } from '../network/host-address.ts';
import { readOwnNetwork } from '../network/own-network.ts';

/** Each method throws an UnavailableError while Docker does not answer. */
export interface DockerAccess {
  engine(): Promise<Engine>;
  /** Concurrent callers share one answer. */
  findSelf(): Promise<Self>;
  /** Where others reach the service. */
  resolveAddress(
    self: Self,
    service: ServiceConfig,
    advertise: AddressQuestion['advertise'],
    registered?: Address,
  ): Promise<Result<AdvertisedAddress>>;
}

export function createDocker({ engine: endpoint, container }: SharedConfig): DockerAccess {
  let pending: Promise<Self> | undefined;
  const chosen = new Map<string, string>();
  const engine = async (): Promise<Engine> =>
    (await import('../docker/engine.ts')).connectEngine(endpoint, systemClock);
  const find = async (): Promise<Self> => {
    const { findSelf } = await import('../docker/self.ts');
    return findSelf(await engine(), container);
  };
  return {
    engine,
    findSelf() {
      pending ??= find().finally(() => (pending = undefined));
      return pending;
    },
    async resolveAddress({ network }, service, advertise, registered) {
      const { resolveAddress } = await import('../docker/self.ts');
      const own = service.ip && (await readOwnNetwork());
      const hostIp =
        service.ip && (await resolveHostIp(service.ip, systemClock, undefined, chosen, { registered, own }));
      return resolveAddress(await engine(), network, { ...service, advertise, hostIp, registered, own });
    },
  };
}
