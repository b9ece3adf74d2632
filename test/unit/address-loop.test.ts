/** How an address is kept: looked at again, moved, missed, and found again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '../../src/clock.ts';
import { SetupError, UnavailableError } from '../../src/errors.ts';
import { createAddressLoop, type AddressResult } from '../../src/agent/address-loop.ts';
import { createLog } from '../../src/log.ts';

const at = (port: number, value = 'running'): AddressResult => ({
  kind: 'address',
  address: { ip: '10.1.0.101', port },
  records: [{ key: `10.1.0.101:${port}`, value }],
  how: 'published',
});
const none: AddressResult = { kind: 'problem', problem: 'not published' };
const away = new UnavailableError('no socket');

interface Story {
  /** The keys of the records, or `none`, in the order in which they were told. */
  readonly told: readonly string[];
  /** The waits between the looks, in ms. */
  readonly waits: readonly number[];
  readonly log: readonly string[];
}

/** Looks once for each answer, on a clock whose sleeps take no time. */
async function addressLoop(
  answers: readonly (AddressResult | Error)[],
  changedAt?: number,
  alone = true,
): Promise<Story> {
  const told: string[] = [];
  const waits: number[] = [];
  const log: string[] = [];
  const ending = new AbortController();
  let looks = 0;
  let now = 0;
  const clock: Clock = {
    now: () => now,
    wall: () => now,
    sleep: (ms, signal) => {
      if (!signal?.aborted) waits.push(Math.round(ms));
      now += ms;
      if (looks === answers.length) ending.abort();
      return Promise.resolve();
    },
    after: () => () => undefined,
    repeat: () => Promise.resolve(),
  };
  const source = {
    resolve: () => {
      const answer = answers[looks++];
      if (looks - 1 === changedAt) subject.noteNetwork();
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? none);
    },
    networkChanged: () => true,
    fixed: false,
  };
  const subject = createAddressLoop(source, {
    clock,
    log: createLog('logfmt', clock, line => log.push(line)),
    random: () => 0.5,
    alone,
    onAddress: records => told.push(records.map(({ key }) => key).join(' ')),
    onAddressLost: () => told.push('none'),
  });
  await subject.run(ending.signal);
  return { told, waits, log };
}

describe('locating', () => {
  it('tells an address once and looks again every 30 s', async () => {
    const { told, waits } = await addressLoop([at(1), at(1), at(1)]);
    assert.deepEqual([told, waits], [['10.1.0.101:1'], [30_000, 30_000, 30_000]]);
  });

  it('tells the address that is new', async () => {
    const { told, log } = await addressLoop([at(1), at(2)]);
    assert.deepEqual(told, ['10.1.0.101:1', '10.1.0.101:2']);
    assert.match(log[1] ?? '', /address 10\.1\.0\.101:2.*was=10\.1\.0\.101:1/);
  });

  it('tells records that are new at an old address, without a word about the address', async () => {
    const { told, log } = await addressLoop([at(1), at(1, 'v2'), at(1, 'v2')]);
    assert.deepEqual(told, ['10.1.0.101:1', '10.1.0.101:1']);
    assert.equal(log.length, 1);
  });

  it('looks again at once when the network has changed meanwhile', async () => {
    const { waits } = await addressLoop([at(1), at(2)], 0);
    assert.deepEqual(waits, [30_000]);
  });

  it('keeps an address while Docker is away, whatever time that takes', async () => {
    const { told, waits, log } = await addressLoop([at(1), away, away, away, at(1)]);
    assert.deepEqual(told, ['10.1.0.101:1']);
    assert.deepEqual(waits, [30_000, 450, 900, 1500, 30_000]);
    assert.match(log[1] ?? '', /address 10\.1\.0\.101:1 could not be confirmed: no socket/);
    assert.match(log[2] ?? '', /still holds.*tries=3/);
  });

  it('believes that an address is gone when Docker says so twice in a row', async () => {
    assert.deepEqual((await addressLoop([at(1), none, at(1)])).told, ['10.1.0.101:1']);
    const { told, log } = await addressLoop([at(1), none, none, none, at(2)]);
    assert.deepEqual(told, ['10.1.0.101:1', 'none', '10.1.0.101:2']);
    assert.match(log[2] ?? '', /address 10\.1\.0\.101:1 is gone: not published/);
  });

  it('tells the same address again after it was gone', async () => {
    assert.deepEqual((await addressLoop([at(1), none, none, at(1)])).told, [
      '10.1.0.101:1',
      'none',
      '10.1.0.101:1',
    ]);
  });

  it('waits at the start for a Docker that is late, and ends when there is no address', async () => {
    assert.deepEqual((await addressLoop([away, away, at(1)])).told, ['10.1.0.101:1']);
    await assert.rejects(addressLoop([away, none]), new SetupError('not published'));
  });

  it('of one service of several without an address goes on, and looks as seldom as one that has it', async () => {
    const { told, waits, log } = await addressLoop([none, none, at(1)], undefined, false);
    assert.deepEqual([told, waits], [['10.1.0.101:1'], [30_000, 30_000, 30_000]]);
    assert.match(log[0] ?? '', /level=warn msg="waiting for the address: not published"/);
    assert.equal(log.length, 2);
  });
});
