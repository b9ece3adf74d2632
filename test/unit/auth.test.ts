/** The token for a password: when it is requested, and what becomes of an answer that comes late. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock, type Clock } from '../../src/clock.ts';
import { DeniedError, RequestError } from '../../src/etcd/errors.ts';
import { TokenKeeper } from '../../src/etcd/auth.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const user = { name: 'app', password: { text: 'secret' } };

/** A keeper and its requests for a token, each answered when and as the test wants. */
function keeper(): {
  readonly tokens: TokenKeeper;
  readonly requests: {
    readonly resolve: (token: string) => void;
    readonly reject: (error: Error) => void;
  }[];
  readonly ask: (endpoint: string) => Promise<string | undefined>;
  readonly time: { now: number };
} {
  const time = { now: 0 };
  const clock: Clock = { ...systemClock, now: () => time.now };
  const tokens = new TokenKeeper(user, clock, () => 0);
  const requests: ReturnType<typeof keeper>['requests'] = [];
  const ask = (endpoint: string): Promise<string | undefined> =>
    tokens.current(
      endpoint,
      () =>
        new Promise((resolve, reject) => {
          requests.push({ resolve, reject });
        }),
    );
  return { tokens, requests, ask, time };
}

describe('a token', () => {
  it('is requested once at a member, however many callers want it', async () => {
    const { tokens, requests, ask } = keeper();
    const first = ask('a');
    await settle();
    const again = ask('a');
    await settle();
    assert.equal(requests.length, 1);
    requests[0]?.resolve('t');
    assert.deepEqual(await Promise.all([first, again, ask('a')]), ['t', 't', 't']);
    assert.equal(tokens.known(), 't');
    assert.equal(requests.length, 1);
  });

  it('that comes late, after another member was asked, is used for all', async () => {
    const { requests, ask } = keeper();
    const slow = ask('a');
    void ask('b');
    await settle();
    assert.equal(requests.length, 2);
    requests[0]?.resolve('t');
    await slow;
    assert.equal(await ask('b'), 't');
    assert.equal(await ask('c'), 't');
    assert.equal(requests.length, 2);
  });

  it('is requested again after a failure', async () => {
    const { requests, ask } = keeper();
    const first = ask('a');
    await settle();
    requests[0]?.reject(new RequestError('connection lost'));
    await assert.rejects(first, /connection lost/);
    void ask('a');
    await settle();
    assert.equal(requests.length, 2);
  });

  it('is requested less and less often after refusals, at whatever member', async () => {
    const { requests, ask, time } = keeper();
    for (const waitMs of [1000, 2000, 4000, 8000, 15_000, 15_000]) {
      const before = requests.length;
      const request = ask('a');
      await settle();
      assert.equal(requests.length, before + 1);
      requests.at(-1)?.reject(new DeniedError('wrong password'));
      await assert.rejects(request, /wrong password/);
      time.now += waitMs - 1;
      await assert.rejects(ask('b'), /wrong password/);
      assert.equal(requests.length, before + 1);
      time.now += 1;
    }
  });

  it('that is refused is dropped, but not the one that came after it', async () => {
    const { tokens, requests, ask } = keeper();
    const first = ask('a');
    await settle();
    requests[0]?.resolve('old');
    await first;
    tokens.drop('old');
    assert.equal(tokens.known(), undefined);
    const second = ask('a');
    await settle();
    requests[1]?.resolve('new');
    await second;
    tokens.drop('old');
    assert.equal(tokens.known(), 'new');
  });

  it('that is refused although it is new waits like a wrong password, until one is accepted', async () => {
    const { tokens, requests, ask, time } = keeper();
    const get = async (token: string): Promise<void> => {
      const request = ask('a');
      await settle();
      requests.at(-1)?.resolve(token);
      assert.equal(await request, token);
    };
    await get('t0');
    tokens.drop('t0');
    for (const [index, waitMs] of [1000, 2000, 4000].entries()) {
      await get(`t${index + 1}`);
      tokens.drop(`t${index + 1}`);
      time.now += waitMs - 1;
      await assert.rejects(ask('b'), /etcd gives tokens and then refuses them/);
      time.now += 1;
    }
    await get('good');
    tokens.accept('good');
    tokens.drop('good');
    await get('another');
  });

  it('is not requested without a user', async () => {
    const tokens = new TokenKeeper(undefined, systemClock, () => 0);
    assert.equal(await tokens.current('a', () => assert.fail('asked')), undefined);
  });
});

/** Waits for a password check, with these answer times of etcd; a token becomes known after so many ms. */
async function waitForCheck(
  answersMs: readonly number[],
  tokenAfterMs = Infinity,
): Promise<{ readonly waitedMs: number; readonly token: string | undefined; readonly pings: number }> {
  const clock = new FakeClock(0);
  let pings = 0;
  const ping = (): Promise<number> => {
    pings += 1;
    return Promise.resolve(answersMs[pings - 1] ?? 0);
  };
  const tokens = new TokenKeeper(user, clock, () => 0);
  clock.after(tokenAfterMs, () => void tokens.current('another', () => Promise.resolve('t')));
  const waiting = tokens
    .awaitTurn(ping, new AbortController().signal)
    .then(token => ({ waitedMs: clock.now(), token, pings }));
  await clock.advance(60_000);
  return waiting;
}

describe('a password check', () => {
  it('starts at once when etcd answers promptly', async () => {
    assert.deepEqual(await waitForCheck([100]), { waitedMs: 0, token: undefined, pings: 1 });
  });

  it('waits ever longer while etcd is slow, and measures again each time', async () => {
    const waited = await waitForCheck([5000, 5000, 5000, 50]);
    assert.deepEqual(waited, { waitedMs: 3500, token: undefined, pings: 4 });
  });

  it('is not needed when a token became known meanwhile', async () => {
    const waited = await waitForCheck([5000, 5000, 5000, 50], 1000);
    assert.deepEqual(waited, { waitedMs: 1500, token: 't', pings: 2 });
  });
});
