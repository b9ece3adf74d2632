/**
 * A client of one member of etcd: the requests of etcd/ports.ts, over one connection.
 */
import { Channel, connectivityState, type CallOptions } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import { Etcd3, type IOptions, type IRequestOp, type ITxnRequest } from 'etcd3';
import type { Clock } from '../clock.ts';
import type { LeaseId, ServiceRecord } from '../core/lease/writes.ts';
import type { TlsFiles } from '../core/settings/process.ts';
import { messageOf, problemOf } from '../errors.ts';
import {
  readGrant,
  readKeepAlive,
  readKeys,
  readPage,
  readStatus,
  readTimeToLive,
  readTransaction,
} from './answers.ts';
import type { TokenKeeper } from './auth.ts';
import { Caller } from './call.ts';
import { LeaseGoneError, RequestError } from './errors.ts';
import type { EtcdClient, ListedKey, Renewal } from './ports.ts';
import { Sockets } from './sockets.ts';
import { readTls } from './tls.ts';

/**
 * By default gRPC obeys http_proxy, which may be set for the app. It keeps connections in a pool of the process, from
 * which a new client could get a deaf one back. And a client that is closed after a refused connection tries once more
 * after a wait and keeps that connection for ever: with a short wait it is refused again.
 *
 * With retries of its own, a call that cannot begin on a connection begins again at once, without a bound. When the
 * connection broke as it came up (GOAWAY behind the first SETTINGS), gRPC has not noticed, and nothing else ever runs.
 */
const channelOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 10,
  'grpc.enable_retries': 0,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 20_000,
} as const;

/** The keys in a page of a list: gRPC takes no answer of more than 4 MiB. */
const pageKeys = 1000;
/** A list that is longer is refused: it is not one of services, or it never ends. */
const mostPages = 200;
const mostListedMiB = 64;
/** A stream that sends more answers than this to one request is cut off. */
const mostAnswers = 8;

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
  const sockets = new Sockets(clock);
  let channel: Channel | undefined;
  const client = openClient({
    hosts: endpoint,
    grpcOptions: {
      ...channelOptions,
      // etcd3 makes a gRPC client for each of etcd's services, each with a connection of its own. Here all share one.
      channelFactoryOverride: (...[target, given, options]: ConstructorParameters<typeof Channel>) =>
        (channel ??= new Channel(target, sockets.watch(given), options)),
    },
    ...(credentials && { credentials }),
    // The session decides when and where to retry.
    faultHandling: { host: () => noop, global: noop },
  });
  const { kv, leaseClient: leases, maintenance } = client;
  const isReady = (): boolean => channel?.getConnectivityState(false) === connectivityState.READY;
  const disconnect = (): void => {
    client.close();
    sockets.close();
  };
  const hasCertificate = tls.cert !== undefined;
  const caller = new Caller({
    clock,
    tokens,
    client,
    endpoint,
    hasCertificate,
    isReady,
    disconnect,
    sockets,
  });

  const keepAlive = async (id: LeaseId, options: CallOptions): Promise<void> => {
    const stream = await leases.leaseKeepAlive(options);
    const answer = await new Promise<unknown>((resolve, reject) => {
      let answers = 0;
      stream.on('data', each => {
        answers += 1;
        if (answers > mostAnswers) stream.cancel();
        resolve(each);
      });
      stream.on('error', reject);
      stream.on('end', () => reject(new Error('the stream ended without an answer')));
      stream.write({ ID: id });
    }).finally(() => stream.end());
    if (!readKeepAlive(answer, id)) throw new LeaseGoneError(`lease ${id} does not exist`);
  };

  return {
    grant: (id, ttlSeconds, limit) =>
      caller.call('grant', limit, async options =>
        readGrant(await leases.leaseGrant({ ID: id, TTL: ttlSeconds }, options), id, ttlSeconds),
      ),

    async renew(id, keys, limit) {
      const read = caller.call('read the keys', limit, async (options): Promise<Renewal> => {
        const { responses } = await kv.txn({ success: keys.map(readRequest) }, options);
        return { observed: readKeys(responses, keys) };
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
        const expected = expect.map(({ key }) => key);
        return readTransaction(await kv.txn(transaction, options), puts.length + removes.length, expected);
      }),

    revoke: (id, limit) => caller.call('revoke', limit, options => leases.leaseRevoke({ ID: id }, options)),

    status: limit =>
      caller.call('status', limit, async options => readStatus(await maintenance.status(options))),

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
        const keys = records.map(({ key }) => key);
        return readKeys((await kv.txn(transaction, options)).responses, keys);
      }),

    async list(prefix, limit) {
      const listed: ListedKey[] = [];
      const end = endOf(prefix);
      let from: Buffer | null = Buffer.from(prefix);
      let size = 0;
      for (let page = 0; from !== null && page < mostPages && size < mostListedMiB * 2 ** 20; page++) {
        const start: Buffer = from;
        const read = await caller.call('list', limit, async options =>
          readPage(
            await kv.range({ key: start, range_end: end, limit: pageKeys }, options),
            start,
            end,
            pageKeys,
          ),
        );
        listed.push(...read.keys);
        size += read.size;
        from = read.next;
      }
      if (from === null) return listed;
      const most = `${mostPages * pageKeys} keys and ${mostListedMiB} MiB`;
      throw new RequestError({
        message: `list: there is more under ${prefix} than ${most}`,
        hint: 'list one service, or name the right --key',
      });
    },

    timeToLive: (id, limit) =>
      caller.call('read the lease', limit, async options => {
        return readTimeToLive(await leases.leaseTimeToLive({ ID: id }, options), id);
      }),

    close: () => caller.close(),
  };
}

/** Some files pass a check of their own and are refused together. @throws RequestError */
function openClient(options: IOptions): Etcd3 {
  try {
    return new Etcd3(options);
  } catch (cause) {
    throw new RequestError(`connect: ${messageOf(cause)}`, { cause });
  }
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
