/** Chaos with fixed seeds: the program survives them, and a worse program does not. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { check } from './checker.ts';
import { renderWindow } from './history.ts';
import { applyChange, changes, compiledSources, prepareSabotage } from './sabotage.ts';
import { drawSchedule, usualShape, type Schedule, type Shape } from './schedule.ts';
import { runSchedule } from './world.ts';

const seeds: readonly ({ readonly seed: number } & Pick<Shape, 'members' | 'auth'>)[] = [
  // The first one found a session that did not notice the end of an outage.
  { seed: 101, members: 1, auth: 'none' },
  { seed: 102, members: 3, auth: 'none' },
  { seed: 404, members: 3, auth: 'jwt' },
];

describe('under chaos the program keeps its promise', () => {
  for (const { seed, members, auth } of seeds) {
    it(`seed ${seed}, ${members} members, auth ${auth}`, async () => {
      const history = await runSchedule(drawSchedule(seed, { ...usualShape, members, auth }));
      const violations = check(history).map(
        ({ invariant, message, span, slot }) =>
          `${invariant}: ${message}\n${renderWindow(history, span.from - 10_000, span.to + 1000, slot)}`,
      );
      const again = `to repeat it: node build/test/chaos/chaos.js --seed ${seed} --members ${members} --auth ${auth}`;
      assert.equal(violations.length, 0, [...violations, again].join('\n\n'));
    });
  }
});

describe('the chaos run can fail', () => {
  it('finds that the lease of the etcd3 package does not bring back a deleted key', async () => {
    const schedule: Schedule = {
      ...usualShape,
      members: 1,
      slots: 1,
      seed: 0,
      tracks: [
        {
          name: 'others 0',
          steps: [{ atMs: 2000, forMs: 0, fault: { kind: 'others', slot: 0, how: 'delete' } }],
        },
      ],
      endMs: 15_000,
    };
    const { entry, remove } = await prepareSabotage('stock-lease');
    try {
      const found = check(await runSchedule(schedule, { entry }));
      assert.ok(found.some(({ invariant }) => invariant === 'missing-key'));
    } finally {
      remove();
    }
  });

  for (const [name, change] of Object.entries(changes)) {
    it(`still finds the line to change for ${name}`, async () => {
      const source = await readFile(join(compiledSources, change.file), 'utf8');
      assert.notEqual(applyChange(source, change), source);
    });
  }
});
