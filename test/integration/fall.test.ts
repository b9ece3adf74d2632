/** How long a key outlives an app that stalls or is gone: `--fall`, `--fast-interval` and `--tolerate` in the built program. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startProgram, type Program } from '../support/program.ts';
import { pause, stopwatch } from '../support/wait.ts';

/** What a busy machine may add, in ms. */
const slackMs = 400;

let etcd: EtcdCluster;
let watcher: Watcher;
let app: App;
let program: Program;

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
afterEach(async () => {
  await program.stop();
  app.close();
  watcher.close();
  program.assertClean();
});

/** Registers an app, with an interval of 1 s, and so a timeout of 1 s. Resolves when the key is there. */
async function registered(...args: string[]): Promise<void> {
  app = await startApp();
  watcher = await etcd.watch('/');
  program = await startProgram({
    args: ['--interval', '1s', '--ttl', '4s', ...args],
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(app.port),
      DOCKREG_ADVERTISE: '10.1.0.101:49155',
    },
  });
  await watcher.next(({ type }) => type === 'put');
  await pause(1200);
}

/** Asserts that the key goes at a time within these bounds, in ms since `elapsed` began to count. */
async function assertGoes(elapsed: () => number, least: number, most: number): Promise<void> {
  await watcher.next(({ type }) => type === 'delete');
  const ms = elapsed();
  assert.ok(ms >= least && ms <= most + slackMs, `the key went after ${Math.round(ms)} ms`);
  await program.waitForLine('withdrawn: ');
  assert.ok(!program.lines.some(({ raw }) => raw.includes('etcd lost our lease')), 'the lease was kept');
}

function assertStays(): void {
  assert.ok(!program.lines.some(({ raw }) => raw.includes('withdrawn')), 'the key was withdrawn');
}

describe('the key of an app', () => {
  it('that stalls goes after --fall checks, an interval apart', async () => {
    await registered('--fall', '3');
    const elapsed = stopwatch();
    app.respond('hang');
    // Two intervals, and until then at most one more, and the timeout of the last check.
    await assertGoes(elapsed, 2000, 2000 + 1000 + 1000);
  });

  it('that answers badly goes after --fall checks, a fast interval apart', async () => {
    await registered('--fall', '3', '--fast-interval', '300ms');
    const elapsed = stopwatch();
    app.respond({ status: 503 });
    await assertGoes(elapsed, 600, 600 + 1000);
  });

  it('that stalls for less than that stays', async () => {
    await registered('--fall', '3');
    app.respond('hang');
    await pause(1700);
    app.respond('ok');
    await program.waitForLine('app up again');
    await pause(2500);
    assertStays();
  });

  for (const watch of ['on', 'off'])
    it(`that is gone goes at once, whatever --fall says, with --watch ${watch}`, async () => {
      await registered('--fall', '5', '--watch', watch);
      const elapsed = stopwatch();
      app.close();
      await assertGoes(elapsed, 0, watch === 'on' ? 500 : 1000);
    });

  for (const watch of ['on', 'off'])
    it(`that is gone for less than --tolerate stays, with --watch ${watch}`, async () => {
      await registered('--tolerate', '4s', '--watch', watch);
      app.close();
      await program.waitForLine('app gone, and tolerated');
      await pause(2000);
      await app.listen();
      await program.waitForLine('app answers again');
      await pause(2500);
      assertStays();
    });

  it('that is gone goes when --tolerate is over, and its lease is kept until then', async () => {
    await registered('--tolerate', '4s', '--fall', '2');
    const elapsed = stopwatch();
    app.close();
    await assertGoes(elapsed, 4000, 4000 + 500);
  });
});
