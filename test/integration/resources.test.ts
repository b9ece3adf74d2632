/**
 * Resources that run out, or are not there, around the built program: real limits of the kernel, real mount namespaces,
 * real seccomp filters. A healthy app keeps its key, nothing ends with 70 or a signal, and the log says each thing once.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startApp } from '../support/app.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { healthAnswer, inspectAnswer, startDockerSocket } from '../support/docker-socket.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { cpuMs } from '../support/proc.ts';
import { Program, quick, readableEntry } from '../support/program.ts';
import { eventually, freePort, pause } from '../support/wait.ts';

const isRoot = process.getuid?.() === 0;
const works = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;
/** Debian's, which the packages list has; another one may be a script that cannot be started here. */
const python = '/usr/bin/python3';
const seccomp = fileURLToPath(new URL('../../../test/support/seccomp.py', import.meta.url));
const cannot = {
  limit: !works('prlimit', '--version') && 'no prlimit',
  mount: !works('unshare', '--mount', 'true') && 'no mount namespace can be made here',
  user: !isRoot && 'only root can become another user',
  filter:
    !works(python, seccomp, 'socket', '16', 'EPERM', 'true') &&
    'no seccomp filter can be set here, or no python3',
} as const;

const id = 'c0ffee00'.repeat(8);
/** The launcher's flags that decide how many threads Node starts. */
const fewThreads = ['--v8-pool-size=0', '--single-threaded-gc'];
const ttlMs = 5000;

let etcd: EtcdCluster;
let watcher: Watcher;
let instances = 0;

before(async () => {
  readableEntry();
  etcd = await startEtcd();
  watcher = await etcd.watch('/service/');
});
after(async () => {
  watcher.close();
  await etcd.stop();
});

interface Start {
  /** A command that runs a command: the words before it. */
  readonly wrapper?: readonly string[];
  readonly nodeFlags?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The port of the app. Default: that of a new one in this process. */
  readonly port?: number;
}

interface Row {
  readonly program: Program;
  readonly key: string;
  readonly port: number;
  /** Changes of the key, in their order: `put`, `delete`. */
  readonly changes: () => string[];
  /** Waits for the key. */
  readonly registered: () => Promise<unknown>;
  readonly lowerFiles: (soft: number) => void;
}

/** Starts the program in a wrapper, calls `body`, and stops it. It must end with 0 unless it has ended already. */
async function withProgram(start: Start, body: (row: Row) => Promise<void>): Promise<void> {
  const app = start.port === undefined ? await startApp({ host: '0.0.0.0' }) : undefined;
  const port = start.port ?? app?.port ?? 0;
  const address = `10.1.0.101:${49_155 + instances++}`;
  const key = `/service/${address}`;
  const command = [...(start.wrapper ?? []), process.execPath, ...(start.nodeFlags ?? [])];
  const [file = '', ...words] = [...command, readableEntry(), ...(start.args ?? [])];
  const child = await Child.spawn(file, words, {
    env: {
      ...cleanEnvironment(),
      ...quick,
      // The apps are in this process, which starts processes and waits for them.
      DOCKREG_INTERVAL: '1s',
      DOCKREG_TIMEOUT: '1s',
      DOCKREG_CONTROL: 'off',
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(port),
      DOCKREG_ADVERTISE: address,
      ...start.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const program = new Program(child);
  const changes = (): string[] => watcher.events.filter(event => event.key === key).map(({ type }) => type);
  try {
    await body({
      program,
      key,
      port,
      changes,
      registered: () => eventually('the key', () => changes().at(-1) === 'put', { timeoutMs: 30_000 }),
      lowerFiles: soft => {
        const { status, stderr } = spawnSync('prlimit', [
          '--pid',
          String(child.pid),
          `--nofile=${soft}:1024`,
        ]);
        assert.equal(status, 0, String(stderr));
      },
    });
    if (program.exit === undefined) assert.deepEqual({ ...(await program.stop()), afterMs: 0 }, ended(0));
    program.assertClean(/^dockreg: /);
  } catch (cause) {
    const log = program.lines.map(({ raw }) => `\n  ${raw}`).join('');
    throw new Error(`${String(cause)}; ${key}: ${changes().join()}${log}\n${program.stderr}`, { cause });
  } finally {
    await program.stop();
    app?.close();
  }
}

const ended = (code: number): object => ({ code, signal: null, afterMs: 0 });
const count = ({ lines }: Program, text: string): number =>
  lines.filter(({ raw }) => raw.includes(text)).length;
const inShell = (script: string): string[] => ['sh', '-c', `${script}; exec "$@"`, 'sh'];
const inMounts = (script: string): string[] => ['unshare', '--mount', ...inShell(script)];
const asUser = (uid: number, ...more: string[]): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${uid}`,
  '--clear-groups',
  ...more,
];

// All groups at once: they mostly wait.
describe('what runs out', { concurrency: 4 }, () => {
  describe('it starts, registers and stops with 0', { concurrency: 6 }, () => {
    const rows: [name: string, skip: string | false, start: Start, line?: string][] = [
      [
        '/proc is hidden',
        cannot.mount,
        { wrapper: inMounts('mount -t tmpfs none /proc') },
        'app is watched: only by',
      ],
      ['/proc/net is hidden', cannot.mount, { wrapper: inMounts('mount -t tmpfs none /proc/self/net') }],
      ['/sys is hidden', cannot.mount, { wrapper: inMounts('mount -t tmpfs none /sys') }],
      [
        'there are no /etc/hosts, resolv.conf, passwd and machine-id',
        cannot.mount,
        { wrapper: inMounts('mount -t tmpfs none /etc') },
      ],
      [
        'nothing can be written',
        cannot.mount,
        { wrapper: inMounts('mount -o remount,bind,ro /tmp 2>&-; mount -t tmpfs -o ro none /run') },
      ],
      [
        'the control socket cannot be made',
        cannot.mount,
        {
          wrapper: inMounts('mount -t tmpfs -o ro none /run'),
          env: { DOCKREG_CONTROL: '/run/dockreg.sock' },
        },
        'no control socket',
      ],
      [
        'its user has no name and no home',
        cannot.user,
        { wrapper: [...asUser(61_301), 'env', '-u', 'HOME'] },
      ],
      ['its folder is deleted', false, { wrapper: inShell('cd "$(mktemp -d)"; rmdir "$PWD"') }],
      ['standard input, output and error are closed', false, { wrapper: inShell('exec <&- >&- 2>&-') }],
      ['its output is full', false, { wrapper: inShell('exec >/dev/full 2>/dev/full') }],
      ['no file may grow', cannot.limit, { wrapper: ['prlimit', '--fsize=0'] }],
      ['its stack is small', cannot.limit, { wrapper: ['prlimit', '--stack=262144'] }],
      ['its locale is unknown', false, { wrapper: ['env', 'LC_ALL=xx_YY.none', 'TZ=Nowhere/None'] }],
      ['its parent ignores the signals', false, { wrapper: inShell("trap '' TERM INT HUP USR1 USR2 PIPE") }],
      [
        'few threads may run',
        cannot.user || cannot.limit,
        { wrapper: asUser(61_302, 'prlimit', '--nproc=8'), nodeFlags: fewThreads },
      ],
    ];
    for (const [name, skip, start, line] of rows)
      it(`while ${name}`, { skip }, () =>
        withProgram(start, async ({ program, changes, registered }) => {
          await registered();
          if (line !== undefined) {
            await program.waitForLine(line);
            assert.equal(count(program, line), 1);
          }
          await pause(1500);
          assert.deepEqual(changes(), ['put']);
        }),
      );

    it('while the reader of its output is gone', () =>
      withProgram(
        { wrapper: inShell('exec 3>&1 | true') },
        async ({ registered }) => void (await registered()),
      ));

    for (const error of ['EPERM', 'EAFNOSUPPORT'])
      it(`while it may not ask for its network addresses (${error})`, { skip: cannot.filter }, async () => {
        const app = await startApp({ host: '0.0.0.0' });
        const ports = { [`${app.port}/tcp`]: [{ HostIp: '10.1.0.102', HostPort: String(app.port) }] };
        const docker = await startDockerSocket({ containers: { [id]: inspectAnswer({ id, ports }) } });
        const { PATH = '' } = cleanEnvironment();
        try {
          await withProgram(
            {
              port: app.port,
              wrapper: [
                python,
                seccomp,
                'socket',
                '16',
                error,
                'env',
                '-u',
                'DOCKREG_ADVERTISE',
                `PATH=${PATH}`,
              ],
              args: ['--docker', docker.socketPath, '--container', id],
            },
            async ({ program }) => {
              await program.waitForLine(`registered /service/10.1.0.102:${app.port}`);
              await pause(1500);
              assert.equal(count(program, `own network cannot be read: ${error}`), 1);
            },
          );
        } finally {
          app.close();
          await docker.stop();
        }
      });

    const never: [name: string, skip: string | false, wrapper: string[], code: string][] = [
      ['may open no socket', cannot.filter, [python, seccomp, 'socket', 'any', 'EPERM'], 'EPERM'],
      ['has no loopback interface', cannot.mount, ['unshare', '--net'], 'ENETUNREACH'],
    ];
    for (const [name, skip, wrapper, code] of never)
      it(`never while it ${name}, and ends when it is told to`, { skip }, () =>
        withProgram({ wrapper }, async ({ program, changes }) => {
          await program.waitForLine(`app could not be checked: connect ${code}`);
          await pause(1500);
          assert.equal(count(program, 'app could not be checked'), 1);
          assert.deepEqual(changes(), []);
        }),
      );
  });

  describe('without a descriptor it', { concurrency: 5, skip: cannot.limit }, () => {
    it('says at the start what it needs, and ends with 78', () =>
      withProgram({ wrapper: ['prlimit', '--nofile=26'] }, async ({ program, changes }) => {
        assert.equal((await program.exitWithin(20_000)).code, 78);
        assert.match(program.stderr, /^dockreg: .*EMFILE.*; raise .*limit: docker run --ulimit nofile=1024$/);
        assert.deepEqual(changes(), []);
      }));

    for (const check of ['http:/', 'tcp', 'exec:true'])
      it(`keeps the key of an app that answers, with --check ${check}`, () =>
        withProgram({ args: ['--check', check] }, async ({ program, changes, registered, lowerFiles }) => {
          await registered();
          await program.waitForLine('app is watched');
          lowerFiles(5);
          await program.waitForLine(
            /app could not be checked: (cannot start \/bin\/sh: )?dockreg has no file descriptors left/,
          );
          await pause(1.6 * ttlMs);
          assert.deepEqual(changes(), ['put']);
          lowerFiles(1024);
          await program.waitForLine('app can be checked again');
          await pause(1000);
          assert.deepEqual(changes(), ['put']);
          assert.equal(count(program, 'app could not be checked'), 1);
          assert.equal(count(program, 'app can be checked again'), 1);
        }));

    for (const check of ['http:/', 'exec:true'])
      it(`removes the key of an app that is gone, with --check ${check}`, async () => {
        const port = await freePort();
        const web = await listener(port);
        await withProgram(
          { port, args: ['--check', check] },
          async ({ program, changes, registered, lowerFiles }) => {
            await registered();
            await program.waitForLine('app is watched: process');
            lowerFiles(5);
            await program.waitForLine('app could not be checked');
            web.signal('SIGKILL');
            await program.waitForLine(/app down: nothing listens any more: process \d+ \(node\)/, 4000);
            await eventually('the key is gone', () => changes().at(-1) === 'delete', { timeoutMs: 2000 });
            const again = await listener(port);
            lowerFiles(1024);
            await eventually('the key is back', () => changes().at(-1) === 'put');
            again.signal('SIGKILL');
          },
        );
      });

    it('keeps its address, and asks Docker again later', async () => {
      const app = await startApp({ host: '0.0.0.0' });
      const ports = { [`${app.port}/tcp`]: [{ HostIp: '10.1.0.103', HostPort: String(app.port) }] };
      const docker = await startDockerSocket({ containers: { [id]: inspectAnswer({ id, ports }) } });
      try {
        await withProgram(
          {
            port: app.port,
            wrapper: ['env', '-u', 'DOCKREG_ADVERTISE'],
            args: ['--docker', docker.socketPath, '--container', id],
          },
          async ({ program, lowerFiles }) => {
            await program.waitForLine('registered /service/10.1.0.103');
            lowerFiles(5);
            await program.waitForLine('own network cannot be read: EMFILE');
            await pause(1.6 * ttlMs);
            assert.ok((await etcd.keys('/service/')).has(`/service/10.1.0.103:${app.port}`));
            lowerFiles(1024);
            await program.waitForLine('own network can be read again');
            assert.equal(count(program, 'own network cannot be read'), 1);
          },
        );
      } finally {
        app.close();
        await docker.stop();
      }
    });

    it('keeps the key with --check docker while Docker does not answer, until nothing listens', async () => {
      const port = await freePort();
      const web = await listener(port);
      const health = healthAnswer('healthy', 0, 'fine');
      const docker = await startDockerSocket({ containers: { [id]: inspectAnswer({ id, health }) } });
      const args = ['--docker', docker.socketPath, '--container', id, '--check', 'docker'];
      await withProgram({ port, args }, async ({ program, changes, registered }) => {
        await registered();
        await program.waitForLine('app is watched: process');
        await docker.stop();
        await program.waitForLine('app could not be checked: no Docker socket');
        await pause(1.6 * ttlMs);
        assert.deepEqual(changes(), ['put']);
        web.signal('SIGKILL');
        await program.waitForLine('app down: nothing listens any more');
        await eventually('the key is gone', () => changes().at(-1) === 'delete', { timeoutMs: 2000 });
      });
    });

    it('rests its --listen and its --control instead of trying in a loop', async () => {
      const listen = await freePort();
      const control = `/tmp/dockreg-resources-${process.pid}.sock`;
      await withProgram(
        { args: ['--listen', `127.0.0.1:${listen}`, '--control', control] },
        async ({ program, changes, registered, lowerFiles }) => {
          await registered();
          await program.waitForLine('listening on');
          lowerFiles(5);
          const clients = [connect(listen, '127.0.0.1'), connect(control)];
          for (const client of clients) client.on('error', () => undefined);
          await program.waitForLine('--listen 127.0.0.1:');
          await program.waitForLine(`--control ${control} accepts no connections`);
          const atFirst = await cpuMs(program.pid);
          await pause(3000);
          assert.ok((await cpuMs(program.pid)) - atFirst < 900, 'it uses little of a core');
          for (const client of clients) client.destroy();
          lowerFiles(1024);
          await program.waitForLine(`--control ${control} accepts connections again`);
          await eventually('an answer', async () => (await fetch(`http://127.0.0.1:${listen}/healthz`)).ok);
          assert.deepEqual(changes(), ['put']);
        },
      );
    });

    it('says in its status since when the app could not be checked', async () => {
      const listen = await freePort();
      await withProgram(
        { args: ['--listen', `127.0.0.1:${listen}`] },
        async ({ program, registered, lowerFiles }) => {
          await registered();
          const status = async (): Promise<Record<string, unknown>> => {
            const answer = await fetch(`http://127.0.0.1:${listen}/status`);
            return ((await answer.json()) as { services: Record<string, unknown>[] }).services[0] ?? {};
          };
          assert.equal((await status())['uncheckedSince'], null);
          // What is open stays open, and one more is left for the answer.
          const used = readdirSync(`/proc/${program.pid}/fd`).length;
          const [held] = [connect(listen, '127.0.0.1')];
          await pause(200);
          held.write('GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n');
          await pause(200);
          lowerFiles(Math.min(used, 5));
          await program.waitForLine('app could not be checked');
          held.end('\r\n');
          let text = '';
          for await (const part of held.setEncoding('utf8')) text += String(part);
          assert.match(text, /"uncheckedSince": "\d{4}-/);
          assert.match(text, /"health": "up"/);
          lowerFiles(1024);
        },
      );
    });
  });

  it('the launcher says that there is no room for threads, and ends with 78', { skip: cannot.mount }, () => {
    const launcher = fileURLToPath(new URL('../../../layer/dockreg', import.meta.url));
    const start = (most: string): { status: number | null; text: string } => {
      const files = `mount -t tmpfs none /sys/fs/cgroup; cd /sys/fs/cgroup; echo ${most} >pids.max; echo 5 >pids.current`;
      const [command = '', ...words] = inMounts(files);
      const { status, stderr } = spawnSync(command, [...words, 'sh', launcher], {
        env: { ...cleanEnvironment(), DOCKREG_NODE: process.execPath },
      });
      return { status, text: String(stderr) };
    };
    assert.deepEqual(start('11'), {
      status: 78,
      text: 'dockreg: no room for its 8 threads: 5 of 11 processes and threads run in this container; raise docker run --pids-limit\n',
    });
    for (const most of ['12', 'max']) assert.doesNotMatch(start(most).text, /no room/);
  });

  it('it starts and stops as process 1 without /proc', { skip: cannot.mount }, async () => {
    // As process 1, Node does not hear a signal that comes before it handles that.
    const script = 'mount -t tmpfs none /proc; (sleep 1; kill 1; sleep 4; kill 1) & exec "$@"';
    const words = ['--fork', '--pid', '--mount', 'sh', '-c', script, 'sh', process.execPath, readableEntry()];
    const settings = ['--etcd', etcd.endpoints.join(','), '--port', '1', '--advertise', '10.0.0.1:80'];
    const child = await Child.spawn('unshare', [...words, ...settings, '--control', 'off'], {
      env: cleanEnvironment(),
      stdio: 'ignore',
    });
    assert.deepEqual({ ...(await child.exited(10_000)), afterMs: 0 }, ended(0));
  });

  describe('without a process it', { skip: cannot.user || cannot.limit }, () => {
    it('keeps the key of an app whose check is a command', () =>
      withProgram(
        { wrapper: asUser(61_303), nodeFlags: fewThreads, args: ['--check', 'exec:true'] },
        async ({ program, changes, registered }) => {
          const limit = (most: string): void => {
            const [command = '', ...words] = asUser(61_303, 'prlimit', '--pid', String(program.pid));
            const { status, stderr } = spawnSync(command, [...words, `--nproc=${most}`]);
            assert.equal(status, 0, String(stderr));
          };
          await registered();
          limit('1:500');
          await program.waitForLine(
            'app could not be checked: cannot start /bin/sh: no process or thread can be started (spawn /bin/sh EAGAIN)',
          );
          await pause(1.4 * ttlMs);
          limit('500:500');
          await program.waitForLine('app can be checked again');
          assert.deepEqual(changes(), ['put']);
          assert.equal(count(program, 'app could not be checked'), 1);
        },
      ));
  });
});

/** An app that is a process of its own. */
async function listener(port: number): Promise<Child> {
  const script = `require('node:http').createServer((_, answer) => answer.end('ok')).listen(${port}, () => console.log('on'))`;
  const child = await Child.spawn(process.execPath, ['-e', script], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise(resolve => child.process.stdout?.once('data', resolve));
  return child;
}
