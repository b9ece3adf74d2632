/** Waits before the next attempt, and how often a lasting failure is reported. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  backoffMs,
  denied,
  noteFailure,
  outOfReach,
  passwordCheckWaitMs,
  type Outage,
} from '../../src/core/retry.ts';

describe('backoff', () => {
  it('doubles up to the most, and chance moves the upper half', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 1000].map(attempt => backoffMs(outOfReach, attempt, 0)),
      [300, 600, 1000, 1000, 1000],
    );
    assert.equal(backoffMs(outOfReach, 50, 0.999_999), 2000);
    assert.equal(backoffMs(denied, 50, 0.999_999), 30_000);
  });
});

describe('a password check', () => {
  it('is asked for at once when etcd answers promptly', () => {
    assert.equal(passwordCheckWaitMs(0, 1, 0), 0);
    assert.equal(passwordCheckWaitMs(100, 1, 0.5), 0);
  });

  it('waits while etcd is slow, ever longer, and chance moves the upper half', () => {
    const waits = [1, 2, 3, 4, 5, 6].map(attempt => passwordCheckWaitMs(1000, attempt, 0));
    assert.deepEqual(waits, [500, 1000, 2000, 4000, 7500, 7500]);
    assert.equal(passwordCheckWaitMs(3000, 20, 0.999_999), 15_000);
  });

  it('is asked for at last, however slow etcd is', () => {
    assert.ok(passwordCheckWaitMs(1000, 9, 0) > 0);
    assert.equal(passwordCheckWaitMs(1000, 10, 0), 0);
  });
});

describe('a repeated failure', () => {
  it('is reported at once, after a minute, and then less and less often', () => {
    let outage: Outage | null = null;
    const reported: number[] = [];
    for (let second = 0; second <= 3600; second++) {
      const noted = noteFailure(outage, 'refused', second * 1000);
      outage = noted.outage;
      if (noted.report) reported.push(second);
    }
    assert.deepEqual(reported, [0, 60, 120, 240, 480, 960, 1920]);
    assert.equal(outage?.attempts, 3601);
  });

  it('is reported once for each new cause', () => {
    let outage: Outage | null = null;
    const reports = ['a', 'b', 'a', 'b', 'c'].map(cause => {
      const noted = noteFailure(outage, cause, 0);
      outage = noted.outage;
      return noted.report;
    });
    assert.deepEqual(reports, [true, true, false, false, true]);
  });
});
