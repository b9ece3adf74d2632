/** What `dockreg ls` reads from etcd, on a fake clock and with an etcd that is a list of keys. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { createViewer, type Viewer } from '../../src/commands/ls/viewer.ts';
import { RequestError } from '../../src/etcd/errors.ts';
import type { KeyReader, ListedKey } from '../../src/etcd/ports.ts';
import { FakeClock } from '../support/fake-clock.ts';

let clock: FakeClock;
let keys: ListedKey[];
/** The requests, such as `list a`, in order. */
let calls: string[];
let down: Set<string>;

const connect = (endpoint: string): Promise<KeyReader> => {
  const call = <T>(name: string, answer: T): Promise<T> => {
    calls.push(`${name} ${endpoint}`);
    return down.has(endpoint)
      ? Promise.reject(new RequestError(`${name}: refused`))
      : Promise.resolve(answer);
  };
  return Promise.resolve({
    list: () => call('list', keys),
    timeToLive: id => call(`lease ${id}`, id === '9' ? null : { leftSeconds: 17, grantedSeconds: 20 }),
    close: () => void calls.push(`close ${endpoint}`),
  });
};

const instance = (address: string, lease: string, createRevision = '1'): ListedKey => ({
  key: `/service/${address}`,
  value: 'running',
  lease,
  createRevision,
});

function view(readsLeases = true): Viewer {
  const security = { tls: { ca: undefined, cert: undefined, key: undefined }, user: undefined };
  const config = {
    endpoints: ['a', 'b'],
    security,
    layouts: [{ name: 'service', root: 'service' }],
    name: undefined,
  } as const;
  return createViewer({ config, connect, clock, readsLeases });
}

beforeEach(() => {
  clock = new FakeClock();
  keys = [];
  calls = [];
  down = new Set();
});

describe('the rows of dockreg ls', () => {
  it('are in the order of their numbers, with what is left of each lease', async () => {
    keys = [instance('10.0.0.10:1', '5'), instance('10.0.0.9:1', '0'), instance('10.0.0.11:1', '9')];
    const rows = await view().read();
    assert.deepEqual(
      rows.map(({ address, ttlSeconds, grantedSeconds, ageSeconds }) => [
        address,
        ttlSeconds,
        grantedSeconds,
        ageSeconds,
      ]),
      [
        ['10.0.0.9:1', null, null, null],
        ['10.0.0.10:1', 17, 20, null],
        ['10.0.0.11:1', 0, 0, null],
      ],
    );
  });

  it('ask for a lease again after 5 s, and not at all where nobody reads it', async () => {
    keys = [instance('10.0.0.9:1', '5')];
    const viewer = view();
    for (let second = 0; second <= 5; second++) {
      await viewer.read();
      await clock.advance(1000);
    }
    assert.equal(calls.filter(call => call === 'lease 5 a').length, 2);
    calls = [];
    const [row] = await view(false).read();
    assert.deepEqual([calls, row?.ttlSeconds], [['list a'], undefined]);
  });

  it('tell the age of a key that appeared meanwhile; one that is written again is another', async () => {
    keys = [instance('10.0.0.9:1', '0')];
    const viewer = view();
    await viewer.read();
    const ages = async (): Promise<unknown> => (await viewer.read()).map(({ ageSeconds }) => ageSeconds);
    keys = [...keys, instance('10.0.0.10:1', '0')];
    assert.deepEqual(await ages(), [null, 0]);
    await clock.advance(7000);
    assert.deepEqual(await ages(), [null, 7]);
    keys = [instance('10.0.0.9:1', '0', '2')];
    assert.deepEqual(await ages(), [0]);
  });

  it('come from the next endpoint when one fails, and stay with it', async () => {
    down.add('a');
    const viewer = view();
    await viewer.read();
    await viewer.read();
    assert.deepEqual(calls, ['list a', 'close a', 'list b', 'list b']);
  });

  it('are unavailable when all endpoints fail', async () => {
    down = new Set(['a', 'b']);
    await assert.rejects(view().read(), { name: 'UnavailableError', message: 'etcd: list: refused' });
  });
});
