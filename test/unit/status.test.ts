/** What a service looks like from outside. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { noLease, type Lease } from '../../src/core/lease/lease.ts';
import { initialState, type ServiceState } from '../../src/core/registration/service.ts';
import { statusOf, type RegistrationStatus, type ServiceFacts } from '../../src/core/registration/status.ts';

const initial = initialState(90_000);
const up: ServiceState = {
  ...initial,
  health: { status: 'up', fails: 0 },
  healthSince: 40_000,
  why: 'HTTP 200',
  resolved: {
    address: { ip: '10.1.0.101', port: 49155 },
    records: [{ key: '/service/10.1.0.101:49155', value: 'running' }],
    how: 'published',
  },
  registeredSince: 41_000,
  lastCheck: { startedAt: 97_000, tookMs: 12, verdict: { kind: 'pass', detail: 'HTTP 200' } },
};
const drained: ServiceState = { ...up, admin: 'drain' };
const granting: Lease = { kind: 'granting', id: '255', askedAt: 90_000 };
const fresh: Lease = {
  kind: 'held',
  id: '255',
  acknowledgedAt: 98_000,
  observed: new Map(),
  ownership: 'claiming',
  contest: { times: 0, yieldUntil: -Infinity },
};
const held: Lease = { ...fresh, ownership: 'holding' };
const facts: ServiceFacts = {
  name: 'web',
  config: { ttlSeconds: 20, intervalMs: 5000, timeoutMs: 3000 },
  state: up,
  lease: held,
  outage: null,
  failures: 3,
  answeredAt: 98_500,
  isUnconfirmed: false,
};
const date = (moment: number): string => `T${moment}`;

describe('the status of a service', () => {
  it('of one that is registered', () => {
    assert.deepEqual(statusOf(facts, 100_000, date), {
      name: 'web',
      health: 'up',
      why: 'HTTP 200',
      since: 'T40000',
      drained: false,
      address: '10.1.0.101:49155',
      addressCause: null,
      registration: 'registered',
      registeredSince: 'T41000',
      records: [{ key: '/service/10.1.0.101:49155', value: 'running' }],
      addressWarning: null,
      lease: { id: '00000000000000ff', remainingSeconds: 18 },
      etcdAnsweredAt: 'T98500',
      etcdError: null,
      etcdErrors: 3,
      isLate: false,
      uncheckedSince: null,
      lastCheck: { at: 'T97000', seconds: 0.012, verdict: 'pass', detail: 'HTTP 200' },
    });
  });

  it('of one of which nothing is known yet', () => {
    const nothing = { ...facts, state: initial, lease: noLease, answeredAt: null };
    assert.deepEqual(statusOf(nothing, 100_000, date), {
      name: 'web',
      health: 'unknown',
      why: null,
      since: 'T90000',
      drained: false,
      address: null,
      addressCause: null,
      registration: 'absent',
      registeredSince: null,
      records: [],
      addressWarning: null,
      lease: null,
      etcdAnsweredAt: null,
      etcdError: null,
      etcdErrors: 3,
      isLate: false,
      uncheckedSince: null,
      lastCheck: null,
    });
  });

  it('says that no check was made in time', () => {
    assert.equal(statusOf(facts, 97_000 + 16_000, date).isLate, false);
    assert.equal(statusOf(facts, 97_000 + 16_001, date).isLate, true);
    assert.equal(statusOf({ ...facts, state: initial }, 90_000 + 16_000, date).isLate, false);
    assert.equal(statusOf({ ...facts, state: initial }, 90_000 + 16_001, date).isLate, true);
  });

  it('shows the hint of a check that can never be made', () => {
    const problem = { message: 'no HEALTHCHECK', hint: 'add one' };
    const lastCheck = { startedAt: 97_000, tookMs: 12, verdict: { kind: 'impossible', problem } } as const;
    assert.deepEqual(statusOf({ ...facts, state: { ...up, lastCheck } }, 100_000, date).lastCheck, {
      at: 'T97000',
      seconds: 0.012,
      verdict: 'impossible',
      detail: 'no HEALTHCHECK; add one',
    });
  });

  it('shows what people should know about the address', () => {
    const warnings = [{ message: 'A is kept', hint: 'name one' }, { message: 'A may not be reached' }];
    const state = { ...up, resolved: { ...up.resolved!, warnings } };
    const status = statusOf({ ...facts, state }, 100_000, date);
    assert.equal(status.addressWarning, 'A is kept; name one; A may not be reached');
    assert.equal(
      statusOf({ ...facts, state: { ...up, resolved: { ...up.resolved!, warnings: [] } } }, 0, date)
        .addressWarning,
      null,
    );
  });

  it('shows the last cause why requests to etcd fail', () => {
    const outage = { since: 90_000, attempts: 4, causes: ['refused', 'no leader'], reportedAt: 95_000 };
    assert.equal(statusOf({ ...facts, outage }, 100_000, date).etcdError, 'no leader');
  });

  it('shows the key under the lease that it has', () => {
    const records = [{ key: 'web.rpc/', value: '10.1.0.101:49155', underLease: true }];
    const state = { ...up, resolved: { ...up.resolved!, records } };
    const status = statusOf({ ...facts, state }, 100_000, date);
    assert.deepEqual(status.records, [{ key: 'web.rpc/255', value: '10.1.0.101:49155' }]);
  });

  it('says from the first failed request on that the registration is as of the last answer', () => {
    const outage = { since: 99_000, attempts: 1, causes: ['refused'], reportedAt: 99_000 };
    const failing = { ...facts, outage, isUnconfirmed: true };
    const status = statusOf(failing, 99_000, date);
    assert.deepEqual(
      [status.registration, status.etcdAnsweredAt, status.etcdError, status.registeredSince, status.health],
      ['unconfirmed', 'T98500', 'refused', 'T41000', 'up'],
    );
    assert.equal(statusOf(failing, 118_000, date).registration, 'uncertain');
    assert.equal(statusOf({ ...failing, lease: fresh }, 99_000, date).registration, 'registering');
    assert.equal(statusOf({ ...failing, state: drained }, 99_000, date).registration, 'withdrawing');
  });

  const rows: [name: string, state: ServiceState, lease: Lease, now: number, RegistrationStatus][] = [
    ['no lease, not up', initial, noLease, 100_000, 'absent'],
    ['no lease, up', up, noLease, 100_000, 'registering'],
    ['no lease, drained', drained, noLease, 100_000, 'absent'],
    ['a lease that is asked for', up, granting, 100_000, 'registering'],
    ['a lease that was asked for, drained', drained, granting, 100_000, 'withdrawing'],
    ['a lease under which nothing was written yet', up, fresh, 100_000, 'registering'],
    ['a lease under which all was written', up, held, 100_000, 'registered'],
    ['a lease that etcd may have dropped', up, held, 118_000, 'uncertain'],
    ['a lease, drained', drained, held, 100_000, 'withdrawing'],
    ['a lease, drained long ago', drained, held, 200_000, 'withdrawing'],
    [
      'a lease that is revoked',
      up,
      { kind: 'revoking', id: '255', reason: 'drained' },
      100_000,
      'withdrawing',
    ],
  ];
  for (const [name, state, lease, now, expected] of rows) {
    it(`says with ${name}: ${expected}`, () => {
      const status = statusOf({ ...facts, state, lease }, now, date);
      assert.equal(status.registration, expected);
      assert.equal(status.drained, state === drained);
      const isThere = expected === 'registered' || expected === 'uncertain';
      assert.equal(status.registeredSince, isThere ? 'T41000' : null);
      if (expected === 'uncertain') assert.equal(status.lease?.remainingSeconds, 0);
    });
  }
});
