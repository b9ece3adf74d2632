/**
 * An etcd in memory behind the port that a session uses, on a fake clock. It keeps leases and keys as etcd does, and each
 * endpoint answers, refuses or stays silent as the test says. What is not here: the network, gRPC, tokens and real time.
 */
import type { LeaseId, Observed, Stored, Write } from '../../src/core/lease/writes.ts';
import {
  DeniedError,
  LeaseExistsError,
  LeaseGoneError,
  RequestError,
  SlowError,
} from '../../src/etcd/errors.ts';
import type { CallLimit, LeaseStore, Renewal, WriteAnswer } from '../../src/etcd/ports.ts';
import type { FakeClock } from './fake-clock.ts';

export type RequestKind = 'grant' | 'renew' | 'write' | 'revoke';

/** What an endpoint does with a request. */
export type Mode =
  | 'up'
  /** Refuses the connection at once. */
  | 'down'
  /** Never answers, and shows no sign of life, or one. */
  | 'silent'
  | 'slow'
  /** Does what is asked, but the answer is lost. */
  | 'answer lost'
  /** Lacks a permission: refuses everything but renewals and revocations, and the renewal cannot read the keys. */
  | 'denied'
  /** Throws an error that nobody expects. */
  | 'broken';

export interface Call {
  readonly kind: RequestKind;
  readonly endpoint: string;
  /** When it came, in ms since the start. */
  readonly at: number;
  readonly limitMs: number;
}

/** What a member answers instead of the truth. */
export interface Lie {
  /** Does what is asked all the same. */
  readonly does?: boolean;
  /** The answer, if it is no error. */
  readonly answer?: unknown;
  readonly error?: Error;
}

/** Requests at one moment above which a session spins. It gets no answer then, so that the test ends and can say so. */
const mostAtOnce = 200;

/** What is asked. */
export interface Details {
  readonly id: LeaseId;
  readonly keys?: readonly string[];
  readonly write?: Write;
}

export class FakeEtcd {
  readonly #clock: FakeClock;
  readonly #startedAt: number;
  readonly leases = new Set<LeaseId>();
  readonly keys = new Map<string, Stored>();
  readonly calls: Call[] = [];
  /** Connections that were made and not closed. */
  open = 0;
  connections = 0;
  /** Decides what becomes of a request. */
  mode: (call: Call) => Mode = () => 'up';
  /** Decides which requests are answered with a lie. */
  lie: (call: Call, details: Details) => Lie | undefined = () => undefined;
  /** Requests at one moment were so many that the session spins. */
  isSpinning = false;
  /** Runs before a write is done. */
  beforeWrite: () => void = () => undefined;
  #revision = 1;

  constructor(clock: FakeClock) {
    this.#clock = clock;
    this.#startedAt = clock.now();
  }

  /** What came since the last time, such as `grant write`. */
  takeCalls(): string {
    return this.calls
      .splice(0)
      .map(({ kind }) => kind)
      .join(' ');
  }

  /** A write by somebody else; '0' is no lease. */
  put(key: string, value: string, lease: LeaseId = '0'): void {
    this.#revision += 1;
    this.keys.set(key, { value, lease, modRevision: String(this.#revision) });
  }

  /** Deletes the lease and its keys. */
  drop(lease: LeaseId): void {
    this.leases.delete(lease);
    for (const [key, stored] of this.keys) if (stored.lease === lease) this.keys.delete(key);
  }

  connect = (endpoint: string): Promise<LeaseStore> => {
    this.open += 1;
    this.connections += 1;
    const request = <T>(
      kind: RequestKind,
      limit: CallLimit,
      details: Details,
      answer: (mode: Mode) => T,
    ): Promise<T> => {
      const at = this.#clock.now() - this.#startedAt;
      return this.#request({ kind, endpoint, at, limitMs: limit.ms }, limit, details, answer);
    };
    return Promise.resolve({
      grant: (id, _ttl, limit) =>
        request('grant', limit, { id }, () => {
          if (this.leases.has(id)) throw new LeaseExistsError('lease already exists');
          this.leases.add(id);
        }),
      renew: (id, keys, limit) => request('renew', limit, { id, keys }, mode => this.#renew(id, keys, mode)),
      write: (id, write, limit) => request('write', limit, { id, write }, () => this.#write(id, write)),
      revoke: (id, limit) =>
        request('revoke', limit, { id }, () => {
          this.#mustExist(id);
          this.drop(id);
        }),
      close: () => {
        this.open -= 1;
      },
    });
  };

  async #request<T>(
    call: Call,
    { ms, signal }: CallLimit,
    details: Details,
    answer: (mode: Mode) => T,
  ): Promise<T> {
    this.calls.push(call);
    this.isSpinning ||= this.calls.slice(-mostAtOnce - 1, -mostAtOnce)[0]?.at === call.at;
    const mode = this.isSpinning ? 'silent' : this.mode(call);
    const lie = this.isSpinning ? undefined : this.lie(call, details);
    if (lie) {
      if (lie.does) answer('up');
      if (lie.error) throw lie.error;
      return lie.answer as T;
    }
    if (mode === 'broken') throw new TypeError('a bug');
    if (mode === 'down') throw new RequestError(`${call.kind}: connect ECONNREFUSED`);
    if (mode === 'denied' && (call.kind === 'grant' || call.kind === 'write')) throw denied(call.kind);
    if (mode === 'silent' || mode === 'slow' || mode === 'answer lost') {
      if (mode === 'answer lost') answer(mode);
      await this.#clock.sleep(ms, signal);
      signal?.throwIfAborted();
      const message = `${call.kind}: no answer in time`;
      throw mode === 'slow' ? new SlowError(message) : new RequestError(message);
    }
    signal?.throwIfAborted();
    return answer(mode);
  }

  #renew(id: LeaseId, keys: readonly string[], mode: Mode): Renewal {
    this.#mustExist(id);
    return mode === 'denied'
      ? { observed: null, error: denied('read the keys') }
      : { observed: this.#read(keys) };
  }

  #write(id: LeaseId, { expect, puts, removes }: Write): WriteAnswer {
    this.beforeWrite();
    this.#mustExist(id);
    const isExpected = expect.every(
      ({ key, modRevision }) => (this.keys.get(key)?.modRevision ?? '0') === modRevision,
    );
    if (!isExpected) return { kind: 'refused', observed: this.#read(expect.map(({ key }) => key)) };
    this.#revision += 1;
    const modRevision = String(this.#revision);
    for (const { key, value } of puts) this.keys.set(key, { value, lease: id, modRevision });
    for (const key of removes) this.keys.delete(key);
    return { kind: 'written', modRevision };
  }

  #read(keys: readonly string[]): Observed {
    return new Map([...this.keys].filter(([key]) => keys.includes(key)));
  }

  #mustExist(id: LeaseId): void {
    if (!this.leases.has(id)) throw new LeaseGoneError('requested lease not found');
  }
}

function denied(what: string): DeniedError {
  return new DeniedError({ message: `${what}: permission denied`, hint: 'ask for it' });
}
