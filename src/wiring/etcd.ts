/**
 * Makes clients of etcd's members. The clients of a process share one token, and those of one endpoint share a
 * connection until one of them closes it: a later user gets a new connection, and the others keep the old one.
 */
import { systemClock } from '../clock.ts';
import type { SharedConfig } from '../core/settings/process.ts';
import type { Access, EtcdClient } from '../etcd/member.ts';

export function connector({
  security,
}: Pick<SharedConfig, 'security'>): (endpoint: string) => Promise<EtcdClient> {
  let access: Access | undefined;
  const shared = new Map<string, { readonly opened: Promise<EtcdClient>; users: number }>();
  const open = async (endpoint: string): Promise<EtcdClient> => {
    const [{ connectClient }, { createTokenKeeper }] = await Promise.all([
      import('../etcd/member.ts'),
      import('../etcd/auth.ts'),
    ]);
    access ??= {
      clock: systemClock,
      random: Math.random,
      tls: security.tls,
      tokens: createTokenKeeper(security.user, systemClock),
    };
    return connectClient(endpoint, access);
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
