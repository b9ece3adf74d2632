/**
 * One member of etcd, in our words: the four requests that a session makes of it, and those of whoever wants to know
 * how it is or what it holds. Each has a deadline, none is repeated here, and every failure is one of etcd/errors.ts. A
 * member that failed is closed and made anew, because a channel that has lost its peer can stay deaf (grpc-node #2785,
 * #3019).
 */
import { Channel, connectivityState, type ClientOptions, type Interceptor } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import { Etcd3, type IRangeResponse } from 'etcd3';
import { type Clock, ownTime, TimeLimitError, within } from '../clock.ts';
import { passwordCheckWaitMs } from '../core/lease/password-check.ts';
import type { LeaseId, Observed, ServiceRecord, Stored, Write } from '../core/lease/writes.ts';
import type { TlsFiles } from '../core/settings/security.ts';
import { messageOf } from '../errors.ts';
import { tlsMessage } from '../tls/hints.ts';
import { DeniedError, LeaseExistsError, LeaseGoneError, MemberError, UnansweredError } from './errors.ts';
import { readTls } from './tls.ts';
import { isTokenRefused, withToken, type TokenKeeper } from './auth.ts';

export interface EtcdClient {
  /** @throws LeaseExistsError when the id is taken, by an earlier try of ours. */
  grant(id: LeaseId, ttlSeconds: number, limit: CallLimit): Promise<void>;
  /** Keeps the lease alive and looks at the keys, both at once; what the look throws is part of the answer. @throws LeaseGoneError */
  renew(id: LeaseId, keys: readonly string[], limit: CallLimit): Promise<Renewal>;
  /** One transaction under the lease. @throws LeaseGoneError */
  write(id: LeaseId, write: Write, limit: CallLimit): Promise<WriteAnswer>;
  /** Deletes the lease and every key under it. @throws LeaseGoneError */
  revoke(id: LeaseId, limit: CallLimit): Promise<void>;
  /** How the member is; it answers alone, without the others. */
  status(limit: CallLimit): Promise<MemberStatus>;
  /**
   * The write of these records as etcd would take it: its rights are checked, its size, and that a majority agrees. But
   * its condition can never hold, so that nothing is written. Answers with what stands under the keys.
   */
  rehearse(records: readonly ServiceRecord[], limit: CallLimit): Promise<Observed>;
  /** All keys that begin so, in their order. */
  list(prefix: string, limit: CallLimit): Promise<ListedKey[]>;
  /** What is left of the lease, and what it was granted, in seconds; null when it is gone. */
  timeToLive(
    id: LeaseId,
    limit: CallLimit,
  ): Promise<{ readonly left: number; readonly granted: number } | null>;
  /** Ends the connection, at once or when the password check is done that is under way. */
  close(): void;
}

/** The lease was kept. */
export type Renewal = { readonly observed: Observed } | { readonly observed: null; readonly error: unknown };

export interface ListedKey {
  readonly key: string;
  readonly value: string;
  /** '0' is none. */
  readonly lease: LeaseId;
  readonly createRevision: string;
}

export type WriteAnswer =
  | { readonly done: true; readonly modRevision: string }
  /** Nothing was written; this is what stands under the keys that were expected otherwise. */
  | { readonly done: false; readonly observed: Observed };

export interface MemberStatus {
  readonly version: string;
  readonly clusterId: string;
  /** Whether it knows a leader. */
  readonly hasLeader: boolean;
  /** Alarms that are raised in the cluster, such as `NOSPACE`. */
  readonly alarms: readonly string[];
}

export interface CallLimit {
  /** The most that one call may take, in milliseconds in which we run. */
  readonly ms: number;
  /** Aborted when the answer is no longer wanted; the call is then left to its deadline. */
  readonly signal?: AbortSignal;
}

/**
 * When gRPC ends a call that nobody waits for any more, as a multiple of its limit. The limit itself is ours: it covers
 * connecting, and counts only while we run.
 */
const abandonAfter = 4;

/** A password check is slow by design, and slower when many come at once. */
const authenticateMs = 60_000;
/** The most that the question takes which costs etcd nothing. */
const listenMs = 3000;

/**
 * gRPC obeys http_proxy by default, and a session must not leave by a proxy that was set for the app. It also keeps
 * connections in a pool of the process, from which a new client could get the deaf one back. And a client that is closed
 * after a refused connection tries once more by itself after a wait, and keeps that connection for ever: with a short
 * wait it is refused again.
 */
const channelOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 10,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 20_000,
} as const;

/** How many keys a page of a list has: gRPC takes no answer of more than 4 MiB. */
const pageKeys = 1000;

/** What the connections to all members share. */
export interface Access {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly tls: TlsFiles;
  readonly tokens: TokenKeeper;
}

interface CallOptions {
  readonly deadline: number;
  readonly interceptors: Interceptor[];
}

/**
 * A client of the member at `endpoint` (`http://10.1.0.101:2379`). Reads the certificates now and connects at the
 * first request.
 * @throws MemberError when a certificate cannot be used
 */
export async function connectClient(
  endpoint: string,
  { clock, random, tls, tokens }: Access,
): Promise<EtcdClient> {
  const credentials = await readTls(tls).catch((cause: unknown) => {
    throw new MemberError(messageOf(cause), { cause });
  });
  const own = ownTime(clock);
  const deadline = (ms: number): number => clock.wall() + abandonAfter * ms;
  const channel = oneChannel();
  const client = new Etcd3({
    hosts: endpoint,
    grpcOptions: { ...channelOptions, channelFactoryOverride: channel.override },
    ...(credentials && { credentials }),
    // The session knows better when and where to ask again.
    faultHandling: { host: () => noop, global: noop },
  });

  const closed = new AbortController();
  let closing = false;
  /** A password check is under way, which is not thrown away. */
  let authenticating = false;
  const disconnect = (): void => {
    client.close();
    closed.abort(new MemberError('the connection was given up'));
  };

  /** When the member was heard of last. */
  let heardAt = -Infinity;
  /** What went wrong in a call that was begun then, on a connection that was up already or not. */
  const failure = (what: string, error: unknown, askedAt: number, wasReady: boolean): Error => {
    if (!(error instanceof TimeLimitError)) return translate(what, error);
    const isReady = channel.isReady();
    // That the connection came up is a word of the member's too.
    const isAlive = heardAt >= askedAt || (isReady && !wasReady);
    const missing = isReady ? 'answer' : 'connection';
    return new UnansweredError(`${what}: no ${missing} in time`, isAlive, { cause: error });
  };

  /** Asks what costs etcd nothing and needs no token. Resolves with the time that the answer took, or none came in. */
  const listen = async (): Promise<number> => {
    const askedAt = clock.now();
    try {
      const work = client.maintenance.status({ deadline: deadline(listenMs) });
      await within(own, listenMs, 'status', work, closed.signal);
      heardAt = clock.now();
      return heardAt - askedAt;
    } catch {
      return closed.signal.aborted ? 0 : clock.now() - askedAt;
    }
  };

  const authenticate = async (name: string, password: string): Promise<string> => {
    const what = `authenticate as ${name}`;
    try {
      // The first answer would count the time to connect.
      if (!channel.isReady()) await listen();
      for (let attempt = 1; ; attempt++) {
        const pause = passwordCheckWaitMs(await listen(), attempt, random());
        if (pause === 0) break;
        await clock.sleep(pause, closed.signal);
        const known = tokens.known();
        if (known !== undefined) return known;
      }
      closed.signal.throwIfAborted();
      authenticating = true;
      const work = client.auth.authenticate({ name, password }, { deadline: deadline(authenticateMs) });
      return (await within(own, authenticateMs, what, work, closed.signal)).token;
    } catch (error) {
      // Then no token is needed, until etcd says otherwise.
      if (/authentication is not enabled/.test(messageOf(error))) return '';
      throw translate(what, error);
    } finally {
      authenticating = false;
      if (closing) disconnect();
    }
  };

  /** The token, or none without a user. Whoever waits for it goes when his time is up; the password check goes on. */
  const obtainToken = async (limit: CallLimit): Promise<string | undefined> => {
    const known = tokens.known();
    if (!tokens.isUsed || known !== undefined) return known;
    const [askedAt, wasReady] = [clock.now(), channel.isReady()];
    // What is waited for may take long; whether the member is there must be known in time.
    void listen();
    try {
      return await within(
        own,
        limit.ms,
        'authenticate',
        tokens.current(endpoint, authenticate),
        limit.signal,
      );
    } catch (error) {
      limit.signal?.throwIfAborted();
      throw failure('authenticate', error, askedAt, wasReady);
    }
  };

  const call = async <T>(
    what: string,
    limit: CallLimit,
    request: (options: CallOptions) => Promise<T>,
    tries: 'with what we have' | 'first' | 'last' = 'first',
  ): Promise<T> => {
    const token = tries === 'with what we have' ? tokens.known() : await obtainToken(limit);
    const [askedAt, wasReady] = [clock.now(), channel.isReady()];
    try {
      const work = request({ deadline: deadline(limit.ms), interceptors: [withToken(token)] });
      const answer = await within(own, limit.ms, what, work, limit.signal);
      heardAt = clock.now();
      return answer;
    } catch (error) {
      limit.signal?.throwIfAborted();
      if (!tokens.isUsed || tries === 'last' || !isTokenRefused(error))
        throw failure(what, error, askedAt, wasReady);
      tokens.drop(token);
      return call(what, limit, request, tries === 'first' ? 'last' : 'first');
    }
  };

  const keepAlive = async (id: LeaseId, options: CallOptions): Promise<void> => {
    const stream = await client.leaseClient.leaseKeepAlive(options);
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
      call('grant', limit, async options => {
        await client.leaseClient.leaseGrant({ ID: id, TTL: ttlSeconds }, options);
      }),

    async renew(id, keys, limit) {
      const read = call('look', limit, async (options): Promise<Renewal> => {
        const { responses } = await client.kv.txn({ success: keys.map(lookUp) }, options);
        return { observed: observedIn(responses.map(({ response_range }) => response_range)) };
      });
      const [, renewal] = await Promise.all([
        // etcd asks no token for this. A lease must not wait while everybody authenticates again after a restart.
        call('renew', limit, options => keepAlive(id, options), 'with what we have'),
        read.catch((error: unknown): Renewal => ({ observed: null, error })),
      ]);
      return renewal;
    },

    write: (id, { expect, puts, removes }, limit) =>
      call('write', limit, async options => {
        const { succeeded, header, responses } = await client.kv.txn(
          {
            compare: expect.map(({ key, modRevision }) => ({
              result: 'Equal',
              target: 'Mod',
              key: Buffer.from(key),
              mod_revision: modRevision,
            })),
            success: [
              ...puts.map(({ key, value }) => ({
                request_put: { key: Buffer.from(key), value: Buffer.from(value), lease: id },
              })),
              ...removes.map(key => ({ request_delete_range: { key: Buffer.from(key) } })),
            ],
            failure: expect.map(({ key }) => lookUp(key)),
          },
          options,
        );
        return succeeded
          ? { done: true, modRevision: header.revision }
          : { done: false, observed: observedIn(responses.map(({ response_range }) => response_range)) };
      }),

    revoke: (id, limit) =>
      call('revoke', limit, async options => {
        await client.leaseClient.leaseRevoke({ ID: id }, options);
      }),

    status: limit =>
      call('status', limit, async options => {
        const { header, version, leader, errors } = await client.maintenance.status(options);
        const alarms = errors
          .map(error => /alarm:(\w+)/.exec(error)?.[1])
          .filter(alarm => alarm !== undefined);
        return { version, clusterId: header.cluster_id, hasLeader: leader !== '0', alarms };
      }),

    rehearse: (records, limit) =>
      call('rehearse a write', limit, async options => {
        const { responses } = await client.kv.txn(
          {
            // No version is less than 0. etcd checks the rights of both branches before it compares.
            compare: records.map(({ key }) => ({
              result: 'Less',
              target: 'Version',
              key: Buffer.from(key),
              version: '0',
            })),
            success: records.map(({ key, value }) => ({
              request_put: { key: Buffer.from(key), value: Buffer.from(value) },
            })),
            failure: records.map(({ key }) => lookUp(key)),
          },
          options,
        );
        return observedIn(responses.map(({ response_range }) => response_range));
      }),

    async list(prefix, limit) {
      const found: ListedKey[] = [];
      const end = endOf(prefix);
      for (let from = Buffer.from(prefix); ;) {
        const { kvs, more } = await call('list', limit, options =>
          client.kv.range({ key: from, range_end: end, limit: pageKeys }, options),
        );
        for (const { key, value, lease, create_revision } of kvs)
          found.push({
            key: key.toString(),
            value: value.toString(),
            lease,
            createRevision: create_revision,
          });
        const last = kvs.at(-1);
        if (!more || !last) return found;
        from = Buffer.concat([last.key, Buffer.of(0)]);
      }
    },

    timeToLive: (id, limit) =>
      call('look at the lease', limit, async options => {
        const { TTL, grantedTTL } = await client.leaseClient.leaseTimeToLive({ ID: id }, options);
        return Number(TTL) < 0 ? null : { left: Number(TTL), granted: Number(grantedTTL) };
      }),

    close() {
      closing = true;
      if (!authenticating || clock.now() - heardAt > 2 * listenMs) disconnect();
    },
  };
}

/** etcd3 makes a gRPC client for each of etcd's services, and each would have a connection of its own: all share one. */
function oneChannel(): {
  readonly override: NonNullable<ClientOptions['channelFactoryOverride']>;
  /** Whether it is connected: the greeting of HTTP/2 has come. */
  readonly isReady: () => boolean;
} {
  let channel: Channel | undefined;
  return {
    override: (address, credentials, options) => (channel ??= new Channel(address, credentials, options)),
    isReady: () => channel?.getConnectivityState(false) === connectivityState.READY,
  };
}

/** Where the keys with this prefix, which is not empty, end. */
function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return end;
}

function lookUp(key: string): { request_range: { key: Buffer } } {
  return { request_range: { key: Buffer.from(key) } };
}

function observedIn(ranges: readonly IRangeResponse[]): Observed {
  const found = ranges.flatMap(({ kvs }) => kvs);
  return new Map(
    found.map(({ key, value, lease, mod_revision }): [string, Stored] => [
      key.toString(),
      { value: value.toString(), lease, modRevision: mod_revision },
    ]),
  );
}

function translate(what: string, cause: unknown): Error {
  if (cause instanceof LeaseGoneError || cause instanceof DeniedError || cause instanceof MemberError)
    return cause;
  const message = `${what}: ${plain(tlsMessage(cause))}`;
  if (/requested lease not found/.test(message)) return new LeaseGoneError(message, { cause });
  if (/lease already exists/.test(message)) return new LeaseExistsError(message, { cause });
  const hint = hintFor(message);
  return hint ? new DeniedError(`${message}; ${hint}`, { cause }) : new MemberError(message, { cause });
}

/** What a person must do about a refusal; undefined when it is none. */
function hintFor(message: string): string | undefined {
  if (/authentication failed/.test(message)) return 'check --etcd-user and its password';
  if (/user name is empty|invalid auth token/.test(message)) return 'etcd wants a user: --etcd-user';
  if (/permission denied/.test(message))
    return 'give the role of the user readwrite on the prefix of the keys';
  return undefined;
}

/** gRPC wraps what happened in what it was doing and when, so that no two failures read the same. */
function plain(message: string): string {
  return message
    .replace(/^\d+ [A-Z_]+: /, '')
    .replace(/^No connection established\. Last error: (?:Error: )?/, '')
    .replace(/\.? Resolution note:.*$/, '')
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/, '')
    .replace(/^Deadline exceeded after .*$/, 'no answer in time');
}
