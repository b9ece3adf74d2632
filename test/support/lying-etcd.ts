/**
 * A session on a fake clock with an etcd that lies, and the agent around it as far as it matters: the app passes each
 * check, a requested check comes at once, and events become log lines. Counts what the lies cost.
 */
import { logEvent } from '../../src/agent/log.ts';
import type { SessionEvent } from '../../src/core/lease/events.ts';
import type { LeaseId, Observed, Stored } from '../../src/core/lease/writes.ts';
import {
  DeniedError,
  LeaseExistsError,
  LeaseGoneError,
  RequestError,
  SlowError,
} from '../../src/etcd/errors.ts';
import { openSession, type Session } from '../../src/etcd/session.ts';
import { createLog } from '../../src/log.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { FakeEtcd, type Call, type Details, type Lie, type RequestKind } from './fake-etcd.ts';
import type { Random } from './random.ts';

export const key = '/service/10.1.0.101:49155';
const records = [{ key, value: 'running' }];
const intervalMs = 5000;
/** How long a check of the app takes. */
const checkMs = 5;

/** When something happened, in ms since the start. */
export interface Cost {
  readonly requests: readonly number[];
  readonly checks: readonly number[];
  readonly lines: readonly number[];
}

export interface LyingBed {
  readonly clock: FakeClock;
  readonly etcd: FakeEtcd;
  readonly session: Session;
  readonly events: SessionEvent[];
  /** The log, without times. */
  readonly log: string[];
  /** The requested checks and the regular ones, the log lines, and the requests. */
  cost(): Cost;
  /** Lets the app pass for so long. */
  runFor(ms: number): Promise<void>;
  /** Resolves with whether the session closed within 1.5 s. */
  close(): Promise<boolean>;
}

/** @param random returns a number in [0, 1) */
export function openLyingBed(endpoints: readonly string[], random: () => number): LyingBed {
  const clock = new FakeClock();
  const startedAt = clock.now();
  const etcd = new FakeEtcd(clock);
  const events: SessionEvent[] = [];
  const log: string[] = [];
  const checks: number[] = [];
  const lines: number[] = [];
  const write = (line: string): void => {
    log.push(line.replace(/^time=\S+ /, '').trim());
    lines.push(clock.now() - startedAt);
  };
  const logger = createLog('logfmt', clock, write);
  let isClosing = false;
  let isChecking = false;
  const check = (): void => {
    if (isChecking || isClosing) return;
    isChecking = true;
    const checkedAt = clock.now();
    checks.push(checkedAt - startedAt);
    clock.after(checkMs, () => {
      isChecking = false;
      if (!isClosing) session.publish(records, checkedAt);
    });
  };
  const session = openSession({
    endpoints,
    connect: etcd.connect,
    ttlSeconds: 20,
    rules: { renewGapMs: 0.8 * intervalMs, freshForMs: 10_000 },
    clock,
    random,
    emit: event => {
      events.push(event);
      logEvent(logger, event, { rise: 1, fall: 1, ttlSeconds: 20 });
    },
    requestCheck: check,
  });
  return {
    clock,
    etcd,
    session,
    events,
    log,
    cost: () => ({ requests: etcd.calls.map(({ at }) => at), checks, lines }),
    async runFor(ms) {
      for (const until = clock.now() + ms; clock.now() < until;) {
        check();
        await clock.advance(Math.min(intervalMs, until - clock.now()));
      }
    },
    async close() {
      isClosing = true;
      const closed = session.close(1500).then(() => true);
      await clock.advance(1500);
      await settle();
      return Promise.race([closed, Promise.resolve(false)]);
    },
  };
}

/** The most moments within any window of so many ms. */
export function mostWithin(moments: readonly number[], ms: number): number {
  return Math.max(0, ...moments.map((from, at) => moments.slice(at).filter(each => each < from + ms).length));
}

const stored = (lease: LeaseId, value = 'running', modRevision = '7'): Stored => ({
  value,
  lease,
  modRevision,
});
export const shows = (entry?: Stored): Observed => new Map(entry ? [[key, entry]] : []);
const gone = (): Lie => ({ error: new LeaseGoneError('requested lease not found') });
const exists = (): Lie => ({ error: new LeaseExistsError('lease already exists') });
const fails = (): Lie => ({ error: new RequestError('the answer does not fit') });

type Answer = (call: Call, details: Details) => Lie | undefined;

/** Lies to some kinds of requests, and tells the truth to others. */
function to(answers: Partial<Record<RequestKind, Answer>>): Answer {
  return (call, details) => answers[call.kind]?.(call, details);
}

/** The lies take turns. */
function turns(...each: readonly (Lie | undefined)[]): Answer {
  let next = 0;
  return () => each[next++ % each.length];
}

/** What a lying etcd says for ever, by name. */
export const lies: Readonly<Record<string, () => Answer>> = {
  'a lease is granted and then does not exist': () => to({ write: gone }),
  'a lease is granted and written, and gone at the renewal': () => to({ renew: gone }),
  'a lease that is to be granted does not exist': () => to({ grant: gone }),
  'every lease exists already, and then does not': () => to({ grant: exists, write: gone }),
  'every lease exists already, and nothing else is true': () =>
    to({ grant: exists, write: exists, renew: exists }),
  'a lease is granted, and then exists already': () => to({ write: exists, renew: exists }),
  'a write is refused, and the key is as it was read': () =>
    to({ write: () => ({ answer: { kind: 'refused', observed: shows() } }) }),
  'a write is refused, and the key is another one each time': () => {
    let revision = 10;
    const observed = (): Observed => shows(stored('9', 'other', String(++revision)));
    return to({ write: () => ({ answer: { kind: 'refused', observed: observed() } }) });
  },
  'a write is refused, and the key is ours, and then gone': () =>
    to({
      write: (_, { id }) => ({ answer: { kind: 'refused', observed: shows(stored(id)) } }),
      renew: () => ({ answer: { observed: shows() } }),
    }),
  'a write succeeds, and the key is gone each time': () =>
    to({ renew: () => ({ answer: { observed: shows() } }) }),
  'a write succeeds, and the key is of no lease each time': () =>
    to({ renew: () => ({ answer: { observed: shows(stored('0', 'other')) } }) }),
  'a write succeeds, and the key is of another lease each time': () =>
    to({ renew: () => ({ answer: { observed: shows(stored('9', 'other')) } }) }),
  'a write succeeds, and another value is there each time': () =>
    to({ renew: (_, { id }) => ({ answer: { observed: shows(stored(id, 'other')) } }) }),
  'a grant fails and succeeds in turn, and the lease does not exist': () =>
    to({ grant: turns(fails(), undefined), write: gone }),
  'a write fails, is refused, and its lease is gone, in turn': () =>
    to({ write: turns(fails(), { answer: { kind: 'refused', observed: shows() } }, gone()) }),
  'a renewal fails and succeeds in turn': () => to({ renew: turns(fails(), undefined) }),
  'a renewal fails with another text each time': () => {
    let count = 0;
    return to({ renew: () => ({ error: new RequestError(`failure ${++count}`) }) });
  },
  'a renewal shows the key, and then its lease is gone': () => to({ renew: turns(undefined, gone()) }),
  'nothing is done, and each request succeeds': () =>
    to({
      grant: () => ({ answer: undefined }),
      write: () => ({ answer: { kind: 'written', modRevision: '7' } }),
      renew: () => ({ answer: { observed: shows() } }),
    }),
};

/** Draws what is said to a request. */
export function randomLie(random: Random, { kind }: Call, { id }: Details): Lie | undefined {
  const lease = random.pick([id, '0', '9', '123']);
  const observed = random.pick([
    shows(),
    shows(stored(lease, random.pick(['running', 'x', '']), String(random.below(20)))),
    new Map([['/other', stored(lease)]]),
  ]);
  const does = random.below(3) === 0;
  const answers: Record<RequestKind, readonly unknown[]> = {
    grant: [undefined],
    write: [
      { kind: 'written', modRevision: String(random.below(20)) },
      { kind: 'refused', observed },
    ],
    renew: [{ observed }, { observed: null, error: new RequestError('read the keys: no') }],
    revoke: [undefined],
  };
  return random.pick<() => Lie | undefined>([
    () => undefined,
    () => ({ does, answer: random.pick(answers[kind]) }),
    () => ({ does, answer: random.pick(answers[kind]) }),
    gone,
    exists,
    fails,
    () => ({ does, error: new RequestError(`failure ${random.below(1000)}`) }),
    () => ({ error: new DeniedError('permission denied') }),
    () => ({ does, error: new SlowError('no answer in time') }),
  ])();
}
