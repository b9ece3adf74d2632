/**
 * Makes clients of etcd's members. All clients of a process share one token. Those of one endpoint share a connection
 * until one of them closes it: a later user gets a new connection, and the others keep the old one.
 */
import { systemClock } from '../clock.ts';
import type { SharedConfig } from '../core/settings/process.ts';
import type { Access } from '../etcd/client.ts';
import type { EtcdClient } from '../etcd/ports.ts';

/** Resolves with a client of the member at `endpoint`. @throws RequestError when a certificate cannot be used */
export type Connect = (endpoint: string) => Promise<EtcdClient>;

export function sharedConnections({ security }: Pick<SharedConfig, 'security'>): Connect {
  let access: Access | undefined;
  const connections = new Map<string, { readonly opened: Promise<EtcdClient>; users: number }>();
  const open: Connect = async endpoint => {
    const [{ connectClient }, { TokenKeeper }] = await Promise.all([
      import('../etcd/client.ts'),
      import('../etcd/auth.ts'),
    ]);
    access ??= {
      clock: systemClock,
      tls: security.tls,
      tokens: new TokenKeeper(security.user, systemClock, Math.random),
    };
    return connectClient(endpoint, access);
  };
  return async endpoint => {
    const connection = connections.get(endpoint) ?? { opened: open(endpoint), users: 0 };
    connections.set(endpoint, connection);
    connection.users += 1;
    /** Returns whether nobody uses the connection any more. */
    const leave = (): boolean => {
      if (connections.get(endpoint) === connection) connections.delete(endpoint);
      connection.users -= 1;
      return connection.users === 0;
    };
    const client = await connection.opened.catch((error: unknown) => {
      leave();
      throw error;
    });
    const close = (): void => {
      if (leave()) client.close();
    };
    return { ...client, close };
  };
}
