/** When the next check is due. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Health, Verdict } from '../../src/core/registration/health.ts';
import {
  speedUp,
  nextSchedule,
  startSchedule,
  type CheckOutcome,
  type Schedule,
} from '../../src/core/registration/schedule.ts';

const up: Health = { status: 'up', fails: 0 };
const failing: Health = { status: 'up', fails: 1 };
const rising: Health = { status: 'down', passes: 1, reason: '' };
const booting: Health = { status: 'starting', passes: 0, reason: '' };
const down: Health = { status: 'down', passes: 0, reason: '' };

const intervalMs = 5000;
const steady: Schedule = { dueAt: 20_000, unsteadySince: 0, steady: true };
const starting = startSchedule(0);

/** When the check after this one is due, counted from the beginning of this one. */
function gap(
  schedule: Schedule,
  health: Health,
  startedAt: number,
  {
    verdict = 'pass',
    tookMs = 10,
    random = 0.5,
    every = intervalMs,
  }: { verdict?: Verdict['kind']; tookMs?: number; random?: number; every?: number } = {},
): number {
  const next = nextSchedule(schedule, { verdict, health, startedAt }, startedAt + tookMs, every, random);
  return next.dueAt - startedAt;
}

describe('the schedule', () => {
  it('begins at once', () => assert.equal(startSchedule(7).dueAt, 7));

  const cases: [what: string, actual: number, expected: number][] = [
    ['up: every interval', gap(steady, up, 20_000), 5000],
    ['up, and the timer was early: every interval', gap(steady, up, 19_999), 5000],
    ['up, an extra check: the regular one stays where it was', gap(steady, up, 17_000), 3000],
    ['up for the first time: random, least', gap(starting, up, 0, { random: 0 }), 500],
    ['up for the first time: random, most', gap(starting, up, 0, { random: 1 }), 5000],
    ['one fail of several: quick', gap(steady, failing, 20_000, { verdict: 'fail' }), 1000],
    ['one pass of several: quick', gap(starting, rising, 9000), 1000],
    ['just down: quick', gap(steady, down, 20_000, { verdict: 'fail' }), 1000],
    ['down for 9 s: still quick', gap(starting, down, 9000, { verdict: 'fail' }), 1000],
    ['down for 30 s: a tenth of it', gap(starting, down, 30_000, { verdict: 'fail', tookMs: 0 }), 3000],
    ['down for an hour: every interval', gap(starting, down, 3_600_000, { verdict: 'fail' }), 5000],
    ['starting for a minute: still quick', gap(starting, booting, 60_000, { verdict: 'fail' }), 1000],
    ['down after a change: quick again', gap(speedUp(starting, 3_599_000), down, 3_600_000), 1000],
    ['a hang: a rest after it', gap(starting, down, 0, { verdict: 'fail', tookMs: 3000 }), 3250],
    ['not made: quick, from its end', gap(steady, up, 20_000, { verdict: 'unknown', tookMs: 400 }), 1400],
    ['impossible: the same', gap(steady, up, 20_000, { verdict: 'impossible', tookMs: 400 }), 1400],
    ['short interval: never quicker than it asks', gap(starting, down, 0, { every: 300 }), 300],
  ];
  for (const [what, actual, expected] of cases) it(what, () => assert.equal(actual, expected));

  it('spreads what starts together over the whole interval, and keeps the period', () => {
    const fleet = Array.from({ length: 1000 }, (_, index) =>
      nextSchedule(starting, { verdict: 'pass', health: up, startedAt: 0 }, 5, intervalMs, index / 1000),
    );
    const perSecond = [0, 1, 2, 3, 4].map(
      second => fleet.filter(({ dueAt }) => Math.floor(dueAt / 1000) === second).length,
    );
    assert.ok(Math.max(...perSecond) <= 230, perSecond.join());
    for (const schedule of fleet) {
      const outcome: CheckOutcome = { verdict: 'pass', health: up, startedAt: schedule.dueAt };
      assert.equal(
        nextSchedule(schedule, outcome, schedule.dueAt + 5, intervalMs, 0.1).dueAt,
        schedule.dueAt + intervalMs,
      );
    }
  });

  it('never stands still and never lags', () => {
    for (const health of [up, failing, rising, booting, down]) {
      for (const schedule of [starting, steady, speedUp(steady, 19_000)]) {
        for (const verdict of ['pass', 'fail', 'unknown', 'impossible'] as const) {
          for (const tookMs of [0, 3000]) {
            const due = gap(schedule, health, 20_000, { verdict, tookMs });
            assert.ok(due > 0 && due <= tookMs + intervalMs, `${health.status} ${verdict} ${due}`);
          }
        }
      }
    }
  });
});
