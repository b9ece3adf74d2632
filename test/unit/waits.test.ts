/** Waits before the next try, and how often a lasting failure is told. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { denied, outOfReach, waitMs } from '../../src/core/backoff.ts';
import { noteFailure, type Outage } from '../../src/core/outage.ts';

describe('backoff', () => {
  it('doubles up to the most, and chance moves the upper half', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 1000].map(attempt => waitMs(outOfReach, attempt, 0)),
      [300, 600, 1000, 1000, 1000],
    );
    assert.equal(waitMs(outOfReach, 50, 0.999_999), 2000);
    assert.equal(waitMs(denied, 50, 0.999_999), 30_000);
  });
});

describe('a repeated failure', () => {
  it('is told at once, after a minute, and then ever more seldom', () => {
    let outage: Outage | null = null;
    const told: number[] = [];
    for (let second = 0; second <= 3600; second++) {
      const noted = noteFailure(outage, 'refused', second * 1000);
      outage = noted.outage;
      if (noted.say) told.push(second);
    }
    assert.deepEqual(told, [0, 60, 120, 240, 480, 960, 1920]);
    assert.equal(outage?.tries, 3601);
  });

  it('tells a new cause once', () => {
    let outage: Outage | null = null;
    const told = ['a', 'b', 'a', 'b', 'c'].map(cause => {
      const noted = noteFailure(outage, cause, 0);
      outage = noted.outage;
      return noted.say;
    });
    assert.deepEqual(told, [true, true, false, false, true]);
  });
});
