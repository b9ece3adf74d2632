/** What a service looks like from outside. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { noLease, type Lease } from '../../src/core/lease/lease.ts';
import { initialRegistration, type Registration } from '../../src/core/registration/registration.ts';
import { statusOf, type RegistrationStatus, type ServiceFacts } from '../../src/core/registration/status.ts';

const up: Registration = {
  ...initialRegistration,
  health: { status: 'up', fails: 0 },
  records: [{ key: '/service/10.1.0.101:49155', value: 'running' }],
};
const drained: Registration = { ...up, admin: 'drain' };
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
  ttlSeconds: 20,
  intervalMs: 5000,
  timeoutMs: 3000,
  startedAt: 90_000,
  registration: up,
  why: 'HTTP 200',
  since: 40_000,
  address: { ip: '10.1.0.101', port: 49155 },
  lease: held,
  registeredSince: 41_000,
  etcdError: null,
  etcdErrors: 3,
  lastCheck: { startedAt: 97_000, tookMs: 12, verdict: { kind: 'pass', detail: 'HTTP 200' } },
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
      registration: 'registered',
      registeredSince: 'T41000',
      records: [{ key: '/service/10.1.0.101:49155', value: 'running' }],
      lease: { id: '00000000000000ff', remainingSeconds: 18 },
      etcdError: null,
      etcdErrors: 3,
      isLate: false,
      lastCheck: { at: 'T97000', seconds: 0.012, verdict: 'pass', detail: 'HTTP 200' },
    });
  });

  it('of one of which nothing is known yet', () => {
    const unknown: ServiceFacts = {
      ...facts,
      ...{ registration: initialRegistration, why: null, address: null, lease: noLease },
      ...{ registeredSince: null, lastCheck: null },
    };
    assert.deepEqual(statusOf(unknown, 100_000, date), {
      name: 'web',
      health: 'unknown',
      why: null,
      since: 'T40000',
      drained: false,
      address: null,
      registration: 'absent',
      registeredSince: null,
      records: [],
      lease: null,
      etcdError: null,
      etcdErrors: 3,
      isLate: false,
      lastCheck: null,
    });
  });

  it('says that no check was made in time', () => {
    assert.equal(statusOf(facts, 97_000 + 16_000, date).isLate, false);
    assert.equal(statusOf(facts, 97_000 + 16_001, date).isLate, true);
    assert.equal(statusOf({ ...facts, lastCheck: null }, 90_000 + 16_000, date).isLate, false);
    assert.equal(statusOf({ ...facts, lastCheck: null }, 90_000 + 16_001, date).isLate, true);
  });

  it('shows the key under the lease that it has', () => {
    const records = [{ key: 'web.rpc/', value: '10.1.0.101:49155', underLease: true }];
    const status = statusOf({ ...facts, registration: { ...up, records } }, 100_000, date);
    assert.deepEqual(status.records, [{ key: 'web.rpc/255', value: '10.1.0.101:49155' }]);
  });

  const rows: [name: string, registration: Registration, lease: Lease, now: number, RegistrationStatus][] = [
    ['no lease, not up', initialRegistration, noLease, 100_000, 'absent'],
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
  for (const [name, registration, lease, now, expected] of rows) {
    it(`says with ${name}: ${expected}`, () => {
      const status = statusOf({ ...facts, registration, lease }, now, date);
      assert.equal(status.registration, expected);
      assert.equal(status.drained, registration === drained);
      const isThere = expected === 'registered' || expected === 'uncertain';
      assert.equal(status.registeredSince, isThere ? 'T41000' : null);
      if (expected === 'uncertain') assert.equal(status.lease?.remainingSeconds, 0);
    });
  }
});
