/**
 * Records every change under a prefix, once and in etcd's order, whatever happens to the members: it follows all of
 * them at the same time, takes each revision from the first member that sends it, and reconnects to a member that was
 * away.
 */
import { setTimeout } from 'node:timers/promises';

import {
  decode,
  follow,
  type GatewayTarget,
  leaseHex,
  prefixRange,
  type RawKeyValue,
  type ResponseHeader,
} from './etcd-gateway.ts';
import { type FindOptions, Journal } from './wait.ts';

export interface WatchEvent {
  /** When it was received, in `performance.now()` milliseconds. */
  readonly at: number;
  readonly type: 'put' | 'delete';
  readonly key: string;
  /** Empty for a delete. */
  readonly value: string;
  /** The lease in hexadecimal, as etcdctl prints it; '0' for none. For a delete, the lease that the key had. */
  readonly lease: string;
  /** The revision of this change. */
  readonly modRevision: number;
  /** The value that was replaced or deleted, unless there was none or it is compacted. */
  readonly previousValue?: string;
}

/** A part of the history that could not be observed. */
export interface WatchGap {
  readonly at: number;
  /** `compacted`: etcd removed the revisions up to `revision`. `new-cluster`: all data was wiped, revisions restart. */
  readonly reason: 'compacted' | 'new-cluster';
  readonly revision: number;
}

interface RawWatchAnswer {
  readonly header: ResponseHeader;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly compact_revision?: string;
  readonly events?: readonly {
    readonly type?: 'DELETE';
    readonly kv: RawKeyValue;
    readonly prev_kv?: RawKeyValue;
  }[];
}

/** What a watcher needs to know about a member. */
export interface WatchSource {
  readonly target: GatewayTarget;
  /** False while there is no process to connect to. */
  readonly isAlive: () => boolean;
  /** The token of the tests' user while authentication is on. */
  readonly token: () => Promise<string | undefined>;
}

export class Watcher {
  readonly #prefix: string;
  readonly #journal: Journal<WatchEvent>;
  readonly #created = new Journal<string>('watch stream');
  readonly #gaps: WatchGap[] = [];
  readonly #stop = new AbortController();
  #cluster: string;
  #revision: number;
  #cursor = 0;

  /** Records from the revision after that of `start`. */
  constructor(prefix: string, start: ResponseHeader, sources: readonly WatchSource[]) {
    this.#prefix = prefix;
    this.#journal = new Journal(`event under ${prefix}`);
    this.#cluster = start.cluster_id;
    this.#revision = Number(start.revision ?? 0);
    for (const source of sources) void this.#followForever(source);
  }

  /** All events so far, in the order of their revisions. */
  get events(): readonly WatchEvent[] {
    return this.#journal.entries;
  }

  /**
   * What could not be observed. A test that uses `events` to show that something did not happen checks that this is
   * empty.
   */
  get gaps(): readonly WatchGap[] {
    return this.#gaps;
  }

  /** Resolves when a member has confirmed the watch. */
  async ready(timeoutMs = 10_000): Promise<void> {
    await this.#created.indexOf(() => true, { timeoutMs });
  }

  /**
   * The next event that matches, after the one that `next` returned last (at first, from the start), so that an event
   * between two calls is not missed. Rejects with a WaitError after `timeoutMs`.
   */
  async next(
    predicate: (event: WatchEvent) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<WatchEvent> {
    const index = await this.#journal.indexOf(predicate, { timeoutMs, since: this.#cursor });
    this.#cursor = Math.max(this.#cursor, index + 1);
    return this.#journal.entries[index] as WatchEvent;
  }

  /** The first event at or after the index `since` that matches. Does not change where `next` continues. */
  first(predicate: (event: WatchEvent) => boolean, options: FindOptions = {}): Promise<WatchEvent> {
    return this.#journal.first(predicate, options);
  }

  /** Makes `next` consider only future events. Returns the index of the first one. */
  skipToNow(): number {
    return (this.#cursor = this.#journal.entries.length);
  }

  close(): void {
    this.#stop.abort();
  }

  async #followForever(source: WatchSource): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (source.isAlive()) await this.#follow(source).catch(() => undefined);
      await setTimeout(50, undefined, { ref: false, signal }).catch(() => undefined);
    }
  }

  async #follow(source: WatchSource): Promise<void> {
    const restart = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, restart.signal]);
    const token = await source.token();
    const create = {
      ...prefixRange(this.#prefix),
      start_revision: String(this.#revision + 1),
      prev_kv: true,
    };
    const onAnswer = (answer: object): void => {
      if (!this.#take(answer as RawWatchAnswer)) restart.abort();
    };
    await follow(source.target, '/v3/watch', { create_request: create }, onAnswer, signal, token);
  }

  /** Returns false when this stream cannot continue from where it is. */
  #take({ header, created, canceled, compact_revision: compacted, events = [] }: RawWatchAnswer): boolean {
    if (header.cluster_id !== this.#cluster) {
      this.#cluster = header.cluster_id;
      this.#revision = 0;
      this.#gaps.push({ at: performance.now(), reason: 'new-cluster', revision: 0 });
      return false;
    }
    if (created) this.#created.push(header.member_id);
    if (compacted !== undefined && Number(compacted) > this.#revision) {
      this.#gaps.push({ at: performance.now(), reason: 'compacted', revision: Number(compacted) - 1 });
      this.#revision = Number(compacted) - 1;
    }
    const known = this.#revision;
    for (const { type, kv, prev_kv: previous } of events) {
      const modRevision = Number(kv.mod_revision);
      if (modRevision <= known) continue;
      this.#revision = modRevision;
      this.#journal.push({
        at: performance.now(),
        type: type === 'DELETE' ? 'delete' : 'put',
        key: decode(kv.key),
        value: decode(kv.value),
        lease: leaseHex(type === 'DELETE' ? previous?.lease : kv.lease),
        modRevision,
        ...(previous && { previousValue: decode(previous.value) }),
      });
    }
    return !canceled;
  }
}
