/** What becomes of the key, and what people are told of it, while etcd is away: by the built program and a real etcd. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { ProcessStatus, ServiceStatus } from '../../src/core/registration/status.ts';
import { startApp, type App } from '../support/app.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { literal, startProgram, type Program } from '../support/program.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { eventually } from '../support/wait.ts';

const ttlMs = 5000;

let folder: string;
let path: string;
let etcd: EtcdCluster;
let watcher: Watcher;
let proxy: Proxy;
let web: App;
let program: Program;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-last-key-'));
  path = join(folder, 'control.sock');
  etcd = await startEtcd();
  watcher = await etcd.watch('/');
  web = await startApp();
});
after(async () => {
  watcher.close();
  web.close();
  await etcd.stop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  proxy = await startProxy(etcd.members[0]!.port);
  const env = { ...literal(`http://${proxy.address}`, web.port), DOCKREG_TTL: `${ttlMs / 1000}s` };
  watcher.skipToNow();
  program = await startProgram({ env: { ...env, DOCKREG_CONTROL: path } });
  await watcher.next(({ type }) => type === 'put');
});
afterEach(async () => {
  await program.stop();
  proxy.close();
});

interface Answer {
  readonly code: number | null;
  readonly text: string;
}

async function status(...words: string[]): Promise<Answer> {
  const asked = await startProgram({ args: ['status', '--control', path, ...words] });
  const { code } = await asked.exited;
  return { code, text: asked.lines.map(({ raw }) => raw).join('\n') };
}

async function serviceStatus(): Promise<ServiceStatus> {
  const { services } = JSON.parse((await status('--json')).text) as ProcessStatus;
  return services[0]!;
}

describe('while etcd is away', () => {
  it('the status says from the first failed request on that it is as of the last answer, and stays well', async t => {
    assert.equal((await serviceStatus()).registration, 'registered');
    await proxy.set('refuse');
    const cutAt = performance.now();
    const failing = await program.waitForLine('etcd: ');
    const away = await serviceStatus();
    t.diagnostic(
      `first failure after ${Math.round(failing.at - cutAt)} ms, then the status is ${away.registration}`,
    );
    assert.deepEqual([away.registration, away.health], ['unconfirmed', 'up']);
    assert.ok(away.etcdAnsweredAt !== null && away.etcdError !== null);
    const agoMs = Date.now() - Date.parse(away.etcdAnsweredAt);
    assert.ok(agoMs > 0 && agoMs < 3000, `${agoMs} ms`);
    const later = Date.parse((await serviceStatus()).etcdAnsweredAt ?? '');
    assert.ok(Math.abs(later - Date.parse(away.etcdAnsweredAt)) < 50, 'it does not move on');
    const { code, text } = await status();
    assert.equal(code, 0, 'a health check by this command passes: the app is well');
    assert.match(text, / up .* unconfirmed .*\netcd: .*ECONNREFUSED.*; its last answer is \ds old$/s);
    await eventually(
      'a TTL without an answer',
      async () => (await serviceStatus()).registration === 'uncertain',
    );
    assert.equal((await status()).code, 0);
    await proxy.set('pass');
    await program.waitForLine('etcd answers again');
    await eventually('registered', async () => (await serviceStatus()).registration === 'registered');
    assert.equal((await serviceStatus()).etcdError, null);
  });

  it('a stop says how long the key may stay, and it stays as long: a TTL from when etcd is back', async t => {
    await etcd.members[0]!.kill();
    program.signal('SIGTERM');
    const line = await program.waitForLine('stopped without an answer from etcd');
    assert.match(line.raw, /the key stays until its lease ends, up to about 5 s after etcd answers again/);
    assert.equal((await program.exited).code, 0);
    await new Promise(resolve => setTimeout(resolve, ttlMs));
    await etcd.members[0]!.start();
    const backAt = performance.now();
    const gone = await watcher.next(({ type }) => type === 'delete', 2 * ttlMs);
    const stayedMs = Math.round(gone.at - backAt);
    t.diagnostic(`etcd was away for more than a TTL; the key stayed for ${stayedMs} ms after it was back`);
    assert.ok(stayedMs > ttlMs / 2, 'etcd gives a lease its time again, so the wording is right');
    assert.ok(stayedMs < ttlMs + 2500, `${stayedMs} ms`);
  });
});
