/**
 * The parts that a configuration asks for, the same for every command. What is heavy is loaded when it is first used.
 */
import { systemClock } from './clock.ts';
import type { Config } from './config/config.ts';
import { passwordVariable } from './config/options.ts';
import type { Address } from './core/address.ts';
import type { AddressAnswer, AddressQuestion } from './core/advertise.ts';
import { factsOf, instanceOf } from './core/instance.ts';
import { recordsOf, type RecordsAnswer } from './core/layouts.ts';
import type { Engine } from './docker/engine.ts';
import type { Self } from './docker/locate.ts';
import type { Access, Member } from './etcd/member.ts';
import { findHostIp } from './host-ip.ts';
import { openProbe } from './probe/open.ts';
import type { Probe } from './probe/probe.ts';

/** Where the app is asked: at home. */
export const appHost = '127.0.0.1';

export function appProbe(config: Config, version: string): Promise<Probe> {
  return openProbe(config.check, {
    host: appHost,
    port: config.localPort,
    clock: systemClock,
    timeoutMs: config.timeoutMs,
    userAgent: `dockreg/${version}`,
    env: { ...process.env, [passwordVariable]: undefined, DOCKREG_PORT: String(config.localPort) },
    async inspect() {
      const docker = await askDocker(config, { kind: 'published' });
      return (await docker.findSelf()).network;
    },
  });
}

/** Makes clients of etcd's members. They share one token. */
export function connector({ security }: Pick<Config, 'security'>): (endpoint: string) => Promise<Member> {
  let access: Access | undefined;
  return async endpoint => {
    const [{ connectMember }, { createTokenKeeper }] = await Promise.all([
      import('./etcd/member.ts'),
      import('./etcd/token.ts'),
    ]);
    access ??= { clock: systemClock, tls: security.tls, tokens: createTokenKeeper(security.user) };
    return connectMember(endpoint, access);
  };
}

/** The questions to Docker. Each throws an UnavailableError while it has no answer. */
export interface DockerQuestions {
  readonly engine: Engine;
  findSelf(): Promise<Self>;
  locate(self: Self): Promise<Exclude<AddressAnswer, { kind: 'needs' }>>;
}

export async function askDocker(
  config: Config,
  advertise: AddressQuestion['advertise'],
): Promise<DockerQuestions> {
  const [{ connectEngine }, { findSelf, locate }] = await Promise.all([
    import('./docker/engine.ts'),
    import('./docker/locate.ts'),
  ]);
  const engine = connectEngine(config.engine, systemClock);
  return {
    engine,
    findSelf: () => findSelf(engine, config.container),
    async locate({ network }) {
      const hostIp = config.ip && (await findHostIp(config.ip));
      return locate(engine, network, { ...config, advertise, hostIp });
    },
  };
}

/** What an instance at this address is written as; `self` is null when Docker is not asked. */
export function recordsAt(config: Config, address: Address, self: Self | null): RecordsAnswer {
  const { localPort, protocol, publication, service } = config;
  const container = self ? factsOf(self.container, self.network) : undefined;
  return recordsOf(publication, () => instanceOf(service, { address, localPort, protocol }, container));
}
