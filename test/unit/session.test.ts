/** The loop of a session, on a fake clock and with an etcd in memory. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { SessionEvent } from '../../src/core/lease/events.ts';
import type { ServiceRecord } from '../../src/core/lease/writes.ts';
import { openSession, type Session } from '../../src/etcd/session.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { FakeEtcd, type Mode, type RequestKind } from '../support/fake-etcd.ts';

const key = '/service/10.1.0.101:49155';
const records: readonly ServiceRecord[] = [{ key, value: 'running' }];
const intervalMs = 5000;
const [h1, h2, h3] = ['http://h1:2379', 'http://h2:2379', 'http://h3:2379'];

let clock: FakeClock;
let etcd: FakeEtcd;
let session: Session;
let events: SessionEvent[];
/** How often a check was asked for. */
let checksRequested: number;

/** Opens another session; the endpoints are tried in this order. */
function open(...endpoints: string[]): void {
  session = openSession({
    endpoints,
    connect: endpoint => etcd.connect(endpoint),
    ttlSeconds: 20,
    rules: { renewGapMs: 0.8 * intervalMs, freshForMs: 10_000 },
    clock,
    random: () => 0,
    emit: event => events.push(event),
    requestCheck: () => {
      checksRequested += 1;
    },
  });
}

beforeEach(() => {
  clock = new FakeClock();
  etcd = new FakeEtcd(clock);
  events = [];
  checksRequested = 0;
  open(h1);
});

afterEach(async () => {
  etcd.mode = () => 'up';
  await close();
});

/** A check of the app has just passed. */
async function pass(wanted = records): Promise<void> {
  session.publish(wanted, clock.now());
  await settle();
}

/** Checks pass at once and then at each interval, for so long. */
async function passFor(ms: number): Promise<void> {
  for (const until = clock.now() + ms; clock.now() < until; await clock.advance(intervalMs)) await pass();
}

/** A check passes when its time has come. */
async function passLater(): Promise<void> {
  await clock.advance(intervalMs);
  await pass();
}

async function register(): Promise<void> {
  await pass();
  assert.equal(session.snapshot().lease.kind, 'held');
  assert.equal(etcd.takeCalls(), 'grant write');
  events.splice(0);
}

async function close(withinMs = 1500): Promise<boolean> {
  const answer = session.close(withinMs);
  await clock.advance(withinMs);
  const isGone = await Promise.race([answer, Promise.resolve(null)]);
  assert.ok(isGone !== null, `it closes within ${withinMs} ms`);
  assert.equal(etcd.open, 0, 'no connection is left');
  assert.deepEqual(clock.due, [], 'no timer is left');
  return isGone;
}

const kinds = (): string => events.map(({ kind }) => kind).join(' ');
const leaseId = (): string => {
  const { lease } = session.snapshot();
  return lease.kind === 'held' || lease.kind === 'granting' ? lease.id : '';
};
/** All requests of some kinds, or all, are treated so. */
const treat = (mode: Mode, ...only: RequestKind[]): void => {
  etcd.mode = ({ kind }) => (only.length === 0 || only.includes(kind) ? mode : 'up');
};

/** Checks cannot be made, at each interval. */
async function tryFor(ms: number): Promise<void> {
  for (const until = clock.now() + ms; clock.now() < until; await clock.advance(intervalMs)) {
    session.keep(clock.now());
    await settle();
  }
}

describe('while no check can be made', () => {
  it('the lease is kept for as long as that lasts, and nothing is written', async () => {
    await register();
    await clock.advance(intervalMs);
    await tryFor(600_000);
    assert.match(etcd.takeCalls(), /^renew( renew){100,}$/);
    assert.deepEqual([events, checksRequested], [[], 0]);
  });

  it('a lost lease is not replaced before a check passes', async () => {
    await register();
    etcd.drop(leaseId());
    await tryFor(60_000);
    assert.match(etcd.takeCalls(), /^renew$/);
    await pass();
    assert.equal(etcd.takeCalls(), 'grant write');
  });

  it('a key that others deleted is written again only after a check passes', async () => {
    await register();
    etcd.keys.clear();
    await clock.advance(intervalMs - 1);
    session.keep(clock.now());
    await settle();
    assert.equal(etcd.takeCalls(), 'renew');
    session.keep(clock.now());
    await settle();
    assert.equal(etcd.takeCalls(), '');
    await pass();
    assert.equal(etcd.takeCalls(), 'write');
  });

  it('nothing is kept that is not registered', async () => {
    session.keep(clock.now());
    await settle();
    assert.equal(etcd.takeCalls(), '');
  });
});

describe('while all is well', () => {
  it('a session does nothing before an app passed', async () => {
    await clock.advance(60_000);
    assert.deepEqual([etcd.connections, checksRequested, events], [0, 0, []]);
    assert.deepEqual(session.snapshot(), {
      lease: { kind: 'none', notBefore: -Infinity },
      outage: null,
      failures: 0,
      answeredAt: null,
      isUnconfirmed: false,
    });
  });

  it('an app that passes is registered at once', async () => {
    await pass();
    assert.equal(etcd.takeCalls(), 'grant write');
    const lease = leaseId();
    assert.match(lease, /^[1-9]\d{0,18}$/);
    assert.ok(BigInt(lease) < 2n ** 63n);
    assert.deepEqual(etcd.keys.get(key), { value: 'running', lease, modRevision: '2' });
    assert.deepEqual(events, [{ kind: 'registered', keys: [key], lease, endpoint: h1 }]);
  });

  it('each pass renews the lease and writes nothing, over one connection', async () => {
    await register();
    await passFor(60_000);
    assert.equal(etcd.takeCalls(), Array(11).fill('renew').join(' '));
    assert.deepEqual([events, etcd.connections, checksRequested], [[], 1, 0]);
  });

  it('passes that come faster than the renewal gap do not renew more often', async () => {
    await register();
    for (let second = 0; second < 20; second++) {
      await clock.advance(1000);
      await pass();
    }
    assert.deepEqual(
      etcd.calls.map(({ at }) => at),
      [4000, 8000, 12_000, 16_000, 20_000],
    );
  });

  it('without a pass nothing is renewed, so that a checker that hangs cannot keep a key', async () => {
    await register();
    await clock.advance(60_000);
    assert.equal(etcd.takeCalls(), '');
    await pass();
    assert.equal(etcd.takeCalls(), 'renew');
  });

  it('new records are written at once: a new value, another key', async () => {
    await register();
    await pass([{ key, value: 'busy' }]);
    const next = '/service/10.1.0.101:50000';
    await pass([{ key: next, value: 'busy' }]);
    assert.equal(etcd.takeCalls(), 'write write');
    assert.deepEqual([...etcd.keys.keys()], [next]);
    assert.deepEqual(events, [
      { kind: 'updated', keys: [key], endpoint: h1 },
      { kind: 'moved', keys: [next], removed: [key], endpoint: h1 },
    ]);
  });

  it('a key with the id of its lease is written so', async () => {
    await pass([{ key: '/etcd3/web/', value: 'x', underLease: true }]);
    assert.deepEqual([...etcd.keys.keys()], [`/etcd3/web/${leaseId()}`]);
  });
});

describe('withdrawing', () => {
  it('revokes the lease at once, and says why', async () => {
    await register();
    const lease = leaseId();
    session.withdraw('HTTP 500');
    await settle();
    assert.equal(etcd.takeCalls(), 'revoke');
    assert.deepEqual([etcd.keys.size, etcd.leases.size], [0, 0]);
    assert.deepEqual(events, [{ kind: 'withdrawn', lease, reason: 'HTTP 500', endpoint: h1 }]);
    await clock.advance(60_000);
    assert.equal(etcd.takeCalls(), '');
  });

  it('does nothing where there is nothing', async () => {
    session.withdraw('not up');
    await settle();
    assert.equal(etcd.takeCalls(), '');
  });

  for (const kind of ['grant', 'write', 'renew'] as const) {
    it(`does not wait for a ${kind} that is under way`, async () => {
      await pass();
      if (kind !== 'renew') {
        session.withdraw('first');
        await settle();
      }
      treat('silent', kind);
      events.splice(0);
      await passLater();
      assert.equal(etcd.calls.at(-1)?.kind, kind);
      await clock.advance(1000);
      session.withdraw('HTTP 500');
      await settle();
      assert.equal(etcd.calls.at(-1)?.kind, 'revoke');
      assert.deepEqual([etcd.leases.size, session.snapshot().lease.kind], [0, 'none']);
      // The request was abandoned, it did not fail.
      assert.deepEqual([kinds(), session.snapshot().failures], ['withdrawn', 0]);
    });
  }

  it('revokes a lease whose grant had no answer, and a lease that is gone is as good as revoked', async () => {
    treat('answer lost', 'grant');
    await pass();
    session.withdraw('HTTP 500');
    await settle();
    assert.deepEqual([etcd.takeCalls(), etcd.leases.size], ['grant revoke', 0]);
    treat('silent', 'grant');
    await pass();
    session.withdraw('HTTP 500');
    await settle();
    assert.equal(etcd.takeCalls(), 'grant revoke');
    assert.equal(kinds(), 'withdrawn withdrawn');
  });

  it('goes on until it is done, also when the app passes meanwhile; then there is a new lease', async () => {
    await register();
    const first = leaseId();
    treat('down', 'revoke');
    session.withdraw('HTTP 500');
    await clock.advance(1000);
    session.withdraw('a second reason');
    await pass();
    assert.deepEqual([session.snapshot().lease.kind, etcd.keys.size], ['revoking', 1]);
    treat('up');
    await clock.advance(2000);
    assert.deepEqual(
      events.map(event => ('reason' in event ? event.reason : event.kind)),
      ['failing', 'recovered', 'HTTP 500', 'registered'],
    );
    assert.notEqual(leaseId(), first);
  });

  it('a second time changes nothing: the revocation under way goes on', async () => {
    await register();
    treat('silent', 'revoke');
    session.withdraw('HTTP 500');
    await clock.advance(100);
    session.withdraw('drained');
    await settle();
    assert.equal(etcd.takeCalls(), 'revoke');
    await clock.advance(500);
    assert.equal(session.snapshot().failures, 1);
    session.withdraw('drained');
    await settle();
    assert.equal(etcd.takeCalls(), '', 'and the wait for the next attempt is not shortened');
  });

  it('gives a revocation little time at first', async () => {
    await register();
    treat('silent');
    session.withdraw('HTTP 500');
    await clock.advance(20_000);
    assert.deepEqual(
      etcd.calls.slice(0, 4).map(({ limitMs }) => limitMs),
      [500, 1000, 2000, 2000],
    );
  });
});

describe('etcd is away', () => {
  for (const [mode, cause] of [
    ['down', 'renew: connect ECONNREFUSED'],
    ['silent', 'renew: no answer in time'],
  ] as const) {
    it(`and back (${mode}): no withdrawal, one report of each kind, the lease goes on`, async () => {
      await register();
      const lease = leaseId();
      await clock.advance(intervalMs);
      treat(mode);
      await passFor(40_000);
      const { outage, failures, isUnconfirmed, answeredAt } = session.snapshot();
      assert.equal(isUnconfirmed, true);
      assert.ok(answeredAt !== null && clock.now() - answeredAt >= 40_000);
      assert.deepEqual([outage?.causes, outage?.attempts], [[cause], failures]);
      assert.equal(kinds(), 'failing uncertain');
      treat('up');
      await passFor(10_000);
      assert.equal(kinds(), 'failing uncertain recovered');
      const [failing, uncertain, recovered] = events;
      const failsAfterMs = mode === 'down' ? 0 : 3000;
      assert.deepEqual(failing, { kind: 'failing', endpoint: h1, cause, tries: 1, forMs: 0 });
      assert.ok(uncertain?.kind === 'uncertain' && uncertain.lease === lease);
      assert.ok(uncertain.forMs >= 20_000 && uncertain.forMs < 25_000, String(uncertain.forMs));
      assert.ok(recovered?.kind === 'recovered' && recovered.endpoint === h1);
      assert.equal(recovered.tries, session.snapshot().failures);
      assert.ok(recovered.forMs > 36_000 - failsAfterMs && recovered.forMs < 46_000, String(recovered.forMs));
      assert.deepEqual(session.snapshot().outage, null);
      assert.equal(session.snapshot().isUnconfirmed, false);
      assert.deepEqual([leaseId(), etcd.keys.get(key)?.lease], [lease, lease]);
      assert.equal(etcd.open, 1);
    });
  }

  it('reports again after a minute, and a second outage too', async () => {
    await register();
    treat('down');
    await clock.advance(intervalMs);
    await passFor(70_000);
    assert.equal(kinds(), 'failing uncertain failing');
    treat('up');
    await passFor(10_000);
    treat('down');
    await passFor(40_000);
    assert.equal(kinds(), 'failing uncertain failing recovered failing uncertain');
  });

  it('waits longer after each attempt, and a pass does not shorten the wait', async () => {
    treat('down');
    for (let ms = 0; ms < 5000; ms += 100) {
      await pass();
      await clock.advance(100);
    }
    assert.deepEqual(
      etcd.calls.map(({ at }) => at),
      [0, 300, 900, 1900, 2900, 3900, 4900],
    );
    assert.equal(etcd.connections, 7);
  });

  it('does not wait when there is something new to do: to withdraw, and to register again', async () => {
    await register();
    treat('down');
    await clock.advance(intervalMs);
    for (let times = 0; times < 4; times++) {
      await pass();
      await clock.advance(1000);
    }
    etcd.takeCalls();
    treat('down', 'revoke');
    session.withdraw('HTTP 500');
    await settle();
    assert.equal(etcd.takeCalls(), 'revoke');
    treat('up');
    await pass();
    assert.equal(etcd.takeCalls(), 'revoke grant write');
  });

  it('every endpoint is tried at once, then there is a wait', async () => {
    await close();
    open(h1, h2, h3);
    etcd.mode = ({ at, endpoint }) => (at > 3500 && endpoint === h2 ? 'up' : 'down');
    await pass();
    await clock.advance(5000);
    // All offsets count from the start of the first session, which took 1500 ms to close.
    assert.deepEqual(
      etcd.calls.map(({ at, endpoint }) => [at - 1500, endpoint.slice(7, 9)]),
      [
        ...[
          [0, 'h1'],
          [50, 'h2'],
          [100, 'h3'],
        ],
        ...[
          [400, 'h1'],
          [450, 'h2'],
          [500, 'h3'],
        ],
        ...[
          [1100, 'h1'],
          [1150, 'h2'],
          [1200, 'h3'],
        ],
        ...[
          [2200, 'h1'],
          [2250, 'h2'],
          [2250, 'h2'],
        ],
      ],
    );
    assert.equal(kinds(), 'failing recovered registered');
    assert.deepEqual(
      events.map(event => 'endpoint' in event && event.endpoint),
      [h1, h2, h2],
    );
    assert.equal(etcd.open, 1);
  });

  it('one silent member costs its limit, and the next one answers before the lease ends', async () => {
    await close();
    open(h1, h2);
    await pass();
    etcd.mode = ({ endpoint }) => (endpoint === h1 ? 'silent' : 'up');
    etcd.calls.splice(0);
    await passLater();
    await clock.advance(3100);
    assert.deepEqual(
      etcd.calls.map(({ kind, endpoint }) => [kind, endpoint]),
      [
        ['renew', h1],
        ['renew', h2],
      ],
    );
    assert.equal(kinds(), 'registered failing recovered');
  });

  it('a check is asked for when the last one is old, and the session wakes when it comes', async () => {
    treat('silent');
    await pass();
    await clock.advance(12_000);
    assert.equal(checksRequested, 1);
    assert.equal(etcd.takeCalls(), 'grant grant grant');
    treat('up');
    await clock.advance(30_000);
    assert.deepEqual([etcd.takeCalls(), checksRequested], ['', 1]);
    await pass();
    assert.equal(etcd.takeCalls(), 'grant write');
  });
});

describe('a connection on which a request failed', () => {
  for (const [what, mode, endpoints, connections] of [
    ['is kept where the member is slow and shows signs of life', 'slow', [h1], 1],
    ['is replaced where nothing was heard', 'silent', [h1], 2],
    ['is replaced where it broke', 'down', [h1], 2],
    ['is left for the next member first', 'slow', [h1, h2], 2],
  ] as const) {
    it(what, async () => {
      await close();
      open(...endpoints);
      let isFirst = true;
      etcd.mode = () => (isFirst ? mode : 'up');
      await pass();
      isFirst = false;
      await clock.advance(4000);
      assert.equal(kinds(), 'failing recovered registered');
      assert.equal(etcd.connections, connections);
    });
  }
});

describe('the lease', () => {
  it('that is gone is granted again only after a check that began since', async () => {
    await register();
    const lost = leaseId();
    etcd.drop(lost);
    await clock.advance(intervalMs);
    const before = clock.now();
    await pass();
    assert.equal(etcd.takeCalls(), 'renew');
    assert.deepEqual(events, [
      { kind: 'lost', lease: lost, cause: 'requested lease not found', endpoint: h1 },
    ]);
    assert.equal(checksRequested, 1);
    session.publish(records, before);
    await settle();
    assert.equal(etcd.takeCalls(), '');
    await clock.advance(100);
    await pass();
    assert.equal(etcd.takeCalls(), 'grant write');
    assert.notEqual(leaseId(), lost);
    assert.equal(kinds(), 'lost registered');
  });

  it('that is gone when a key is written is lost too, and an outage is over with that answer', async () => {
    await register();
    treat('down');
    await pass([{ key, value: 'busy' }]);
    etcd.drop(leaseId());
    treat('up');
    await clock.advance(1000);
    assert.equal(kinds(), 'failing recovered lost');
  });

  it('whose grant had no answer is asked for again with its id, so that only one is left', async () => {
    treat('answer lost', 'grant');
    await pass();
    assert.deepEqual([etcd.leases.size, session.snapshot().lease.kind], [1, 'granting']);
    treat('up');
    await clock.advance(4000);
    assert.equal(etcd.takeCalls(), 'grant grant write');
    assert.deepEqual([...etcd.leases], [leaseId()]);
    const { lease } = session.snapshot();
    assert.equal(lease.kind === 'held' && clock.now() - lease.acknowledgedAt, 4000);
    assert.equal(kinds(), 'failing recovered registered');
  });
});

describe('what others do to a key', () => {
  it('it is deleted: it is back at the next renewal', async () => {
    await register();
    etcd.keys.delete(key);
    await passLater();
    assert.equal(etcd.takeCalls(), 'renew write');
    assert.equal(etcd.keys.get(key)?.lease, leaseId());
    assert.deepEqual(events, [{ kind: 'restored', keys: [key], endpoint: h1 }]);
  });

  it('it is overwritten without a lease: it is written again', async () => {
    await register();
    etcd.put(key, 'running');
    await passLater();
    assert.deepEqual([etcd.takeCalls(), kinds()], ['renew write', 'restored']);
  });

  it('another living lease holds it with our value: it is left, and reported once', async () => {
    await register();
    etcd.put(key, 'running', '9');
    await passLater();
    await passLater();
    assert.equal(etcd.takeCalls(), 'renew renew');
    assert.deepEqual(events, [{ kind: 'contested', keys: [key], endpoint: h1 }]);
  });

  it('another living lease holds it with another value: it is taken back, then left for a while', async () => {
    await register();
    etcd.put(key, 'mine', '9');
    await passLater();
    etcd.put(key, 'mine', '9');
    await passLater();
    assert.equal(etcd.takeCalls(), 'renew write renew');
    assert.equal(kinds(), 'contested restored contested');
    await passLater();
    assert.deepEqual([etcd.takeCalls(), etcd.keys.get(key)?.value], ['write renew', 'running']);
  });

  it('it changes between our read and our write: nothing is overwritten unread', async () => {
    await register();
    etcd.keys.delete(key);
    let times = 0;
    etcd.beforeWrite = () => {
      times += 1;
      if (times === 1) etcd.put(key, 'somebody');
    };
    await passLater();
    assert.equal(etcd.takeCalls(), 'renew write write');
    assert.deepEqual([etcd.keys.get(key)?.value, kinds()], ['running', 'restored']);
  });
});

describe('a permission is missing', () => {
  it('at the start: it is asked for less and less often, and reported once', async () => {
    treat('denied');
    await passFor(50_000);
    assert.deepEqual(
      etcd.calls.map(({ at }) => at),
      [0, 1000, 3000, 7000, 15_000, 30_000, 45_000],
    );
    assert.equal(kinds(), 'failing');
    assert.ok(events[0]?.kind === 'failing' && events[0].cause === 'grant: permission denied; ask for it');
    treat('up');
    await passFor(15_000);
    assert.equal(kinds(), 'failing recovered registered');
  });

  it('to read the keys: the lease is kept alive at its own rate', async () => {
    await register();
    treat('denied');
    await clock.advance(intervalMs);
    await passFor(60_000);
    const { lease } = session.snapshot();
    assert.ok(lease.kind === 'held' && clock.now() - lease.acknowledgedAt <= 10_000);
    assert.equal(kinds(), 'failing');
    assert.deepEqual(new Set(etcd.takeCalls().split(' ')), new Set(['renew']));
    treat('up');
    await passFor(10_000);
    assert.equal(kinds(), 'failing recovered');
  });

  it('to write: the lease is kept alive, and a renewal between two writes does not end the outage', async () => {
    await register();
    etcd.keys.delete(key);
    treat('denied', 'write');
    await clock.advance(intervalMs);
    await passFor(60_000);
    assert.equal(kinds(), 'failing');
    assert.equal(session.snapshot().outage?.causes.length, 1);
    const { lease } = session.snapshot();
    assert.ok(lease.kind === 'held' && clock.now() - lease.acknowledgedAt <= 10_000);
    treat('up');
    await passFor(10_000);
    assert.equal(kinds(), 'failing recovered restored');
  });
});

/** From now on connects to these endpoints wait, until the returned function ends them. */
function hold(...held: string[]): () => void {
  const waiting: (() => void)[] = [];
  const { connect } = etcd;
  etcd.connect = async endpoint => {
    if (held.includes(endpoint)) await new Promise<void>(resolve => waiting.push(resolve));
    return connect(endpoint);
  };
  return () => {
    for (const end of waiting.splice(0)) end();
  };
}

describe('a connect that does not end', () => {
  it('costs the limit of a request, and the next endpoint is asked', async () => {
    await close();
    const release = hold(h1);
    open(h1, h2);
    await pass();
    await clock.advance(3050);
    assert.equal(etcd.takeCalls(), 'grant write');
    assert.deepEqual([kinds(), etcd.open], ['failing recovered registered', 1]);
    assert.ok(events[0]?.kind === 'failing' && events[0].cause === 'connect: no answer within 3000 ms');
    release();
    await settle();
    assert.equal(etcd.open, 1, 'the connection that came late is closed');
  });

  it('does not hold up a withdrawal before anything was asked for', async () => {
    await close();
    const release = hold(h1);
    open(h1);
    await pass();
    session.withdraw('HTTP 500');
    await settle();
    assert.deepEqual([session.snapshot().lease.kind, clock.due], ['none', []]);
    assert.equal(await close(), true);
    release();
    await settle();
    assert.deepEqual([etcd.open, etcd.takeCalls()], [0, '']);
  });

  it('does not hold up the end, and a connection that comes later is closed', async () => {
    await close();
    open(h1);
    await register();
    treat('down');
    const release = hold(h1);
    await passLater();
    await clock.advance(1000);
    etcd.takeCalls();
    assert.equal(await close(), false);
    treat('up');
    release();
    await settle();
    assert.equal(etcd.open, 0);
  });
});

/** Opens another session, with nothing left of the one before. */
async function openAnew(...endpoints: string[]): Promise<void> {
  etcd.mode = () => 'up';
  await close();
  etcd.takeCalls();
  open(...endpoints);
}

describe('closing, while only one endpoint answers', () => {
  const endpoints = ['http://h1', 'http://h2', 'http://h3', 'http://h4', 'http://h5'];
  const isolate = (): void => {
    etcd.mode = ({ endpoint }) => (endpoint === last ? 'up' : 'silent');
  };
  let last: string;

  it('removes the key there in time, when the others have just gone silent', async () => {
    await openAnew(...endpoints);
    await register();
    last = endpoints.at(-1) ?? '';
    isolate();
    assert.equal(await close(), true);
    assert.equal(etcd.keys.size, 0);
  });

  it('removes the key there in time, after a long outage', async () => {
    for (const awayMs of [5000, 10_000, 11_000, 12_000, 13_000, 14_000]) {
      await openAnew(h1, h2);
      await register();
      treat('silent');
      await passLater();
      await clock.advance(awayMs);
      last = etcd.calls.at(-1)?.endpoint === h1 ? h2 : h1;
      isolate();
      assert.equal(await close(), true, `${awayMs} ms`);
      assert.equal(etcd.keys.size, 0);
    }
  });

  it('removes the key there in time, while an earlier revocation waits for a silent one', async () => {
    await openAnew(h1, h2);
    await register();
    treat('silent');
    session.withdraw('HTTP 500');
    // The third attempt may take 2 s.
    await clock.advance(2000);
    assert.equal(etcd.calls.at(-1)?.limitMs, 2000);
    last = etcd.calls.at(-1)?.endpoint === h1 ? h2 : h1;
    isolate();
    assert.equal(await close(), true);
    assert.equal(etcd.keys.size, 0);
  });
});

describe('closing', () => {
  /** What is going on when the session is closed, and what the requests are that follow when etcd answers. */
  const states: readonly [name: string, enter: () => Promise<void>, requests: string][] = [
    ['nothing', () => Promise.resolve(), ''],
    [
      'a grant is under way',
      () => {
        treat('silent', 'grant');
        return pass();
      },
      'revoke',
    ],
    [
      'a write is under way',
      () => {
        treat('silent', 'write');
        return pass();
      },
      'revoke',
    ],
    ['the lease is held', register, 'revoke'],
    [
      'a renewal is under way',
      async () => {
        await register();
        treat('silent', 'renew');
        await passLater();
      },
      'revoke',
    ],
    [
      'a revocation is under way',
      async () => {
        await register();
        treat('silent', 'revoke');
        session.withdraw('HTTP 500');
        await settle();
      },
      'revoke',
    ],
    [
      'a grant has failed and waits',
      async () => {
        treat('down', 'grant');
        await pass();
        await clock.advance(2000);
      },
      'revoke',
    ],
    [
      'a revocation has failed and waits',
      async () => {
        await register();
        treat('down', 'revoke');
        session.withdraw('HTTP 500');
        await clock.advance(2000);
      },
      'revoke',
    ],
    [
      'the lease is lost and a check is asked for',
      async () => {
        await register();
        etcd.drop(leaseId());
        await passLater();
        assert.equal(checksRequested, 1);
      },
      '',
    ],
  ];
  for (const [name, enter, requests] of states) {
    it(`${name}, and etcd answers: nothing is left`, async () => {
      await enter();
      const isRevoking = session.snapshot().lease.kind === 'revoking';
      etcd.takeCalls();
      treat('up');
      assert.equal(await close(), true);
      assert.equal(etcd.takeCalls(), requests);
      assert.deepEqual([etcd.leases.size, etcd.keys.size, session.snapshot().lease.kind], [0, 0, 'none']);
      const last = events.at(-1);
      assert.equal(
        last?.kind === 'withdrawn' ? last.reason : '',
        requests === '' ? '' : isRevoking ? 'HTTP 500' : 'stopping',
      );
    });

    it(`${name}, and etcd is silent: it ends in time, and says that something may be left`, async () => {
      await enter();
      etcd.takeCalls();
      treat('silent');
      const startedAt = clock.now();
      assert.equal(await close(), requests === '');
      assert.equal(clock.now() - startedAt, 1500);
      await clock.advance(60_000);
      assert.ok(requests === '' || !kinds().includes('withdrawn'));
    });
  }

  it('retries without a long wait', async () => {
    await register();
    treat('down');
    void session.close(1500);
    await clock.advance(1000);
    assert.equal(etcd.calls.length, 21);
    treat('up');
    await clock.advance(50);
    assert.equal(etcd.leases.size, 0);
  });

  it('resolves as soon as etcd confirms', async () => {
    await register();
    const answer = session.close(1500);
    await settle();
    assert.equal(await Promise.race([answer, Promise.resolve('not yet')]), true);
  });

  it('twice is the same as once', async () => {
    await register();
    assert.deepEqual([await close(), await close()], [true, true]);
  });
});

describe('an error that is no answer of etcd', () => {
  it('is not taken for one: the session ends with it', async () => {
    await register();
    treat('broken', 'revoke');
    await assert.rejects(session.close(1500), { name: 'TypeError', message: 'a bug' });
    treat('up');
    etcd.open = 0;
    open(h1);
    await clock.advance(1500);
  });
});
