/** Bad input to the built program: one clear message each, and the exit code of its kind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  inspectAnswer,
  published,
  startDockerSocket,
  type DockerSocket,
  type InspectOptions,
} from '../support/docker-socket.ts';
import type { ServiceStatus } from '../../src/core/registration/status.ts';
import { startProgram } from '../support/program.ts';
import { unsafe } from '../support/unsafe.ts';

const enough = ['--etcd', 'http://127.0.0.1:2379', '--port', '8000'];

async function refusal(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stderr: string }> {
  const program = await startProgram({ args, env });
  const { code } = await program.exitWithin(10_000);
  return { code, stderr: program.stderr };
}

describe('the program refuses', () => {
  const usage: [name: string, args: string[], text: RegExp][] = [
    [
      'no port',
      ['--etcd', 'http://127.0.0.1:2379', '--advertise', '10.1.0.101:80'],
      /^dockreg: --port is missing; give the app's port: --port 8000/,
    ],
    ['port 0', [...enough.slice(0, 2), '--port', '0'], /--port "0": must be a port number from 1 to 65535/],
    ['port 70000', [...enough.slice(0, 2), '--port', '70000'], /--port "70000": must be/],
    ['a port that is no number', [...enough.slice(0, 2), '--port', 'abc'], /--port "abc": must be/],
    ['no etcd', ['--port', '8000'], /--etcd is missing; give etcd's endpoints: --etcd http:/],
    [
      'an etcd endpoint with a path',
      ['--port', '1', '--etcd', 'http://h:2379/v2'],
      /must not have a path; write it as http:\/\/h:2379/,
    ],
    ['http and https', ['--port', '1', '--etcd', 'http://h:1,https://i:1'], /mixes http and https; use one/],
    ['an empty endpoint', ['--port', '1', '--etcd', 'http://h:1,,http://i:1'], /has an empty item; separate/],
    [
      'an --ip that is none',
      [...enough, '--ip', 'not an ip/../x'],
      /--ip "not an ip\/\.\.\/x": must be an IPv4 or IPv6/,
    ],
    [
      'a key with an empty name',
      [...enough, '--key', 'a//b'],
      /--key "a\/\/b": must be names separated by single slashes/,
    ],
    ['a key with ..', [...enough, '--key', 'a/../b'], /--key "a\/..\/b": must be names/],
    ['an unknown flag', [...enough, '--prot', '1'], /unknown flag --prot; did you mean --port\?/],
    ['an unexpected argument', [...enough, 'serve'], /unexpected argument "serve"/],
    [
      'a timeout longer than the interval',
      [...enough, '--timeout', '6s'],
      /--timeout 6000 ms is longer than --interval 5000 ms/,
    ],
    [
      'a TTL shorter than two intervals',
      [...enough, '--ttl', '9'],
      /--ttl 9 s is shorter than two intervals/,
    ],
  ];
  for (const [name, args, text] of usage) {
    it(`${name}: 64`, async () => {
      const { code, stderr } = await refusal(args);
      assert.equal(code, 64);
      assert.equal(stderr.split('\n').length, 1, stderr);
      assert.match(stderr, text);
    });
  }

  it('several at once, each on its line', async () => {
    const { code, stderr } = await refusal(['--prot', '1', '--port', 'abc', '--ip', '!'], {
      DOCKREG_KEY: '..',
    });
    assert.equal(code, 64);
    assert.equal(stderr.split('\n').length, 5, stderr);
  });
});

describe('why the program ends', () => {
  const wrong = ['--prot', '1', '--port', 'abc'];
  const rows: [what: string, args: string[], env: Record<string, string>, format: 'json' | 'logfmt'][] = [
    ['the log of --log json', [...wrong, '--log', 'json'], {}, 'json'],
    ['the log of DOCKREG_LOG', wrong, { DOCKREG_LOG: 'json' }, 'json'],
    ['the default log', wrong, {}, 'logfmt'],
    ['the default log when --log is wrong too', [...wrong, '--log', 'xml'], {}, 'logfmt'],
  ];
  for (const [what, args, env, format] of rows) {
    it(`is in ${what}, and on standard error for people`, async () => {
      const program = await startProgram({ args, env });
      assert.equal((await program.exitWithin(10_000)).code, 64);
      const errors = program.stderr.split('\n').map(line => line.replace(/^dockreg: /, ''));
      assert.deepEqual(
        program.lines.map(({ fields }) => [fields['level'], fields['msg'], fields['exit']]),
        errors.map(line => ['error', line, '64']),
      );
      for (const { raw } of program.lines) assert.equal(raw.startsWith('{'), format === 'json');
    });
  }

  it('is in the log that the file asks for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dockreg-usage-'));
    const path = join(folder, 'dockreg.yaml');
    writeFileSync(path, 'log: json\nport: x\n');
    const program = await startProgram({ args: ['--config', path] });
    assert.equal((await program.exitWithin(10_000)).code, 78);
    for (const { raw } of program.lines) assert.match(raw, /^\{"time":.*"level":"error".*"exit":78\}$/);
    assert.equal(program.lines.length, 2);
    rmSync(folder, { recursive: true });
  });

  it('is on standard error alone for a command, whose output programs read', async () => {
    const program = await startProgram({ args: ['status', '--json', '--prot', '1'] });
    assert.equal((await program.exitWithin(10_000)).code, 64);
    assert.deepEqual(program.lines, []);
    assert.match(program.stderr, /^dockreg: unknown flag --prot/);
  });

  it('is on clean lines, whatever the words are', async () => {
    const nasty = '\u001B[2J\u001B[H\rok\nforged \u0085\u2028\u202E\u009B31m';
    const program = await startProgram({
      args: [`--x${nasty}`, '1', '--port', nasty, nasty],
      env: { DOCKREG_KEY: nasty },
    });
    assert.equal((await program.exitWithin(10_000)).code, 64);
    for (const line of [...program.stderr.split('\n'), ...program.lines.map(({ raw }) => raw)]) {
      assert.doesNotMatch(line, unsafe);
      assert.match(line, /^(?:dockreg: |time=)/);
    }
  });

  it('is not a variable with a wrong name, of which the log warns', async () => {
    const program = await startProgram({
      args: ['--etcd', 'http://127.0.0.1:1', '--port', '1', '--advertise', '10.1.0.101:1'],
      env: { DOCKREG_INTERVALL: '1s', DOCKREG_NODE: 'x' },
    });
    const { fields } = await program.waitForLine('DOCKREG_INTERVALL');
    assert.equal(fields['level'], 'warn');
    assert.equal(
      fields['msg'],
      'DOCKREG_INTERVALL is not a variable of dockreg; did you mean DOCKREG_INTERVAL?',
    );
    await program.waitForLine('started');
    assert.ok(!program.lines.some(({ raw }) => raw.includes('DOCKREG_NODE')));
    await program.stop();
  });
});

describe('a running dockreg with hostile texts', () => {
  it('forges no line and no column of status', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'dockreg-usage-'));
    const path = join(folder, 'control.sock');
    const why = '\u001B[2Jx\nforged    up      3m  10.0.0.5:80  registered  HTTP 200\r\u009B31m\u202E';
    const at = new Date().toISOString();
    const service: ServiceStatus = {
      ...{
        name: why,
        health: 'down',
        why,
        since: at,
        drained: false,
        address: null,
        addressCause: why,
        addressWarning: why,
        records: [],
      },
      ...{ registration: 'absent', registeredSince: null, lease: null, isLate: false, uncheckedSince: null },
      ...{ etcdError: why, etcdErrors: 1, etcdAnsweredAt: null, lastCheck: null },
    };
    const server = createServer({ allowHalfOpen: true }, socket => {
      socket.resume().end(`${JSON.stringify({ version: '1', startedAt: at, services: [service] })}\n`);
    }).listen(path);
    t.after(() => {
      server.close();
      rmSync(folder, { recursive: true });
    });
    await once(server, 'listening');
    for (const [json, count] of [
      [[], 5],
      [['--json'], Infinity],
    ] as const) {
      const program = await startProgram({ args: ['status', ...json, '--control', path] });
      assert.equal((await program.exitWithin(10_000)).code, 1);
      const lines = program.lines.map(({ raw }) => raw);
      for (const line of lines) {
        assert.doesNotMatch(line, unsafe);
        assert.doesNotMatch(line, /^forged/);
      }
      assert.ok(lines.length <= count, lines.join('\n'));
      if (json.length > 0)
        assert.deepEqual((JSON.parse(lines.join('\n')) as { services: unknown }).services, [service]);
      else
        assert.equal(
          lines[1]?.split(/ {2,}/).length,
          5,
          'an empty address and what is forged are no columns',
        );
    }
  });
});

describe('the program answers', () => {
  it('--version', async () => {
    const program = await startProgram({ args: ['--version'] });
    assert.equal((await program.exitWithin(10_000)).code, 0);
    assert.match(program.lines[0]?.raw ?? '', /^\d+\.\d+\.\d+/);
  });

  it('--help with an example', async () => {
    const program = await startProgram({ args: ['--help'] });
    assert.equal((await program.exitWithin(10_000)).code, 0);
    const text = program.lines.map(({ raw }) => raw).join('\n');
    assert.match(text, /dockreg --etcd http:\/\/10\.1\.0\.101:2379 --port 8000/);
    assert.equal(program.stderr, '');
  });
});

describe('a container in which it can never work', () => {
  const id = 'c0ffee00'.repeat(8);
  const serviceId = 'p2q4xjz0c3h1w8m5n6b7v9k2r';
  let docker: DockerSocket;
  before(async () => {
    docker = await startDockerSocket();
    docker.refuse(
      `/services/${serviceId}`,
      503,
      "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.",
    );
  });
  after(() => docker.remove(id));

  const cases: [name: string, container: Partial<InspectOptions>, args: string[], text: RegExp][] = [
    [
      'exposes the port but does not publish it',
      { ports: { '8000/tcp': null } },
      ['--ip', '10.1.0.101'],
      /8000\/tcp of container web is exposed but not published; start it with -p 8000/,
    ],
    ['publishes another port', { ports: published(9000, 32769) }, ['--ip', '10.1.0.101'], /only 9000\/tcp/],
    [
      'publishes on every address, without --ip',
      { ports: published(8000, 32769) },
      [],
      /every address of the host.*--ip/,
    ],
    [
      'has a network of its own, and --ip names one of its interfaces',
      { ports: published(8000, 32769) },
      ['--ip', 'lo'],
      /--ip lo is an interface of this container/,
    ],
    [
      'is a swarm task on a worker that may not read services',
      { labels: { 'com.docker.swarm.service.id': serviceId } },
      ['--advertise', 'swarm'],
      /only a manager tells it; publish it on each task's node.*--advertise IP:PORT/,
    ],
  ];
  for (const [name, container, args, text] of cases) {
    it(`${name}: 78`, async () => {
      docker.set(inspectAnswer({ id, name: 'web', ...container }));
      const { code, stderr } = await refusal([
        ...enough,
        '--docker',
        docker.socketPath,
        '--container',
        id,
        ...args,
      ]);
      assert.equal(code, 78);
      assert.match(stderr, text);
    });
  }
});
