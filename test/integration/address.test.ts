/** Addresses that are open, wrong or of every host: the built program, a real etcd and a fake Docker socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import {
  inspectAnswer,
  startDockerSocket,
  type DockerSocket,
  type InspectOptions,
} from '../support/docker-socket.ts';
import type { PortBinding } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startOwnNetwork, type OwnNetwork } from '../support/own-network.ts';
import { startProgram, type Program } from '../support/program.ts';
import { eventually } from '../support/wait.ts';

const isRoot = process.getuid?.() === 0;

let etcd: EtcdCluster;
let web: App;
let docker: DockerSocket;
let folder: string;

before(async () => {
  etcd = await startEtcd();
  web = await startApp();
  docker = await startDockerSocket();
  folder = mkdtempSync(join(tmpdir(), 'dockreg-address-'));
});
after(async () => {
  web.close();
  await docker.stop();
  await etcd.stop();
  rmSync(folder, { recursive: true });
});

let containers = 0;

/** A new container of the fake engine. */
function container(options: Omit<InspectOptions, 'id'>): string {
  const id = (containers++).toString(16).padStart(2, '0').repeat(32);
  docker.set(inspectAnswer({ id, name: `web-${containers}`, ...options }));
  return id;
}

/** The bindings of the app's port: `10.1.0.101:80`. */
function on(...bindings: readonly string[]): Pick<InspectOptions, 'ports'> {
  const list = bindings.map((text): PortBinding => {
    const [, HostIp = '', HostPort = ''] = /^(.*):(\d+)$/.exec(text) ?? [];
    return { HostIp, HostPort };
  });
  return { ports: { [`${web.port}/tcp`]: list } };
}

function settings(id: string, service: string, etcdUrl = etcd.endpoints[0]!): Record<string, string> {
  return {
    DOCKREG_ETCD: etcdUrl,
    DOCKREG_DOCKER: docker.socketPath,
    DOCKREG_CONTAINER: id,
    DOCKREG_KEY: service,
    // A machine that is busy answers late, and the tests are not about that.
    ...{ DOCKREG_INTERVAL: '1s', DOCKREG_TIMEOUT: '1s', DOCKREG_FALL: '20' },
  };
}

/** Runs the program to its end. Resolves with its exit code and what it wrote to standard error. */
const end = async (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<[number | null, string]> => {
  const program = await startProgram({ args, env });
  const { code } = await program.exitWithin(20_000);
  program.assertClean(/./);
  return [code, program.stderr];
};

const keysOf = async (service: string): Promise<string[]> => [...(await etcd.keys(`/${service}/`)).keys()];

interface Change {
  readonly args?: readonly string[];
  readonly before: Omit<InspectOptions, 'id'>;
  readonly after: Omit<InspectOptions, 'id'>;
  /** What is registered before and after. */
  readonly keys: readonly [before: string, after: string | null];
  /** What the log says after the change. */
  readonly says: RegExp;
}

const container1 = { bridge: '172.18.5.2' };
const changes: Readonly<Record<string, () => Change>> = {
  'a second network is connected': () => ({
    args: ['--advertise', 'container'],
    before: { networks: container1 },
    after: { networks: { ...container1, metrics: '172.30.1.2' } },
    keys: [`172.18.5.2:${web.port}`, `172.18.5.2:${web.port}`],
    says: /level=warn msg="address 172\.18\.5\.2:\d+ is kept, although container \S+ is on several networks \(bridge, metrics\); name one: --advertise container:bridge"/,
  }),
  'a second address is published': () => ({
    before: on('192.168.1.5:80'),
    after: on('10.1.0.101:80', '192.168.1.5:80'),
    keys: ['192.168.1.5:80', '192.168.1.5:80'],
    says: /level=warn msg="address 192\.168\.1\.5:80 is one of several: .* 10\.1\.0\.101:80, 192\.168\.1\.5:80; name one with --ip/,
  }),
  'a second port is published at the address': () => ({
    args: ['--ip', '10.1.0.101'],
    before: on('0.0.0.0:81'),
    after: on('0.0.0.0:81', '0.0.0.0:80', '10.1.0.101:79'),
    keys: ['10.1.0.101:81', '10.1.0.101:81'],
    says: /address 10\.1\.0\.101:81 is one of several/,
  }),
  'the port is another one now': () => ({
    args: ['--ip', '10.1.0.101'],
    before: on('0.0.0.0:84'),
    after: on('0.0.0.0:85'),
    keys: ['10.1.0.101:84', '10.1.0.101:85'],
    says: /moved to \S+10\.1\.0\.101:85/,
  }),
  'the port is not published any more': () => ({
    before: on('10.1.0.101:86'),
    after: { ports: { [`${web.port}/tcp`]: null } },
    keys: ['10.1.0.101:86', null],
    says: /address \S+ is gone: /,
  }),
  'its network is gone, and two others are connected': () => ({
    args: ['--advertise', 'container'],
    before: { networks: container1 },
    after: { networks: { other: '172.30.2.2', metrics: '172.30.1.2' } },
    keys: [`172.18.5.2:${web.port}`, null],
    says: /address \S+ is gone: /,
  }),
};

describe('while it runs', { skip: !isRoot && 'needs root' }, () => {
  let network: OwnNetwork;
  const programs: { name: string; id: string; service: string; program: Program; change: Change }[] = [];

  before(async () => {
    const [member] = etcd.members;
    network = await startOwnNetwork([member!.port, web.port]);
    for (const [name, make] of Object.entries(changes)) {
      const change = make();
      const id = container(change.before);
      const service = `row-${programs.length}`;
      const env = {
        ...settings(id, service, `http://127.0.0.1:${member!.port}`),
        DOCKREG_CONTROL: join(folder, service),
      };
      const program = await network.startProgram(['--port', String(web.port), ...(change.args ?? [])], env);
      programs.push({ name, id, service, program, change });
    }
    await Promise.all(
      programs.map(async ({ service, program, change }) => {
        await program.waitForLine('registered', 20_000);
        assert.deepEqual(await keysOf(service), [`/${service}/${change.keys[0]}`]);
        assert.ok(!program.lines.some(({ raw }) => raw.includes('level=warn msg="address')));
      }),
    );
    for (const { id, change } of programs) docker.set(inspectAnswer({ id, name: 'web', ...change.after }));
    network.addAddress('198.51.100.1');
  });
  after(async () => {
    await Promise.all(programs.map(({ program }) => program.stop()));
    for (const { program } of programs) program.assertClean();
    await network.close();
    assert.equal((await etcd.keys('/row-')).size, 0, 'a key was left behind');
  });

  for (const name of Object.keys(changes))
    it(name, async () => {
      const { service, program, change } = programs.find(each => each.name === name)!;
      const [from, to] = change.keys;
      await program.waitForLine(change.says, 20_000);
      const wanted = to === null ? [] : [`/${service}/${to}`];
      await eventually('the key is right', async () => String(await keysOf(service)) === String(wanted));
      if (from !== to) return;
      const [state] = (await etcd.keys(`/${service}/`)).values();
      assert.equal(state?.version, 1, 'it was written once');
      assert.ok(!program.lines.some(({ raw }) => raw.includes('withdrawn')));
      if (name !== programs[0]?.name) return;
      const status = await startProgram({ args: ['status', '--control', join(folder, service)] });
      assert.equal((await status.exited).code, 0);
      assert.match(status.lines.at(-1)?.raw ?? '', /^address of \S+: \S+ is (?:kept|one of several)/);
    });

  it('the warning is over when the second network is disconnected', async () => {
    const { id, program, change } = programs[0]!;
    docker.set(inspectAnswer({ id, name: 'web', ...change.before }));
    network.addAddress('198.51.100.2');
    await program.waitForLine(/level=info msg="address 172\.18\.5\.2:\d+: its warnings are over"/, 20_000);
  });
});

/** Where a setting stands. */
const inputs = {
  'a flag': (ip: string) => ({ args: ['--ip', ip], labels: {}, env: {} }),
  'a variable': (ip: string) => ({ args: [], labels: {}, env: { DOCKREG_IP: ip } }),
  'a service flag': (ip: string) => ({
    args: ['--service', `port=${web.port},ip=${ip}`],
    labels: {},
    env: {},
  }),
  'a label': (ip: string) => ({
    args: [],
    labels: { 'dockreg.port': String(web.port), 'dockreg.ip': ip },
    env: {},
  }),
  'the file': (ip: string) => {
    const file = join(folder, `${ip}.yaml`);
    writeFileSync(file, `services:\n  web:\n    port: ${web.port}\n    ip: ${ip}\n`);
    return { args: ['--config', file], labels: {}, env: {} };
  },
} as const;

describe('at the start', () => {
  const gateway = /172\.18\.5\.1 .* is the gateway of network bridge: every Docker host .*--allow-loopback/;
  const refused: readonly (readonly [
    what: string,
    options: () => Omit<InspectOptions, 'id'>,
    args: string[],
    text: RegExp,
  ])[] = [
    [
      'several networks',
      () => ({ networks: { ...container1, metrics: '172.30.1.2' } }),
      ['--advertise', 'container'],
      /on several networks/,
    ],
    [
      'an --ip that no binding has',
      () => on('10.1.0.101:80'),
      ['--ip', '10.1.0.102'],
      /published on 10\.1\.0\.101:80 only, so nothing listens at 10\.1\.0\.102/,
    ],
    ['every address without --ip', () => on('0.0.0.0:80'), [], /on every address of the host/],
    ['a gateway as the only binding', () => ({ ...on('172.18.5.1:80'), networks: container1 }), [], gateway],
  ];

  it('what is open is refused', async () => {
    await Promise.all(
      refused.map(async ([what, options, args, text]) => {
        const id = container(options());
        const [code, stderr] = await end(['--port', String(web.port), ...args], settings(id, 'none'));
        assert.equal(code, 78, `${what}: ${stderr}`);
        assert.match(stderr, text);
      }),
    );
  });

  it('the gateway of our network as --ip is refused, wherever it is set', async () => {
    await Promise.all(
      Object.entries(inputs).map(async ([where, make]) => {
        const { args, labels, env } = make('172.18.5.1');
        const id = container({ ...on('0.0.0.0:80'), networks: container1, labels });
        const isOwn = where === 'a flag' || where === 'a variable';
        const port = isOwn ? ['--port', String(web.port)] : [];
        const [ended, stderr] = await end([...port, ...args], { ...settings(id, 'none'), ...env });
        assert.equal(ended, 78, `${where}: ${stderr}`);
        assert.match(stderr, gateway, where);
      }),
    );
    assert.equal((await etcd.keys('/none/')).size, 0);
  });

  it('several published addresses are registered at one of them, which log and doctor say', async () => {
    const id = container(on('192.168.1.5:80', '10.1.0.101:80'));
    const args = ['--port', String(web.port)];
    const program = await startProgram({ args, env: settings(id, 'several') });
    const text =
      /10\.1\.0\.101:80 is one of several: port \S+ of container \S+ is published on 10\.1\.0\.101:80, 192\.168\.1\.5:80; name one with --ip/;
    await program.waitForLine(text);
    await program.waitForLine('registered /several/10.1.0.101:80');
    const doctor = await startProgram({ args: ['doctor', ...args], env: settings(id, 'several') });
    await doctor.exitWithin(20_000);
    assert.match(doctor.lines.find(({ raw }) => raw.startsWith('– port'))?.raw ?? '', text);
    await program.stop();
    program.assertClean();
  });
});
