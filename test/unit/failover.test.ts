/** The order in which instances try the members of etcd. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { shuffle } from '../../src/core/lease/failover.ts';

describe('the order of the endpoints', () => {
  const endpoints = ['a', 'b', 'c'];

  it('has each endpoint once, whatever chance says', () => {
    for (const random of [0, 0.34, 0.5, 0.999_999])
      assert.deepEqual(shuffle(endpoints, () => random).toSorted(), endpoints);
    assert.deepEqual(
      shuffle([], () => 0),
      [],
    );
    assert.deepEqual(endpoints, ['a', 'b', 'c']);
  });

  it('comes in all ways equally often, so that a lost member is made up for by all others', () => {
    const firstTwo = new Map<string, number>();
    for (const first of [0, 1, 2])
      for (const second of [0, 1]) {
        const draws = [first / 3 + 0.01, second / 2 + 0.01, 0];
        const [one = '', two = ''] = shuffle(endpoints, () => draws.shift() ?? 0);
        firstTwo.set(one + two, (firstTwo.get(one + two) ?? 0) + 1);
      }
    assert.deepEqual(Object.fromEntries(firstTwo), { ab: 1, ac: 1, ba: 1, bc: 1, ca: 1, cb: 1 });
  });
});
