/** One process with several services, against a real etcd, apps in this process and a fake Docker socket. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import {
  inspectAnswer,
  published,
  startDockerSocket,
  type DockerSocket,
  type PortMap,
} from '../support/docker-socket.ts';
import type { WatchEvent } from '../support/etcd-watcher.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startProgram, type Program } from '../support/program.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const names = ['web', 'api', 'admin'] as const;
const four = 'service,registrator:services,skydns:cluster.local,kratos';

let etcd: EtcdCluster;
let docker: DockerSocket;
let folder: string;
let apps: App[] = [];
let programs: Program[] = [];

before(async () => {
  etcd = await startEtcd();
  folder = await mkdtemp(join(tmpdir(), 'dockreg-services-'));
});
after(async () => {
  await etcd.stop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  apps = await Promise.all(names.map(() => startApp({ host: '0.0.0.0' })));
  docker = await startDockerSocket();
  container({});
});
afterEach(async () => {
  for (const program of programs) await program.stop();
  for (const app of apps) app.close();
  await docker.stop();
  for (const program of programs) program.assertClean(/^dockreg: /);
  programs = [];
  assert.equal((await etcd.keys('')).size, 0, 'a key was left behind');
});

/** Our container has these labels and publishes all but `unpublished` of the ports, from 49155 on. */
function container(labels: Readonly<Record<string, string>>, unpublished?: App): void {
  const ports: PortMap[] = apps.map((app, index) =>
    app === unpublished ? { [`${app.port}/tcp`]: null } : published(app.port, 49_155 + index),
  );
  docker.set(inspectAnswer({ id, name: 'box', labels, ports: Object.assign({}, ...ports) as PortMap }));
}

/** `--service name=web,port=…,<options>` and so on. */
function flags(options: Readonly<Partial<Record<(typeof names)[number], string>>> = {}): string[] {
  return apps.flatMap(({ port }, index) => {
    const name = names[index]!;
    return ['--service', `name=${name},port=${port}${options[name] ? `,${options[name]}` : ''}`];
  });
}

async function dockreg(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const program = await startProgram({
    args,
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_CONTAINER: id,
      DOCKREG_IP: '10.1.0.101',
      DOCKREG_INTERVAL: '1s',
      DOCKREG_TIMEOUT: '1s',
      DOCKREG_TTL: '5s',
      ...env,
    },
  });
  programs.push(program);
  return program;
}

/** All are registered, each logged under its own name. */
async function registered(program: Program): Promise<void> {
  for (const name of names)
    await program.waitForLine(({ raw, fields }) => fields['service'] === name && raw.includes('registered'));
}

const keyOf = (index: number): string => `/service/10.1.0.101:${49_155 + index}`;

describe('one process with three services in four layouts', () => {
  it('has a lease and a transaction for each, and withdraws only the one that dies', async () => {
    const watcher = await etcd.watch('');
    const program = await dockreg(flags(), { DOCKREG_LAYOUT: four });
    const puts: WatchEvent[] = [];
    while (puts.length < 12) puts.push(await watcher.next(({ type }) => type === 'put'));
    const leases = new Set(puts.map(({ lease }) => lease));
    assert.equal(leases.size, 3);
    const revisions = puts.map(({ modRevision }) => modRevision);
    assert.deepEqual(new Set(revisions).size, 3);
    assert.equal(Math.max(...revisions) - Math.min(...revisions), 2, 'nothing else was written');
    for (const lease of leases) {
      const own = puts.filter(put => put.lease === lease);
      assert.equal(own.length, 4);
      assert.equal(new Set(own.map(({ modRevision }) => modRevision)).size, 1, 'one transaction');
    }
    await registered(program);
    assert.equal(docker.requests.length, 1, 'one answer of Docker for all');

    const stood = await etcd.keys('');
    const { lease } = puts.find(({ key }) => key === keyOf(1))!;
    apps[1]!.respond({ status: 500 });
    const deletes: WatchEvent[] = [];
    while (deletes.length < 4) deletes.push(await watcher.next(({ type }) => type === 'delete'));
    assert.deepEqual(new Set(deletes.map(event => `${event.lease} ${event.modRevision}`)).size, 1);
    assert.equal(deletes[0]?.lease, lease);
    const down = await program.waitForLine('app down');
    assert.equal(down.fields['service'], 'api');

    apps[1]!.respond('ok');
    const back = await watcher.next(({ type, key }) => type === 'put' && key === keyOf(1));
    assert.equal(back.modRevision, Math.max(...revisions) + 2);
    const stands = await etcd.keys('');
    assert.equal(stands.size, 12);
    for (const [key, { modRevision }] of stood)
      if (!deletes.some(event => event.key === key)) assert.equal(stands.get(key)?.modRevision, modRevision);
    watcher.close();
  });

  it('keeps the others when one loses its lease', async () => {
    const program = await dockreg(flags());
    await registered(program);
    const stood = await etcd.keys('');
    await etcd.ctl(['lease', 'revoke', stood.get(keyOf(0))!.lease]);
    const line = await program.waitForLine('etcd lost our lease');
    assert.equal(line.fields['service'], 'web');
    const again = await eventually('the key again', async () => (await etcd.keys('')).get(keyOf(0)));
    assert.notEqual(again.lease, stood.get(keyOf(0))!.lease);
    for (const index of [1, 2])
      assert.deepEqual((await etcd.keys('')).get(keyOf(index)), stood.get(keyOf(index)));
  });

  it('shares one connection to etcd, and a new one after it broke', async () => {
    const proxy = await startProxy(etcd.members[0]!.port);
    const program = await dockreg(flags(), { DOCKREG_ETCD: `http://${proxy.address}` });
    await registered(program);
    assert.deepEqual([proxy.stats.accepted, proxy.stats.open], [1, 1]);
    const stood = await etcd.keys('');
    proxy.dropConnections();
    await eventually('one connection again', () => proxy.stats.accepted > 1 && proxy.stats.open === 1);
    assert.deepEqual(await etcd.keys(''), stood);
    await program.stop();
    proxy.close();
  });
});

describe('a service that cannot be registered', () => {
  it('leaves the others alone when its port is not published', async () => {
    container({}, apps[2]);
    const program = await dockreg(flags());
    for (const name of ['web', 'api'])
      await program.waitForLine(
        ({ raw, fields }) => fields['service'] === name && raw.includes('registered'),
      );
    const line = await program.waitForLine('waiting for the address: ');
    assert.equal(line.fields['service'], 'admin');
    assert.match(line.raw, /is exposed but not published/);
    assert.deepEqual([...(await etcd.keys('')).keys()], [keyOf(0), keyOf(1)]);
    assert.equal(program.exit, undefined);
  });

  it('leaves the others alone when its check can never be made', async () => {
    const program = await dockreg(flags({ admin: 'check=docker' }));
    const line = await program.waitForLine('app could not be checked: container box has no HEALTHCHECK');
    assert.equal(line.fields['service'], 'admin');
    await eventually('the others', async () => (await etcd.keys('')).size === 2);
    assert.equal(program.exit, undefined);
  });
});

/** Labels that say all three. */
function threeLabels(): Record<string, string> {
  return {
    ...Object.fromEntries(apps.map(({ port }, index) => [`dockreg.${names[index]}.port`, String(port)])),
    'dockreg.web.tags': 'blue,canary',
    'dockreg.layout': 'service,kratos',
  };
}

describe('labels', () => {
  it('say the services, once Docker answers', async () => {
    container(threeLabels());
    docker.close();
    const program = await dockreg([]);
    const line = await program.waitForLine('waiting for the labels of this container');
    assert.match(line.raw, /as no --port, --service or --config is given: no Docker socket at/);
    await docker.listen();
    await registered(program);
    const keys = await etcd.keys('');
    assert.equal(keys.size, 6);
    assert.match(keys.get('/microservices/web/10.1.0.101:49155')?.value ?? '', /"tags":"blue,canary"/);
    assert.equal(new Set([...keys.values()].map(({ lease }) => lease)).size, 3);
  });

  it('are waited for until a signal comes', async () => {
    docker.close();
    const program = await dockreg([]);
    await program.waitForLine('waiting for the labels');
    assert.equal((await program.stop()).code, 0);
  });

  it('of one service need no name in the log', async () => {
    container({ 'dockreg.port': String(apps[0]!.port) });
    const program = await dockreg([]);
    const line = await program.waitForLine('registered');
    assert.equal(line.fields['service'], undefined);
  });

  const bad: [what: string, labels: Readonly<Record<string, string>>, text: RegExp][] = [
    [
      'a bad one',
      { 'dockreg.web.port': '1', 'dockreg.web.rise': 'x' },
      /^dockreg: label dockreg\.web\.rise "x": must be a whole number from 1 to 100$/,
    ],
    ['none', {}, /^dockreg: no service is configured; /],
  ];
  for (const [what, given, text] of bad) {
    it(`are a fault of the set-up when there is ${what}: 78`, async () => {
      container(given);
      const program = await dockreg([]);
      assert.equal((await program.exitWithin(10_000)).code, 78);
      assert.match(program.stderr, text);
    });
  }

  it('are not read, and a warning says so, when something else configures the services', async () => {
    container(threeLabels());
    const program = await dockreg(['--port', String(apps[0]!.port)]);
    await program.waitForLine('registered');
    assert.deepEqual([...(await etcd.keys('')).keys()], [keyOf(0)]);
    await program.waitForLine('labels dockreg.* of this container are not read');
  });
});

describe('a file', () => {
  it('says the services, and what the environment says in it', async () => {
    const path = join(folder, 'dockreg.yaml');
    await writeFile(
      path,
      `# what runs here
etcd: \${DOCKREG_ETCD}
layout: [service, "named:app/servers"]
record: /own/{localPort}/{container}={service}
services:
${names.map((name, index) => `  ${name}:\n    port: \${PORT_${index}}\n    layout: service\n`).join('')}`,
    );
    const ports = Object.fromEntries(apps.map(({ port }, index) => [`PORT_${index}`, String(port)]));
    const program = await dockreg(['--config', path], ports);
    await registered(program);
    const keys = [...(await etcd.keys('')).keys()];
    assert.deepEqual(keys, [
      ...apps.map(({ port }) => `/own/${port}/box`).toSorted(),
      ...names.map((_, index) => keyOf(index)),
    ]);
  });

  it('that is not there is a fault of the set-up: 78', async () => {
    const program = await dockreg(['--config', join(folder, 'none.yaml')]);
    assert.equal((await program.exitWithin(10_000)).code, 78);
    assert.match(program.stderr, /^dockreg: --config .*none\.yaml cannot be read: ENOENT/);
  });
});

describe('dockreg doctor', () => {
  interface Finding {
    readonly service?: string;
    readonly step: string;
    readonly ok: boolean | null;
    readonly detail: string;
  }

  async function examine(
    args: readonly string[],
  ): Promise<{ code: number | null; text: string; findings: Finding[] }> {
    const env = { DOCKREG_IP: '127.0.0.1', DOCKREG_ALLOW_LOOPBACK: 'on' };
    const json = await dockreg(['doctor', '--json', ...args], env);
    await json.exitWithin(30_000);
    const people = await dockreg(['doctor', ...args], env);
    const { code } = await people.exitWithin(30_000);
    const [findings, text] = [json, people].map(({ lines }) => lines.map(({ raw }) => raw).join('\n'));
    return { code, text: text ?? '', findings: JSON.parse(findings ?? '') as Finding[] };
  }

  it('goes every step for each service, and what all share once', async () => {
    container({}, apps[2]);
    apps[1]!.respond({ status: 500 });
    const { code, text, findings } = await examine(flags());
    assert.equal(code, 1);
    const own = ['port', 'app', 'check', 'address'];
    assert.deepEqual(
      findings.map(({ service, step }) => (service ? `${service} ${step}` : step)),
      [
        // They have no key of their own, of which the third line warns.
        ...['docker', 'container', 'services'],
        ...names.flatMap(name => own.map(step => `${name} ${step}`)),
        ...['etcd', 'cluster'],
        ...names.map(name => `${name} record`),
      ],
    );
    assert.deepEqual(
      findings.filter(({ ok }) => ok === false).map(({ service, step }) => `${service} ${step}`),
      ['web address', 'api check', 'api address', 'admin port'],
    );
    assert.match(text, /^✗ check +api: fails after \d+ ms: HTTP 500/m);
    assert.match(text, /^✓ record +web: while the check passes.*\/service\/127\.0\.0\.1:49155 = running/m);
  });

  it('reads the labels, and tells of bad ones', async () => {
    container({ 'dockreg.web.port': String(apps[0]!.port) });
    const good = await examine([]);
    assert.match(good.text, /^✓ services + the labels of this container define web$/m);
    const unread = await examine(['--port', String(apps[0]!.port)]);
    assert.match(
      unread.text,
      /^– services +the labels dockreg\.\* of this container are not read, as --port/m,
    );
    container({ 'dockreg.web.prot': '1' });
    const bad = await examine([]);
    assert.match(
      bad.text,
      /^✗ services + label dockreg\.web\.prot is not an option of a service; did you mean port\?$/m,
    );
    assert.match(bad.text, /^✓ etcd /m);
    docker.close();
    const silent = await examine([]);
    assert.match(
      silent.text,
      /^– services + no --port, .* is given, and the labels of this container are not known: Docker does not answer$/m,
    );
  });
});
