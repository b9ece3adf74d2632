/** The built program is drained, resumed and stopped, by signals, against a real etcd. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { inspectAnswer, published, startDockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { literal, literalKey as key, startProgram, type Program } from '../support/program.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { eventually, pause, stopwatch } from '../support/wait.ts';

let etcd: EtcdCluster;
let watcher: Watcher;
let proxy: Proxy;
let web: App;
let program: Program;

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
afterEach(async () => {
  await program.stop();
  web.close();
  watcher.close();
  proxy.close();
  await eventually('nothing is left in etcd', async () => (await etcd.keys('/')).size === 0, {
    timeoutMs: 25_000,
  });
});

/** Starts it beside an app that answers, with etcd behind a proxy. */
async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  web = await startApp();
  watcher = await etcd.watch('/');
  proxy = await startProxy(etcd.members[0]!.port);
  program = await startProgram({
    env: {
      ...literal(`http://${proxy.address}`, web.port),
      ...env,
    },
  });
}

async function startRegistered(env: Readonly<Record<string, string>> = {}): Promise<void> {
  await start(env);
  await put();
}

const put = (): Promise<unknown> => watcher.next(event => event.type === 'put' && event.key === key);
const deleted = (): Promise<{ readonly at: number }> =>
  watcher.next(event => event.type === 'delete' && event.key === key);
/** Resolves when the app was checked `count` more times. */
const checks = (count: number): Promise<unknown> => web.request(10_000, web.requests.length + count);
const puts = (): number => watcher.events.filter(({ type }) => type === 'put').length;
const logged = (text: string): number => program.lines.filter(({ raw }) => raw.includes(text)).length;

describe('--drain', () => {
  it('deletes the key at once, and ends its time later', async () => {
    await startRegistered({ DOCKREG_DRAIN: '1s' });
    const elapsed = stopwatch();
    program.signal('SIGTERM');
    const gone = await deleted();
    assert.ok(elapsed() < 900, `the key was there for ${elapsed()} ms`);
    assert.equal((await program.exitWithin(5000)).code, 0);
    const ms = performance.now() - gone.at;
    assert.ok(ms >= 990 && ms < 2500, `it ended ${ms} ms after the key was gone`);
    program.assertClean();
  });

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`is cut short by a second ${signal}`, async () => {
      await startRegistered({ DOCKREG_DRAIN: '1m' });
      program.signal(signal);
      await deleted();
      await program.waitForLine('lingering: key removed, waiting for clients to notice');
      program.signal(signal);
      assert.equal((await program.exitWithin(2000)).code, code);
    });
  }

  it('is not waited for when nothing was registered', async () => {
    await start({ DOCKREG_DRAIN: '1m', DOCKREG_CHECK_STATUS: '299' });
    await program.waitForLine('app down');
    program.signal('SIGTERM');
    assert.equal((await program.exitWithin(2000)).code, 0);
  });

  it('counts from a drain or a failure that came before', async () => {
    await startRegistered({ DOCKREG_DRAIN: '2s' });
    program.signal('SIGUSR1');
    const gone = await deleted();
    await checks(2);
    program.signal('SIGTERM');
    assert.equal((await program.exitWithin(5000)).code, 0);
    const ms = performance.now() - gone.at;
    assert.ok(ms >= 1990 && ms < 3500, `it ended ${ms} ms after the key was gone`);
  });

  it('follows the one try when etcd does not answer', async () => {
    await startRegistered({ DOCKREG_DRAIN: '1s' });
    await proxy.set('silent');
    const elapsed = stopwatch();
    program.signal('SIGTERM');
    await program.waitForLine('stopped without an answer from etcd');
    const tried = elapsed();
    await program.waitForLine('lingering: key not confirmed as removed, waiting for clients to notice');
    assert.equal((await program.exitWithin(5000)).code, 0);
    assert.ok(elapsed() - tried >= 900, `it ended ${elapsed() - tried} ms after its try`);
    await proxy.set('pass', { held: 'drop' });
  });
});

describe('SIGUSR1 drains, and SIGUSR2 resumes', () => {
  it('while the checks go on, and each is logged once', async () => {
    await startRegistered();
    for (let round = 1; round <= 2; round++) {
      program.signal('SIGUSR1');
      await deleted();
      await checks(2);
      program.signal('SIGUSR1');
      await checks(2);
      assert.equal(puts(), round, 'a key was written while it was drained');
      assert.equal(logged('app drained'), round);
      program.signal('SIGUSR2');
      await put();
      program.signal('SIGUSR2');
      await checks(2);
      assert.equal(logged('app resumed'), round);
    }
    program.assertClean();
  });

  it('and a storm of both makes a few log lines a second, and the last one counts', async () => {
    await startRegistered();
    const elapsed = stopwatch();
    for (let sent = 0; sent < 400; sent++) {
      program.signal(sent % 2 === 0 ? 'SIGUSR1' : 'SIGUSR2');
      if (sent % 10 === 0) program.signal('SIGHUP');
      await pause(2);
    }
    program.signal('SIGUSR1');
    await eventually('the last one', async () => {
      const { length } = program.lines;
      await pause(600);
      return length === program.lines.length && (await etcd.keys('/')).size === 0;
    });
    const lines = logged('app drained') + logged('app resumed');
    assert.ok(lines <= 2 + elapsed() / 240, `${lines} lines in ${elapsed()} ms`);
    assert.equal(logged('app drained'), logged('app resumed') + 1);
    program.assertClean();
  });

  it('to the health that it has by then', async () => {
    await startRegistered();
    program.signal('SIGUSR1');
    await deleted();
    web.respond({ status: 500 });
    await program.waitForLine('app down');
    program.signal('SIGUSR2');
    await program.waitForLine('app resumed');
    await checks(2);
    assert.equal(puts(), 1, 'a key was written for an app that is down');
    web.respond('ok');
    await put();
  });

  it('also before the first check, and before the address is known', async () => {
    const id = 'c0ffee00'.repeat(8);
    const docker = await startDockerSocket();
    await start({
      DOCKREG_ADVERTISE: '',
      DOCKREG_IP: '10.1.0.101',
      DOCKREG_CONTAINER: id,
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_START_PERIOD: '1m',
    });
    docker.mode = 'silent';
    await program.waitForLine('started');
    program.signal('SIGUSR1');
    await program.waitForLine('app drained');
    await program.waitForLine('waiting for the address');
    docker.set(inspectAnswer({ id, ports: published(web.port, 49155) }));
    docker.mode = 'ok';
    await program.waitForLine('address 10.1.0.101:49155');
    await checks(2);
    assert.deepEqual(watcher.events, []);
    program.signal('SIGUSR2');
    await put();
    await program.stop();
    await docker.stop();
  });

  it('while etcd is away', async () => {
    await startRegistered({ DOCKREG_TTL: '20s' });
    await proxy.set('refuse');
    await program.waitForLine('ECONNREFUSED');
    program.signal('SIGUSR1');
    await program.waitForLine('app drained');
    await proxy.set('pass');
    await deleted();
    await checks(2);
    assert.equal(puts(), 1);

    await proxy.set('refuse');
    program.signal('SIGUSR2');
    await program.waitForLine('app resumed');
    await proxy.set('pass');
    await put();

    await proxy.set('refuse');
    program.signal('SIGUSR1');
    await program.waitForLine('app drained', 1000, (await program.waitForLine('app resumed')).index);
    program.signal('SIGUSR2');
    await proxy.set('pass');
    await checks(4);
    await eventually('the key stands', async () => (await etcd.keys('/')).has(key));
  });

  it('and a restart of etcd resumes nothing', async () => {
    await startRegistered();
    program.signal('SIGUSR1');
    await deleted();
    await etcd.members[0]!.kill();
    await checks(2);
    await etcd.members[0]!.start();
    await checks(2);
    assert.equal((await etcd.keys('/')).size, 0);
    program.signal('SIGUSR2');
    await put();
  });

  it("also before our first line, when Node's debugger answers", async () => {
    await start();
    await eventually(
      "Node's own handler",
      async () => {
        const status = await readFile(`/proc/${program.pid}/status`, 'utf8');
        const [, caught = '0'] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status) ?? [];
        return (BigInt(`0x${caught}`) >> 9n) & 1n;
      },
      { everyMs: 1 },
    );
    program.signal('SIGUSR1');
    await program.waitForLine('app drained');
    await checks(2);
    assert.deepEqual(watcher.events, []);
    const port = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(program.stderr)?.[1];
    assert.ok(port, `the debugger was not even opened: ${program.stderr}`);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/json`), 'the debugger is open');
    program.signal('SIGUSR2');
    await put();
  });
});
