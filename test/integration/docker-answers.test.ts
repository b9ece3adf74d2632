/** What dockreg does when Docker, or a proxy in front of it, answers oddly: the built program, a real etcd and odd bytes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { faults, type Fault } from '../support/docker-faults.ts';
import { healthAnswer, inspectAnswer } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { quick, startProgram, type Program } from '../support/program.ts';
import { Random } from '../support/random.ts';
import { startRawServer, type RawServer } from '../support/raw-server.ts';
import { eventually } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const key = '/service/10.1.0.101:49155';

let etcd: EtcdCluster;
let web: App;
let folder: string;
let server: RawServer;
let fault: Fault;
/** The HostPort of each container, by its id. */
const hostPorts = new Map<string, unknown>();
let requests: string[] = [];
let programs: Program[] = [];

before(async () => {
  etcd = await startEtcd();
  web = await startApp();
  folder = mkdtempSync(join(tmpdir(), 'dockreg-answers-'));
  server = await startRawServer(
    socket =>
      socket.once('data', (head: Buffer) => {
        const [line = ''] = head.toString().split('\r\n');
        requests.push(line);
        const asked = /[0-9a-f]{64}/.exec(line)?.[0] ?? id;
        fault.send(socket, answerOf(asked), new Random(1)).catch(() => socket.destroy());
      }),
    { path: join(folder, 'docker.sock') },
  );
});
after(async () => {
  server.close();
  web.close();
  rmSync(folder, { recursive: true, force: true });
  await etcd.stop();
});
afterEach(async () => {
  await Promise.all(programs.map(program => program.stop()));
  for (const program of programs) program.assertClean();
  [programs, requests] = [[], []];
  assert.deepEqual(await allKeys(), [], 'a key was left behind');
});

/** With and without a slash at the beginning: each layout has its own habit. */
async function allKeys(): Promise<string[]> {
  const roots = ['/', 'servers', 'traefik', 'grpc', 'zero', 'kratos'];
  const found = await Promise.all(roots.map(root => etcd.keys(root)));
  return found.flatMap(keys => Array.from(keys.keys()));
}

function answerOf(asked: string): string {
  const ports = {
    [`${web.port}/tcp`]: [{ HostIp: '0.0.0.0', HostPort: hostPorts.get(asked) ?? '49155' }],
  } as never;
  const answer = inspectAnswer({ id: asked, ports, health: healthAnswer('healthy', 0, 'fine') });
  const text = JSON.stringify(answer);
  return hostPorts.get(asked) === null ? text.replace('"HostPort":"49155"', '"HostPort":null') : text;
}

function use(name: string): void {
  const found = faults.find(each => each.name === name);
  assert.ok(found, name);
  fault = found;
}

async function dockreg(args: readonly string[] = [], container = id): Promise<Program> {
  const where = ['--docker', join(folder, 'docker.sock'), '--container', container, '--ip', '10.1.0.101'];
  const env = { DOCKREG_ETCD: etcd.endpoints.join(','), DOCKREG_PORT: String(web.port), ...quick };
  const program = await startProgram({ args: [...where, ...args], env });
  programs.push(program);
  return program;
}

const hasKey = async (): Promise<boolean> => (await etcd.keys(key)).has(key);

/** The most resident memory that the process has had, in MiB. */
function peakMiB({ pid }: Program): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

describe('an answer of Docker', () => {
  it('that is cut off is named and asked for again, and a stop removes the key meanwhile', async () => {
    use('longer than it is, then closed');
    const program = await dockreg(['--check', 'docker']);
    const line = await program.waitForLine('waiting for the address');
    assert.match(line.raw, /Docker at unix:\/\/.*docker\.sock: the answer ended after \d+ of \d+ bytes/);
    use('whole');
    await program.waitForLine('registered');
    use('longer than it is, then closed');
    const asked = requests.length;
    await eventually('Docker is asked again', () => requests.length > asked + 2);
    assert.ok(await hasKey(), 'nothing is known against the app');
    program.signal('SIGTERM');
    assert.equal((await program.exitWithin(5000)).code, 0);
    assert.ok(!(await hasKey()));
  });

  for (const [name, where] of [
    ['a relative redirect', '/containers/json'],
    ['an absolute redirect', 'http://169.254.169.254/latest/meta-data'],
    ['a redirect that is no URL', 'http://['],
  ] as const) {
    it(`that is ${name} is not followed`, async () => {
      use(name);
      const program = await dockreg();
      const line = await program.waitForLine('waiting for the address');
      assert.ok(
        line.fields['msg']?.includes(`it answers 302 and redirects to "${where}", which is not followed`),
        line.raw,
      );
      use('whole');
      await program.waitForLine('registered');
      assert.deepEqual(new Set(requests), new Set([`GET /containers/${id}/json HTTP/1.1`]));
    });
  }

  it('without an end is read up to 4 MiB', async () => {
    use('an endless body of a known length');
    const program = await dockreg();
    await program.waitForLine('the answer is larger than 4194304 bytes');
    const peak = peakMiB(program);
    assert.ok(peak < 130, `${peak} MiB`);
    use('whole');
    await program.waitForLine('registered');
  });

  it('that is no JSON, no HTTP, compressed or about to leave HTTP is waited for', async () => {
    for (const [name, text] of [
      ['another protocol', /the answer is not HTTP, it begins with/],
      ['gzip', /the answer is compressed \(gzip\)/],
      ['an upgrade', /it answers 101 and leaves HTTP/],
      ['endless provisional answers', /one provisional answer after the other/],
    ] as const) {
      use(name);
      const program = await dockreg();
      await program.waitForLine(line => text.test(line.raw) && line.raw.includes('waiting for the address'));
      assert.equal(program.exit, undefined);
      await program.stop();
    }
  });

  it('about another container is not ours', async () => {
    use('whole');
    const other = 'ab'.repeat(32);
    fault = {
      name: 'a cache',
      send: (socket, body, random) => faults[0]!.send(socket, body.replaceAll(id, other), random),
    };
    const program = await dockreg();
    await program.waitForLine(`asked about ${id}, it answers about ${other}`);
    use('whole');
    await program.waitForLine('registered');
  });
});

const changed = (from: string, to: string): Fault => ({
  name: 'changed',
  send: (socket, body, random) => {
    assert.ok(body.includes(from) || !body.includes(id), body);
    return faults[0]!.send(socket, body.replace(from, to), random);
  },
});
const environment = (): Record<string, string> => ({ DOCKREG_ETCD: etcd.endpoints.join(','), ...quick });
const where = (): string[] => [
  '--docker',
  join(folder, 'docker.sock'),
  '--container',
  id,
  '--ip',
  '10.1.0.101',
];

describe('an odd label or name', () => {
  it('is named while the labels are waited for', async () => {
    fault = changed('"Labels":{}', '"Labels":{"dockreg.web.port":true}');
    const program = await startProgram({ args: where(), env: environment() });
    programs.push(program);
    const line = await program.waitForLine('waiting for the labels');
    assert.ok(
      line.fields['msg']?.includes('Config.Labels["dockreg.web.port"] is true, but must be text'),
      line.raw,
    );
    fault = changed('"Labels":{}', `"Labels":{"dockreg.web.port":"${web.port}","of-nobody":42}`);
    await program.waitForLine('registered');
  });

  it('does not matter to a service without need of it', async () => {
    fault = changed('"Name":"/app-c0ffee"', '"Name":"../../x"');
    await (await dockreg()).waitForLine('registered');
    const program = await dockreg(['--layout', 'registrator:reg', '--name', 'web']);
    await program.waitForLine('Name is \\"../../x\\", but must be letters, digits and _.- only');
  });

  it('is a finding of doctor', async () => {
    const env = { ...environment(), DOCKREG_PORT: String(web.port) };
    const doctor = async (more: readonly string[]): Promise<string> => {
      const program = await startProgram({ args: ['doctor', ...where(), ...more], env });
      assert.equal((await program.exitWithin(20_000)).code, 1);
      return program.lines.map(({ raw }) => raw).join('\n');
    };
    fault = changed('"Name":"/app-c0ffee"', '"Name":"../../x"');
    assert.match(
      await doctor(['--layout', 'registrator:reg', '--name', 'web']),
      /Name is "\.\.\/\.\.\/x", but must be/,
    );
    fault = changed('"Labels":{}', '"Labels":{"dockreg.web.port":true}');
    delete (env as Record<string, string>)['DOCKREG_PORT'];
    assert.match(await doctor([]), /Config\.Labels\["dockreg\.web\.port"\] is true, but must be text/);
  });
});

const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? Array.isArray(value)
      ? 'a list'
      : 'an object'
    : JSON.stringify(value);

describe('a HostPort', () => {
  const layouts = [
    'service',
    'named:servers',
    'registrator:reg',
    'skydns:cluster.local',
    'traefik:traefik',
    'grpc:grpc',
    'go-zero:zero',
    'kratos:kratos',
  ];
  const args = ['--name', 'web', '--layout', layouts.join(',')];
  // An empty one, where HostIp is a wildcard, means that the port is routed (gateway mode `routed`).
  const odd = ['0', '99999', '8000abc', '1e3', ' 80', '-1', '8.5', null, true, 0, ['80'], { port: 80 }];

  it('that is no port is named and becomes no key in any layout', async () => {
    use('whole');
    for (let index = 0; index < odd.length; index += 5)
      await Promise.all(
        odd.slice(index, index + 5).map(async (value, at) => {
          const container = (index + at).toString(16).padStart(64, '0');
          hostPorts.set(container, value);
          const program = await dockreg(args, container);
          const line = await program.waitForLine('waiting for the address', 20_000);
          const field = `NetworkSettings.Ports["${web.port}/tcp"][0].HostPort`;
          const text = `${field} is ${shown(value)}, but must be a whole number from 1 to 65535`;
          assert.ok(line.fields['msg']?.includes(text), line.raw);
        }),
      );
    assert.deepEqual(await allKeys(), []);
  });

  it('that is one becomes a key in each layout', async () => {
    use('whole');
    const program = await dockreg(args);
    await program.waitForLine('registered');
    assert.equal((await allKeys()).length, layouts.length);
  });
});
