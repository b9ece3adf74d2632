/** Which endpoint of etcd an instance asks next, when, and what it reports of an outage. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutageEvent } from '../../src/core/lease/events.ts';
import {
  afterFailure,
  afterSuccess,
  endpointOf,
  requestLimitMs,
  retryNow,
  startFailover,
  type Failover,
  type Failure,
} from '../../src/core/lease/failover.ts';
import { noLease, type DesiredState, type HeldLease, type Lease } from '../../src/core/lease/lease.ts';

const rules = { renewGapMs: 4000, freshForMs: 10_000, ttlMs: 20_000 };
const key = '/service/10.1.0.101:49155';
const endpoints = ['a', 'b', 'c'];
const held: HeldLease = {
  kind: 'held',
  id: '5',
  acknowledgedAt: 0,
  observed: new Map([[key, { value: 'running', lease: '5', modRevision: '7' }]]),
  ownership: 'holding',
  contest: { times: 0, yieldUntil: -Infinity },
};

const shuffle = (names: readonly string[], random: () => number): readonly string[] =>
  startFailover(names, random).endpoints;
const start = (names = endpoints): Failover => startFailover(names, () => 0);

/** A plain failure; `random` is 0, so each wait is the shortest of its range. */
function fail(before: Failover, more: Partial<Failure> = {}): ReturnType<typeof afterFailure> {
  const plain = { request: 'renew', cause: 'refused', isDenied: false, isAlive: false } as const;
  const failure: Failure = { ...plain, lease: noLease, now: 1000, isClosing: false, ...more };
  return afterFailure(before, failure, rules, () => 0);
}

/** As many of these failures, and the last of their answers. */
function failTimes(
  times: number,
  names: string[],
  more: Partial<Failure> = {},
): ReturnType<typeof afterFailure> {
  let last = fail(start(names), more);
  for (let count = 1; count < times; count++) last = fail(last.failover, more);
  return last;
}

const kindsOf = ({ events }: ReturnType<typeof afterFailure>): string =>
  events.map(({ kind }) => kind).join();

/** After two failures of such requests. */
const failedAt = (request: Failure['request']): Failover => failTimes(2, endpoints, { request }).failover;

describe('the order of the endpoints', () => {
  it('has each endpoint once, whatever the random numbers are', () => {
    for (const random of [0, 0.34, 0.5, 0.999_999])
      assert.deepEqual(shuffle(endpoints, () => random).toSorted(), endpoints);
    assert.deepEqual(
      shuffle([], () => 0),
      [],
    );
    assert.deepEqual(endpoints, ['a', 'b', 'c']);
  });

  it('comes in all ways equally often, so that a lost member is made up for by all others', () => {
    const firstTwo = new Map<string, number>();
    for (const first of [0, 1, 2])
      for (const second of [0, 1]) {
        const draws = [first / 3 + 0.01, second / 2 + 0.01, 0];
        const [one = '', two = ''] = shuffle(endpoints, () => draws.shift() ?? 0);
        firstTwo.set(one + two, (firstTwo.get(one + two) ?? 0) + 1);
      }
    assert.deepEqual(Object.fromEntries(firstTwo), { ab: 1, ac: 1, ba: 1, bc: 1, ca: 1, cb: 1 });
  });

  it('is drawn at the start', () => {
    assert.deepEqual(startFailover(endpoints, () => 0.999_999).endpoints, ['c', 'b', 'a']);
    assert.equal(endpointOf(start()), 'a');
  });
});

describe('a failure', () => {
  const alive = { isAlive: true } as const;
  const denied = { isDenied: true } as const;
  const cases: [
    name: string,
    times: number,
    names: string[],
    failure: Partial<Failure>,
    expected: [endpoint: string, waitMs: number, reconnects: boolean],
  ][] = [
    ['of the first endpoint: the next one soon', 1, endpoints, {}, ['b', 50, true]],
    ['of the second: the next one soon', 2, endpoints, {}, ['c', 50, true]],
    ['of all: from the first again, after a wait', 3, endpoints, {}, ['a', 300, true]],
    ['of all, a second time: after a longer wait', 6, endpoints, {}, ['a', 600, true]],
    ['of all, for long: after the longest wait', 300, endpoints, {}, ['a', 1000, true]],
    ['of the only one: the same again, after a wait', 1, ['a'], {}, ['a', 300, true]],
    ['of a slow member: the next one soon', 1, endpoints, alive, ['b', 50, true]],
    ['of a slow member, the last of the round: it stays', 3, endpoints, alive, ['c', 300, false]],
    ['of the only one, which is slow: it stays', 1, ['a'], alive, ['a', 300, false]],
    ['a refusal: after a long wait', 1, ['a'], denied, ['a', 1000, true]],
    ['many refusals: after the longest wait', 9, ['a'], denied, ['a', 15_000, true]],
    [
      'many refusals while a lease is held: at its rate',
      9,
      ['a'],
      { ...denied, lease: held },
      ['a', 4000, true],
    ],
    ['a first refusal while a lease is held', 1, ['a'], { ...denied, lease: held }, ['a', 1000, true]],
    ['many failures while a lease is held', 9, ['a'], { lease: held }, ['a', 1000, true]],
    ['at the end of the session: soon', 9, ['a'], { isClosing: true }, ['a', 50, true]],
  ];
  for (const [name, times, names, failure, expected] of cases) {
    it(name, () => {
      const { failover, reconnects } = failTimes(times, names, failure);
      assert.deepEqual([endpointOf(failover), failover.retryAt - 1000, reconnects], expected);
      assert.deepEqual([failover.failures, failover.outage?.attempts], [times, times]);
    });
  }

  it('is waited for no longer when the desired state changes', () => {
    const { failover } = fail(start());
    assert.deepEqual(retryNow(failover), { ...failover, retryAt: -Infinity });
  });

  it('is reported at first, for a new cause, and after a minute', () => {
    const kinds = [
      ['refused', 1000],
      ['refused', 2000],
      ['no answer', 3000],
      ['refused', 60_999],
      ['refused', 61_000],
    ] as const;
    let failover = start();
    const events: OutageEvent[] = [];
    for (const [cause, now] of kinds) {
      const next = fail(failover, { cause, now });
      failover = next.failover;
      events.push(...next.events);
    }
    assert.deepEqual(events, [
      { kind: 'failing', endpoint: 'a', cause: 'refused', tries: 1, forMs: 0 },
      { kind: 'failing', endpoint: 'c', cause: 'no answer', tries: 3, forMs: 2000 },
      { kind: 'failing', endpoint: 'b', cause: 'refused', tries: 5, forMs: 60_000 },
    ]);
  });
});

describe('a lease that nobody has acknowledged for a TTL', () => {
  it('is uncertain, which is reported once', () => {
    const early = fail(start(), { lease: held, now: 19_999 });
    assert.equal(kindsOf(early), 'failing');
    const first = fail(early.failover, { lease: held, now: 20_000 });
    assert.deepEqual(first.events, [{ kind: 'uncertain', lease: '5', forMs: 20_000 }]);
    assert.deepEqual(fail(first.failover, { lease: held, now: 30_000 }).events, []);
  });

  it('is uncertain again after it was acknowledged', () => {
    const first = fail(start(), { lease: held, now: 20_000 });
    const renewed = { ...held, acknowledgedAt: 21_000 };
    const second = fail(first.failover, { lease: renewed, now: 22_000 });
    assert.equal(kindsOf(fail(second.failover, { lease: renewed, now: 41_000 })), 'uncertain');
  });

  it('is no matter while none is held', () => {
    for (const lease of [noLease, { kind: 'granting', id: '5', askedAt: 0 }] as const)
      assert.equal(kindsOf(fail(start(), { lease, now: 60_000 })), 'failing');
  });
});

describe('an answer', () => {
  const desired: DesiredState = {
    kind: 'records',
    records: [{ key, value: 'running' }],
    checkedAt: 1500,
  };
  const succeed = (
    before: Failover,
    request: Failure['request'],
    lease: Lease,
  ): ReturnType<typeof afterSuccess> => {
    const answer = { kind: 'kept', at: 2000 } as const;
    const answered = { answer, before: lease, after: lease, desired, now: 2000 };
    return afterSuccess(before, request, answered, rules, () => 0);
  };
  const deleted: Lease = { ...held, observed: new Map() };

  it('changes nothing but the time of the last answer when nothing has failed', () => {
    const before = start();
    const failover = { ...before, answeredAt: 2000 };
    assert.deepEqual(succeed(before, 'renew', held), { failover, events: [] });
  });

  it('confirms the lease again, also a renewal between two writes that are refused', () => {
    const refused = fail(start(), { request: 'write', isDenied: true }).failover;
    assert.equal(refused.isUnconfirmed, false, 'a refusal is an answer');
    const away = fail(refused, { request: 'write' }).failover;
    assert.deepEqual([away.isUnconfirmed, away.answeredAt], [true, null]);
    const { failover } = succeed(away, 'renew', { ...held, observed: new Map() });
    assert.deepEqual([failover.isUnconfirmed, failover.answeredAt], [false, 2000]);
    assert.ok(failover.outage);
    assert.equal(fail(failover, { request: 'renew', isDenied: true }).failover.isUnconfirmed, true);
  });

  it('ends the outage, and the endpoint that gave it stays', () => {
    const { failover, events } = succeed(failedAt('renew'), 'renew', held);
    assert.deepEqual(events, [{ kind: 'recovered', endpoint: 'c', tries: 2, forMs: 1000 }]);
    assert.deepEqual(
      [failover.outage, failover.failed, failover.isUncertain, failover.failures, endpointOf(failover)],
      [null, null, false, 2, 'c'],
    );
  });

  const cases: [
    name: string,
    failed: Failure['request'],
    request: Failure['request'],
    lease: Lease,
    ends: boolean,
  ][] = [
    ['a renewal between two writes does not end it', 'write', 'renew', deleted, false],
    ['a renewal after a write that is no longer needed does', 'write', 'renew', held, true],
    ['the write does', 'write', 'write', held, true],
    ['a write that was refused for what others did does', 'write', 'write', deleted, true],
    ['a renewal after a failed renewal does, also when a write is next', 'renew', 'renew', deleted, true],
  ];
  for (const [name, failed, request, lease, ends] of cases) {
    it(name, () => {
      const before = failedAt(failed);
      const { failover, events } = succeed(before, request, lease);
      assert.equal(failover.outage === null, ends);
      assert.equal(events.length, ends ? 1 : 0);
    });
  }
});

describe('the time limit of a request', () => {
  it('is short for a first revocation', () => {
    const limits = [0, 1, 2, 3, 9].map(times =>
      requestLimitMs('revoke', times === 0 ? start() : failTimes(times, endpoints).failover, false),
    );
    assert.deepEqual(limits, [500, 1000, 2000, 2000, 2000]);
    assert.equal(requestLimitMs('renew', start(), false), 3000);
    assert.equal(requestLimitMs('grant', failTimes(3, endpoints).failover, false), 3000);
  });

  it('gives each endpoint its turn within 1.5 s when the session closes, however long the outage was before', () => {
    for (const count of [1, 2, 3, 5, 7]) {
      const names = Array.from({ length: count }, (_, index) => `h${index}`);
      let { failover } = failTimes(9, names);
      let ms = 0;
      for (let turn = 0; turn < count; turn++) {
        const limit = requestLimitMs('revoke', failover, true);
        assert.ok(limit >= 100, `${limit} ms are enough for an answer`);
        ms += limit + (turn < count - 1 ? 50 : 0);
        ({ failover } = fail(failover, { isClosing: true }));
      }
      assert.ok(ms < 1500, `${count} endpoints had their turn after ${ms} ms`);
      assert.equal(requestLimitMs('revoke', failover, true), 1000);
    }
  });
});
