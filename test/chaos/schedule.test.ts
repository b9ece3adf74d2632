/** Schedules: one seed is one schedule, within its shape, and every fault is drawn by some seed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { drawSchedule, usualShape } from './schedule.ts';

const seeds = Array.from({ length: 100 }, (_, seed) => seed);
const drawn = ([1, 3, 5] as const).flatMap(members =>
  seeds.map(seed =>
    drawSchedule(seed, {
      ...usualShape,
      members,
      auth: seed % 2 === 0 ? 'none' : 'jwt',
      tempo: seed % 3 === 0 ? 'lasting' : 'quick',
    }),
  ),
);

describe('a schedule', () => {
  it('is the same for one seed, and different for another seed', () => {
    assert.deepEqual(drawSchedule(7, usualShape), drawSchedule(7, usualShape));
    assert.notDeepEqual(drawSchedule(7, usualShape).tracks, drawSchedule(8, usualShape).tracks);
  });

  it('has no step in the calm, and no step of a track begins before the one before it is over', () => {
    for (const { tracks, endMs, calmMs } of drawn) {
      for (const { steps } of tracks) {
        for (const [index, { atMs, forMs }] of steps.entries()) {
          assert.ok(atMs + forMs <= endMs - calmMs);
          const before = steps[index - 1];
          assert.ok(!before || before.atMs + before.forMs <= atMs);
        }
      }
    }
  });

  it('names only members and slots that exist', () => {
    for (const { tracks, members, slots } of drawn) {
      for (const { fault } of tracks.flatMap(({ steps }) => steps)) {
        if ('member' in fault) assert.ok(fault.member < members);
        if ('members' in fault) assert.ok(fault.members.length > 0 && Math.max(...fault.members) < members);
        if ('slot' in fault) assert.ok(fault.slot < slots);
      }
    }
  });

  it('draws every fault for some seed', () => {
    const names = new Set(
      drawn.flatMap(({ tracks }) =>
        tracks.flatMap(({ steps }) =>
          steps.map(({ fault }) => {
            if ('how' in fault) return `${fault.kind} ${fault.how}`;
            if (fault.kind !== 'link') return fault.kind;
            return typeof fault.trouble === 'string' ? `link ${fault.trouble}` : 'link delay';
          }),
        ),
      ),
    );
    assert.deepEqual([...names].toSorted(), [
      'app crash',
      'app error',
      'app hang',
      'auth password',
      'auth user',
      'compact',
      'leader isolate',
      'leader kill',
      'leader pause',
      'link delay',
      'link refuse',
      'link silent',
      'link silent-down',
      'link silent-up',
      'member isolate',
      'member kill',
      'member pause',
      'member replace',
      'nospace',
      'others delete',
      'others overwrite',
      'others revoke',
      'others take',
      'program kill',
      'program pause',
      'program restart',
      'program successor',
      'quorum isolate',
      'quorum kill',
      'quorum pause',
      'wipe',
    ]);
  });
});
