/** What the system keeps for look-ups of names, and files about the container, are odd: the built program and a real etcd. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { startDns, type DnsServer } from '../support/dns.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { literal, Program } from '../support/program.ts';
import { eventually } from '../support/wait.ts';

const isRoot = process.getuid?.() === 0;
const entry = new URL('../../../dist/dockreg.js', import.meta.url).pathname;
const id = 'c0ffee00'.repeat(8);
/** The address of the host, and of etcd. */
const known = '127.0.0.1';

let folder: string;
let etcd: EtcdCluster;
let watcher: Watcher;
let web: App;
let docker: DockerSocket;
let dns: DnsServer;
const programs: Program[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dockreg-names-'));
  etcd = await startEtcd();
  watcher = await etcd.watch('/');
  web = await startApp();
  docker = await startDockerSocket();
  docker.set(inspectAnswer({ id, ports: published(web.port, 49155) }));
  if (!isRoot) return;
  dns = await startDns('127.0.77.54', known);
  writeFileSync(join(folder, 'resolv.conf'), `nameserver ${dns.address}\n`);
  execFileSync('mkfifo', [join(folder, 'pipe')]);
});
after(async () => {
  watcher.close();
  web.close();
  if (isRoot) dns.close();
  await docker.stop();
  await etcd.stop();
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const program of programs.splice(0)) await program.stop();
  if (isRoot) [dns.ignores, dns.hasIpv6] = [null, false];
  await eventually('nothing is left in etcd', async () => (await etcd.keys('/')).size === 0);
  watcher.skipToNow();
});

const endpoint = (host: string): string => `http://${host}:${etcd.members[0]!.port}`;
/** Asks Docker, and DNS for the address of the host. */
const byName = (): Record<string, string> => ({
  DOCKREG_ADVERTISE: '',
  DOCKREG_IP: 'host-1.example',
  DOCKREG_ALLOW_LOOPBACK: 'on',
  DOCKREG_CONTAINER: id,
  DOCKREG_DOCKER: docker.socketPath,
});
const withDns = (): string => `mount --bind ${folder}/resolv.conf /etc/resolv.conf`;
const withPipe = (path: string): string => `touch ${path}; mount --bind ${folder}/pipe ${path}`;

/** Starts the program where `script` has changed the files. */
async function start(
  script: string,
  env: Readonly<Record<string, string>>,
  ...wrapper: string[]
): Promise<Program> {
  const command = [
    '--mount',
    ...wrapper,
    'sh',
    '-c',
    `${script} && exec "$@"`,
    'sh',
    process.execPath,
    entry,
  ];
  const child = await Child.spawn('unshare', command, {
    env: { ...cleanEnvironment(), DOCKREG_CONTROL: 'off', ...literal(endpoint(known), web.port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const program = new Program(child);
  programs.push(program);
  return program;
}

async function registersWithin(t: TestContext, ms: number): Promise<void> {
  const startedAt = performance.now();
  const { at } = await watcher.next(({ type }) => type === 'put', 20_000);
  t.diagnostic(`registered after ${Math.round(at - startedAt)} ms`);
  assert.ok(at - startedAt < ms);
}

async function stopsInTime(program: Program): Promise<void> {
  const stoppedAt = performance.now();
  program.signal('SIGTERM');
  const { code, signal } = await program.exitWithin(10_000);
  assert.deepEqual([code, signal], [0, null]);
  assert.ok(performance.now() - stoppedAt < 2500);
  program.assertClean();
}

describe('a name server', { skip: !isRoot && 'needs root' }, () => {
  for (const [owner, env] of [
    ['the host', byName],
    ['etcd', () => ({ DOCKREG_ETCD: endpoint('etcd.example') })],
  ] as const)
    it(`that answers about IPv4 only is enough for the name of ${owner}`, async t => {
      dns.ignores = 6;
      const program = await start(withDns(), env());
      // Within the limit of one look-up, which is 3 s.
      await registersWithin(t, 2900);
      await stopsInTime(program);
    });

  it('that answers about IPv6 only is enough for the name of the host', async () => {
    [dns.ignores, dns.hasIpv6] = [4, true];
    const program = await start(withDns(), byName());
    const line = await program.waitForLine(/^(?=.*registered|.*address )/);
    assert.match(line.raw, /2001:db8::1/);
    await stopsInTime(program);
  });
});

describe('of three name servers', { skip: !isRoot && 'needs root' }, () => {
  for (const silent of [1, 2])
    it(`${silent === 1 ? 'one is' : 'two are'} silent, and the last one answers within the limit of a look-up`, async t => {
      const others = await Promise.all(['127.0.77.55', '127.0.77.56'].map(address => startDns(address)));
      for (const each of others) each.isSilent = true;
      const lines = others.slice(0, silent).map(({ address }) => `nameserver ${address}\n`);
      writeFileSync(join(folder, 'servers'), `${lines.join('')}nameserver ${dns.address}\n`);
      const program = await start(`mount --bind ${folder}/servers /etc/resolv.conf`, byName());
      await registersWithin(t, 2900);
      await stopsInTime(program);
      for (const each of others) each.close();
    });
});

describe('a named pipe is not waited for, nor at the stop:', { skip: !isRoot && 'needs root' }, () => {
  it('/etc/hosts, whether or not DNS knows the name', async () => {
    for (const name of ['host-1.example', 'unknown-host']) {
      const program = await start(`${withDns()}; ${withPipe('/etc/hosts')}`, {
        ...byName(),
        DOCKREG_IP: name,
      });
      await program.waitForLine(
        `--ip ${name} is not an interface and does not resolve: /etc/hosts is a named pipe`,
      );
      await stopsInTime(program);
    }
  });

  for (const path of ['/etc/resolv.conf', '/etc/nsswitch.conf'])
    it(`${path}: it ends with 78`, async () => {
      const program = await start(withPipe(path), {});
      const { code } = await program.exitWithin(5000);
      assert.equal(code, 78);
      assert.equal(
        program.stderr,
        `dockreg: ${path} is a named pipe, so no name can be looked up; put a regular file there`,
      );
    });

  it('/run/.containerenv and mountinfo: the other files may say which container it is', async () => {
    const script = 'mount -t tmpfs none /run; mkfifo /run/.containerenv';
    const hidden = `mount --bind ${folder}/pipe /proc/$$/mountinfo`;
    const program = await start(`${script}; ${hidden}`, { ...byName(), DOCKREG_CONTAINER: '' });
    await program.waitForLine('waiting for the address: ');
    await stopsInTime(program);
  });
});

describe('a file of 50 MB', { skip: !isRoot && 'needs root' }, () => {
  it('as /etc/hosts does not hold anything up', async t => {
    const path = join(folder, 'hosts');
    writeFileSync(path, '10.0.0.1 some-name-of-an-advertiser.example\n'.repeat(1_200_000));
    const program = await start(`${withDns()}; mount --bind ${path} /etc/hosts`, byName());
    await registersWithin(t, 2900);
    await stopsInTime(program);
  });
});

describe('process 1 of a container', { skip: !isRoot && 'needs root' }, () => {
  it('needs no /proc', async t => {
    const wrapper = ['--pid', '--fork', '--kill-child'];
    const program = await start('mount -t tmpfs none /proc', {}, ...wrapper);
    await registersWithin(t, 10_000);
    const pid = Number(readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, 'utf8'));
    process.kill(pid, 'SIGTERM');
    assert.equal((await program.exitWithin(5000)).code, 0);
  });
});
