/** What the built program shows over HTTP with --listen. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { ProcessStatus } from '../../src/core/registration/status.ts';
import { createMetrics } from '../../src/admin/metrics.ts';
import { serveHttp } from '../../src/admin/http-endpoint.ts';
import { createLog } from '../../src/log.ts';
import { startApp, type App } from '../support/app.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { literal, startProgram, type Program } from '../support/program.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { eventually, freePort, inTime } from '../support/wait.ts';

let etcd: EtcdCluster;
let proxy: Proxy;
let web: App;
let port: number;
let program: Program;

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
beforeEach(async () => {
  web = await startApp();
  proxy = await startProxy(etcd.members[0]!.port);
  port = await freePort();
});
afterEach(async () => {
  await program.stop();
  program.assertClean();
  web.close();
  proxy.close();
});

async function start(): Promise<void> {
  program = await startProgram({
    env: {
      ...literal(`http://${proxy.address}`, web.port),
      DOCKREG_NAME: 'web',
      DOCKREG_LISTEN: `127.0.0.1:${port}`,
    },
  });
  await program.waitForLine('registered');
}

function get(path: string, method = 'GET'): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { method, signal: AbortSignal.timeout(5000) });
}

/** The samples by name and labels. Each has its HELP and TYPE before it. */
async function metrics(): Promise<Map<string, number>> {
  const response = await get('/metrics');
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const samples = new Map<string, number>();
  const declared = new Set<string>();
  for (const line of (await response.text()).split('\n')) {
    const [, kind, family] = /^# (HELP|TYPE) (\w+) .+$/.exec(line) ?? [];
    if (kind !== undefined) declared.add(`${kind} ${family}`);
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const base = name.replace(/_(bucket|sum|count)$/, '');
    assert.ok(declared.has(`HELP ${base}`) && declared.has(`TYPE ${base}`), line);
    samples.set(labels === '' ? name : `${name}{${labels}}`, Number(value));
  }
  return samples;
}

describe('/metrics', () => {
  it('counts what happens, and says what is', async () => {
    await start();
    const first = await metrics();
    assert.ok([...first.keys()].some(name => /^dockreg_build_info\{version="\d/.test(name)));
    const value = (name: string): number | undefined => first.get(`dockreg_service_${name}`);
    assert.equal(value('up{service="web"}'), 1);
    assert.equal(value('registered{service="web"}'), 1);
    assert.equal(value('drained{service="web"}'), 0);
    assert.equal(value('registration_events_total{service="web",event="registered"}'), 1);
    assert.equal(value('health_transitions_total{service="web",health="up"}'), 1);
    assert.equal(value('etcd_errors_total{service="web"}'), 0);
    const lease = value('lease_remaining_seconds{service="web"}') ?? 0;
    assert.ok(lease > 0 && lease <= 5, String(lease));
    const since = value('registered_since_timestamp_seconds{service="web"}') ?? 0;
    assert.ok(Math.abs(since - Date.now() / 1000) < 30, String(since));
    const passed = value('checks_total{service="web",verdict="pass",reason="none"}') ?? 0;
    assert.ok(passed >= 1);
    assert.equal(value('check_duration_seconds_count{service="web"}'), passed);

    web.respond({ status: 500 });
    await program.waitForLine('app down');
    web.respond('hang');
    await program.waitForLine('still down: no answer');
    web.close();
    await program.waitForLine('ECONNREFUSED');
    // A page may be a second old.
    const bad = await eventually('the last failure in the metrics', async () => {
      const samples = await metrics();
      return (
        samples.get('dockreg_service_checks_total{service="web",verdict="fail",reason="refused"}') && samples
      );
    });
    for (const reason of ['answer', 'timeout', 'refused'])
      assert.ok(
        bad.get(`dockreg_service_checks_total{service="web",verdict="fail",reason="${reason}"}`),
        reason,
      );
    assert.equal(bad.get('dockreg_service_up{service="web"}'), 0);
    assert.equal(bad.get('dockreg_service_registered{service="web"}'), 0);
    assert.equal(bad.get('dockreg_service_lease_remaining_seconds{service="web"}'), undefined);
    assert.equal(bad.get('dockreg_service_registration_events_total{service="web",event="withdrawn"}'), 1);

    await proxy.set('refuse');
    await web.listen();
    web.respond('ok');
    await program.waitForLine('etcd: ');
    program.signal('SIGUSR1');
    await program.waitForLine('app drained');
    const away = await eventually('the drain in the metrics', async () => {
      const samples = await metrics();
      return samples.get('dockreg_service_drained{service="web"}') && samples;
    });
    assert.ok((away.get('dockreg_service_etcd_errors_total{service="web"}') ?? 0) > 0);
    assert.equal(away.get('dockreg_service_drained{service="web"}'), 1);
    await proxy.set('pass');
  });

  it('escapes what a name may hold', async () => {
    await start();
    const made = createMetrics('1"2', 0);
    made.countersOf(() => 'a"b\\c\nd')({ kind: 'health-changed', health: 'up' });
    const text = await made.text([]);
    assert.ok(text.includes('dockreg_build_info{version="1\\"2"} 1'), text);
    // A line break is escaped as in each text of others, and the backslash of that is escaped for Prometheus.
    assert.ok(text.includes('{service="a\\"b\\\\c\\\\nd",health="up"} 1'), text);
  });
});

describe('/status and /healthz', () => {
  it('say what is, and that dockreg works whatever the app and etcd do', async () => {
    await start();
    const status = (await (await get('/status')).json()) as ProcessStatus;
    assert.match(status.version, /^\d/);
    assert.equal(status.services[0]?.registration, 'registered');
    assert.equal(status.services[0]?.address, '10.1.0.101:49155');
    web.close();
    await proxy.set('refuse');
    await program.waitForLine('app down');
    const response = await get('/healthz?verbose');
    assert.deepEqual([response.status, await response.text()], [200, 'ok\n']);
    await proxy.set('pass');
  });
});

describe('the server by itself', () => {
  const registry = createMetrics('1', 0);
  const api = {
    version: '1',
    startedAt: 0,
    services: [],
    clock: systemClock,
    random: Math.random,
    log: createLog('logfmt', systemClock, () => undefined),
  };

  it('says 503 at /healthz where no check is made', async () => {
    await start();
    const status = (await (await get('/status')).json()) as ProcessStatus;
    const services = status.services.map(service => ({
      name: service.name,
      otherNames: [],
      drain: () => undefined,
      resume: () => undefined,
      status: () => ({ ...service, isLate: true }),
    }));
    const stop = new AbortController();
    const at = { ip: '127.0.0.1', port: await freePort() };
    const serving = serveHttp(at, { ...api, services }, registry, stop.signal);
    const response = await eventually('an answer', () => fetch(`http://127.0.0.1:${at.port}/healthz`));
    assert.deepEqual([response.status, await response.text()], [503, 'no check was made in time: web\n']);
    stop.abort();
    await serving;
  });

  it('closes the oldest connection of the address that has most, when there are too many', async () => {
    await start();
    const opened: Socket[] = [];
    const open = (localAddress: string): Socket => {
      const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
      opened.push(socket);
      return socket.resume();
    };
    const rare = open('127.0.0.2');
    await once(rare, 'connect');
    const first = open('127.0.0.1');
    for (let count = 0; count < 60; count++) open('127.0.0.1');
    await inTime(once(first, 'close'), 2000, 'the oldest was not closed');
    rare.setEncoding('utf8').write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(String((await once(rare, 'data'))[0]), /^HTTP\/1\.1 200 /);
    for (const socket of opened) socket.destroy();
  });

  it('ends when it is stopped while it begins to listen', async () => {
    await start();
    const stop = new AbortController();
    const at = { ip: '127.0.0.1', port: await freePort() };
    const serving = serveHttp(at, api, registry, stop.signal);
    stop.abort();
    await inTime(serving, 2000, 'the end');
  });
});

describe('a client of the HTTP endpoint', () => {
  it('gets 404, 405 or no body, as HTTP requires', async () => {
    await start();
    for (const path of ['/', '/metrics/', '/__proto__', '/toString'])
      assert.equal((await get(path)).status, 404, path);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await get('/status', method);
      assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD']);
    }
    const head = await get('/metrics', 'HEAD');
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.ok(Number(head.headers.get('content-length')) > 1000);
  });

  it('that is slow, large or frequent costs little', async () => {
    await start();
    const sockets: Socket[] = [];
    const open = (): Socket => {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      sockets.push(socket);
      return socket.resume();
    };
    const big = connect(port, '127.0.0.1').setEncoding('utf8');
    sockets.push(big);
    big.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`);
    assert.match(String((await once(big, 'data'))[0]), /^HTTP\/1\.1 431 /);

    const slow = open();
    const drip = setInterval(() => slow.write('G'), 100);
    // It may be reset, because some of what it sent is not read any more.
    const closed = new Promise(resolve => slow.once('close', resolve));
    await inTime(closed, 12_000, 'the slow client was not closed').finally(() => clearInterval(drip));

    for (let count = 0; count < 50; count++) open();
    await eventually('an answer in spite of 50 who say nothing', async () => (await get('/healthz')).ok, {
      timeoutMs: 20_000,
    });
    for (const socket of sockets) socket.destroy();
    assert.ok((await etcd.keys('/')).has('/service/10.1.0.101:49155'));
  });
});

describe('a port that is taken', () => {
  it('is logged once and retried, and the app is registered meanwhile', async () => {
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    await start();
    await program.waitForLine(/--listen 127\.0\.0\.1:\d+: listen EADDRINUSE.*; retrying/);
    other.close();
    await program.waitForLine(`listening on http://127.0.0.1:${port}`);
    assert.equal((await get('/healthz')).status, 200);
    assert.equal(program.lines.filter(({ raw }) => raw.includes('EADDRINUSE')).length, 1);
  });
});
