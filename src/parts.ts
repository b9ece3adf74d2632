/**
 * The parts that a configuration asks for, the same for every command. What is heavy is loaded when it is first used.
 */
import { systemClock } from './clock.ts';
import type { SharedConfig } from './config/config.ts';
import { passwordVariable } from './config/options.ts';
import type { ServiceConfig } from './config/service-config.ts';
import type { Address } from './core/address/ip.ts';
import type { AddressAnswer, AddressQuestion } from './core/address/advertise.ts';
import { factsOf, instanceOf } from './core/layouts/instance.ts';
import { recordsOf, type RecordsAnswer } from './core/layouts/layouts.ts';
import type { Engine } from './docker/engine.ts';
import type { Self } from './docker/locate.ts';
import type { Access, Member } from './etcd/member.ts';
import { ConfigError, messageOf } from './errors.ts';
import { findHostIp } from './host-ip.ts';
import { openProbe } from './probe/open.ts';
import { unknown, type Probe } from './probe/probe.ts';

/** Where the app is asked: at home. */
export const appHost = '127.0.0.1';

export function appProbe(
  { check, localPort, timeoutMs }: ServiceConfig,
  docker: DockerQuestions,
  version: string,
): Promise<Probe> {
  return openProbe(check, {
    host: appHost,
    port: localPort,
    clock: systemClock,
    timeoutMs,
    userAgent: `dockreg/${version}`,
    env: { ...process.env, [passwordVariable]: undefined, DOCKREG_PORT: String(localPort) },
    inspect: async () => (await docker.findSelf()).network,
  });
}

/** A check that can never work here is one that could not be made, and not the end of us. */
export function forgiving(probe: Probe): Probe {
  return async stop => {
    try {
      return await probe(stop);
    } catch (error) {
      if (error instanceof ConfigError) return unknown(messageOf(error));
      throw error;
    }
  };
}

/**
 * Makes clients of etcd's members. They share one token, and those of one endpoint share a connection until one of them
 * closes it: after that who comes gets a new one, and the others keep the old.
 */
export function connector({
  security,
}: Pick<SharedConfig, 'security'>): (endpoint: string) => Promise<Member> {
  let access: Access | undefined;
  const shared = new Map<string, { readonly opened: Promise<Member>; users: number }>();
  const open = async (endpoint: string): Promise<Member> => {
    const [{ connectMember }, { createTokenKeeper }] = await Promise.all([
      import('./etcd/member.ts'),
      import('./etcd/token.ts'),
    ]);
    access ??= {
      clock: systemClock,
      chance: Math.random,
      tls: security.tls,
      tokens: createTokenKeeper(security.user, systemClock),
    };
    return connectMember(endpoint, access);
  };
  return async endpoint => {
    const connection = shared.get(endpoint) ?? { opened: open(endpoint), users: 0 };
    shared.set(endpoint, connection);
    connection.users += 1;
    const leave = (): boolean => {
      if (shared.get(endpoint) === connection) shared.delete(endpoint);
      connection.users -= 1;
      return connection.users === 0;
    };
    const member = await connection.opened.catch((error: unknown) => {
      leave();
      throw error;
    });
    const close = (): void => {
      if (leave()) member.close();
    };
    return { ...member, close };
  };
}

/** The questions to Docker. Each throws an UnavailableError while it has no answer. */
export interface DockerQuestions {
  engine(): Promise<Engine>;
  /** Who asks while another waits for the answer gets the same. */
  findSelf(): Promise<Self>;
  locate(
    self: Self,
    service: ServiceConfig,
    advertise: AddressQuestion['advertise'],
  ): Promise<Exclude<AddressAnswer, { kind: 'needs' }>>;
}

export function createDocker({ engine: endpoint, container }: SharedConfig): DockerQuestions {
  let finding: Promise<Self> | undefined;
  const engine = async (): Promise<Engine> =>
    (await import('./docker/engine.ts')).connectEngine(endpoint, systemClock);
  const find = async (): Promise<Self> => {
    const { findSelf } = await import('./docker/locate.ts');
    return findSelf(await engine(), container);
  };
  return {
    engine,
    findSelf() {
      finding ??= find().finally(() => (finding = undefined));
      return finding;
    },
    async locate({ network }, service, advertise) {
      const { locate } = await import('./docker/locate.ts');
      const hostIp = service.ip && (await findHostIp(service.ip));
      return locate(await engine(), network, { ...service, advertise, hostIp });
    },
  };
}

/** What an instance at this address is written as; `self` is null when Docker is not asked. */
export function recordsAt(service: ServiceConfig, address: Address, self: Self | null): RecordsAnswer {
  const { localPort, protocol, publication, spec } = service;
  const container = self ? factsOf(self.container, self.network) : undefined;
  return recordsOf(publication, () => instanceOf(spec, { address, localPort, protocol }, container));
}
