/** `dockreg drain`, `resume` and `status` against the built program, over its control socket. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, link, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { requestControl } from '../../src/admin/control-client.ts';
import { openControlSocket } from '../../src/admin/control-socket.ts';
import { systemClock } from '../../src/clock.ts';
import type { ProcessStatus } from '../../src/core/registration/status.ts';
import { createLog } from '../../src/log.ts';
import { startApp, type App } from '../support/app.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { literal, literalKey as key, startProgram, type Program } from '../support/program.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { startRawServer } from '../support/raw-server.ts';
import { eventually } from '../support/wait.ts';

const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

let etcd: EtcdCluster;
let proxy: Proxy;
let web: App;
let folder: string;
let path: string;
let programs: Program[] = [];

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
beforeEach(async () => {
  web = await startApp();
  proxy = await startProxy(etcd.members[0]!.port);
  folder = await mkdtemp(join(tmpdir(), 'dockreg-control-'));
  await chmod(folder, 0o755);
  path = join(folder, 'dockreg.sock');
});
afterEach(async () => {
  for (const program of programs.splice(0)) await program.stop();
  web.close();
  proxy.close();
  await rm(folder, { recursive: true });
});

async function start(env: Readonly<Record<string, string>> = {}, uid?: number): Promise<Program> {
  const program = await startProgram({
    env: {
      ...literal(`http://${proxy.address}`, web.port),
      DOCKREG_NAME: 'web',
      DOCKREG_CONTROL: path,
      ...env,
    },
    ...(uid !== undefined && { uid }),
  });
  programs.push(program);
  await program.waitForLine('registered');
  return program;
}

interface Answer {
  readonly code: number | null;
  readonly text: string;
  readonly errors: string;
}

async function dockreg(words: readonly string[], uid?: number): Promise<Answer> {
  const program = await startProgram({
    args: [...words, '--control', path],
    ...(uid !== undefined && { uid }),
  });
  const { code } = await program.exitWithin(15_000);
  return { code, text: program.lines.map(({ raw }) => raw).join('\n'), errors: program.stderr };
}

/** What a program that is no dockreg gets for its words. */
function say(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    connect(path)
      .setEncoding('utf8')
      .on('data', part => (answer += String(part)))
      .on('close', () => resolve(answer))
      .on('error', reject)
      .write(text);
  });
}

async function doctor(): Promise<Program> {
  const program = await startProgram({
    args: ['doctor'],
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(web.port),
      DOCKREG_ADVERTISE: '10.1.0.101:49155',
      DOCKREG_CONTROL: path,
    },
  });
  await program.exitWithin(15_000);
  return program;
}

async function status(): Promise<ProcessStatus['services'][0]> {
  const { text } = await dockreg(['status', '--json']);
  return (JSON.parse(text) as ProcessStatus).services[0]!;
}

describe('dockreg drain, resume and status', () => {
  it('do and say what is', async () => {
    await start();
    const first = await dockreg(['status']);
    assert.equal(first.code, 0);
    assert.match(first.text, /^SERVICE +HEALTH +FOR +ADDRESS +IN ETCD +WHY$/m);
    assert.match(first.text, /^web +up +\d+s +10\.1\.0\.101:49155 +registered +HTTP 200$/m);
    const { lease, records, lastCheck } = await status();
    assert.ok(lease && lease.remainingSeconds > 0 && lease.remainingSeconds <= 5);
    assert.deepEqual((await etcd.keys('/')).get(key)?.lease, lease.id);
    assert.deepEqual(records, [{ key, value: 'running' }]);
    assert.equal(lastCheck?.verdict, 'pass');

    const drained = await dockreg(['drain']);
    assert.deepEqual(drained, {
      code: 0,
      text: 'web is drained, and nothing of it is left in etcd',
      errors: '',
    });
    assert.equal((await etcd.keys('/')).size, 0);
    assert.equal((await dockreg(['drain', 'web'])).code, 0);
    const meanwhile = await dockreg(['status', 'web']);
    assert.equal(meanwhile.code, 0);
    assert.match(meanwhile.text, /^web +up .* drained +HTTP 200$/m);

    assert.deepEqual(await dockreg(['resume', 'web']), {
      code: 0,
      text: 'web is resumed: it is up',
      errors: '',
    });
    await eventually('the key is back', async () => (await etcd.keys('/')).has(key));
  });

  it('say what is wrong with the app, since when and why', async () => {
    const program = await start();
    web.respond({ status: 503 });
    await program.waitForLine('app down');
    const { code, text } = await dockreg(['status']);
    assert.equal(code, 1);
    assert.match(text, /^web +down +\d+s +10\.1\.0\.101:49155 +absent +HTTP 503 from /m);
    assert.match(
      (await dockreg(['resume'])).text,
      /^web is resumed: it is down, and will be registered when it is up$/,
    );
  });

  it('do not claim a drain that etcd has not confirmed', async () => {
    await start();
    await proxy.set('refuse');
    const { code, text, errors } = await dockreg(['drain']);
    assert.deepEqual([code, text], [69, '']);
    assert.match(
      errors,
      /^dockreg: web is drained, but etcd has not confirmed that its key is gone: .*ECONNREFUSED/,
    );
    assert.equal((await status()).registration, 'withdrawing');
    await proxy.set('pass');
    assert.equal((await dockreg(['drain'])).code, 0);
  });

  it('take one of several services, and leave the others', async () => {
    const program = await start({
      DOCKREG_PORT: '',
      DOCKREG_NAME: '',
      DOCKREG_ADVERTISE: '',
      DOCKREG_SERVICE: [1, 2]
        .map(count => `name=web-${count},port=${web.port},advertise=10.1.0.101:4915${count}`)
        .join('\n'),
    });
    await program.waitForLine('registered /service/10.1.0.101:49151');
    await program.waitForLine('registered /service/10.1.0.101:49152');
    assert.match((await dockreg(['drain', 'web-2'])).text, /^web-2 is drained/);
    assert.deepEqual([...(await etcd.keys('/')).keys()], ['/service/10.1.0.101:49151']);
    assert.match((await dockreg(['status', 'web-1'])).text, /^web-1 .* registered .*$/m);
    const all = await dockreg(['drain']);
    assert.match(all.text, /^web-1 is drained.*\nweb-2 is drained/);
    assert.match((await dockreg(['resume', 'web-2'])).text, /^web-2 is resumed/);
    await eventually('one is back', async () => (await etcd.keys('/')).has('/service/10.1.0.101:49152'));
    assert.equal((await etcd.keys('/')).size, 1);
  });

  it('let the doctor report a drain', async () => {
    await start();
    const drained = /^✗ drain +web is drained; put it back with dockreg resume web$/;
    assert.ok((await doctor()).lines.every(({ raw }) => !raw.includes('drain')));
    await dockreg(['drain']);
    const findings = await doctor();
    assert.ok(findings.lines.some(({ raw }) => drained.test(raw)));
    assert.equal(findings.exit?.code, 1);
  });

  it('refuse what is no service, and what they do not take', async () => {
    await start();
    const cases: [words: string[], text: RegExp][] = [
      [['drain', 'api'], /^dockreg: there is no service api; the services are web$/],
      [['drain', '--json'], /unknown flag --json/],
      [['drain', 'web', 'api'], /unexpected argument "api"/],
      [['--port', '1', 'status'], /"status" must come first/],
    ];
    for (const [words, text] of cases) {
      const { code, errors } = await dockreg(words);
      assert.equal(code, 64, words.join(' '));
      assert.match(errors, text);
    }
    assert.ok((await etcd.keys('/')).has(key));
  });

  it('say that no dockreg answers', async () => {
    assert.deepEqual(await dockreg(['status']), {
      code: 69,
      text: '',
      errors:
        `dockreg: no dockreg listens at ${path}: there is no such socket; start it (under supervisord: supervisorctl ` +
        'start dockreg), or run this in its container with its --control',
    });
    path = 'off';
    assert.match((await dockreg(['status'])).errors, /--control off leaves no socket to ask/);
  });
});

describe('the control socket', () => {
  it('is only for its user, and goes with the program', async () => {
    const program = await start();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    if (isRoot) {
      const { code, errors } = await dockreg(['status'], nobody);
      assert.equal(code, 69);
      assert.match(errors, /is for the user that dockreg runs as, and for root/);
    }
    await program.stop();
    assert.equal(existsSync(path), false);
  });

  it('takes the place of one whose program was killed', async () => {
    const program = await start();
    program.signal('SIGKILL');
    await program.exitWithin(5000);
    assert.equal(existsSync(path), true);
    await start();
    assert.equal((await dockreg(['status'])).code, 0);
  });

  it('does not take the place of one that is in use, nor of what is no socket', async () => {
    const first = await start();
    const second = await start({ DOCKREG_ADVERTISE: '10.1.0.101:49156' });
    await second.waitForLine(/no control socket: .* belongs to another program; .* each its own --control/);
    await dockreg(['drain']);
    await first.waitForLine('app drained');
    await second.stop();
    assert.equal((await dockreg(['status'])).code, 0);
    await first.stop();

    await writeFile(path, 'mine');
    const third = await start();
    await third.waitForLine(/no control socket: .* exists and is not a socket/);
    await third.stop();
    assert.equal(existsSync(path), true);
  });

  it('that was left behind goes to one of two that start at the same time', async () => {
    const log = createLog('logfmt', systemClock, () => undefined);
    const api = { version: '1', startedAt: 0, services: [], clock: systemClock, random: Math.random, log };
    const killed = await start();
    killed.signal('SIGKILL');
    await killed.exitWithin(5000);
    const stale = `${path}.stale`;
    await rename(path, stale);
    for (let round = 0; round < 30; round++) {
      await link(stale, path);
      const opened = await Promise.all([openControlSocket(path, api), openControlSocket(path, api)]);
      const [close, ...others] = opened.filter(each => each !== null);
      assert.ok(close && others.length === 0, `round ${round}`);
      assert.equal((await requestControl(path, 'status')).version, '1');
      close();
      assert.deepEqual(readdirSync(folder), ['dockreg.sock.stale']);
    }
  });

  it('has a path of at most 107 bytes', async () => {
    path = join(folder, 'x'.repeat(107 - folder.length - 1));
    await start();
    assert.equal((await dockreg(['status'])).code, 0);
    path = join(folder, 'y'.repeat(108 - folder.length - 1));
    const { code, errors } = await dockreg(['status']);
    assert.equal(code, 64);
    assert.match(errors, /must be the absolute path of a Unix socket, of 107 bytes at most/);
  });

  it('may lose its folder while dockreg runs', async () => {
    const program = await start();
    await rm(folder, { recursive: true });
    const { code, errors } = await dockreg(['status']);
    assert.equal(code, 69);
    assert.match(errors, /no dockreg listens/);
    assert.equal((await program.stop()).code, 0);
    program.assertClean();
    await mkdir(folder);
  });

  it('that cannot be made is logged, and ends nothing', { skip: !isRoot && 'needs root' }, async () => {
    const program = await start({}, nobody);
    await program.waitForLine(/no control socket: listen EACCES/);
    program.assertClean();
  });

  it('is not made when it is switched off', async () => {
    const program = await start({ DOCKREG_CONTROL: 'off' });
    assert.equal(existsSync(path), false);
    assert.ok(program.lines.every(({ raw }) => !raw.includes('control socket')));
  });

  it('answers whatever others do to it', async () => {
    const program = await start();
    assert.match(await say('nonsense\n'), /^\{"error":"the request must be drain/);
    assert.match(await say(`status ${'x'.repeat(2000)}`), /^\{"error":"there is no service x/);
    const silent = Array.from({ length: 12 }, () => say(''));
    // Some are turned away.
    await Promise.allSettled(silent);
    assert.equal((await dockreg(['status'])).code, 0);
    program.assertClean();
  });

  it('may be that of a program that never answers', async () => {
    const server = await startRawServer(() => undefined, { path });
    const { code, errors } = await dockreg(['status']);
    server.close();
    assert.equal(code, 69);
    assert.match(errors, /no answer .* within 5000 ms/);
  });

  it('may be that of a program that is no dockreg', async () => {
    const rows: [answer: string | Buffer, text: RegExp][] = [
      ['', /the connection was closed before the answer was complete/],
      ['hello\n', /the answer is not a line of JSON/],
      ['{"services":[{"name":1}]}\n', /the answer is not the status of a dockreg/],
      ['{"services":'.repeat(300_000), /the connection was closed before/],
      [`${'['.repeat(3_000_000)}\n`, /the answer is not a line of JSON/],
      [Buffer.alloc(2 ** 26, 'x'), /the answer is longer than 4 MiB/],
    ];
    for (const [answer, text] of rows) {
      const server = await startRawServer(socket => socket.end(answer), { path });
      const { code, errors } = await dockreg(['drain']);
      server.close();
      assert.equal(code, 69, errors);
      assert.match(errors, text);
      assert.equal(errors.split('\n').length, 1);
    }
  });
});
