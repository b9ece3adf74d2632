/** When the next check is due. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Health, Verdict } from '../../src/core/registration/health.ts';
import {
  speedUp,
  nextSchedule,
  startSchedule,
  type CheckOutcome,
  type Intervals,
  type Schedule,
} from '../../src/core/registration/schedule.ts';

const up: Health = { status: 'up', fails: 0 };
const failing: Health = { status: 'up', fails: 1 };
const rising: Health = { status: 'down', passes: 1, reason: '' };
const booting: Health = { status: 'starting', passes: 0, reason: '' };
const down: Health = { status: 'down', passes: 0, reason: '' };

const intervalMs = 5000;
const intervals: Intervals = { intervalMs, fastIntervalMs: intervalMs };
const steady: Schedule = { dueAt: 20_000, unsteadySince: 0, steady: true };
const starting = startSchedule(0);
const passing = { verdict: 'pass', health: up, failedAt: null, absenceEnd: Infinity } as const;

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
    fast = every,
    failedAt = health === failing ? startedAt : null,
    absenceEnd = Infinity,
  }: {
    verdict?: Verdict['kind'];
    tookMs?: number;
    random?: number;
    every?: number;
    fast?: number;
    failedAt?: number | null;
    absenceEnd?: number;
  } = {},
): number {
  const outcome = { verdict, health, startedAt, failedAt, absenceEnd };
  const rules = { intervalMs: every, fastIntervalMs: fast };
  const next = nextSchedule(schedule, outcome, startedAt + tookMs, rules, random);
  return next.dueAt - startedAt;
}

/** The schedule of a service that began to fail 5 s after a change. */
const afterFailing = nextSchedule(
  speedUp(steady, 15_000),
  { verdict: 'fail', health: failing, startedAt: 20_000, failedAt: 20_000, absenceEnd: Infinity },
  20_010,
  intervals,
  0.5,
);

describe('the schedule', () => {
  it('begins at once', () => assert.equal(startSchedule(7).dueAt, 7));

  const cases: [what: string, actual: number, expected: number][] = [
    ['up: every interval', gap(steady, up, 20_000), 5000],
    ['up, and the timer was early: every interval', gap(steady, up, 19_999), 5000],
    ['up, an extra check: the regular one stays where it was', gap(steady, up, 17_000), 3000],
    ['up for the first time: random, least', gap(starting, up, 0, { random: 0 }), 500],
    ['up for the first time: random, most', gap(starting, up, 0, { random: 1 }), 5000],
    ['one fail of several: an interval', gap(steady, failing, 20_000, { verdict: 'fail' }), 5000],
    [
      'one fail of several, a fast interval: that',
      gap(steady, failing, 20_000, { verdict: 'fail', fast: 700 }),
      700,
    ],
    [
      'a fail that took longer than the fast interval: a rest after it',
      gap(steady, failing, 20_000, { verdict: 'fail', fast: 700, tookMs: 3000 }),
      3250,
    ],
    [
      'a fail that took the whole interval: no rest after it',
      gap(steady, failing, 20_000, { verdict: 'fail', tookMs: 5000 }),
      5000,
    ],
    [
      'an extra check while failing: the regular one stays where it was',
      gap(steady, failing, 22_000, { verdict: 'fail', failedAt: 20_000 }),
      3000,
    ],
    ['absent: an interval', gap(steady, up, 20_000, { verdict: 'fail', absenceEnd: 29_000 }), 5000],
    [
      'absent, a fast interval: that',
      gap(steady, up, 20_000, { verdict: 'fail', fast: 700, absenceEnd: 29_000 }),
      700,
    ],
    [
      'absent, and soon no longer tolerated: then',
      gap(steady, up, 20_000, { verdict: 'fail', absenceEnd: 22_000 }),
      2000,
    ],
    [
      'absent, and no longer tolerated when the check ended: a rest after it',
      gap(steady, up, 20_000, { verdict: 'fail', absenceEnd: 20_005 }),
      260,
    ],
    [
      'absent, and not made: not later than tolerated',
      gap(steady, up, 20_000, { verdict: 'unknown', absenceEnd: 20_500 }),
      500,
    ],
    ['one pass of several: quick', gap(starting, rising, 9000), 1000],
    [
      'just down after an hour of failing: quick',
      gap(afterFailing, down, 3_600_000, { verdict: 'fail' }),
      1000,
    ],
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
      nextSchedule(starting, { ...passing, startedAt: 0 }, 5, intervals, index / 1000),
    );
    const perSecond = [0, 1, 2, 3, 4].map(
      second => fleet.filter(({ dueAt }) => Math.floor(dueAt / 1000) === second).length,
    );
    assert.ok(Math.max(...perSecond) <= 230, perSecond.join());
    for (const schedule of fleet) {
      const outcome: CheckOutcome = { ...passing, startedAt: schedule.dueAt };
      assert.equal(
        nextSchedule(schedule, outcome, schedule.dueAt + 5, intervals, 0.1).dueAt,
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
