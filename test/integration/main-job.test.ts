/** The main job of the built program against a real etcd, an app in this process, and a fake Docker socket. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import {
  inspectAnswer,
  published,
  startDockerSocket,
  type DockerSocket,
  type DockerSocketOptions,
} from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { quick, startProgram, type Program, type ProgramOptions } from '../support/program.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually, freePort, pause, stopwatch } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const key = '/service/10.1.0.101:49155';

let etcd: EtcdCluster;
let programs: Program[] = [];
let apps: App[] = [];
let sockets: DockerSocket[] = [];

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
afterEach(async () => {
  for (const program of programs) await program.stop();
  for (const program of programs) program.assertClean();
  for (const web of apps) web.close();
  for (const socket of sockets) await socket.stop();
  [programs, apps, sockets] = [[], [], []];
  assert.deepEqual([...(await etcd.keys('/')).keys()], [], 'a key was left behind');
});

async function app(): Promise<App> {
  const started = await startApp();
  apps.push(started);
  return started;
}

async function docker(options?: DockerSocketOptions): Promise<DockerSocket> {
  const socket = await startDockerSocket(options);
  sockets.push(socket);
  return socket;
}

async function dockreg(port: number, options: ProgramOptions & { etcd?: string } = {}): Promise<Program> {
  const env = {
    DOCKREG_ETCD: options.etcd ?? etcd.endpoints.join(','),
    DOCKREG_PORT: String(port),
    ...quick,
    ...options.env,
  };
  const program = await startProgram({ ...options, env });
  programs.push(program);
  return program;
}

const literal = { DOCKREG_ADVERTISE: '10.1.0.101:49155' };

describe('the key', () => {
  it('is there while the app answers, under our lease with its TTL', async () => {
    const { port } = await app();
    const watcher = await etcd.watch('/');
    const program = await dockreg(port, { env: { ...literal, DOCKREG_TTL: '20s' } });
    const put = await watcher.next();
    assert.deepEqual(
      { type: put.type, key: put.key, value: put.value },
      { type: 'put', key, value: 'running' },
    );
    const lease = await etcd.ctl(['lease', 'timetolive', put.lease, '--keys']);
    assert.match(lease, /granted with TTL\(20s\).*\/service\/10\.1\.0\.101:49155/);
    await program.waitForLine('registered');
    watcher.close();
  });

  it('is written after the first check, which does not wait for an interval', async () => {
    const { port } = await app();
    const elapsed = stopwatch();
    const program = await dockreg(port, { env: { ...literal, DOCKREG_INTERVAL: '10s', DOCKREG_TTL: '20s' } });
    await program.waitForLine('registered', 9000);
    assert.ok(elapsed() < 9000);
  });

  it('goes when the app fails and comes back with it', async () => {
    const web = await app();
    const watcher = await etcd.watch('/');
    await dockreg(web.port, { env: literal });
    await watcher.next(({ type }) => type === 'put');
    for (const trouble of [{ status: 500 }, 'hang', 'reset'] as const) {
      web.respond(trouble);
      await watcher.next(({ type }) => type === 'delete');
      web.respond('ok');
      await watcher.next(({ type }) => type === 'put');
    }
    web.close();
    await watcher.next(({ type }) => type === 'delete');
    await web.listen();
    await watcher.next(({ type }) => type === 'put');
    watcher.close();
  });

  it('is not written for an app that never passes', async () => {
    const web = await app();
    web.respond({ status: 404 });
    const program = await dockreg(web.port, { env: literal });
    const count = web.requests.length;
    await web.request(10_000, count + 3);
    await program.waitForLine('down: HTTP 404');
    assert.equal((await etcd.leases()).length, 0);
    assert.equal((await etcd.keys('/')).size, 0);
  });

  it('comes back when it is deleted or overwritten by others', async () => {
    const { port } = await app();
    const watcher = await etcd.watch('/');
    const program = await dockreg(port, { env: literal });
    const first = await watcher.next();
    await etcd.ctl(['del', key]);
    await watcher.next(({ type, lease }) => type === 'put' && lease === first.lease);
    await etcd.ctl(['put', key, 'something else']);
    await watcher.next(
      ({ type, lease, value }) => type === 'put' && lease === first.lease && value === 'running',
    );
    await program.waitForLine('restored');
    watcher.close();
  });

  it('comes back under a new lease when the lease is revoked, after a new check', async () => {
    const web = await app();
    const watcher = await etcd.watch('/');
    const program = await dockreg(web.port, { env: literal });
    const first = await watcher.next();
    await etcd.ctl(['lease', 'revoke', first.lease]);
    await program.waitForLine('lost our lease');
    const back = await watcher.next(({ type }) => type === 'put');
    assert.notEqual(back.lease, first.lease);
    assert.ok(web.requests.some(({ at }) => at > first.at && at < back.at));
    watcher.close();
  });

  it('of a successor is not taken away by its predecessor', async () => {
    const { port } = await app();
    const watcher = await etcd.watch('/');
    const old = await dockreg(port, { env: literal });
    await old.waitForLine('registered');
    const successor = await dockreg(port, { env: literal });
    await successor.waitForLine('registered');
    watcher.skipToNow();
    await old.stop();
    await successor.waitForLine('registered');
    assert.ok((await etcd.keys('/service')).has(key));
    assert.deepEqual(
      watcher.events.filter(({ type }) => type === 'delete'),
      [],
    );
    watcher.close();
  });

  it('costs nothing while nothing changes', async () => {
    const web = await app();
    const program = await dockreg(web.port, { env: literal });
    await program.waitForLine('registered');
    await web.request();
    const committed = await etcd.metric('etcd_server_proposals_committed_total');
    await web.request(10_000, web.requests.length + 6);
    assert.equal(await etcd.metric('etcd_server_proposals_committed_total'), committed);
  });
});

describe('the stop', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`on ${signal} deletes the key, then exits 0`, async () => {
      const { port } = await app();
      const watcher = await etcd.watch('/');
      const program = await dockreg(port, { env: literal });
      await watcher.next();
      program.signal(signal);
      const exit = await program.exitWithin(2000);
      assert.equal(exit.code, 0);
      await watcher.next(({ type }) => type === 'delete', 1000);
      watcher.close();
    });
  }

  for (const mode of ['silent', 'refuse'] as const) {
    it(`exits 0 within 2 s while etcd is ${mode === 'silent' ? 'silent' : 'gone'}`, async () => {
      const { port } = await app();
      const proxy = await startProxy(etcd.members[0]!.port);
      const program = await dockreg(port, { env: literal, etcd: `http://127.0.0.1:${proxy.port}` });
      await program.waitForLine('registered');
      await proxy.set(mode);
      const elapsed = stopwatch();
      program.signal('SIGTERM');
      assert.equal((await program.exitWithin(5000)).code, 0);
      assert.ok(elapsed() < 2000, `${elapsed()} ms`);
      await program.waitForLine('stopped without an answer from etcd');
      proxy.close();
      await eventually('the lease takes the key', async () => (await etcd.keys('/')).size === 0);
    });
  }

  it('before anything was there exits 0 too', async () => {
    const program = await dockreg(await freePort(), { env: literal, etcd: 'http://127.0.0.1:1' });
    await program.waitForLine('app down');
    program.signal('SIGTERM');
    assert.equal((await program.exitWithin(2000)).code, 0);
  });
});

describe('surroundings that come late', () => {
  it('etcd: waited for, logged once, registered when it comes', async () => {
    const { port } = await app();
    const proxy = await startProxy(etcd.members[0]!.port);
    await proxy.set('refuse');
    const program = await dockreg(port, { env: literal, etcd: `http://127.0.0.1:${proxy.port}` });
    await program.waitForLine(/etcd: .*ECONNREFUSED/);
    await proxy.set('pass');
    await program.waitForLine('registered');
    assert.equal(program.lines.filter(({ raw }) => raw.includes('ECONNREFUSED')).length, 1);
    await program.stop();
    proxy.close();
  });

  it('etcd that is silent: the next endpoint is asked', async () => {
    const { port } = await app();
    const proxy = await startProxy(etcd.members[0]!.port);
    await proxy.set('silent');
    const endpoints = `http://127.0.0.1:${proxy.port},${etcd.endpoints.join(',')}`;
    const program = await dockreg(port, { env: literal, etcd: endpoints });
    await program.waitForLine('registered');
    await program.stop();
    proxy.close();
  });

  it('two silent members of five: the lease outlives them', async () => {
    const { port } = await app();
    const proxies = await Promise.all([1, 2, 3, 4, 5].map(() => startProxy(etcd.members[0]!.port)));
    const endpoints = proxies.map(proxy => `http://127.0.0.1:${proxy.port}`).join(',');
    const watcher = await etcd.watch('/');
    const program = await dockreg(port, { env: { ...literal, DOCKREG_TTL: '10s' }, etcd: endpoints });
    await program.waitForLine('registered');
    const used = proxies.findIndex(({ stats }) => stats.open > 0);
    for (const step of [0, 1]) await proxies[(used + step) % 5]!.set('silent');
    await program.waitForLine('etcd answers again', 20_000);
    assert.deepEqual(
      watcher.events.filter(({ type }) => type === 'delete'),
      [],
    );
    await program.stop();
    watcher.close();
    for (const proxy of proxies) proxy.close();
  });

  it('etcd that answered while we were stopped: what it said is read, and the connection kept', async () => {
    const { port } = await app();
    const proxy = await startProxy(etcd.members[0]!.port);
    const env = { ...literal, DOCKREG_TTL: '20s' };
    const program = await dockreg(port, { env, etcd: `http://127.0.0.1:${proxy.port}` });
    await program.waitForLine('registered');
    const { accepted, bytesUp } = proxy.stats;
    await proxy.set({ delayMs: 1000 });
    await eventually('a request on its way', () => proxy.stats.bytesUp > bytesUp);
    program.signal('SIGSTOP');
    // Longer than a request may take.
    await pause(4000);
    await proxy.set('pass');
    program.signal('SIGCONT');
    const { bytesDown } = proxy.stats;
    await eventually('answers to later requests', () => proxy.stats.bytesDown > bytesDown + 500);
    assert.equal(proxy.stats.accepted, accepted);
    assert.deepEqual(
      program.lines.filter(({ raw }) => raw.includes('etcd: ')),
      [],
    );
    await program.stop();
    proxy.close();
  });

  it('the Docker socket: waited for, with the path and how to mount it', async () => {
    const { port } = await app();
    const socket = await docker({
      containers: { [id]: inspectAnswer({ id, ports: published(port, 49155) }) },
    });
    socket.close();
    const program = await dockreg(port, {
      args: ['--docker', socket.socketPath, '--container', id, '--ip', '10.1.0.101'],
    });
    const line = await program.waitForLine('waiting for the address');
    assert.ok(line.raw.includes(`no Docker socket at ${socket.socketPath}; mount it with -v`), line.raw);
    await socket.listen();
    await program.waitForLine('registered');
    assert.ok((await etcd.keys('/service')).has(key));
  });

  for (const mode of ['silent', 'cut', 'garbage', 'error500'] as const) {
    it(`a Docker API that is ${mode}: waited for`, async () => {
      const { port } = await app();
      const socket = await docker({
        containers: { [id]: inspectAnswer({ id, ports: published(port, 49155) }) },
      });
      socket.mode = mode;
      const program = await dockreg(port, {
        args: ['--docker', socket.socketPath, '--container', id, '--ip', '10.1.0.101'],
      });
      await program.waitForLine('waiting for the address');
      socket.mode = 'ok';
      await program.waitForLine('registered');
    });
  }
});

describe('a swarm task', () => {
  const serviceId = 'p2q4xjz0c3h1w8m5n6b7v9k2r';
  const labels = { 'com.docker.swarm.service.id': serviceId };
  const ingressOf = (port: number): object => ({
    ID: serviceId,
    Endpoint: {
      Ports: [{ Protocol: 'tcp', TargetPort: port, PublishedPort: 8090, PublishMode: 'ingress' }],
    },
  });

  it("is registered at its node's address and its service's ingress port, by three questions", async () => {
    const { port } = await app();
    const socket = await docker({ containers: { [id]: inspectAnswer({ id, labels }) } });
    socket.answer(`/services/${serviceId}`, ingressOf(port));
    socket.answer('/info', { ID: 'N0DE', Swarm: { NodeAddr: '10.1.0.101' } });
    const program = await dockreg(port, {
      args: ['--docker', socket.socketPath, '--container', id, '--advertise', 'swarm'],
    });
    await program.waitForLine('registered /service/10.1.0.101:8090');
    assert.deepEqual(
      socket.requests.map(({ method, path }) => `${method} ${path}`),
      [`GET /containers/${id}/json`, `GET /services/${serviceId}`, 'GET /info'],
    );
  });

  it('waits for a swarm that has no leader', async () => {
    const { port } = await app();
    const socket = await docker({ containers: { [id]: inspectAnswer({ id, labels }) } });
    socket.refuse(`/services/${serviceId}`, 503, 'The swarm does not have a leader.');
    const program = await dockreg(port, {
      args: ['--docker', socket.socketPath, '--container', id, '--advertise', 'swarm'],
    });
    await program.waitForLine('waiting for the address');
    socket.answer(`/services/${serviceId}`, ingressOf(port));
    socket.answer('/info', { ID: 'N0DE', Swarm: { NodeAddr: '10.1.0.101' } });
    await program.waitForLine('registered /service/10.1.0.101:8090');
  });
});

describe('--ip', () => {
  it('may be a name, and says so', async () => {
    const { port } = await app();
    const socket = await docker({
      containers: { [id]: inspectAnswer({ id, ports: published(port, 49155) }) },
    });
    const program = await dockreg(port, {
      args: ['--docker', socket.socketPath, '--container', id, '--ip', 'localhost', '--allow-loopback'],
    });
    assert.match(
      (await program.waitForLine('address 127.0.0.1:49155')).raw,
      /found=.*by --container, name localhost, published/,
    );
    await program.waitForLine('registered /service/127.0.0.1:49155');
  });

  it('that is a name which does not resolve is waited for', async () => {
    const { port } = await app();
    const socket = await docker({
      containers: { [id]: inspectAnswer({ id, ports: published(port, 49155) }) },
    });
    const program = await dockreg(port, {
      args: ['--docker', socket.socketPath, '--container', id, '--ip', 'no-such-host.invalid'],
    });
    await program.waitForLine(
      'waiting for the address: --ip no-such-host.invalid is not an interface and does not resolve',
    );
  });
});

describe('Docker', () => {
  it('is asked for nothing but an inspect of our container', async () => {
    const { port } = await app();
    const socket = await docker({
      containers: { [id]: inspectAnswer({ id, ports: published(port, 49155, 49156) }) },
    });
    const program = await dockreg(port, {
      args: ['--docker', socket.socketPath, '--container', id.slice(0, 12), '--ip', '10.1.0.101'],
    });
    await program.waitForLine('registered');
    assert.deepEqual(
      socket.requests.map(({ method, path }) => `${method} ${path}`),
      [`GET /containers/${id.slice(0, 12)}/json`],
    );
  });

  it('is not asked at all with --advertise', async () => {
    const { port } = await app();
    const socket = await docker();
    const program = await dockreg(port, { env: literal, args: ['--docker', socket.socketPath] });
    await program.waitForLine('registered');
    assert.deepEqual(socket.requests, []);
  });

  it('over tcp://', async () => {
    const { port } = await app();
    const socket = await docker({
      tcp: true,
      containers: { [id]: inspectAnswer({ id, ports: published(port, 49155) }) },
    });
    // A variable that the library would read must not win over the flag.
    const env = { DOCKER_HOST: 'tcp://127.0.0.1:1' };
    const program = await dockreg(port, {
      env,
      args: ['--docker', `tcp://127.0.0.1:${socket.port}`, '--container', id, '--ip', '10.1.0.101'],
    });
    await program.waitForLine('registered');
  });
});

describe('the check', () => {
  it('leaves no connection open and follows no redirect', async () => {
    const web = await app();
    web.respond({ redirect: '/elsewhere' });
    const program = await dockreg(web.port, { env: literal });
    await program.waitForLine('registered');
    await web.request(10_000, web.requests.length + 2);
    assert.ok(web.requests.every(({ path, reused, method }) => path === '/' && !reused && method === 'GET'));
    await eventually('no connection is left', () => web.openConnections === 0);
  });

  for (const trouble of ['drip', 'hang'] as const) {
    it(`ends after its timeout when the app answers with a ${trouble}`, async () => {
      const web = await app();
      web.respond(trouble);
      const program = await dockreg(web.port, { env: literal });
      await program.waitForLine(
        trouble === 'drip' ? /down: no complete answer .* within 300 ms/ : /down: no answer .* within 300 ms/,
        3000,
      );
    });
  }

  it('reads no more of an endless body than it needs', async () => {
    const web = await app();
    web.respond('endless');
    const program = await dockreg(web.port, { env: literal });
    await program.waitForLine('up 1/1: HTTP 200');
  });

  it('goes on while etcd is away', async () => {
    const web = await app();
    const program = await dockreg(web.port, { env: literal, etcd: 'http://127.0.0.1:1' });
    await program.waitForLine('etcd: ');
    await web.request(10_000, web.requests.length + 3);
    web.close();
    await program.waitForLine('app down');
  });

  it('is made again before anything is written after our own pause', async () => {
    const web = await app();
    const watcher = await etcd.watch('/');
    const program = await dockreg(web.port, { env: literal });
    await watcher.next();
    program.signal('SIGSTOP');
    await watcher.next(({ type }) => type === 'delete', 15_000);
    web.close();
    program.signal('SIGCONT');
    await program.waitForLine('app down');
    assert.equal(watcher.events.at(-1)?.type, 'delete', 'a key was written for an app that is down');
    watcher.close();
  });
});

describe('the log', () => {
  it('is JSON when asked for', async () => {
    const { port } = await app();
    const program = await dockreg(port, { env: literal, args: ['--log', 'json'] });
    await program.waitForLine(({ fields }) => fields['msg'] === `registered ${key}`);
    for (const { raw } of program.lines) assert.doesNotThrow(() => JSON.parse(raw), raw);
  });
});
