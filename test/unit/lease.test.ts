/** The life of the lease as data: what is done next in each state, and what each answer changes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  advance,
  nextStep,
  noLease,
  type HeldLease,
  type Lease,
  type DesiredState,
} from '../../src/core/lease/lease.ts';
import type { Observed, Stored, Write } from '../../src/core/lease/writes.ts';

const rules = { renewGapMs: 4000, freshForMs: 10_000 };
const key = '/service/10.1.0.101:49155';
const records = [{ key, value: 'running' }];
const wanted = (checkedAt: number): DesiredState => ({ kind: 'records', records, checkedAt });
const nothing: DesiredState = { kind: 'nothing' };
const stored = (lease: string, value = 'running'): Stored => ({ value, lease, modRevision: '7' });
const seeing = (entry?: Stored): Observed => new Map(entry ? [[key, entry]] : []);
const held = (more: Partial<HeldLease> = {}): HeldLease => ({
  kind: 'held',
  id: '5',
  acknowledgedAt: 100_000,
  observed: seeing(stored('5')),
  ownership: 'holding',
  contest: { times: 0, yieldUntil: -Infinity },
  ...more,
});

describe('the next step', () => {
  const granting: Lease = { kind: 'granting', id: '5', askedAt: 100_000 };
  const cases: [name: string, lease: Lease, desired: DesiredState, now: number, step: string][] = [
    ['nothing wanted, nothing there', noLease, nothing, 0, 'idle'],
    ['wanted', noLease, wanted(100_000), 100_001, 'grant null'],
    ['wanted for an app that was asked too long ago', noLease, wanted(100_000), 110_000, 'check'],
    ['a loss after the last check', { kind: 'none', notBefore: 100_000 }, wanted(100_000), 100_001, 'check'],
    ['a check since the loss', { kind: 'none', notBefore: 100_000 }, wanted(100_001), 100_002, 'grant null'],
    ['a grant without an answer is repeated with its id', granting, wanted(100_000), 103_000, 'grant 5'],
    ['a grant without an answer, no longer wanted', granting, nothing, 103_000, 'revoke 5'],
    ['granted', held({ observed: seeing(), ownership: 'claiming' }), wanted(100_000), 100_001, 'write'],
    ['granted, but the last check is old', held({ observed: seeing() }), wanted(90_000), 100_001, 'check'],
    ['held', held(), wanted(100_000), 100_001, 'idle'],
    ['held, a new check, too soon', held(), wanted(101_000), 101_001, 'idle'],
    ['held, a new check, in time', held(), wanted(105_000), 105_001, 'renew'],
    ['held, time is up but no new check', held(), wanted(99_000), 105_000, 'idle'],
    ['held, deleted by somebody', held({ observed: seeing() }), wanted(105_000), 105_001, 'write'],
    [
      'held, overwritten without a lease',
      held({ observed: seeing(stored('0')) }),
      wanted(105_000),
      105_001,
      'write',
    ],
    [
      'held, overwritten with another value',
      held({ observed: seeing(stored('9', 'x')) }),
      wanted(105_000),
      105_001,
      'write',
    ],
    [
      'held, the same value under a living lease',
      held({ observed: seeing(stored('9')) }),
      wanted(100_000),
      100_001,
      'idle',
    ],
    [
      'coming new to a key of a predecessor',
      held({ observed: seeing(stored('9')), ownership: 'claiming' }),
      wanted(100_000),
      100_001,
      'write',
    ],
    [
      'another value, taken back a moment ago',
      held({ observed: seeing(stored('9', 'x')), contest: { times: 1, yieldUntil: 108_000 } }),
      wanted(101_000),
      101_001,
      'idle',
    ],
    [
      'a write that has failed for two renewals',
      held({ observed: seeing() }),
      wanted(107_000),
      108_000,
      'renew',
    ],
    [
      'a write that has failed for two renewals, but no new check',
      held({ observed: seeing() }),
      wanted(99_000),
      108_000,
      'write',
    ],
    ['held, not wanted', held(), nothing, 100_001, 'revoke 5'],
    ['doomed, wanted again', { kind: 'revoking', id: '5' }, wanted(100_000), 100_001, 'revoke 5'],
  ];
  for (const [name, lease, desired, now, expected] of cases) {
    it(`${name}: ${expected}`, () => {
      const step = nextStep(lease, desired, now, rules);
      const id = step.kind === 'grant' || step.kind === 'revoke' ? ` ${step.id}` : '';
      assert.equal(`${step.kind}${id}`, expected);
    });
  }

  it('expects a key as it was seen, so that a late or repeated write changes nothing', () => {
    const step = nextStep(
      held({ observed: seeing(stored('0')), ownership: 'claiming' }),
      wanted(100_000),
      100_001,
      rules,
    );
    assert.deepEqual(step.kind === 'write' && step.write.expect, [{ key, modRevision: '7' }]);
    const first = nextStep(
      held({ observed: seeing(), ownership: 'claiming' }),
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
  const write: Write = { expect: [{ key, modRevision: '0' }], puts: records, removes: [] };

  it('written: our record stands under our lease', () => {
    const lease = advance(
      held({ observed: seeing(), ownership: 'claiming' }),
      { kind: 'written', write, modRevision: '8', at: 1 },
      nothing,
      rules,
    );
    assert.deepEqual(lease, held({ observed: seeing({ value: 'running', lease: '5', modRevision: '8' }) }));
  });

  it('refused: what stands there replaces what was expected, and nothing else', () => {
    const before = held({
      observed: new Map([
        ['/other', stored('5')],
        [key, stored('5')],
      ]),
    });
    const lease = advance(before, { kind: 'refused', write, observed: seeing(stored('9')) }, nothing, rules);
    assert.deepEqual(lease.kind === 'held' && [...lease.observed], [
      ['/other', stored('5')],
      [key, stored('9')],
    ]);
  });

  it('kept: the lease lives on, and what was seen last is still believed', () => {
    const lease = advance(held(), { kind: 'kept', at: 105_000 }, wanted(105_000), rules);
    assert.deepEqual(lease, held({ acknowledgedAt: 105_000 }));
    assert.equal(nextStep(lease, wanted(105_000), 105_001, rules).kind, 'idle');
  });

  it('lost: the next lease needs a check that began later', () => {
    assert.deepEqual(advance(held(), { kind: 'lost', at: 7 }, nothing, rules), {
      kind: 'none',
      notBefore: 7,
    });
  });

  it('taking a key back from a living lease is done ever more seldom', () => {
    let lease: Lease = held();
    const waits: number[] = [];
    let now = 100_000;
    for (let round = 0; round < 4; round++) {
      lease = advance(
        lease,
        { kind: 'renewed', observed: seeing(stored('9', 'x')), at: now },
        wanted(now),
        rules,
      );
      const step = nextStep(lease, wanted(now), now, rules);
      assert.equal(step.kind, 'write');
      if (step.kind !== 'write') return;
      lease = advance(
        lease,
        { kind: 'written', write: step.write, modRevision: '9', at: now },
        wanted(now),
        rules,
      );
      const until: number = lease.kind === 'held' ? lease.contest.yieldUntil : Number.NaN;
      waits.push(until - now);
      now = until;
    }
    assert.deepEqual(waits, [8000, 16_000, 32_000, 64_000]);
  });

  it('forgets a contest that is over', () => {
    const before = held({ contest: { times: 3, yieldUntil: 90_000 } });
    const lease = advance(
      before,
      { kind: 'renewed', observed: seeing(stored('5')), at: 105_000 },
      wanted(105_000),
      rules,
    );
    assert.deepEqual(lease.kind === 'held' && lease.contest, { times: 0, yieldUntil: -Infinity });
  });

  it('that comes after the lease was given up changes nothing', () => {
    const revoking: Lease = { kind: 'revoking', id: '5' };
    assert.equal(advance(revoking, { kind: 'renewed', observed: seeing(), at: 1 }, nothing, rules), revoking);
    assert.equal(advance(revoking, { kind: 'kept', at: 1 }, nothing, rules), revoking);
    assert.equal(
      advance(revoking, { kind: 'written', write, modRevision: '8', at: 1 }, nothing, rules),
      revoking,
    );
  });
});
