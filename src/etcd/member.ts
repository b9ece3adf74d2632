/**
 * One member of etcd, in our words: the four requests that a session makes of it. Each has a deadline, none is
 * repeated here, and every failure is one of etcd/errors.ts. A member that failed is closed and made anew, because a
 * channel that has lost its peer can stay deaf (grpc-node #2785, #3019).
 */
import { noop } from 'cockatiel';
import { Etcd3, EtcdLeaseInvalidError, EtcdPermissionDeniedError, type IRangeResponse } from 'etcd3';
import { type Clock, within } from '../clock.ts';
import type { LeaseId, Seen, Stored, Write } from '../core/records.ts';
import { messageOf } from '../errors.ts';
import { DeniedError, LeaseExistsError, LeaseGoneError, MemberError } from './errors.ts';

export interface Member {
  /** @throws LeaseExistsError when the id is taken, by an earlier try of ours. */
  grant(id: LeaseId, ttlSeconds: number, limit: Limit): Promise<void>;
  /** Keeps the lease alive, then looks at the keys. @throws LeaseGoneError */
  renew(id: LeaseId, keys: readonly string[], limit: Limit): Promise<Seen>;
  /** One transaction under the lease. @throws LeaseGoneError */
  write(id: LeaseId, write: Write, limit: Limit): Promise<WriteAnswer>;
  /** Deletes the lease and every key under it. @throws LeaseGoneError */
  revoke(id: LeaseId, limit: Limit): Promise<void>;
  close(): void;
}

export type WriteAnswer =
  | { readonly done: true; readonly modRevision: string }
  /** Nothing was written; this is what stands under the keys that were expected otherwise. */
  | { readonly done: false; readonly seen: Seen };

export interface Limit {
  /** The most that one call may take, in milliseconds. */
  readonly ms: number;
  /** Aborted when the answer is no longer wanted; the call is then left to its deadline. */
  readonly signal?: AbortSignal;
}

/** What our own cap grants a call beyond its gRPC deadline, in ms: connecting and authenticating lie outside of it. */
const graceMs = 250;

/** gRPC obeys http_proxy by default, and a session must not leave by a proxy that was set for the app. */
const channelOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3000,
} as const;

/** A client of the member at `endpoint` (`http://10.1.0.101:2379`). Connects at the first request. */
export function connectMember(endpoint: string, clock: Clock): Member {
  const client = new Etcd3({
    hosts: endpoint,
    grpcOptions: channelOptions,
    // The session knows better when and where to ask again.
    faultHandling: { host: () => noop, global: noop },
  });

  const call = async <T>(
    what: string,
    limit: Limit,
    request: (options: { deadline: number }) => Promise<T>,
  ): Promise<T> => {
    try {
      const work = request({ deadline: clock.wall() + limit.ms });
      return await within(clock, limit.ms + graceMs, what, work, limit.signal);
    } catch (error) {
      limit.signal?.throwIfAborted();
      throw translate(what, error);
    }
  };

  const keepAlive = async (id: LeaseId, options: { deadline: number }): Promise<void> => {
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

    renew: (id, keys, limit) =>
      call('renew', limit, async options => {
        await keepAlive(id, options);
        const { responses } = await client.kv.txn({ success: keys.map(lookUp) }, options);
        return seenIn(responses.map(({ response_range }) => response_range));
      }),

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
          : { done: false, seen: seenIn(responses.map(({ response_range }) => response_range)) };
      }),

    revoke: (id, limit) =>
      call('revoke', limit, async options => {
        await client.leaseClient.leaseRevoke({ ID: id }, options);
      }),

    close: () => client.close(),
  };
}

function lookUp(key: string): { request_range: { key: Buffer } } {
  return { request_range: { key: Buffer.from(key) } };
}

function seenIn(ranges: readonly IRangeResponse[]): Seen {
  const found = ranges.flatMap(({ kvs }) => kvs);
  return new Map(
    found.map(({ key, value, lease, mod_revision }): [string, Stored] => [
      key.toString(),
      { value: value.toString(), lease, modRevision: mod_revision },
    ]),
  );
}

function translate(what: string, cause: unknown): Error {
  if (cause instanceof LeaseGoneError) return cause;
  const message = `${what}: ${plain(messageOf(cause))}`;
  if (cause instanceof EtcdLeaseInvalidError || /requested lease not found/.test(message)) {
    return new LeaseGoneError(message, { cause });
  }
  if (/lease already exists/.test(message)) return new LeaseExistsError(message, { cause });
  if (
    cause instanceof EtcdPermissionDeniedError ||
    /permission denied|authentication failed|user name is empty/.test(message)
  ) {
    return new DeniedError(message, { cause });
  }
  return new MemberError(message, { cause });
}

/** gRPC wraps what happened in what it was doing. */
function plain(message: string): string {
  return message
    .replace(/^14 UNAVAILABLE: No connection established\. Last error: (?:Error: )?/, '')
    .replace(/\.? Resolution note:.*$/, '');
}
