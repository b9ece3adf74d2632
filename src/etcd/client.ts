/**
 * A client of one member of etcd: the requests of etcd/ports.ts, over one connection.
 */
import { Channel, connectivityState, type CallOptions } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import { Etcd3, type IRangeResponse, type IRequestOp, type ITxnRequest } from 'etcd3';
import type { Clock } from '../clock.ts';
import type { LeaseId, Observed, ServiceRecord, Stored } from '../core/lease/writes.ts';
import type { TlsFiles } from '../core/settings/process.ts';
import { problemOf } from '../errors.ts';
import type { TokenKeeper } from './auth.ts';
import { Caller } from './call.ts';
import { LeaseGoneError, RequestError } from './errors.ts';
import type { EtcdClient, ListedKey, Renewal } from './ports.ts';
import { readTls } from './tls.ts';

/**
 * By default gRPC obeys http_proxy, which may be set for the app. It keeps connections in a pool of the process, from
 * which a new client could get a deaf one back. And a client that is closed after a refused connection tries once more
 * after a wait and keeps that connection for ever: with a short wait it is refused again.
 */
const channelOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 10,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 20_000,
} as const;

/** The keys in a page of a list: gRPC takes no answer of more than 4 MiB. */
const pageKeys = 1000;

/** What the connections of a process share. */
export interface Access {
  readonly clock: Clock;
  readonly tls: TlsFiles;
  readonly tokens: TokenKeeper;
}

/**
 * Makes a client of the member at `endpoint` (`http://10.1.0.101:2379`). Reads the certificates now and connects at the
 * first request.
 * @throws RequestError when a certificate cannot be used
 */
export async function connectClient(endpoint: string, { clock, tls, tokens }: Access): Promise<EtcdClient> {
  const credentials = await readTls(tls).catch((cause: unknown) => {
    throw new RequestError(problemOf(cause), { cause });
  });
  let channel: Channel | undefined;
  const client = new Etcd3({
    hosts: endpoint,
    grpcOptions: {
      ...channelOptions,
      // etcd3 makes a gRPC client for each of etcd's services, each with a connection of its own. Here all share one.
      channelFactoryOverride: (...options: ConstructorParameters<typeof Channel>) =>
        (channel ??= new Channel(...options)),
    },
    ...(credentials && { credentials }),
    // The session decides when and where to retry.
    faultHandling: { host: () => noop, global: noop },
  });
  const { kv, leaseClient: leases, maintenance } = client;
  const isReady = (): boolean => channel?.getConnectivityState(false) === connectivityState.READY;
  const caller = new Caller({ clock, tokens, client, endpoint, isReady });

  const keepAlive = async (id: LeaseId, options: CallOptions): Promise<void> => {
    const stream = await leases.leaseKeepAlive(options);
    const answer = await new Promise<{ TTL: string }>((resolve, reject) => {
      stream.on('data', resolve);
      stream.on('error', reject);
      stream.on('end', () => reject(new Error('the stream ended without an answer')));
      stream.write({ ID: id });
    }).finally(() => stream.end());
    if (Number(answer.TTL) <= 0) throw new LeaseGoneError(`lease ${id} does not exist`);
  };

  return {
    grant: (id, ttlSeconds, limit) =>
      caller.call('grant', limit, options => leases.leaseGrant({ ID: id, TTL: ttlSeconds }, options)),

    async renew(id, keys, limit) {
      const read = caller.call('read the keys', limit, async (options): Promise<Renewal> => {
        const { responses } = await kv.txn({ success: keys.map(readRequest) }, options);
        return { observed: observedIn(responses) };
      });
      const [, renewal] = await Promise.all([
        // A lease must not wait while a fleet authenticates again after a restart of etcd. Many versions ask no token.
        caller.call('renew', limit, options => keepAlive(id, options), 'known'),
        read.catch((error: unknown): Renewal => ({ observed: null, error })),
      ]);
      return renewal;
    },

    write: (id, { expect, puts, removes }, limit) =>
      caller.call('write', limit, async options => {
        const deletes = removes.map(key => ({ request_delete_range: { key: Buffer.from(key) } }));
        const transaction: ITxnRequest = {
          compare: expect.map(({ key, modRevision }) => ({
            result: 'Equal',
            target: 'Mod',
            key: Buffer.from(key),
            mod_revision: modRevision,
          })),
          success: [...puts.map(record => putRequest(record, id)), ...deletes],
          failure: expect.map(({ key }) => readRequest(key)),
        };
        const { succeeded, header, responses } = await kv.txn(transaction, options);
        return succeeded
          ? { kind: 'written', modRevision: header.revision }
          : { kind: 'refused', observed: observedIn(responses) };
      }),

    revoke: (id, limit) => caller.call('revoke', limit, options => leases.leaseRevoke({ ID: id }, options)),

    status: limit =>
      caller.call('status', limit, async options => {
        const { header, version, leader, errors } = await maintenance.status(options);
        const alarms = errors.flatMap(error => /alarm:(\w+)/.exec(error)?.[1] ?? []);
        return { version, clusterId: header.cluster_id, hasLeader: leader !== '0', alarms };
      }),

    checkWrite: (records, limit) =>
      caller.call('check a write', limit, async options => {
        const transaction: ITxnRequest = {
          // No version is less than 0. etcd checks the permissions of both branches before it compares.
          compare: records.map(({ key }) => ({
            result: 'Less',
            target: 'Version',
            key: Buffer.from(key),
            version: '0',
          })),
          success: records.map(record => putRequest(record, '0')),
          failure: records.map(({ key }) => readRequest(key)),
        };
        return observedIn((await kv.txn(transaction, options)).responses);
      }),

    async list(prefix, limit) {
      const listed: ListedKey[] = [];
      const end = endOf(prefix);
      for (let from = Buffer.from(prefix); ;) {
        const { kvs, more } = await caller.call('list', limit, options =>
          kv.range({ key: from, range_end: end, limit: pageKeys }, options),
        );
        for (const { key, value, lease, create_revision: createRevision } of kvs)
          listed.push({ key: key.toString(), value: value.toString(), lease, createRevision });
        const last = kvs.at(-1);
        if (!more || !last) return listed;
        from = Buffer.concat([last.key, Buffer.of(0)]);
      }
    },

    timeToLive: (id, limit) =>
      caller.call('read the lease', limit, async options => {
        const { TTL, grantedTTL } = await leases.leaseTimeToLive({ ID: id }, options);
        return Number(TTL) < 0 ? null : { leftSeconds: Number(TTL), grantedSeconds: Number(grantedTTL) };
      }),

    close: () => caller.close(),
  };
}

/** Returns the first key after all keys with this prefix, which is not empty. */
function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return end;
}

function readRequest(key: string): IRequestOp {
  return { request_range: { key: Buffer.from(key) } };
}

function putRequest({ key, value }: ServiceRecord, lease: LeaseId): IRequestOp {
  return { request_put: { key: Buffer.from(key), value: Buffer.from(value), lease } };
}

function observedIn(responses: readonly { readonly response_range: IRangeResponse }[]): Observed {
  const pairs = responses.flatMap(({ response_range: { kvs } }) => kvs);
  return new Map(
    pairs.map(({ key, value, lease, mod_revision: modRevision }): [string, Stored] => [
      key.toString(),
      { value: value.toString(), lease, modRevision },
    ]),
  );
}
