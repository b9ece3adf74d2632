/**
 * The parts of the test bed work: if a fault were not injected, the tests that use it would pass for nothing.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { startApp } from '../support/app.ts';
import { inspectAnswer, published, startDockerSocket } from '../support/docker-socket.ts';
import { type EtcdCluster, type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { startProgram } from '../support/program.ts';
import { type Proxy, startProxy } from '../support/proxy.ts';
import { makeTls } from '../support/tls.ts';
import { eventually, inTime, Journal, stopwatch, WaitError } from '../support/wait.ts';

async function etcd(t: TestContext, options: EtcdOptions = {}): Promise<EtcdCluster> {
  const cluster = await startEtcd(options);
  t.after(() => cluster.stop());
  return cluster;
}

describe('wait', () => {
  it('names the missing event and the last error', async () => {
    const wait = eventually('the moon', () => Promise.reject(new Error('clouds')), {
      timeoutMs: 60,
      everyMs: 10,
    });
    await assert.rejects(wait, (error: WaitError) => /the moon.*60 ms.*clouds/.test(error.message));
  });

  it('abandons a probe that hangs', async () => {
    const wait = eventually('an answer', () => new Promise<undefined>(() => undefined), { timeoutMs: 50 });
    await assert.rejects(wait, WaitError);
  });

  it('returns existing entries of a journal, and waits for future ones', async () => {
    const journal = new Journal<number>('number');
    journal.push(1);
    assert.equal(await journal.first(n => n === 1), 1);
    const second = journal.first(n => n > 0, { since: 1 });
    journal.push(2);
    assert.equal(await second, 2);
    await assert.rejects(
      journal.first(n => n === 3, { timeoutMs: 20 }),
      /2 so far/,
    );
  });
});

describe('etcd', () => {
  it('is killed and started again with its data, and a watch continues without a gap', async t => {
    const cluster = await etcd(t);
    const [member] = cluster.members;
    const watcher = await cluster.watch('/service/');
    const lease = /lease (\S+)/.exec(await cluster.ctl(['lease', 'grant', '60']))?.[1];
    assert.ok(lease);
    await cluster.ctl(['put', `--lease=${lease}`, '/service/a', 'one']);
    const put = await watcher.next();
    assert.deepEqual([put.type, put.key, put.value, put.lease], ['put', '/service/a', 'one', lease]);

    const { pid } = member!;
    await member!.kill();
    assert.equal(member!.state, 'stopped');
    await assert.rejects(cluster.ctl(['get', 'x'], { endpoint: member!.endpoint, timeoutMs: 500 }));
    await member!.start();
    assert.notEqual(member!.pid, pid);
    assert.equal((await cluster.keys('/service/')).get('/service/a')?.lease, lease);
    assert.deepEqual(await cluster.leases(), [lease]);

    await cluster.ctl(['lease', 'revoke', lease]);
    const gone = await watcher.next();
    assert.deepEqual(
      [gone.type, gone.key, gone.lease, gone.previousValue],
      ['delete', '/service/a', lease, 'one'],
    );
    assert.equal(gone.modRevision, put.modRevision + 1);
    assert.equal(watcher.events.length, 2);
    assert.deepEqual(watcher.gaps, []);
  });

  it('answers nothing while it is paused, and continues afterwards', async t => {
    const cluster = await etcd(t);
    const [member] = cluster.members;
    await member!.pause();
    await assert.rejects(member!.metric('etcd_server_has_leader'), WaitError);
    member!.resume();
    assert.equal(await member!.metric('etcd_server_has_leader'), 1);
    await member!.terminate();
    assert.equal(member!.state, 'stopped');
  });

  it('is a new cluster after a wipe, and the watch reports that', async t => {
    const cluster = await etcd(t);
    const [member] = cluster.members;
    const watcher = await cluster.watch('/');
    for (const value of ['1', '2', '3']) await cluster.ctl(['put', '/a', value]);
    await watcher.next(event => event.value === '3');
    await member!.kill();
    await member!.wipe();
    await member!.start();
    assert.equal((await cluster.keys('/')).size, 0);
    await cluster.ctl(['put', '/b', 'new']);
    const event = await watcher.next();
    assert.deepEqual([event.key, event.modRevision], ['/b', 2]);
    assert.deepEqual(
      watcher.gaps.map(gap => gap.reason),
      ['new-cluster'],
    );
  });

  it('reports changes that were compacted before they could be observed', async t => {
    const cluster = await etcd(t);
    for (const value of ['1', '2', '3']) await cluster.ctl(['put', '/a', value]);
    const last = await cluster.revision();
    await cluster.ctl(['compact', String(last)]);
    const watcher = await cluster.watch('/', { fromRevision: last - 2 });
    const event = await watcher.next();
    assert.deepEqual([event.value, event.modRevision], ['3', last]);
    assert.deepEqual(
      watcher.gaps.map(gap => [gap.reason, gap.revision]),
      [['compacted', last - 1]],
    );
  });

  it('fails over within three members, and the watch reports every revision once', async t => {
    const cluster = await etcd(t, { members: 3 });
    const watcher = await cluster.watch('/service/');
    const leader = await cluster.leader();
    await cluster.ctl(['put', '/service/a', '1']);
    await leader.kill();
    const next = await cluster.leader();
    assert.notEqual(next, leader);
    await cluster.ctl(['put', '/service/a', '2']);
    await leader.start();
    await cluster.ctl(['put', '/service/a', '3'], { endpoint: leader.endpoint });
    await watcher.next(event => event.value === '3');
    assert.deepEqual(
      watcher.events.map(event => event.value),
      ['1', '2', '3'],
    );
  });

  it('cuts a leader off from the others, which elect another', async t => {
    const cluster = await etcd(t, { members: 3, peerProxies: true });
    const watcher = await cluster.watch('/');
    const old = await cluster.leader();
    await cluster.isolate(old);
    const next = await eventually('another leader', async () => {
      const leader = await cluster.leader();
      return leader !== old && leader;
    });
    await assert.rejects(cluster.ctl(['put', '/lost', 'x'], { endpoint: old.endpoint, timeoutMs: 1_500 }));
    await cluster.ctl(['put', '/kept', 'x'], { endpoint: next.endpoint });
    await watcher.next(event => event.key === '/kept');
    await cluster.heal();
    await eventually('the old leader answers again', () =>
      cluster.ctl(['get', '/kept'], { endpoint: old.endpoint, timeoutMs: 1_000 }),
    );
  });

  it('requires client certificates, and counts its proposals', async t => {
    const tls = await makeTls();
    t.after(() => tls.authority.remove());
    const cluster = await etcd(t, { tls, clientCertAuth: true, quotaBackendBytes: 64 << 20 });
    const watcher = await cluster.watch('/');
    const before = await cluster.metric('etcd_server_proposals_committed_total');
    await cluster.ctl(['put', '/a', '1']);
    await watcher.next();
    assert.equal(await cluster.metric('etcd_server_proposals_committed_total'), before + 1);
    const client = await tls.authority.issue('other');
    const args = ['--cert', client.cert, '--key', client.key, 'get', '/a'];
    assert.match(await cluster.ctl(args), /1/);
    await tls.authority.issue('other', { expiresInSeconds: -10 });
    await assert.rejects(cluster.ctl(args, { timeoutMs: 1_000 }));
  });

  it('lets the tests read while authentication is on', async t => {
    const cluster = await etcd(t);
    await cluster.ctl(['user', 'add', 'root:secret']);
    await cluster.ctl(['user', 'grant-role', 'root', 'root']);
    await cluster.ctl(['auth', 'enable']);
    await assert.rejects(cluster.ctl(['get', '/a']));
    cluster.user = 'root:secret';
    const watcher = await cluster.watch('/');
    await cluster.ctl(['put', '/a', '1']);
    await watcher.next();
    await cluster.members[0]!.kill();
    await cluster.members[0]!.start();
    await cluster.ctl(['put', '/a', '2']);
    await watcher.next(event => event.value === '2');
    assert.equal((await cluster.keys('/')).get('/a')?.version, 2);
  });
});

interface Pair {
  readonly proxy: Proxy;
  readonly client: Socket;
  /** The texts that each side has received. */
  readonly up: Journal<string>;
  readonly down: Journal<string>;
  readonly far: Socket;
}

/** A client connected to a server through a proxy, with everything that both receive. */
async function pair(t: TestContext): Promise<Pair> {
  const accepted = new Journal<Socket>('connection');
  const server = createServer(socket => accepted.push(record(socket, up)));
  const up = new Journal<string>('text from the client');
  const down = new Journal<string>('text from the server');
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const proxy = await startProxy(address.port);
  const client = record(connect(proxy.port, '127.0.0.1'), down);
  t.after(() => {
    client.destroy();
    proxy.close();
    server.close();
    for (const socket of accepted.entries) socket.destroy();
  });
  const far = await accepted.first(() => true);
  client.write('hello');
  await up.first(text => text === 'hello');
  return { proxy, client, up, down, far };
}

function record(socket: Socket, journal: Journal<string>): Socket {
  socket.on('data', chunk => journal.push(chunk.toString()));
  socket.on('end', () => journal.push('<end>'));
  socket.on('error', error => journal.push(`<${(error as NodeJS.ErrnoException).code}>`));
  return socket;
}

describe('proxy', () => {
  it('holds both directions silently, including FIN, and delivers them afterwards', async t => {
    const { proxy, client, up, down, far } = await pair(t);
    await proxy.set('silent');
    client.end('late');
    far.write('answer');
    await assert.rejects(up.first(() => true, { since: 1, timeoutMs: 100 }));
    assert.deepEqual(down.entries, []);
    await proxy.set('pass');
    await up.first(text => text === '<end>');
    await down.first(text => text === 'answer');
    assert.deepEqual(up.entries, ['hello', 'late', '<end>']);
  });

  it('resets held connections in mode drop', async t => {
    const { proxy, client, up, down } = await pair(t);
    await proxy.set('silent');
    client.write('never');
    await assert.rejects(up.first(() => true, { since: 1, timeoutMs: 50 }));
    await proxy.set('pass', { held: 'drop' });
    await down.first(text => text === '<ECONNRESET>');
    await up.first(text => text === '<ECONNRESET>');
    assert.ok(!up.entries.includes('never'));
  });

  it('accepts silently and sends nothing to the target', async t => {
    const { proxy, up } = await pair(t);
    await proxy.set('silent');
    const late = connect(proxy.port, '127.0.0.1');
    t.after(() => late.destroy());
    late.write('second');
    await proxy.arrival({ since: 1 });
    await assert.rejects(up.first(text => text === 'second', { timeoutMs: 50 }));
    assert.deepEqual([proxy.stats.accepted, proxy.stats.open], [2, 2]);
    await proxy.set('pass');
    await up.first(text => text === 'second');
  });

  for (const [mode, passes, holds] of [
    ['silent-up', 'down', 'up'],
    ['silent-down', 'up', 'down'],
  ] as const) {
    it(`passes only one direction in mode ${mode}`, async t => {
      const both = await pair(t);
      await both.proxy.set(mode);
      both.client.write('question');
      both.far.write('answer');
      await both[passes].first(text => text === (passes === 'up' ? 'question' : 'answer'));
      assert.ok(!both[holds].entries.some(text => text === 'question' || text === 'answer'));
    });
  }

  it('refuses: resets, does not listen, and listens again on the same port', async t => {
    const { proxy, down, up } = await pair(t);
    await proxy.set('refuse');
    await down.first(text => text === '<ECONNRESET>');
    const refused = new Journal<string>('text');
    record(connect(proxy.port, '127.0.0.1'), refused);
    await refused.first(text => text === '<ECONNREFUSED>');
    await proxy.set('pass');
    const again = connect(proxy.port, '127.0.0.1');
    t.after(() => again.destroy());
    again.write('again');
    await up.first(text => text === 'again');
  });

  it('lets the process end after a reset of a connection that was closing', async t => {
    const folder = await mkdtemp(join(tmpdir(), 'dockreg-program-'));
    t.after(() => rm(folder, { recursive: true }));
    const entry = join(folder, 'entry.mjs');
    await writeFile(
      entry,
      `
        import { connect, createServer } from 'node:net';
        import { startProxy } from ${JSON.stringify(new URL('../support/proxy.js', import.meta.url))};
        const server = createServer(socket => socket.on('error', () => {}).end('bye')).unref();
        await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
        const proxy = await startProxy(server.address().port);
        const client = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
        client.on('error', () => {}).on('data', () => {
          proxy.dropConnections();
          setTimeout(() => client.destroy(), 50);
        });
      `,
    );
    const program = await startProgram({ entry });
    t.after(() => program.stop());
    assert.equal((await program.exitWithin(5_000)).code, 0);
    program.assertClean();
  });

  it('delays each direction', async t => {
    const { proxy, client, up, down, far } = await pair(t);
    await proxy.set({ delayMs: 80 });
    far.on('data', () => far.write('pong'));
    const elapsed = stopwatch();
    client.write('ping');
    await down.first(text => text === 'pong');
    assert.ok(elapsed() >= 158, `${elapsed()} ms`);
    assert.equal(up.entries.length, 2);
    assert.deepEqual([proxy.stats.bytesUp, proxy.stats.bytesDown], [9, 4]);
  });

  it('works between etcd and a client', async t => {
    const cluster = await etcd(t);
    const proxy = await startProxy(cluster.members[0]!.port);
    t.after(() => proxy.close());
    const endpoint = `http://${proxy.address}`;
    await cluster.ctl(['put', '/a', '1'], { endpoint });
    await proxy.set('silent');
    await assert.rejects(cluster.ctl(['get', '/a'], { endpoint, timeoutMs: 500 }));
    await proxy.set('pass', { held: 'drop' });
    assert.match(await cluster.ctl(['get', '/a'], { endpoint }), /1/);
  });
});

/** Resolves with the status and the body of a GET. Rejects like node:http, or after `timeoutMs`. */
function get(
  where: { port?: number | undefined; socketPath?: string },
  path: string,
  method = 'GET',
  timeoutMs = 2_000,
) {
  const answer = new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const sent = request({ ...where, path, method, agent: false, timeout: timeoutMs }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => (text += String(chunk)));
      response.on('error', reject).on('end', () => resolve({ status: response.statusCode, text }));
    });
    sent
      .on('timeout', () => sent.destroy(new Error('timed out')))
      .on('error', reject)
      .end();
  });
  return inTime(answer, timeoutMs + 500, path);
}

describe('app', () => {
  it('answers as configured, and records requests', async t => {
    const app = await startApp();
    t.after(() => app.close());
    const { port } = app;
    assert.equal((await get(app, '/health?x')).status, 200);
    app.respond({ status: 503, body: 'no' });
    app.respond({ redirect: 'http://127.0.0.1:1/' }, '/moved');
    assert.deepEqual(await get(app, '/'), { status: 503, text: 'no' });
    assert.equal((await get(app, '/moved')).status, 302);
    app.respond({ slowMs: 60 });
    const elapsed = stopwatch();
    await get(app, '/');
    assert.ok(elapsed() >= 59);
    for (const behaviour of ['hang', 'drip', 'endless'] as const) {
      app.respond(behaviour);
      await assert.rejects(get(app, '/', 'GET', 150), behaviour);
    }
    app.respond('reset');
    await assert.rejects(get(app, '/'), { code: 'ECONNRESET' });
    assert.deepEqual(
      app.requests
        .slice(0, 3)
        .map(({ method, path, connection, reused }) => [method, path, connection, reused]),
      [
        ['GET', '/health?x', 1, false],
        ['GET', '/', 2, false],
        ['GET', '/moved', 3, false],
      ],
    );
    app.close();
    await assert.rejects(get({ port }, '/'), { code: 'ECONNREFUSED' });
    await app.listen();
    app.respond('ok');
    assert.equal((await get(app, '/')).status, 200);
  });
});

describe('docker socket', () => {
  const id = 'ab12'.repeat(16);

  it('finds by id, prefix, name and version, and records requests', async t => {
    const containers = { [id]: inspectAnswer({ id, name: 'web', ports: published(8000, 32769) }) };
    const docker = await startDockerSocket({ containers, tcp: true });
    t.after(() => docker.stop());
    for (const asked of [`/containers/${id}/json`, '/v1.41/containers/ab12/json', '/containers/web/json']) {
      const { text } = await get({ port: docker.port }, asked);
      assert.equal((JSON.parse(text) as { Id: string }).Id, id);
    }
    assert.deepEqual(await get({ socketPath: docker.socketPath }, '/containers/ff/json'), {
      status: 404,
      text: '{"message":"No such container: ff"}\n',
    });
    docker.publish(id, published(8000, 40001));
    assert.match((await get(docker, '/containers/web/json')).text, /"HostPort":"40001"/);
    assert.equal((await get(docker, `/containers/${id}/stop`, 'POST')).status, 403);
    assert.deepEqual(docker.requests.at(-1)?.method, 'POST');
    assert.equal(docker.requests.length, 6);
  });

  it('has the faults of a socket', async t => {
    const docker = await startDockerSocket({ containers: { [id]: inspectAnswer({ id }) } });
    t.after(() => docker.stop());
    const path = `/containers/${id}/json`;
    const where = { socketPath: docker.socketPath };
    for (const mode of ['silent', 'cut'] as const) {
      docker.mode = mode;
      await assert.rejects(get(where, path, 'GET', 100), mode);
    }
    docker.mode = 'error500';
    assert.equal((await get(where, path)).status, 500);
    docker.mode = 'garbage';
    assert.match((await get(where, path)).text, /not Docker/);
    docker.close();
    await assert.rejects(get(where, path), { code: 'ENOENT' });
    docker.mode = 'ok';
    await docker.listen();
    assert.equal((await get(where, path)).status, 200);
  });
});

describe('program', () => {
  const script = `
    process.on('SIGTERM', () => { console.log('msg=bye'); process.exit(3); });
    console.log('time=now level=info msg="a \\\\"quoted\\\\" word" port=8000');
    console.log(JSON.stringify({ msg: 'json', port: 8000 }));
    console.log('variables=' + Object.keys(process.env).toSorted());
    if (process.argv[2] === 'break') setTimeout(() => Promise.reject(new Error('nobody waits')), 1);
    setInterval(() => {}, 1000);
  `;

  async function entry(t: TestContext): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'dockreg-program-'));
    t.after(() => rm(folder, { recursive: true }));
    const path = join(folder, 'entry.mjs');
    await writeFile(path, script);
    return path;
  }

  it('reads lines in both formats, and the exit', async t => {
    const program = await startProgram({ entry: await entry(t), env: { DOCKREG_PORT: '1' } });
    t.after(() => program.stop());
    const json = await program.waitForLine(line => line.fields['msg'] === 'json');
    assert.equal(json.fields['port'], '8000');
    assert.deepEqual(program.lines[0]?.fields, {
      time: 'now',
      level: 'info',
      msg: 'a "quoted" word',
      port: '8000',
    });
    await program.waitForLine('variables=DOCKREG_CONTROL,DOCKREG_PORT,HOME,PATH');
    program.signal('SIGTERM');
    await program.waitForLine(/bye/, 5_000, json.index + 1);
    assert.deepEqual({ ...(await program.exited), afterMs: 0 }, { code: 3, signal: null, afterMs: 0 });
    program.assertClean();
    await assert.rejects(program.waitForLine('never'), /the program ended with/);
  });

  it('shows an unhandled rejection', async t => {
    const program = await startProgram({ entry: await entry(t), args: ['break'] });
    t.after(() => program.stop());
    assert.equal((await program.exited).code, 1);
    assert.throws(() => program.assertClean(), /nobody waits/);
  });
});
