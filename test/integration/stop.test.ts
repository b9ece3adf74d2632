/**
 * A stop of the built program while something that it asks is silent: the key goes at once, and so does the process. The
 * times are printed; the limits leave room for a machine that is busy.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { startDns, type DnsServer } from '../support/dns.ts';
import {
  healthAnswer,
  inspectAnswer,
  published,
  startDockerSocket,
  type DockerSocket,
} from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { literal, startProgram, type Program, type ProgramOptions } from '../support/program.ts';
import { startRawServer } from '../support/raw-server.ts';
import { makeTls } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const isRoot = process.getuid?.() === 0;
const needsRoot = { skip: !isRoot && 'needs root' };
const entry = new URL('../../../dist/dockreg.js', import.meta.url).pathname;
const id = 'c0ffee00'.repeat(8);
/** The most that may pass from the signal to the end of the key and of the process, in ms. */
const most = { key: 1000, exit: 2500 } as const;

let folder: string;
let etcd: EtcdCluster;
let watcher: Watcher;
let web: App;
let docker: DockerSocket;
let dns: DnsServer | undefined;
let endpoint: string;
const programs: Program[] = [];
const sockets: Socket[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dockreg-stop-'));
  etcd = await startEtcd();
  endpoint = `http://127.0.0.1:${etcd.members[0]!.port}`;
  watcher = await etcd.watch('/');
  web = await startApp();
  docker = await startDockerSocket();
  docker.set(inspectAnswer({ id, ports: published(web.port, 49155) }));
  if (isRoot) dns = await startDns('127.0.77.53');
});
after(async () => {
  watcher.close();
  web.close();
  dns?.close();
  await docker.stop();
  await etcd.stop();
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const program of programs.splice(0)) await program.stop();
  docker.mode = 'ok';
  web.respond('ok');
  if (dns) dns.isSilent = false;
  await eventually('nothing is left in etcd', async () => (await etcd.keys('/')).size === 0);
  watcher.skipToNow();
});

type Env = Readonly<Record<string, string>>;

async function start(env: Env, options: ProgramOptions = {}): Promise<Program> {
  const program = await startProgram({
    ...options,
    env: { ...literal(endpoint, web.port), ...patient, ...env },
  });
  programs.push(program);
  return program;
}

async function startRegistered(env: Env = {}, options: ProgramOptions = {}): Promise<Program> {
  const program = await start(env, options);
  await watcher.next(({ type }) => type === 'put', 20_000);
  return program;
}

/** The variables of a program that asks Docker for its address. */
const byDocker = (): Env => ({
  DOCKREG_ADVERTISE: '',
  DOCKREG_IP: '10.1.0.101',
  DOCKREG_CONTAINER: id,
  DOCKREG_DOCKER: docker.socketPath,
});
/** The same, where the host's address is a name. */
const byName = (): Env => ({ ...byDocker(), DOCKREG_IP: 'docker-host-1.example' });
/** No check fails because this machine is busy, and a check that is under way takes longer than a stop. */
const patient = { DOCKREG_TIMEOUT: '3s', DOCKREG_INTERVAL: '3s', DOCKREG_TTL: '10s' } as const;
/** Asks the fake DNS server. */
const resolver = (): ProgramOptions => ({ resolver: `nameserver ${dns!.address}\nsearch example\n` });

/** Stops it, and measures how long key and process are still there. */
async function stops(t: TestContext, program: Program, isRegistered = true): Promise<void> {
  const sentAt = performance.now();
  program.signal('SIGTERM');
  const exiting = program.exitWithin(10_000).then(exit => ({ exit, ms: performance.now() - sentAt }));
  const gone = isRegistered ? await watcher.next(({ type }) => type === 'delete') : null;
  const keyMs = gone && gone.at - sentAt;
  const { exit, ms } = await exiting;
  const key = keyMs === null ? 'no key' : `key gone after ${Math.round(keyMs)} ms`;
  t.diagnostic(`${key}, ended after ${Math.round(ms)} ms`);
  assert.deepEqual([exit.code, exit.signal], [0, null]);
  assert.ok(keyMs === null || keyMs < most.key, `the key was there for ${keyMs} ms`);
  assert.ok(ms < most.exit, `the process was there for ${ms} ms`);
  const keys = await etcd.keys('/');
  assert.ok(gone ? !keys.has(gone.key) : keys.size === 0);
  program.assertClean();
}

describe('a stop while the key stands and', () => {
  it('nothing is silent', async t => {
    await stops(t, await startRegistered());
  });

  it('Docker and DNS do not answer the look-up of the address', needsRoot, async t => {
    const silentDocker = await startRegistered({ ...byDocker(), DOCKREG_NAME: 'a' });
    const silentDns = await startRegistered(
      { ...byName(), DOCKREG_NAME: 'b', DOCKREG_KEY: 'other' },
      resolver(),
    );
    dns!.isSilent = true;
    // The address is looked up again after about 30 s.
    await dns!.query(40_000);
    await stops(t, silentDns);
    docker.mode = 'silent';
    await docker.request(40_000);
    await stops(t, silentDocker);
  });

  it('Docker does not answer the check', async t => {
    docker.set(inspectAnswer({ id, ports: published(web.port, 49155), health: healthAnswer('healthy') }));
    const program = await startRegistered({
      DOCKREG_CONTAINER: id,
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_CHECK: 'docker',
    });
    docker.mode = 'silent';
    await docker.request();
    await stops(t, program);
  });

  it('the app does not answer', async t => {
    const program = await startRegistered();
    web.respond('hang');
    await web.request(10_000, web.requests.length);
    await stops(t, program);
  });

  it('the command of the check hangs, which is ended too', async t => {
    const flag = join(folder, 'hang');
    const command = `test ! -e ${flag} || { echo $$ >${flag}.pid; exec sleep 300; }`;
    const program = await startRegistered({ DOCKREG_CHECK: `exec:${command}` });
    writeFileSync(flag, '');
    const pid = await eventually('the command', () => Number(readText(`${flag}.pid`)));
    await stops(t, program);
    await eventually('the command is gone', () => readText(`/proc/${pid}/comm`) !== 'sleep\n');
  });

  it('clients of the control socket and of --listen send nothing', async t => {
    const path = join(folder, 'control.sock');
    const program = await startRegistered({ DOCKREG_CONTROL: path, DOCKREG_LISTEN: '127.0.0.1:19471' });
    await program.waitForLine('listening on');
    for (const at of [{ path }, { host: '127.0.0.1', port: 19_471 }]) {
      const socket = connect(at);
      sockets.push(socket.on('error', () => undefined));
      await new Promise(resolve => socket.once('connect', resolve));
    }
    await stops(t, program);
  });

  it('names are looked up for six other services, and DNS is silent', needsRoot, async t => {
    dns!.isSilent = true;
    const named = Array.from(
      { length: 6 },
      (_, index) => `name=n${index},port=${web.port},key=n${index},ip=host-${index}.example`,
    );
    const program = await start(
      { DOCKREG_PORT: '', DOCKREG_ADVERTISE: '', DOCKREG_CONTAINER: id, DOCKREG_DOCKER: docker.socketPath },
      {
        ...resolver(),
        args: [
          ...[`name=fixed,port=${web.port},advertise=10.1.0.101:49155`, ...named].flatMap(each => [
            '--service',
            each,
          ]),
        ],
      },
    );
    await watcher.next(({ type }) => type === 'put', 20_000);
    await eventually(
      'two names are asked for, as many as at a time',
      () => dns!.queries.filter(name => name.startsWith('host-')).length >= 4,
    );
    await stops(t, program);
  });

  it('nobody reads its output, which is full', async t => {
    const script = 'head -c 65536 /dev/zero; exec "$@"';
    const words = [process.execPath, entry];
    const child = await Child.spawn('sh', ['-c', script, 'sh', ...words], {
      env: { ...cleanEnvironment(), DOCKREG_CONTROL: 'off', ...literal(endpoint, web.port), ...patient },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.process.stdout?.pause();
    await watcher.next(({ type }) => type === 'put', 20_000);
    const sentAt = performance.now();
    child.signal('SIGTERM');
    const gone = await watcher.next(({ type }) => type === 'delete');
    await eventually(
      'the process is gone',
      () => child.exit ?? /^State:\s+Z/m.test(readText(`/proc/${child.pid}/status`)),
    );
    t.diagnostic(
      `key gone after ${Math.round(gone.at - sentAt)} ms, ended after ${Math.round(performance.now() - sentAt)} ms`,
    );
    assert.ok(gone.at - sentAt < most.key);
    assert.ok(performance.now() - sentAt < most.exit);
    child.process.stdout?.resume();
  });
});

describe('a stop while the program starts and', () => {
  it('waits for the labels of a silent Docker', async t => {
    docker.mode = 'silent';
    const asked = docker.request();
    const program = await start({
      DOCKREG_PORT: '',
      DOCKREG_ADVERTISE: '',
      DOCKREG_CONTAINER: id,
      DOCKREG_DOCKER: docker.socketPath,
    });
    await asked;
    await stops(t, program, false);
  });

  it('waits for a silent DNS, which knows the address of the host', needsRoot, async t => {
    dns!.isSilent = true;
    const asked = dns!.query();
    const program = await start(byName(), resolver());
    await asked;
    await stops(t, program, false);
  });

  it('waits for a silent DNS, which knows the addresses of etcd', needsRoot, async t => {
    dns!.isSilent = true;
    const asked = dns!.query();
    const endpoints = [1, 2, 3].map(number => `http://etcd-${number}.example:2379`);
    const program = await start({ DOCKREG_ETCD: endpoints.join(',') }, resolver());
    await asked;
    await program.waitForLine('etcd:');
    await stops(t, program, false);
  });

  it('waits for a silent Docker and for a silent app', async t => {
    docker.mode = 'silent';
    web.respond('hang');
    const asked = Promise.all([docker.request(), web.request()]);
    const program = await start({ ...byDocker() });
    await asked;
    await stops(t, program, false);
  });

  it('has just begun, at any moment of the first 400 ms', async t => {
    const ends = new Map<string, number>();
    for (let delayMs = 0; delayMs <= 400; delayMs += 20) {
      const program = await start({});
      await new Promise(resolve => setTimeout(resolve, delayMs));
      const sentAt = performance.now();
      program.signal('SIGTERM');
      const exit = await program.exitWithin(10_000);
      assert.ok(performance.now() - sentAt < most.exit, `it took ${performance.now() - sentAt} ms`);
      const how = exit.signal ?? `exit ${exit.code}`;
      assert.ok(how === 'SIGTERM' || how === 'exit 0', how);
      ends.set(how, (ends.get(how) ?? 0) + 1);
      assert.equal((await etcd.keys('/')).size, 0);
    }
    t.diagnostic([...ends].map(([how, count]) => `${how}: ${count}`).join(', '));
    assert.ok((ends.get('exit 0') ?? 0) > 0);
  });

  it('has not reached its first line, as process 1 of a container', needsRoot, async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const words = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, entry];
      const child = await Child.spawn('unshare', words, {
        env: { ...cleanEnvironment(), DOCKREG_CONTROL: 'off', ...literal(endpoint, web.port), ...patient },
        stdio: 'ignore',
      });
      const inside = await eventually(
        "Node's own handlers",
        () => {
          const pid = Number(readText(`/proc/${child.pid}/task/${child.pid}/children`));
          const [, caught = '0'] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readText(`/proc/${pid}/status`)) ?? [];
          return BigInt(`0x${caught}`) & 0x4002n ? pid : 0;
        },
        { everyMs: 1 },
      );
      process.kill(inside, signal);
      assert.equal((await child.exited(most.exit)).code, 0);
      assert.equal((await etcd.keys('/')).size, 0);
    }
  });
});

describe('the name of the host', () => {
  it('is found by DNS, and one that DNS does not know in a search domain', needsRoot, async () => {
    for (const name of ['docker-host-1.example', 'docker-host-1']) {
      const program = await startRegistered({ ...byName(), DOCKREG_IP: name }, resolver());
      await program.waitForLine('address 10.1.0.101:49155');
      await program.stop();
    }
    const unknown = await start({ ...byName(), DOCKREG_IP: 'unknown-host' }, resolver());
    await unknown.waitForLine(
      /--ip unknown-host is not an interface and does not resolve: getaddrinfo ENOTFOUND/,
    );
  });

  it('is found in the file of hosts, while DNS is silent', needsRoot, async () => {
    dns!.isSilent = true;
    await startRegistered({ ...byName(), DOCKREG_IP: 'localhost', DOCKREG_ALLOW_LOOPBACK: 'on' }, resolver());
  });
});

describe('a named pipe, where a file should be, is not waited for:', () => {
  const rows: [name: string, env: (pipe: string) => Env, stderr: RegExp][] = [
    [
      '--etcd-ca',
      pipe => ({ DOCKREG_ETCD_CA: pipe }),
      /--etcd-ca .*cannot be read: it is not a regular file/,
    ],
    [
      '--check-ca',
      pipe => ({ DOCKREG_CHECK: 'https:/', DOCKREG_CHECK_CA: pipe }),
      /--check-ca .*cannot be read: it is not a regular file/,
    ],
    ['--config', pipe => ({ DOCKREG_CONFIG: pipe }), /--config .*cannot be read: it is not a regular file/],
    [
      'DOCKER_CERT_PATH',
      pipe => ({
        ...byDocker(),
        DOCKREG_DOCKER: '',
        DOCKER_HOST: 'tcp://127.0.0.1:2376',
        DOCKER_TLS_VERIFY: '1',
        DOCKER_CERT_PATH: join(pipe, '..'),
      }),
      /DOCKER_CERT_PATH: .*ca\.pem cannot be read: it is not a regular file/,
    ],
  ];
  for (const [name, env, stderr] of rows) {
    it(name, async () => {
      const pipe = makePipe();
      const more = env(pipe);
      const etcdTls = 'DOCKREG_ETCD_CA' in more ? { DOCKREG_ETCD: endpoint.replace('http:', 'https:') } : {};
      const program = await start({ ...more, ...etcdTls });
      const exit = await program.exitWithin(5000);
      assert.equal(exit.code, 78);
      assert.match(program.stderr, stderr);
    });
  }

  it('the authority of a check, which a pipe replaces later', async t => {
    const { ca, server: certificate } = await makeTls();
    const server = await startRawServer(
      socket => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')),
      { certificate },
    );
    const path = join(folder, 'authority.pem');
    copyFileSync(ca, path);
    const program = await startRegistered({
      DOCKREG_PORT: String(server.port),
      DOCKREG_CHECK: 'https:/',
      DOCKREG_CHECK_CA: path,
    });
    renameSync(makePipe(), path);
    await program.waitForLine(/app could not be checked: --check-ca .*it is not a regular file/);
    await stops(t, program);
    server.close();
  });
});

function makePipe(): string {
  const path = join(mkdtempSync(join(folder, 'pipe-')), 'ca.pem');
  execFileSync('mkfifo', [path]);
  return path;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
