/** An etcd that says one thing and does another, for ever: how much a session asks, checks and logs because of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LeaseExistsError } from '../../src/etcd/errors.ts';
import { key, lies, mostWithin, openLyingBed } from '../support/lying-etcd.ts';

const endpoint = 'http://h1:2379';

describe('whatever etcd says for ever, it is asked less and less often', () => {
  for (const [name, lie] of Object.entries(lies)) {
    it(name, async () => {
      // With this random number each wait is the shortest.
      const bed = openLyingBed([endpoint], () => 0);
      bed.etcd.lie = lie();
      await bed.runFor(120_000);
      const cost = bed.cost();
      const figures = Object.entries(cost).map(([what, moments]: [string, readonly number[]]) => ({
        what,
        peak: mostWithin(moments, 1000),
        first: mostWithin(moments, 10_000),
        later: moments.filter(at => at >= 60_000).length,
      }));
      for (const { what, peak, first, later } of figures) {
        assert.ok(peak <= 7, `${peak} ${what} in a second`);
        assert.ok(first <= 15, `${first} ${what} in 10 s`);
        // A request that fails is repeated after 1 to 2 s, as ever.
        assert.ok(later <= (what === 'requests' ? 60 : 30), `${later} ${what} in the second minute`);
      }
      // Then it is honest.
      bed.etcd.lie = () => undefined;
      await bed.runFor(15_000);
      const lease = bed.etcd.keys.get(key)?.lease;
      assert.ok(lease !== undefined && bed.etcd.leases.has(lease), 'registered again');
      const { lease: held } = bed.session.snapshot();
      assert.equal(held.kind === 'held' && held.id, lease);
      assert.equal(await bed.close(), true);
      assert.equal(bed.etcd.leases.has(lease), false);
    });
  }

  it('a round without effect costs at most a request in 2 s once it lasts', async () => {
    for (const [name, lie] of Object.entries(lies)) {
      // Plain failures among them have their own waits, as ever.
      if (/fails|exists already, and nothing|then exists already/.test(name)) continue;
      const bed = openLyingBed([endpoint], () => 0);
      bed.etcd.lie = lie();
      await bed.runFor(120_000);
      const { requests, checks, lines } = bed.cost();
      for (const moments of [requests, checks, lines])
        assert.ok(moments.filter(at => at >= 60_000).length <= 30, name);
      assert.equal(await bed.close(), true, name);
    }
  });
});

describe('a lease that is granted and then does not exist', () => {
  it('is reported in plain words, then counted; the status shows it', async () => {
    const bed = openLyingBed([endpoint], () => 0);
    bed.etcd.lie = lies['a lease is granted and then does not exist']!();
    await bed.runFor(70_000);
    const cause = 'it grants a lease and then says that the lease does not exist';
    const said = bed.events.filter(({ kind }) => kind === 'fruitless');
    assert.deepEqual(
      said.map(event => event.kind === 'fruitless' && [event.cause, event.endpoint]),
      [
        [cause, endpoint],
        [cause, endpoint],
      ],
    );
    assert.match(bed.log[0] ?? '', /etcd lost our lease: requested lease not found/);
    assert.match(bed.log[1] ?? '', /etcd answers, but nothing lasts: it grants a lease and then says/);
    assert.match(bed.log[2] ?? '', /nothing lasts.* tries=\d\d for=6\d\.\ds$/);
    assert.equal(bed.log.length, 3);
    assert.deepEqual(bed.session.snapshot().outage?.causes, [cause]);
    bed.etcd.lie = () => undefined;
    await bed.runFor(30_000);
    assert.equal(bed.session.snapshot().outage, null);
    assert.ok(await bed.close());
  });

  it('once, after it was there for long, is registered again at once, each time', async () => {
    const bed = openLyingBed([endpoint], () => 0);
    await bed.runFor(20_000);
    for (let time = 0; time < 3; time++) {
      const { lease } = bed.session.snapshot();
      bed.etcd.drop(lease.kind === 'held' ? lease.id : '');
      await bed.runFor(20_000);
    }
    const lost = bed.events.filter(({ kind }) => kind === 'lost').length;
    assert.deepEqual([lost, bed.events.filter(({ kind }) => kind === 'registered').length], [3, 4]);
    assert.ok(!bed.events.some(({ kind }) => kind === 'fruitless'));
    const grants = bed.etcd.calls.filter(({ kind }) => kind === 'grant').map(({ at }) => at);
    const renewals = bed.etcd.calls.filter(({ kind }) => kind === 'renew').map(({ at }) => at);
    // The renewal says that the lease is gone, two checks of 5 ms follow at most, and then the grant.
    for (const at of grants.slice(1))
      assert.ok(
        renewals.some(renewal => renewal < at && at - renewal <= 10),
        String(at),
      );
    assert.ok(await bed.close());
  });
});

describe('a key that somebody deletes', () => {
  it('once a while is back at once; again and again, at the rate of the renewals', async () => {
    const bed = openLyingBed([endpoint], () => 0);
    await bed.runFor(20_000);
    bed.etcd.keys.delete(key);
    await bed.runFor(20_000);
    bed.etcd.keys.delete(key);
    await bed.runFor(20_000);
    assert.equal(bed.events.filter(({ kind }) => kind === 'restored').length, 2);
    assert.ok(!bed.events.some(({ kind }) => kind === 'fruitless'));
    const before = bed.etcd.calls.length;
    for (let time = 0; time < 600; time++) {
      bed.etcd.keys.delete(key);
      await bed.runFor(100);
    }
    assert.ok(bed.etcd.calls.length - before <= 30, `${bed.etcd.calls.length - before} requests in a minute`);
    const reports = bed.events.filter(({ kind }) => kind === 'fruitless').length;
    assert.ok(reports >= 1 && reports <= 4, `${reports} reports`);
    await bed.runFor(10_000);
    assert.ok(bed.etcd.keys.has(key));
    assert.ok(await bed.close());
  });
});

describe('an answer that was lost', () => {
  it('of the first write: the repeated one is refused because the key is ours, and that is registered', async () => {
    const bed = openLyingBed([endpoint], () => 0);
    let isFirst = true;
    bed.etcd.mode = ({ kind }) => {
      const isLost = kind === 'write' && isFirst;
      if (isLost) isFirst = false;
      return isLost ? 'answer lost' : 'up';
    };
    await bed.runFor(10_000);
    const { lease } = bed.session.snapshot();
    assert.ok(lease.kind === 'held' && lease.ownership === 'holding');
    assert.deepEqual(
      bed.events.map(({ kind }) => kind),
      ['failing', 'recovered', 'registered'],
    );
    assert.ok(await bed.close());
  });
});

describe('a revocation', () => {
  it('that is answered with what belongs to a grant is repeated as after a failure', async () => {
    const bed = openLyingBed([endpoint], () => 0);
    await bed.runFor(10_000);
    bed.etcd.lie = () => ({ error: new LeaseExistsError('lease already exists') });
    bed.etcd.calls.splice(0);
    bed.session.withdraw('down');
    await bed.clock.advance(10_000);
    assert.ok(bed.etcd.calls.length <= 12, `${bed.etcd.calls.length} requests in 10 s`);
    bed.etcd.lie = () => undefined;
    assert.ok(await bed.close());
  });
});
