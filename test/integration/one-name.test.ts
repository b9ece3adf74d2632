/**
 * One service has one name: in its status, its log, its metrics, `dockreg ls`, `dockreg doctor` and etcd. And the checks
 * that an image for registrator brings along, as variables and as labels. The built program, a real etcd, a fake Docker.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { requestControl } from '../../src/admin/control-client.ts';
import { startApp, type App } from '../support/app.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { quick, startProgram, type Program } from '../support/program.ts';
import { eventually, freePort } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const address = '10.1.0.101:49155';
const shop = { 'com.docker.compose.service': 'shop' };

let etcd: EtcdCluster;
let app: App;
let docker: DockerSocket;
let folder: string;
let programs: Program[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-names-'));
  [etcd, app, docker] = await Promise.all([startEtcd(), startApp({ host: '0.0.0.0' }), startDockerSocket()]);
});
after(async () => {
  app.close();
  await docker.stop();
  await etcd.stop();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  await Promise.all(programs.map(program => program.stop()));
  for (const program of programs) program.assertClean();
  programs = [];
  assert.equal((await etcd.keys('')).size, 0, 'a key was left behind');
});

function container(labels: Readonly<Record<string, string>>): void {
  docker.set(inspectAnswer({ id, name: 'web-1', labels, ports: published(app.port, 49155) }));
}

interface Started {
  readonly program: Program;
  readonly control: string;
  readonly port: number;
}

let count = 0;

async function dockreg(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Started> {
  const control = join(folder, `${(count += 1)}.sock`);
  const port = await freePort();
  const program = await startProgram({
    args,
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_CONTAINER: id,
      DOCKREG_IP: '10.1.0.101',
      DOCKREG_CONTROL: control,
      DOCKREG_LISTEN: `127.0.0.1:${port}`,
      ...quick,
      ...(args.length === 0 && { DOCKREG_PORT: String(app.port) }),
      ...env,
    },
  });
  programs.push(program);
  return { program, control, port };
}

async function output(...args: string[]): Promise<string> {
  const program = await startProgram({
    args: [args[0]!, '--etcd', etcd.endpoints.join(','), ...args.slice(1)],
    env: { DOCKREG_DOCKER: docker.socketPath, DOCKREG_CONTAINER: id, DOCKREG_IP: '10.1.0.101' },
  });
  await program.exitWithin(10_000);
  return program.lines.map(({ raw }) => raw).join('\n');
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)].toSorted();
}

/** The names in the status, in the metrics, and in the last lines of the log that have one. */
async function namesOf({ program, control, port }: Started): Promise<Record<string, readonly string[]>> {
  const { services } = await requestControl(control, 'status');
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5000) });
  const labels = [...(await response.text()).matchAll(/service="([^"]*)"/g)].map(([, name = '']) => name);
  const page = await fetch(`http://127.0.0.1:${port}/status`, { signal: AbortSignal.timeout(5000) });
  const shown = ((await page.json()) as { services: { name: string }[] }).services;
  const named = program.lines.findLastIndex(({ raw }) => raw.includes('msg="service named'));
  const logged = program.lines.slice(Math.max(named, 0)).flatMap(({ raw, fields }) => {
    const name = /^service named (\S+)/.exec(fields['msg'] ?? '')?.[1] ?? fields['service'];
    return name === undefined || raw.includes('services=') ? [] : [name];
  });
  return {
    status: distinct(services.map(({ name }) => name)),
    page: distinct(shown.map(({ name }) => name)),
    metrics: distinct(labels),
    log: distinct(logged),
  };
}

const everywhere = (...names: string[]) => ({ status: names, page: names, metrics: names, log: names });

/** Of each layout: the settings, and the name. */
const layouts: readonly [env: Readonly<Record<string, string>>, name: string][] = [
  [{ DOCKREG_KEY: 'prod/web' }, 'prod/web'],
  [{ DOCKREG_LAYOUT: 'named:app/servers' }, 'app/servers'],
  [{ DOCKREG_LAYOUT: 'registrator:services' }, 'shop'],
  [{ DOCKREG_LAYOUT: 'skydns:cluster.local' }, 'shop'],
  [{ DOCKREG_LAYOUT: 'traefik' }, 'shop'],
  [{ DOCKREG_LAYOUT: 'grpc:prod' }, 'shop'],
  [{ DOCKREG_LAYOUT: 'go-zero' }, 'shop'],
  [{ DOCKREG_LAYOUT: 'kratos', DOCKREG_NAME: 'own' }, 'own'],
];

describe('one service has one name', () => {
  it('in status, log, metrics, ls and etcd, in every layout', async () => {
    container(shop);
    const started = await Promise.all(layouts.map(async ([env]) => dockreg(env)));
    await Promise.all(started.map(({ program }) => program.waitForLine('registered', 30_000)));
    for (const [index, [env, name]] of layouts.entries())
      assert.deepEqual(await namesOf(started[index]!), everywhere(name), JSON.stringify(env));

    const keys = [...(await etcd.keys('')).keys()].join('\n');
    const names = layouts.map(([env, name]) => ({
      layout: env['DOCKREG_LAYOUT'] ?? 'service:prod/web',
      name,
    }));
    for (const { name } of names) assert.ok(keys.includes(`${name}/`) || keys.includes(`${name}.rpc/`), keys);
    // What has no root of its own needs the name, as the keys of all services begin with theirs.
    const own = names.filter(({ layout }) => layout === 'go-zero');
    const others = names.filter(({ layout }) => layout !== 'go-zero');
    for (const [rows, args] of [
      [own, ['--name', 'shop']],
      [others, []],
    ] as const) {
      const text = await output(
        'ls',
        '--json',
        '--layout',
        rows.map(({ layout }) => layout).join(','),
        ...args,
      );
      const listed = JSON.parse(text) as { service: string; layout: string; address: string }[];
      assert.equal(listed.length, rows.length, text);
      assert.ok(listed.every(row => row.address === address));
      for (const { layout, name } of rows)
        assert.equal(listed.find(row => `${row.layout}:`.startsWith(`${layout}:`))?.service, name, layout);
    }
  });

  it('and keeps those that people knew it by, for drain, resume and status', async () => {
    container(shop);
    const { program, control } = await dockreg({ DOCKREG_LAYOUT: 'service,kratos', DOCKREG_KEY: 'web' });
    await program.waitForLine('registered');
    for (const name of ['shop', 'web', String(app.port)]) {
      const { services } = await requestControl(control, 'status', name);
      assert.deepEqual(
        services.map(each => each.name),
        ['shop'],
        name,
      );
    }
    await assert.rejects(
      requestControl(control, 'drain', 'sho'),
      /there is no service sho; the services are shop/,
    );
    await requestControl(control, 'drain', String(app.port));
    await program.waitForLine('withdrawn');
  });

  it('also where several share one in etcd: they get their ports, and doctor says the same', async () => {
    const second = await startApp({ host: '0.0.0.0' });
    try {
      docker.set(
        inspectAnswer({
          id,
          name: 'web-1',
          labels: shop,
          ports: { ...published(app.port, 49155), ...published(second.port, 49156) },
        }),
      );
      const services = [app, second].flatMap(({ port }) => ['--service', `port=${port},layout=kratos`]);
      const started = await dockreg({}, ...services);
      await eventually('two keys', async () => (await etcd.keys('/microservices/shop/')).size === 2);
      const names = [app, second].map(({ port }) => `shop:${port}`).toSorted();
      assert.deepEqual(await namesOf(started), everywhere(...names));
      const findings = JSON.parse(await output('doctor', '--json', ...services)) as { service?: string }[];
      assert.deepEqual([...new Set(findings.flatMap(({ service = [] }) => service))].toSorted(), names);
      const both = await requestControl(started.control, 'status', 'shop');
      assert.equal(both.services.length, 2);
    } finally {
      second.close();
    }
  });
});

/** The app answers 200 at /health only. */
async function withHealth(run: () => Promise<void>): Promise<void> {
  app.respond({ status: 404 });
  app.respond('ok', '/health');
  await run().finally(() => app.respond('ok'));
}

describe('an image for registrator', () => {
  for (const [source, inLabels] of [
    ['variables', false],
    ['labels', true],
  ] as const)
    it(`brings its check along, as ${source}, also where flags give the service`, async () => {
      await withHealth(async () => {
        const texts = {
          [`SERVICE_${app.port}_CHECK_HTTP`]: '/health',
          SERVICE_CHECK_INTERVAL: '1s',
          SERVICE_CHECK_TTL: '9s',
        };
        container(inLabels ? texts : {});
        const { program, control } = await dockreg({
          ...(inLabels ? {} : texts),
          DOCKREG_KEY: 'web',
          DOCKREG_INTERVAL: '',
          DOCKREG_TIMEOUT: '',
          DOCKREG_TTL: '',
        });
        await program.waitForLine('registered');
        const { services } = await requestControl(control, 'status');
        assert.deepEqual(
          services.map(({ name, health }) => [name, health]),
          [['web', 'up']],
        );
        const warnings = program.lines.filter(({ raw }) => raw.includes('SERVICE_CHECK_TTL is not used'));
        assert.equal(warnings.length, 1);
        const configured = program.lines.filter(({ raw }) =>
          raw.includes('check=http:/health interval=1000ms'),
        );
        assert.equal(configured.length, 1, program.lines.map(({ raw }) => raw).join('\n'));
        assert.equal((await etcd.keys(`/web/${address}`)).size, 1);
      });
    });

  it('does not replace the check of the user', async () => {
    await withHealth(async () => {
      container({ SERVICE_CHECK_HTTP: '/wrong' });
      const { program } = await dockreg({ DOCKREG_CHECK: 'http:/health', SERVICE_CHECK_TCP: 'true' });
      await program.waitForLine('registered');
    });
  });
});
