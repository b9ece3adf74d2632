/**
 * An app without SO_REUSEADDR beside dockreg, both under supervisord at its default settings. The app is killed again and
 * again: a connection that a check left on its port would keep it from listening, and supervisord would give up.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { atProcessEnd, Child, cleanEnvironment } from './children.ts';
import { startEtcd } from './etcd.ts';
import { literal, literalKey } from './program.ts';
import { eventually, freePort, pause } from './wait.ts';

const run = promisify(execFile);
const inRepository = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** How a supervisord is started, and what it starts in its turn. */
export interface Supervisor {
  /** The command line without its options. */
  readonly command: readonly [string, ...string[]];
  /** The path of Node where this supervisord runs. */
  readonly node: string;
}

/** The one that is installed on the machine. */
const installed: Supervisor = { command: ['supervisord'], node: process.execPath };

/** What supervisord runs, both with its own defaults. */
const programs = (node: string, port: number, etcd: string): string => `
[supervisord]
nodaemon=true
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
[program:app]
command=/usr/bin/python3 ${inRepository('test/support/recording-app.py')} http11 ${port}
redirect_stderr=true
stdout_logfile=%(here)s/app.log
[program:dockreg]
command=${node} ${inRepository('dist/dockreg.js')}
environment=${Object.entries({
  ...literal(etcd, port),
  DOCKREG_CHECK: 'http:/slow',
  DOCKREG_INTERVAL: '450ms',
  DOCKREG_TIMEOUT: '400ms',
  DOCKREG_CONTROL: 'off',
})
  .map(([name, value]) => `${name}="${value}"`)
  .join(',')}
redirect_stderr=true
stdout_logfile=%(here)s/dockreg.log
`;
/** supervisord's startsecs: an app that ends earlier did not start, and is started again later each time. */
const startMs = 1000;

/** Kills the app twelve times, eight of them during a check. It must listen again within 2 s each time. */
export async function crashUnderSupervisord(
  t: Pick<TestContext, 'diagnostic'>,
  { command: [file, ...words], node } = installed,
): Promise<void> {
  const etcd = await startEtcd();
  const at = await mkdtemp(join(tmpdir(), 'dockreg-supervisord-'));
  const forget = atProcessEnd(() => rmSync(at, { recursive: true, force: true }));
  const port = await freePort();
  writeFileSync(join(at, 'supervisord.conf'), programs(node, port, etcd.endpoints.join(',')));
  /** The process that listens on the app's port. */
  const holder = async (): Promise<number> => {
    const { stdout } = await run('ss', ['-Htlnp', `sport = :${port}`]);
    return Number(/pid=(\d+)/.exec(stdout)?.[1] ?? 0);
  };
  const isChecked = async (): Promise<boolean> =>
    (await run('ss', ['-Htn', 'state', 'established', `sport = :${port}`])).stdout !== '';
  const supervisord = await Child.spawn(file, [...words, '-c', join(at, 'supervisord.conf')], {
    env: cleanEnvironment(),
    stdio: 'ignore',
  });
  let duringChecks = 0;
  const times: number[] = [];
  try {
    await eventually('the key is there', async () => (await etcd.keys('/')).has(literalKey), {
      timeoutMs: 20_000,
    });
    for (let kill = 0; kill < 12; kill++) {
      await pause(startMs + 100);
      const isWanted = kill % 3 !== 2;
      await eventually('the moment', async () => (await isChecked()) === isWanted, { everyMs: 5 });
      const pid = await holder();
      if (isWanted) duringChecks++;
      process.kill(pid, 'SIGKILL');
      const killedAt = performance.now();
      await eventually(
        `the app listens after kill ${kill + 1}`,
        async () => {
          const next = await holder();
          return next !== 0 && next !== pid;
        },
        { timeoutMs: 2000, everyMs: 10 },
      );
      times.push(performance.now() - killedAt);
    }
    await eventually('the key is there again', async () => (await etcd.keys('/')).has(literalKey));
    t.diagnostic(
      `${times.length} kills, ${duringChecks} during a check; it listened after ${times.map(Math.round).join(', ')} ms`,
    );
    const log = readFileSync(join(at, 'supervisord.log'), 'utf8');
    assert.doesNotMatch(log, /FATAL|BACKOFF|not expected; too quickly/);
    assert.doesNotMatch(readFileSync(join(at, 'app.log'), 'utf8'), /error|Errno/);
  } finally {
    supervisord.signal('SIGTERM');
    await supervisord.exited(15_000);
    await etcd.stop();
    forget();
    rmSync(at, { recursive: true, force: true });
  }
}
