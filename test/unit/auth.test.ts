/** The token for a password: who asks for it, when, and what becomes of an answer that comes late. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock, type Clock } from '../../src/clock.ts';
import { DeniedError, RequestError } from '../../src/etcd/errors.ts';
import { createTokenKeeper, type TokenKeeper } from '../../src/etcd/auth.ts';

const user = { name: 'app', password: { text: 'secret' } };

/** A keeper, and the questions that it asked, each answered when and as the test wants. */
function asked(): {
  readonly tokens: TokenKeeper;
  readonly questions: {
    readonly resolve: (token: string) => void;
    readonly reject: (error: Error) => void;
  }[];
  readonly ask: (endpoint: string) => Promise<string | undefined>;
  readonly time: { now: number };
} {
  const time = { now: 0 };
  const clock: Clock = { ...systemClock, now: () => time.now };
  const tokens = createTokenKeeper(user, clock);
  const questions: ReturnType<typeof asked>['questions'] = [];
  const ask = (endpoint: string): Promise<string | undefined> =>
    tokens.current(
      endpoint,
      () =>
        new Promise((resolve, reject) => {
          questions.push({ resolve, reject });
        }),
    );
  return { tokens, questions, ask, time };
}

/** What was called until now has had its turn. */
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('a token', () => {
  it('is asked for once at a member, however many want it and however often', async () => {
    const { tokens, questions, ask } = asked();
    const first = ask('a');
    await turn();
    const again = ask('a');
    await turn();
    assert.equal(questions.length, 1);
    questions[0]?.resolve('t');
    assert.deepEqual(await Promise.all([first, again, ask('a')]), ['t', 't', 't']);
    assert.equal(tokens.known(), 't');
    assert.equal(questions.length, 1);
  });

  it('that comes late, when another member was asked meanwhile, is good for all', async () => {
    const { questions, ask } = asked();
    const slow = ask('a');
    void ask('b');
    await turn();
    assert.equal(questions.length, 2);
    questions[0]?.resolve('t');
    await slow;
    assert.equal(await ask('b'), 't');
    assert.equal(await ask('c'), 't');
    assert.equal(questions.length, 2);
  });

  it('is asked for again after a question that failed', async () => {
    const { questions, ask } = asked();
    const first = ask('a');
    await turn();
    questions[0]?.reject(new RequestError('connection lost'));
    await assert.rejects(first, /connection lost/);
    void ask('a');
    await turn();
    assert.equal(questions.length, 2);
  });

  it('is not asked for again at once after a refusal, at no member, and then ever more seldom', async () => {
    const { questions, ask, time } = asked();
    for (const waitMs of [1000, 2000, 4000, 8000, 15_000, 15_000]) {
      const before = questions.length;
      const question = ask('a');
      await turn();
      assert.equal(questions.length, before + 1);
      questions.at(-1)?.reject(new DeniedError('wrong password'));
      await assert.rejects(question, /wrong password/);
      time.now += waitMs - 1;
      await assert.rejects(ask('b'), /wrong password/);
      assert.equal(questions.length, before + 1);
      time.now += 1;
    }
  });

  it('that is refused is forgotten, but not the one that came after it', async () => {
    const { tokens, questions, ask } = asked();
    const first = ask('a');
    await turn();
    questions[0]?.resolve('old');
    await first;
    tokens.drop('old');
    assert.equal(tokens.known(), undefined);
    const second = ask('a');
    await turn();
    questions[1]?.resolve('new');
    await second;
    tokens.drop('old');
    assert.equal(tokens.known(), 'new');
  });

  it('is not asked for without a user', async () => {
    const tokens = createTokenKeeper(undefined, systemClock);
    assert.equal(await tokens.current('a', () => assert.fail('asked')), undefined);
  });
});
