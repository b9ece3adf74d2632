/** The life of the lease as data: the next step in each state, and what each answer changes and reports. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  advance,
  nextStep,
  noLease,
  type HeldLease,
  type Lease,
  type LeaseAnswer,
  type DesiredState,
} from '../../src/core/lease/lease.ts';
import type { LeaseEvent } from '../../src/core/lease/events.ts';
import type { Observed, Stored, Write } from '../../src/core/lease/writes.ts';

const rules = { renewGapMs: 4000, freshForMs: 10_000 };
const key = '/service/10.1.0.101:49155';
const records = [{ key, value: 'running' }];
const wanted = (checkedAt: number): DesiredState => ({ kind: 'records', records, checkedAt });
const tried = (checkedAt: number, triedAt: number): DesiredState => ({
  kind: 'records',
  records,
  checkedAt,
  triedAt,
});
const nothing: DesiredState = { kind: 'nothing', reason: 'app down' };
const stored = (lease: string, value = 'running'): Stored => ({ value, lease, modRevision: '7' });
const holding = (entry?: Stored): Observed => new Map(entry ? [[key, entry]] : []);
const held = (more: Partial<HeldLease> = {}): HeldLease => ({
  kind: 'held',
  id: '5',
  acknowledgedAt: 100_000,
  observed: holding(stored('5')),
  ownership: 'holding',
  contest: { times: 0, yieldUntil: -Infinity },
  ...more,
});

/** The lease after an answer. */
const after = (lease: Lease, answer: LeaseAnswer, desired: DesiredState = nothing): Lease =>
  advance(lease, answer, desired, rules).lease;

const write: Write = { expect: [{ key, modRevision: '0' }], puts: records, removes: [] };
const written = (more: Partial<Write> = {}): LeaseAnswer => ({
  kind: 'written',
  write: { expect: [], puts: records, removes: [], ...more },
  modRevision: '8',
  at: 105_000,
});

describe('the next step', () => {
  const granting: Lease = { kind: 'granting', id: '5', askedAt: 100_000 };
  const cases: [name: string, lease: Lease, desired: DesiredState, now: number, step: string][] = [
    ['nothing wanted, nothing there', noLease, nothing, 0, 'idle'],
    ['wanted', noLease, wanted(100_000), 100_001, 'grant null'],
    ['wanted for an app that was checked too long ago', noLease, wanted(100_000), 110_000, 'check'],
    ['a loss after the last check', { kind: 'none', notBefore: 100_000 }, wanted(100_000), 100_001, 'check'],
    ['a check since the loss', { kind: 'none', notBefore: 100_000 }, wanted(100_001), 100_002, 'grant null'],
    ['a check that passed, and one that did not since', noLease, tried(100_000, 101_000), 101_001, 'check'],
    ['granting, and a check did not pass since', granting, tried(100_000, 101_000), 101_001, 'check'],
    ['a grant without an answer is repeated with its id', granting, wanted(100_000), 103_000, 'grant 5'],
    ['a grant without an answer, no longer wanted', granting, nothing, 103_000, 'revoke 5'],
    ['granted', held({ observed: holding(), ownership: 'claiming' }), wanted(100_000), 100_001, 'write'],
    ['granted, but the last check is old', held({ observed: holding() }), wanted(90_000), 100_001, 'check'],
    ['held', held(), wanted(100_000), 100_001, 'idle'],
    ['held, a new check, too soon', held(), wanted(101_000), 101_001, 'idle'],
    ['held, a new check, in time', held(), wanted(105_000), 105_001, 'renew'],
    ['held, a new attempt that could not be made, in time', held(), tried(99_000, 105_000), 105_001, 'renew'],
    ['held, a new attempt, and the last check is old', held(), tried(80_000, 105_000), 105_001, 'renew'],
    [
      'held, a new attempt, and a key is missing',
      held({ observed: holding() }),
      tried(80_000, 105_000),
      105_001,
      'renew',
    ],
    ['held, the last attempt is old too', held(), tried(80_000, 90_000), 105_001, 'check'],
    [
      'lost, and no check can be made',
      { kind: 'none', notBefore: 100_000 },
      tried(99_000, 105_000),
      105_001,
      'check',
    ],
    [
      'a grant without an answer, and no check can be made',
      granting,
      tried(80_000, 105_000),
      105_001,
      'check',
    ],
    ['held, time is up but no new check', held(), wanted(99_000), 105_000, 'idle'],
    ['held, deleted by others', held({ observed: holding() }), wanted(105_000), 105_001, 'write'],
    [
      'held, overwritten without a lease',
      held({ observed: holding(stored('0')) }),
      wanted(105_000),
      105_001,
      'write',
    ],
    [
      'held, overwritten with another value',
      held({ observed: holding(stored('9', 'x')) }),
      wanted(105_000),
      105_001,
      'write',
    ],
    [
      'held, the same value under a living lease',
      held({ observed: holding(stored('9')) }),
      wanted(100_000),
      100_001,
      'idle',
    ],
    [
      'a fresh lease, the key of a predecessor',
      held({ observed: holding(stored('9')), ownership: 'claiming' }),
      wanted(100_000),
      100_001,
      'write',
    ],
    [
      'another value, taken back a moment ago',
      held({ observed: holding(stored('9', 'x')), contest: { times: 1, yieldUntil: 108_000 } }),
      wanted(101_000),
      101_001,
      'idle',
    ],
    [
      'a new value for our own key, while a contested one is left alone',
      held({ observed: holding(stored('5', 'x')), contest: { times: 1, yieldUntil: 108_000 } }),
      wanted(101_000),
      101_001,
      'write',
    ],
    [
      'a write that has failed for two renewals',
      held({ observed: holding() }),
      wanted(107_000),
      108_000,
      'renew',
    ],
    [
      'a write that has failed for two renewals, but no new check',
      held({ observed: holding() }),
      wanted(99_000),
      108_000,
      'write',
    ],
    ['held, not wanted', held(), nothing, 100_001, 'revoke 5'],
    [
      'revoking, wanted again',
      { kind: 'revoking', id: '5', reason: 'app down' },
      wanted(100_000),
      100_001,
      'revoke 5',
    ],
  ];
  for (const [name, lease, desired, now, expected] of cases) {
    it(`${name}: ${expected}`, () => {
      const step = nextStep(lease, desired, now, rules);
      const id = step.kind === 'grant' || step.kind === 'revoke' ? ` ${step.id}` : '';
      assert.equal(`${step.kind}${id}`, expected);
    });
  }

  it('expects a key as it was read, so that a late or repeated write changes nothing', () => {
    const step = nextStep(
      held({ observed: holding(stored('0')), ownership: 'claiming' }),
      wanted(100_000),
      100_001,
      rules,
    );
    assert.deepEqual(step.kind === 'write' && step.write.expect, [{ key, modRevision: '7' }]);
    const first = nextStep(
      held({ observed: holding(), ownership: 'claiming' }),
      wanted(100_000),
      100_001,
      rules,
    );
    assert.deepEqual(first.kind === 'write' && first.write.expect, [{ key, modRevision: '0' }]);
  });

  it('moves a record in one write: the new is put and the old removed', () => {
    const old = '/service/10.1.0.101:49000';
    const lease = held({ observed: new Map([[old, stored('5')]]) });
    const step = nextStep(lease, wanted(100_000), 100_001, rules);
    assert.deepEqual(step.kind === 'write' && { puts: step.write.puts, removes: step.write.removes }, {
      puts: records,
      removes: [old],
    });
  });

  it("does not remove a key that is another lease's now", () => {
    const old = '/service/10.1.0.101:49000';
    const lease = held({
      observed: new Map([
        [old, stored('9')],
        [key, stored('5')],
      ]),
    });
    assert.equal(nextStep(lease, wanted(100_000), 100_001, rules).kind, 'idle');
  });
});

describe('an answer', () => {
  it('granted: the lease is held since the request that succeeded was sent, and nothing is written yet', () => {
    const granting: Lease = { kind: 'granting', id: '5', askedAt: 100_000 };
    const fresh = { observed: new Map(), ownership: 'claiming' } as const;
    assert.deepEqual(after(granting, { kind: 'granted', at: 103_000 }), {
      ...held({ ...fresh, acknowledgedAt: 103_000 }),
    });
    // Which of the earlier requests was done is not known.
    assert.deepEqual(after(granting, { kind: 'exists' }), held({ ...fresh, acknowledgedAt: 100_000 }));
  });

  it('written: our record is under our lease', () => {
    const claiming = held({ observed: holding(), ownership: 'claiming' });
    const lease = after(claiming, { kind: 'written', write, modRevision: '8', at: 1 });
    assert.deepEqual(lease, held({ observed: holding({ value: 'running', lease: '5', modRevision: '8' }) }));
  });

  it('refused: what etcd holds replaces what was expected, and nothing else', () => {
    const before = held({
      observed: new Map([
        ['/other', stored('5')],
        [key, stored('5')],
      ]),
    });
    const lease = after(before, { kind: 'refused', write, observed: holding(stored('9')) });
    assert.deepEqual(lease.kind === 'held' && [...lease.observed], [
      ['/other', stored('5')],
      [key, stored('9')],
    ]);
  });

  it('kept: the lease lives on, and what was read last is still believed', () => {
    const lease = after(held(), { kind: 'kept', at: 105_000 }, wanted(105_000));
    assert.deepEqual(lease, held({ acknowledgedAt: 105_000 }));
    assert.equal(nextStep(lease, wanted(105_000), 105_001, rules).kind, 'idle');
  });

  it('gone: the next lease needs a check that began later', () => {
    assert.deepEqual(after(held(), { kind: 'gone', at: 7, cause: 'not found' }), {
      kind: 'none',
      notBefore: 7,
    });
  });

  it('revoked, or gone while it is revoked: nothing is left', () => {
    const revoking: Lease = { kind: 'revoking', id: '5', reason: 'app down' };
    assert.equal(after(revoking, { kind: 'revoked' }), noLease);
    assert.equal(after(revoking, { kind: 'gone', at: 7, cause: 'not found' }), noLease);
  });

  it('taking a key back from a living lease is done less and less often', () => {
    let lease: Lease = held();
    const waits: number[] = [];
    let now = 100_000;
    for (let round = 0; round < 8; round++) {
      lease = after(lease, { kind: 'renewed', observed: holding(stored('9', 'x')), at: now }, wanted(now));
      const step = nextStep(lease, wanted(now), now, rules);
      assert.equal(step.kind, 'write');
      if (step.kind !== 'write') return;
      lease = after(lease, { kind: 'written', write: step.write, modRevision: '9', at: now }, wanted(now));
      const until: number = lease.kind === 'held' ? lease.contest.yieldUntil : Number.NaN;
      waits.push(until - now);
      now = until;
    }
    assert.deepEqual(waits, [8000, 16_000, 32_000, 64_000, 128_000, 256_000, 256_000, 256_000]);
  });

  it('forgets a contest that is over, and no other', () => {
    const before = held({ contest: { times: 3, yieldUntil: 90_000 } });
    const contestAfter = (entry: Stored, at: number): unknown => {
      const lease = after(before, { kind: 'renewed', observed: holding(entry), at }, wanted(at));
      return lease.kind === 'held' && lease.contest;
    };
    assert.deepEqual(contestAfter(stored('5'), 105_000), { times: 0, yieldUntil: -Infinity });
    assert.deepEqual(contestAfter(stored('5'), 90_000), before.contest);
    assert.deepEqual(contestAfter(stored('9'), 105_000), before.contest);
  });

  it('that comes after the lease was given up changes nothing', () => {
    const revoking: Lease = { kind: 'revoking', id: '5', reason: 'app down' };
    const late: LeaseAnswer[] = [
      { kind: 'granted', at: 1 },
      { kind: 'exists' },
      { kind: 'renewed', observed: holding(), at: 1 },
      { kind: 'kept', at: 1 },
      { kind: 'written', write, modRevision: '8', at: 1 },
      { kind: 'refused', write, observed: holding() },
    ];
    for (const answer of late)
      assert.deepEqual(advance(revoking, answer, nothing, rules), { lease: revoking, events: [] });
    for (const answer of [{ kind: 'revoked' }, { kind: 'gone', at: 1, cause: 'not found' }] as const)
      assert.deepEqual(advance(noLease, answer, nothing, rules), { lease: noLease, events: [] });
    assert.deepEqual(after(held(), { kind: 'revoked' }), held());
  });
});

describe('the events of an answer', () => {
  const old = '/service/10.1.0.101:49000';
  const renewed = (entry: Stored): LeaseAnswer => ({
    kind: 'renewed',
    observed: holding(entry),
    at: 105_000,
  });
  const gone: LeaseAnswer = { kind: 'gone', at: 105_000, cause: 'not found' };
  const revoking: Lease = { kind: 'revoking', id: '5', reason: 'drained' };
  const claiming = held({ observed: holding(), ownership: 'claiming' });
  const cases: [name: string, lease: Lease, answer: LeaseAnswer, events: LeaseEvent[]][] = [
    ['granted', { kind: 'granting', id: '5', askedAt: 0 }, { kind: 'granted', at: 1 }, []],
    ['the first write', claiming, written(), [{ kind: 'registered', keys: [key], lease: '5' }]],
    [
      'the first write, over the key of a predecessor',
      held({ ownership: 'claiming', observed: holding(stored('9')) }),
      written({ removes: [old] }),
      [{ kind: 'registered', keys: [key], lease: '5' }],
    ],
    ['a new value', held(), written(), [{ kind: 'updated', keys: [key] }]],
    ['another key', held(), written({ removes: [old] }), [{ kind: 'moved', keys: [key], removed: [old] }]],
    ['a deleted key', held({ observed: holding() }), written(), [{ kind: 'restored', keys: [key] }]],
    [
      'an overwritten key',
      held({ observed: holding(stored('0')) }),
      written(),
      [{ kind: 'restored', keys: [key] }],
    ],
    ['a write that was refused', held(), { kind: 'refused', write, observed: holding() }, []],
    ['a renewal, all is well', held(), renewed(stored('5')), []],
    [
      'a renewal, the key is under another lease',
      held(),
      renewed(stored('9')),
      [{ kind: 'contested', keys: [key] }],
    ],
    ['a renewal, it still is', held({ observed: holding(stored('9')) }), renewed(stored('9')), []],
    ['a renewal, it is under no lease', held(), renewed(stored('0')), []],
    ['a renewal without a read', held(), { kind: 'kept', at: 105_000 }, []],
    ['the lease is gone', held(), gone, [{ kind: 'lost', lease: '5', cause: 'not found' }]],
    ['revoked', revoking, { kind: 'revoked' }, [{ kind: 'withdrawn', lease: '5', reason: 'drained' }]],
    ['gone while it is revoked', revoking, gone, [{ kind: 'withdrawn', lease: '5', reason: 'drained' }]],
  ];
  for (const [name, lease, answer, events] of cases) {
    it(`${name}: ${events.map(({ kind }) => kind).join() || 'none'}`, () => {
      assert.deepEqual(advance(lease, answer, wanted(105_000), rules).events, events);
    });
  }

  it('do not speak of a contest when nothing is desired', () => {
    assert.deepEqual(advance(held(), renewed(stored('9')), nothing, rules).events, []);
  });
});
