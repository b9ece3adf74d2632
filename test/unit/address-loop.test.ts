/** How an address is kept: resolved again, moved, missed, and found again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { keepAddress } from '../../src/agent/address-loop.ts';
import { logEvent } from '../../src/agent/log.ts';
import {
  noteAnswer,
  unknownLocation,
  type AddressEvent,
  type AddressResult,
  type OnUnresolvable,
} from '../../src/core/address/location.ts';
import type { Address } from '../../src/core/address/ip.ts';
import { failure, success, UnavailableError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { Wakeup } from '../../src/retry.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const at = (port: number, value = 'running'): AddressResult =>
  success({
    address: { ip: '10.1.0.101', port },
    records: [{ key: `10.1.0.101:${port}`, value }],
    how: 'published',
  });
const none: AddressResult = failure({ message: 'not published', hint: 'publish it' });
const away = new UnavailableError('no socket');

/** The same, with warnings. */
const warned = (port: number, ...messages: readonly string[]): AddressResult => {
  const answer = at(port);
  const warnings = messages.map(message => ({ message, hint: 'name one' }));
  return answer.ok ? success({ ...answer.value, warnings }) : answer;
};

type Answer = AddressResult | UnavailableError;

interface Story {
  /** The keys of the records, or `none`, in the order in which they were reported. */
  readonly reported: readonly string[];
  /** The waits between the attempts, in ms. */
  readonly waits: readonly number[];
  readonly log: readonly string[];
  readonly events: readonly AddressEvent[];
  /** The address that was known at each attempt. */
  readonly asked: readonly (Address | undefined)[];
}

interface StoryOptions {
  /** The attempt during which the network changes. */
  readonly changedAt?: number;
  readonly onUnresolvable?: OnUnresolvable;
}

/** Makes one attempt for each answer. */
async function addressLoop(
  answers: readonly Answer[],
  { changedAt, onUnresolvable = 'end' }: StoryOptions = {},
): Promise<Story> {
  const clock = new FakeClock();
  const events: AddressEvent[] = [];
  const lines: string[] = [];
  const log = createLog('logfmt', clock, line => lines.push(line));
  const waits: number[] = [];
  const ending = new AbortController();
  const wakeup = new Wakeup();
  const asked: (Address | undefined)[] = [];
  let attempts = 0;
  const source = {
    resolve: (known: Address | undefined) => {
      asked.push(known);
      const answer = answers[attempts];
      if (attempts === changedAt) wakeup.wake();
      attempts += 1;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? none);
    },
    networkChanged: () => true,
  };
  const emit = (event: AddressEvent): void => {
    events.push(event);
    logEvent(log, event, { rise: 1, fall: 1, ttlSeconds: 20 });
  };
  const options = { clock, random: () => 0.5, onUnresolvable, emit, wakeup };
  const running = keepAddress(source, options, ending.signal);
  for (await settle(); attempts < answers.length; await settle()) {
    const [waitMs] = clock.due;
    assert.ok(waitMs !== undefined, 'it waits');
    waits.push(waitMs);
    await clock.advance(waitMs);
  }
  ending.abort();
  await running;
  const reported = events.flatMap(event => {
    if ('resolved' in event) return [event.resolved.records.map(({ key }) => key).join(' ')];
    return event.kind === 'address-lost' ? ['none'] : [];
  });
  return { reported, waits, log: lines, events, asked };
}

describe('the address loop', () => {
  it('reports an address once and resolves it again every 30 s', async () => {
    const { reported, waits } = await addressLoop([at(1), at(1), at(1)]);
    assert.deepEqual([reported, waits], [['10.1.0.101:1'], [30_000, 30_000]]);
  });

  it('reports a new address', async () => {
    const { reported, log } = await addressLoop([at(1), at(2)]);
    assert.deepEqual(reported, ['10.1.0.101:1', '10.1.0.101:2']);
    assert.match(log[0] ?? '', /msg="address 10\.1\.0\.101:1" found=published$/m);
    assert.match(log[1] ?? '', /address 10\.1\.0\.101:2.*was=10\.1\.0\.101:1/);
  });

  it('reports new records at an old address, and logs nothing about the address', async () => {
    const { reported, log } = await addressLoop([at(1), at(1, 'v2'), at(1, 'v2')]);
    assert.deepEqual(reported, ['10.1.0.101:1', '10.1.0.101:1']);
    assert.equal(log.length, 1);
  });

  it('asks each time with the address that is known, which is kept while it holds', async () => {
    const { asked } = await addressLoop([at(1), at(1), away, none, at(1), none, none, at(2), at(3)]);
    const ports = asked.map(address => address?.port);
    assert.deepEqual(ports, [undefined, 1, 1, 1, 1, 1, 1, undefined, 2]);
  });

  it('reports a warning about the address once, another one, and that it is over', async () => {
    const { events, log } = await addressLoop([
      warned(1, 'one of two'),
      warned(1, 'one of two'),
      at(1),
      at(1),
      warned(1, 'one of three', 'not of others'),
      none,
      warned(1, 'one of three', 'not of others'),
    ]);
    assert.deepEqual(
      events.flatMap(event => (event.kind === 'address-warning' ? [event.warnings.length] : [])),
      [1, 0, 2],
    );
    assert.deepEqual(
      log.flatMap(
        line => /level=(\w+) msg="address (.*(?:one|others|over))"/.exec(line)?.slice(1, 3).join(' ') ?? [],
      ),
      [
        'warn one of two; name one',
        'info 10.1.0.101:1: its warnings are over',
        'warn one of three; name one',
        'warn not of others; name one',
      ],
    );
  });

  it('reports a move to an address with a warning after the move, and none of the old address', async () => {
    const { events } = await addressLoop([warned(1, 'one of two'), warned(2, 'one of two'), at(3)]);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['address-found', 'address-warning', 'address-found', 'address-warning', 'address-found'],
    );
  });

  it('resolves again at once when the network changed during an attempt', async () => {
    const { reported } = await addressLoop([at(1), at(2)], { changedAt: 0 });
    assert.deepEqual(reported, ['10.1.0.101:1', '10.1.0.101:2']);
    const { waits } = await addressLoop([at(1), at(2), at(2)], { changedAt: 0 });
    assert.deepEqual(waits, [30_000]);
  });

  it('keeps an address while Docker is away, whatever time that takes', async () => {
    const { reported, waits, log } = await addressLoop([at(1), away, away, away, at(1), at(1)]);
    assert.deepEqual(reported, ['10.1.0.101:1']);
    assert.deepEqual(waits, [30_000, 450, 900, 1500, 30_000]);
    assert.match(log[1] ?? '', /address 10\.1\.0\.101:1 could not be confirmed: no socket/);
    assert.match(log[2] ?? '', /address 10\.1\.0\.101:1 confirmed again.*tries=3/);
    assert.equal(log.length, 3);
  });

  it('gives an address up when Docker says twice in a row that there is none', async () => {
    assert.deepEqual((await addressLoop([at(1), none, at(1)])).reported, ['10.1.0.101:1']);
    const { reported, waits, log } = await addressLoop([at(1), none, none, none, at(2)]);
    assert.deepEqual(reported, ['10.1.0.101:1', 'none', '10.1.0.101:2']);
    assert.deepEqual(waits, [30_000, 450, 900, 1500]);
    assert.match(log[2] ?? '', /address 10\.1\.0\.101:1 is gone: not published; publish it/);
  });

  it('does not count answers that did not come as answers that there is none', async () => {
    assert.deepEqual((await addressLoop([at(1), away, none, away, at(1)])).reported, ['10.1.0.101:1']);
    assert.deepEqual((await addressLoop([at(1), none, away, none])).reported, ['10.1.0.101:1', 'none']);
    assert.deepEqual((await addressLoop([at(1), none, at(1), none, at(1)])).reported, ['10.1.0.101:1']);
  });

  it('reports the same address again after it was gone', async () => {
    assert.deepEqual((await addressLoop([at(1), none, none, at(1)])).reported, [
      '10.1.0.101:1',
      'none',
      '10.1.0.101:1',
    ]);
  });

  it('waits at the start for a Docker that is late, and asks to end when there is no address', async () => {
    assert.deepEqual((await addressLoop([away, away, at(1)])).reported, ['10.1.0.101:1']);
    const { events } = await addressLoop([away, none]);
    assert.deepEqual(events.at(-1), {
      kind: 'address-unresolvable',
      problems: [{ message: 'not published', hint: 'publish it' }],
    });
  });

  it('of one service of several waits without an address, as long as one that has it', async () => {
    const answers = [none, none, at(1), at(1)];
    const { reported, waits, log } = await addressLoop(answers, { onUnresolvable: 'wait' });
    assert.deepEqual([reported, waits], [['10.1.0.101:1'], [30_000, 30_000, 30_000]]);
    assert.match(log[0] ?? '', /level=warn msg="waiting for the address: not published; publish it"/);
    assert.equal(log.length, 2);
  });

  it('ends while an answer is awaited, and ignores it when it comes later', async () => {
    for (const late of [at(1), new TypeError('a bug')]) {
      const events: AddressEvent[] = [];
      const ending = new AbortController();
      const spoken = new AbortController();
      const answer = once(spoken.signal, 'abort').then(() => {
        if (late instanceof Error) throw late;
        return late;
      });
      const source = { resolve: () => answer, networkChanged: () => false };
      const running = keepAddress(
        source,
        { ...options, onUnresolvable: 'end', emit: event => events.push(event) },
        ending.signal,
      );
      await settle();
      ending.abort();
      await running;
      spoken.abort();
      await settle();
      assert.deepEqual(events, []);
    }
  });

  const options = { clock: new FakeClock(), random: () => 0.5, wakeup: new Wakeup() };

  it('resolves a fixed address once, and ends', async () => {
    const events: string[] = [];
    await keepAddress(
      { resolve: () => Promise.resolve(at(1)), networkChanged: null },
      { ...options, onUnresolvable: 'end', emit: ({ kind }) => events.push(kind) },
      new AbortController().signal,
    );
    assert.deepEqual(events, ['address-found']);
  });

  it('does not hide an error of its own', async () => {
    const source = { resolve: () => Promise.reject(new TypeError('a bug')), networkChanged: () => false };
    const ending = new AbortController();
    await assert.rejects(
      keepAddress(source, { ...options, onUnresolvable: 'wait', emit: () => undefined }, ending.signal),
      new TypeError('a bug'),
    );
  });
});

describe('the time until the next attempt', () => {
  const known = noteAnswer(unknownLocation, at(1), 'wait', 0, 0.5).location;
  const rows: [what: string, actual: number, expected: number][] = [
    ['with an address, least', noteAnswer(known, at(1), 'wait', 0, 0).waitMs, 27_000],
    ['with an address, most', noteAnswer(known, at(1), 'wait', 0, 1).waitMs, 33_000],
    ['without an answer, least', noteAnswer(known, away, 'wait', 0, 0).waitMs, 300],
    ['without an answer, most', noteAnswer(known, away, 'wait', 0, 1).waitMs, 600],
    ['without one yet', noteAnswer(unknownLocation, away, 'wait', 0, 1).waitMs, 600],
    ['after a first miss', noteAnswer(known, none, 'wait', 0, 1).waitMs, 600],
    ['without an address from the start', noteAnswer(unknownLocation, none, 'wait', 0, 1).waitMs, 33_000],
  ];
  for (const [what, actual, expected] of rows) it(what, () => assert.equal(Math.round(actual), expected));
});
