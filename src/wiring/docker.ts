/**
 * What this container is and where others reach it, asked of Docker. The engine's client is loaded with the first
 * question.
 */
import { systemClock } from '../clock.ts';
import type { SharedConfig } from '../core/settings/process.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import type { AddressAnswer, AddressQuestion } from '../core/address/advertise.ts';
import type { Engine } from '../docker/engine.ts';
import type { Self } from '../docker/self.ts';
import { resolveHostIp } from '../network/host-address.ts';

/** Each method throws an UnavailableError while Docker does not answer. */
export interface DockerAccess {
  engine(): Promise<Engine>;
  /** Concurrent callers share one answer. */
  findSelf(): Promise<Self>;
  resolveAddress(
    self: Self,
    service: ServiceConfig,
    advertise: AddressQuestion['advertise'],
  ): Promise<Exclude<AddressAnswer, { kind: 'needs' }>>;
}

export function createDocker({ engine: endpoint, container }: SharedConfig): DockerAccess {
  let finding: Promise<Self> | undefined;
  const engine = async (): Promise<Engine> =>
    (await import('../docker/engine.ts')).connectEngine(endpoint, systemClock);
  const find = async (): Promise<Self> => {
    const { findSelf } = await import('../docker/self.ts');
    return findSelf(await engine(), container);
  };
  return {
    engine,
    findSelf() {
      finding ??= find().finally(() => (finding = undefined));
      return finding;
    },
    async resolveAddress({ network }, service, advertise) {
      const { resolveAddress } = await import('../docker/self.ts');
      const hostIp = service.ip && (await resolveHostIp(service.ip));
      return resolveAddress(await engine(), network, { ...service, advertise, hostIp });
    },
  };
}
