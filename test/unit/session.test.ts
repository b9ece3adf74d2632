/** The session's choice of a connection, with a member of etcd that fails as it is told. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { MemberError, UnansweredError } from '../../src/etcd/errors.ts';
import type { EtcdClient } from '../../src/etcd/member.ts';
import { openSession } from '../../src/etcd/session.ts';

/** How many connections it takes to register where the first request fails so. */
async function connectionsAfter(failure: Error, endpoints: readonly string[]): Promise<number> {
  let connections = 0;
  let grants = 0;
  const member = {
    grant() {
      grants += 1;
      return grants === 1 ? Promise.reject(failure) : Promise.resolve();
    },
    write: () => Promise.resolve({ done: true, modRevision: '2' }),
    revoke: () => Promise.resolve(),
    close: () => undefined,
  } as unknown as EtcdClient;
  const clock = { ...systemClock, sleep: () => Promise.resolve() };
  await new Promise<void>(resolve => {
    const session = openSession({
      endpoints,
      connect() {
        connections += 1;
        return Promise.resolve(member);
      },
      ttlSeconds: 20,
      rules: { renewGapMs: 60_000, freshForMs: 60_000 },
      clock,
      random: Math.random,
      emit: ({ kind }) => {
        if (kind === 'registered') void session.close(1000).then(() => resolve());
      },
      requestCheck: () => undefined,
    });
    session.publish([{ key: '/service/10.1.0.101:49155', value: 'running' }], clock.now());
  });
  return connections;
}

describe('a connection on which a request failed', () => {
  const alive = new UnansweredError('no answer in time', true);
  for (const [what, failure, endpoints, connections] of [
    ['is kept where the member is slow and was heard of', alive, ['http://h1:2379'], 1],
    ['is made anew where nothing was heard', new UnansweredError('no answer', false), ['http://h1:2379'], 2],
    ['is made anew where it broke', new MemberError('read ECONNRESET'), ['http://h1:2379'], 2],
    ['is left for the next member first', alive, ['http://h1:2379', 'http://h2:2379'], 2],
  ] as const) {
    it(what, async () => assert.equal(await connectionsAfter(failure, endpoints), connections));
  }
});
