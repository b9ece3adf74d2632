/**
 * The built program while clients of --listen and of the control socket do what they should not: the app stays
 * registered, is checked in time, and other clients are answered.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startApp, type App } from '../support/app.ts';
import { controlAttacks, httpAttacks } from '../support/attacker.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { cpuMs } from '../support/proc.ts';
import { literal, literalKey as key, readableEntry, startProgram, type Program } from '../support/program.ts';
import { freePort, inTime, pause, stopwatch } from '../support/wait.ts';

const attackMs = 2000;
/** What a check may come later than its interval of 500 ms on a busy machine. */
const latestMs = 1500;

/** The part of a core that an attack may cost: 4 to 15 % with an idle machine. */
const mostCpu = 0.25;

/** The kernel's second repetition of a connect that found the queue full comes after 3 s, and the third after 7 s. */
const answerMs = 9000;

let etcd: EtcdCluster;
let watcher: Watcher;
let web: App;
let port: number;
let folder: string;
let path: string;
let program: Program;

before(async () => {
  etcd = await startEtcd();
  web = await startApp();
  port = await freePort();
  folder = mkdtempSync(join(tmpdir(), 'dockreg-attacks-'));
  path = join(folder, 'dockreg.sock');
  const env = {
    ...literal(etcd.endpoints.join(','), web.port),
    DOCKREG_LISTEN: `127.0.0.1:${port}`,
    DOCKREG_CONTROL: path,
  };
  program = await startProgram({ env });
  await program.waitForLine('registered');
  await program.waitForLine('listening on');
  watcher = await etcd.watch('/service/');
});
after(async () => {
  await program.stop();
  await etcd.stop();
  web.close();
  rmSync(folder, { recursive: true });
});

/** Sends the request and resolves with the whole answer when the connection is closed. */
function ask(at: number | string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = typeof at === 'string' ? connect(at) : connect(at, '127.0.0.1');
    socket
      .setEncoding('utf8')
      .on('data', part => (answer += String(part)))
      .on('end', () => resolve(answer))
      .on('error', reject)
      .write(request);
  });
}

/** The longest time between two checks of the app in a span, its ends included. */
function longestGap(from: number, to: number): number {
  const times = [from, ...web.requests.map(({ at }) => at).filter(at => at > from && at < to), to];
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
}

async function withstand(name: string, target: number | string, t: TestContext): Promise<void> {
  const script = fileURLToPath(new URL('../support/attacker.js', import.meta.url));
  const args = [script, name, String(target)];
  const attacker = await Child.spawn(process.execPath, args, { env: cleanEnvironment(), stdio: 'ignore' });
  const cpuBefore = await cpuMs(program.pid);
  const from = performance.now();
  const answersMs: number[] = [];
  try {
    while (performance.now() - from < attackMs) {
      const elapsed = stopwatch();
      if (typeof target === 'number')
        assert.match(
          await inTime(ask(target, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'), answerMs, 'an answer'),
          /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok\n$/,
        );
      else assert.match(await inTime(ask(target, 'status\n'), answerMs, 'an answer'), /"health":"up"/);
      answersMs.push(elapsed());
      await pause(200);
    }
  } finally {
    attacker.signal('SIGKILL');
  }
  const to = performance.now();
  const cpu = ((await cpuMs(program.pid)) - cpuBefore) / (to - from);
  const gap = longestGap(from, to);
  const figures = [
    `longest gap between checks ${Math.round(gap)} ms`,
    `${Math.round(cpu * 100)} % of a core`,
    `${answersMs.length} answers, the slowest after ${Math.round(Math.max(...answersMs))} ms`,
  ];
  t.diagnostic(`${name}: ${figures.join(', ')}`);
  assert.ok(gap < latestMs, figures[0]);
  assert.ok(cpu < mostCpu, figures[1]);
  assert.deepEqual(watcher.events, [], 'the key went away');
  assert.ok((await etcd.keys('/')).has(key));
  program.assertClean();
}

/** An entry that leaves the program only so many descriptors. */
function entryWith(descriptors: number): string {
  const entry = join(folder, 'limited.mjs');
  writeFileSync(
    entry,
    `import { execFileSync } from 'node:child_process';
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=${descriptors}']);
    await import(${JSON.stringify(readableEntry())});`,
  );
  return entry;
}

it('silent connections leave a dockreg with few descriptors those that its checks need', async t => {
  const app = await startApp();
  const at = await freePort();
  const env = {
    ...literal(etcd.endpoints.join(','), app.port),
    DOCKREG_KEY: 'few',
    DOCKREG_LISTEN: `127.0.0.1:${at}`,
  };
  const few = await startProgram({ env, entry: entryWith(56) });
  await few.waitForLine('registered');
  await few.waitForLine('listening on');
  const sockets = Array.from({ length: 100 }, () => connect(at, '127.0.0.1').on('error', () => undefined));
  const from = performance.now();
  for (let check = 0; check < 4; check++) await app.request(3000);
  t.diagnostic(`4 checks in ${Math.round(performance.now() - from)} ms`);
  assert.ok((await etcd.keys('/few')).size === 1);
  for (const socket of sockets) socket.destroy();
  await few.stop();
  few.assertClean();
  assert.ok(few.lines.every(({ raw }) => !raw.includes('EMFILE')));
  app.close();
});

describe('an app stays registered, is checked in time, and others are answered, in spite of', () => {
  for (const name of Object.keys(httpAttacks)) it(name, t => withstand(name, port, t));
  for (const name of Object.keys(controlAttacks)) it(name, t => withstand(name, path, t));
});
