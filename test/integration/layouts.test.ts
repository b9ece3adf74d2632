/** The built program with several layouts at once, and `dockreg ls`, against a real etcd and a fake Docker socket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { ask, encode } from '../support/etcd-gateway.ts';
import { quick, startProgram, type Program } from '../support/program.ts';
import { eventually } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const address = '10.1.0.101:49155';
const entry = fileURLToPath(new URL('../../../dist/dockreg.js', import.meta.url));
const four = 'named:app/servers,registrator:services,skydns:cluster.local,go-zero';

let etcd: EtcdCluster;
let app: App;
let docker: DockerSocket;
let programs: Program[] = [];

before(async () => {
  etcd = await startEtcd();
  app = await startApp();
  docker = await startDockerSocket();
});
after(async () => {
  app.close();
  await docker.stop();
  await etcd.stop();
});
afterEach(async () => {
  for (const program of programs) await program.stop();
  for (const program of programs) program.assertClean();
  programs = [];
  assert.equal((await etcd.keys('')).size, 0, 'a key was left behind');
});

async function dockreg(env: Record<string, string>): Promise<Program> {
  docker.set(
    inspectAnswer({
      id,
      name: 'web-1',
      image: 'registry.example:5000/team/image:2',
      labels: { 'com.docker.compose.service': 'web' },
      ports: published(app.port, 49155),
    }),
  );
  const program = await startProgram({
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(app.port),
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_CONTAINER: id,
      DOCKREG_IP: '10.1.0.101',
      ...quick,
      ...env,
    },
  });
  programs.push(program);
  return program;
}

async function ls(...args: string[]): Promise<{ code: number | null; text: string; stderr: string }> {
  const program = await startProgram({ args: ['ls', '--etcd', etcd.endpoints.join(','), ...args] });
  const { code } = await program.exitWithin(10_000);
  return { code, text: program.lines.map(({ raw }) => raw).join('\n'), stderr: program.stderr };
}

describe('several layouts', () => {
  it('are under one lease, written in one transaction and removed in one', async () => {
    const watcher = await etcd.watch('');
    await dockreg({ DOCKREG_LAYOUT: four, DOCKREG_RECORD: '/own/{container}={service} {address}' });
    const puts = [];
    for (let count = 0; count < 5; count++) puts.push(await watcher.next(({ type }) => type === 'put'));
    const [{ lease } = { lease: '' }] = puts;
    assert.deepEqual(new Set(puts.map(put => put.lease)).size, 1);
    assert.deepEqual(await etcd.leases(), [lease]);
    assert.equal(new Set(puts.map(put => put.modRevision)).size, 1, 'one transaction');
    const decimal = BigInt(`0x${lease}`).toString();
    assert.deepEqual(Object.fromEntries(puts.map(({ key, value }) => [key, value])), {
      '/app/servers/web-1': address,
      [`/services/web/10.1.0.101:web-1:${app.port}`]: address,
      '/skydns/local/cluster/web/i-10-1-0-101-49155':
        '{"host":"10.1.0.101","port":49155,"priority":10,"weight":100,"ttl":5}',
      [`web.rpc/${decimal}`]: address,
      '/own/web-1': `web ${address}`,
    });

    app.respond({ status: 500 });
    const deletes = [];
    for (let count = 0; count < 5; count++) deletes.push(await watcher.next(({ type }) => type === 'delete'));
    assert.equal(new Set(deletes.map(({ modRevision }) => modRevision)).size, 1);
    app.respond('ok');
    const again = await watcher.next(({ type, key }) => type === 'put' && key.startsWith('web.rpc/'));
    assert.notEqual(again.lease, lease);
    assert.equal(again.key, `web.rpc/${BigInt(`0x${again.lease}`)}`);
    watcher.close();
  });

  it('restore one record that somebody deleted, and write no other', async () => {
    const program = await dockreg({ DOCKREG_LAYOUT: four });
    await program.waitForLine('registered');
    const watcher = await etcd.watch('');
    await etcd.ctl(['del', '/app/servers/web-1']);
    const put = await watcher.next(({ type }) => type === 'put');
    assert.equal(put.key, '/app/servers/web-1');
    await program.waitForLine('restored /app/servers/web-1');
    assert.deepEqual((await etcd.leases()).length, 1);
    watcher.close();
  });

  it('follow the name of the container, at the next inspect', async () => {
    const program = await dockreg({
      DOCKREG_LAYOUT: 'service,named:app/servers,kratos',
      DOCKREG_META: 'of={container}',
    });
    await program.waitForLine('registered');
    const watcher = await etcd.watch('');
    docker.set(inspectAnswer({ id, name: 'web-2', ports: published(app.port, 49155), image: 'web' }));
    const moved = await watcher.next(({ type }) => type === 'put', 40_000);
    const line = await program.waitForLine('moved to');
    assert.match(
      line.raw,
      /moved to \/app\/servers\/web-2 \/microservices\/web\/.*from=\/app\/servers\/web-1/,
    );
    const keys = await etcd.keys('');
    assert.deepEqual(
      [...keys.keys()],
      ['/app/servers/web-2', `/microservices/web/${address}`, `/service/${address}`],
    );
    assert.match(keys.get(`/microservices/web/${address}`)?.value ?? '', /"of":"web-2"/);
    assert.ok(
      keys.get(`/service/${address}`)!.modRevision < moved.modRevision,
      'what stayed was not written',
    );
    watcher.close();
  });

  it('are refused when the container lacks what they need: 78', async () => {
    docker.set(inspectAnswer({ id, name: 'web-1', image: 'sha256:0a1b', ports: published(app.port, 49155) }));
    const program = await startProgram({
      args: [
        '--etcd',
        'http://127.0.0.1:1',
        '--port',
        String(app.port),
        '--ip',
        '10.1.0.101',
        '--layout',
        'grpc',
      ],
      env: { DOCKREG_DOCKER: docker.socketPath, DOCKREG_CONTAINER: id },
    });
    assert.equal((await program.exitWithin(10_000)).code, 78);
    assert.match(program.stderr, /^dockreg: layout grpc needs the service's name, .*; set it with --name$/);
  });

  it('use the variables of registrator as it does', async () => {
    const program = await dockreg({
      DOCKREG_LAYOUT: 'registrator:services',
      DOCKREG_HOST: 'host-7',
      [`SERVICE_${app.port}_NAME`]: 'shop',
      SERVICE_NAME: 'other',
    });
    await program.waitForLine('registered');
    assert.deepEqual([...(await etcd.keys('')).keys()], [`/services/shop/host-7:web-1:${app.port}`]);
  });
});

describe('dockreg ls', () => {
  it('shows the instances, grouped by service, and the time left of their leases', async () => {
    const program = await dockreg({ DOCKREG_LAYOUT: 'service,skydns:cluster.local', DOCKREG_TTL: '20s' });
    await program.waitForLine('registered');
    await etcd.ctl(['put', '/service/10.1.0.9:80', 'running']);
    await etcd.ctl(['put', '/service/stray', 'x']);
    try {
      const { code, text } = await ls('--layout', 'service,skydns:cluster.local');
      assert.equal(code, 0);
      const [head = '', ...rows] = text.split('\n');
      assert.match(head, /^SERVICE +ADDRESS +HOST +TTL LEFT +REVISION +LAYOUT$/);
      assert.equal(rows.length, 3);
      assert.match(rows[0] ?? '', /^service +10\.1\.0\.9:80 +10\.1\.0\.9 +no lease +\d+ +service:service$/);
      assert.match(rows[1] ?? '', /^ +10\.1\.0\.101:49155 +10\.1\.0\.101 +\d+\/20 s +\d+ +service:service$/);
      assert.match(rows[2] ?? '', /^web +10\.1\.0\.101:49155 .* skydns:cluster\.local$/);

      const [first, second] = JSON.parse((await ls('--json')).text) as Record<string, unknown>[];
      assert.deepEqual(
        { ...first, createRevision: 0 },
        {
          service: 'service',
          address: '10.1.0.9:80',
          host: '10.1.0.9',
          weight: null,
          layout: 'service:service',
          key: '/service/10.1.0.9:80',
          ttlSeconds: null,
          grantedSeconds: null,
          createRevision: 0,
          ageSeconds: null,
        },
      );
      assert.equal(second?.['grantedSeconds'], 20);
    } finally {
      await etcd.ctl(['del', '/service/10.1.0.9:80']);
      await etcd.ctl(['del', '/service/stray']);
    }
  });

  it('reports that there are none', async () => {
    assert.deepEqual(await ls(), { code: 0, text: 'no instances', stderr: '' });
    assert.deepEqual(await ls('--json'), { code: 0, text: '[]', stderr: '' });
  });

  it('--watch follows, and shows the age of instances that came since its start', async () => {
    const watching = await startProgram({
      args: ['ls', '--etcd', etcd.endpoints.join(','), '--watch', '--json'],
    });
    await watching.waitForLine('[]');
    const program = await dockreg({});
    const line = await watching.waitForLine(address);
    const [row = {}] = JSON.parse(line.raw) as Record<string, unknown>[];
    assert.equal(typeof row['ageSeconds'], 'number');
    assert.ok(!('ttlSeconds' in row), 'it changes all the time');
    await program.stop();
    await eventually('the empty list again', () => watching.lines.at(-1)?.raw === '[]');
    watching.signal('SIGINT');
    assert.equal((await watching.exitWithin(5000)).code, 0);
    watching.assertClean();
  });

  it('--watch --json prints a line when a weight changes, none while etcd is away, and goes on after it', async () => {
    const key = '/skydns/watched/web/a';
    await etcd.ctl(['put', key, '{"host":"10.1.0.9","port":80,"weight":1}']);
    const watching = await startProgram({
      args: ['ls', '--etcd', etcd.endpoints.join(','), '--watch', '--json', '--layout', 'skydns:watched'],
    });
    await watching.waitForLine('"weight":1,');
    await etcd.ctl(['put', key, '{"host":"10.1.0.9","port":80,"weight":2}']);
    await watching.waitForLine('"weight":2,');
    await etcd.members[0]!.kill();
    await eventually('a message about it', () => watching.stderr.includes('; retrying'));
    assert.equal(watching.lines.length, 2, 'no line while nothing is known of etcd');
    await etcd.members[0]!.start();
    await watching.waitForLine('"weight":2,', 10_000, 2);
    await etcd.ctl(['del', key]);
    await watching.waitForLine('[]');
    await watching.stop();
    watching.assertClean(/^dockreg: etcd: list: .*; retrying$/);
  });

  it('--watch ends when its reader has gone', async () => {
    const listing = spawn(
      'sh',
      ['-c', `"$0" "$1" ls --etcd "$2" --watch | head -n 1`, process.execPath, entry, etcd.endpoints[0]!],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(listing.stdout, 'data');
    const program = await dockreg({});
    const [code] = (await once(listing, 'exit', { signal: AbortSignal.timeout(10_000) })) as [number];
    assert.equal(code, 0);
    await program.waitForLine('registered');
  });

  it('asks the next member when one does not answer, and fails when none does: 69', async () => {
    const program = await dockreg({});
    await program.waitForLine('registered');
    const [alive = ''] = etcd.endpoints;
    const listing = await startProgram({ args: ['ls', '--etcd', `http://127.0.0.1:1,${alive}`] });
    assert.equal((await listing.exitWithin(10_000)).code, 0);
    const { code, stderr } = await ls('--etcd-ca', '/x');
    assert.deepEqual([code, /are for https endpoints/.test(stderr)], [64, true]);
    const none = await startProgram({ args: ['ls', '--etcd', 'http://127.0.0.1:1'] });
    assert.equal((await none.exitWithin(10_000)).code, 69);
    assert.match(none.stderr, /^dockreg: etcd: list: .*ECONNREFUSED/);
  });

  it('reads more keys than fit one page', async () => {
    const { target } = etcd.members[0]!;
    for (let block = 0; block < 11; block++) {
      const puts = Array.from({ length: 100 }, (_, index) => ({
        request_put: { key: encode(`/service/10.2.${block}.${index}:80`), value: encode('running') },
      }));
      await ask(target, '/v3/kv/txn', { success: puts });
    }
    try {
      const rows = JSON.parse((await ls('--json')).text) as unknown[];
      assert.equal(rows.length, 1100);
    } finally {
      await etcd.ctl(['del', '--prefix', '/service/']);
    }
  });
});
