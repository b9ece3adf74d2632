/** Each kind of check in the built program: the key is there while it passes, and only then. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer as createSecureServer } from 'node:https';
import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { atProcessEnd } from '../support/children.ts';
import { healthAnswer, inspectAnswer, published, startDockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startGrpcApp } from '../support/grpc-app.ts';
import { startProgram, type Program } from '../support/program.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { eventually, freePort } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const key = '/service/10.1.0.101:49155';

let etcd: EtcdCluster;
let folder: string;
let authority: Authority;
let certificate: CertificateFiles;
let programs: Program[] = [];
/** Ends what a test has started. */
let ends: (() => unknown)[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-kinds-'));
  atProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  etcd = await startEtcd();
  authority = await Authority.make();
  certificate = await authority.issue('app');
});
after(async () => {
  await etcd.stop();
  await authority.remove();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const program of programs) await program.stop();
  for (const program of programs) program.assertClean();
  for (const end of ends) await end();
  [programs, ends] = [[], []];
  assert.deepEqual([...(await etcd.keys('/')).keys()], [], 'a key was left behind');
});

async function dockreg(
  port: number,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Program> {
  const program = await startProgram({
    args,
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(port),
      DOCKREG_INTERVAL: '500ms',
      DOCKREG_TIMEOUT: '400ms',
      DOCKREG_TTL: '5s',
      DOCKREG_ADVERTISE: '10.1.0.101:49155',
      ...env,
    },
  });
  programs.push(program);
  return program;
}

async function web(): Promise<App> {
  const started = await startApp();
  ends.push(() => started.close());
  return started;
}

interface Subject {
  readonly port: number;
  readonly args: readonly string[];
  readonly turn: (good: boolean) => void;
}

/** An app of each kind that can be turned bad and good again. It is good at first. */
const kinds: Record<string, () => Promise<Subject>> = {
  async http() {
    const app = await web();
    app.respond({ status: 200, body: '{"status":"UP"}' }, '/healthz');
    app.respond({ status: 404 });
    const args = ['--check', 'http:/healthz', '--check-body', '"UP"', '--check-status', '200'];
    const turn = (good: boolean): void =>
      app.respond({ status: 200, body: good ? '{"status":"UP"}' : '{"status":"DOWN"}' }, '/healthz');
    return { port: app.port, args, turn };
  },
  async 'http at a Unix socket'() {
    const path = join(folder, 'app.sock');
    let status = 200;
    const server = createServer((_, response) => response.writeHead(status).end());
    await listening(server, { path });
    // Something else serves the port, or nothing as here: only the check tells.
    const turn = (good: boolean): void => void (status = good ? 200 : 503);
    return { port: await freePort(), args: ['--check-socket', path], turn };
  },
  async https() {
    let status = 200;
    const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
    const server = createSecureServer(files, (_, response) => response.writeHead(status).end());
    const port = await freePort();
    await listening(server, { port, host: '127.0.0.1' });
    const turn = (good: boolean): void => void (status = good ? 200 : 503);
    return { port, args: ['--check', 'https', '--check-ca', authority.ca], turn };
  },
  async 'https with a client certificate'() {
    let status = 200;
    const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
    const tls = { ...files, ca: readFileSync(authority.ca), requestCert: true };
    const server = createSecureServer(tls, (_, response) => response.writeHead(status).end());
    const port = await freePort();
    await listening(server, { port, host: '127.0.0.1' });
    const turn = (good: boolean): void => void (status = good ? 200 : 503);
    const own = ['--check-cert', certificate.cert, '--check-key', certificate.key];
    return { port, args: ['--check', 'https', '--check-ca', authority.ca, ...own], turn };
  },
  async h2c() {
    let body = 'ready';
    const port = await freePort();
    const server = createHttp2Server((_, response) => response.end(body));
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve));
    ends.push(() => server.close());
    const turn = (good: boolean): void => void (body = good ? 'ready' : 'starting');
    return { port, args: ['--check', 'h2c:/healthz', '--check-body', 'ready'], turn };
  },
  async tcp() {
    let answer = '+PONG\r\n';
    const port = await freePort();
    const server = createTcpServer(socket => {
      socket.on('error', () => undefined).once('data', () => socket.end(answer));
    });
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve));
    ends.push(() => server.close());
    const turn = (good: boolean): void => void (answer = good ? '+PONG\r\n' : '-LOADING\r\n');
    return { port, args: ['--check', 'tcp', '--check-send', 'PING\\r\\n', '--check-expect', '+PONG'], turn };
  },
  async exec() {
    const path = join(folder, 'healthy');
    const turn = (good: boolean): void => (good ? writeFileSync(path, '') : rmSync(path));
    turn(true);
    return { port: (await web()).port, args: ['--check', `exec:test -e ${path}`], turn };
  },
  async grpc() {
    const app = await startGrpcApp();
    ends.push(() => app.close());
    return { port: app.port, args: ['--check', 'grpc:my.Service'], turn: app.setServing };
  },
  async docker() {
    const answer = (status: string) =>
      inspectAnswer({ id, health: healthAnswer(status, 0, 'fine'), ports: published(8000, 49155) });
    const docker = await startDockerSocket({ containers: { [id]: answer('healthy') } });
    ends.push(() => docker.stop());
    const turn = (good: boolean): void => docker.set(answer(good ? 'healthy' : 'unhealthy'));
    return {
      port: 8000,
      args: ['--check', 'docker', '--docker', docker.socketPath, '--container', id],
      turn,
    };
  },
};

async function listening(
  server: HttpServer,
  place: { path: string } | { port: number; host: string },
): Promise<void> {
  await new Promise<void>(resolve => server.listen(place, resolve));
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
}

describe('the key', () => {
  for (const [kind, make] of Object.entries(kinds)) {
    it(`comes and goes with the check: ${kind}`, async () => {
      const { port, args, turn } = await make();
      const watcher = await etcd.watch('/');
      await dockreg(port, args);
      for (let round = 0; round < 2; round++) {
        await watcher.next(({ type }) => type === 'put');
        turn(false);
        await watcher.next(({ type }) => type === 'delete');
        turn(true);
      }
      await watcher.next(({ type }) => type === 'put');
      watcher.close();
    });
  }

  it('appears after --rise passes, and goes after --fall fails', async () => {
    const app = await web();
    const program = await dockreg(app.port, ['--rise', '3', '--fall', '2']);
    await program.waitForLine('registered');
    const healthLines = (): string[] =>
      program.lines.flatMap(({ fields }) =>
        /^app (up|down|rising|failing)/.test(fields['msg'] ?? '') ? [fields['msg'] ?? ''] : [],
      );
    assert.deepEqual(healthLines(), [
      'app rising 1/3: HTTP 200',
      'app rising 2/3: HTTP 200',
      'app up 3/3: HTTP 200',
    ]);
    app.respond({ status: 500 });
    await program.waitForLine('withdrawn');
    assert.match(healthLines().at(-2) ?? '', /^app failing 1\/2: HTTP 500/);
    assert.match(healthLines().at(-1) ?? '', /^app down 2\/2: HTTP 500/);
  });

  it('of an app that starts slowly appears without a warning, within the start period', async () => {
    const port = await freePort();
    const program = await dockreg(port, [
      '--start-period',
      '1m',
      '--interval',
      '10s',
      '--ttl',
      '20s',
      '--watch',
      'off',
    ]);
    await program.waitForLine('app starting: connect ECONNREFUSED');
    const app = await startApp({ port });
    ends.push(() => app.close());
    await program.waitForLine('registered', 5000);
    assert.deepEqual(
      program.lines.filter(({ fields }) => fields['level'] !== 'info'),
      [],
    );
  });

  it('of an app that does not start: the end of the start period is reported', async () => {
    const program = await dockreg(await freePort(), ['--start-period', '2s']);
    await program.waitForLine('app down, and its start period is over: connect ECONNREFUSED');
  });
});

describe('the watch of the port', () => {
  it('only leads to a check when the check does not use the port', async () => {
    const app = await web();
    const calls = join(folder, 'calls');
    // It would be checked once in ten minutes.
    const slow = ['--interval', '10m', '--ttl', '20m'];
    const program = await dockreg(app.port, ['--check', `exec:echo >>${calls}`, ...slow]);
    await program.waitForLine('registered');
    await program.waitForLine('app is watched');
    const count = (): number => readFileSync(calls, 'utf8').length;
    const called = count();
    app.close();
    await eventually('the command is called again', () => count() > called);
    assert.ok((await etcd.keys('/service')).has(key), 'the check passed, and the key went');
    const calledAgain = count();
    await app.listen();
    await eventually('and when the app listens again', () => count() > calledAgain);
  });

  it('does no harm where nothing ever listens', async () => {
    const calls = join(folder, 'few-calls');
    const program = await dockreg(await freePort(), ['--check', `exec:echo >>${calls}`, '--interval', '1s']);
    await program.waitForLine('registered');
    await eventually('it is checked on', () => readFileSync(calls, 'utf8').length >= 4);
    const warnings = program.lines.filter(({ fields }) => fields['level'] !== 'info');
    assert.deepEqual(warnings, []);
  });

  it('is off for the check docker', async () => {
    const { port, args } = await kinds['docker']!();
    const program = await dockreg(port, args);
    await program.waitForLine('registered');
    assert.ok(!program.lines.some(({ raw }) => raw.includes('watched')));
  });
});

describe('exec', () => {
  it('has our environment and the port, but not the password of etcd', async () => {
    const path = join(folder, 'environment');
    const { port } = await web();
    await dockreg(
      port,
      ['--check', `exec:env >${path}`, '--etcd', 'http://127.0.0.1:1', '--etcd-user', 'app'],
      {
        DOCKREG_ETCD_PASSWORD: 'secret',
        GREETING: 'hello',
      },
    );
    const text = await eventually('it is called', () => existsSync(path) && readFileSync(path, 'utf8'));
    assert.ok(text.includes(`DOCKREG_PORT=${port}\n`) && text.includes('GREETING=hello\n'), text);
    assert.ok(!text.includes('secret'), text);
  });

  it('a command that hangs is gone when the program stops', async () => {
    const path = join(folder, 'pid');
    const { port } = await web();
    const program = await dockreg(port, [
      '--check',
      `exec:echo $$ >${path}; sleep 60`,
      '--timeout',
      '9s',
      '--interval',
      '9s',
      '--ttl',
      '20s',
    ]);
    const pid = await eventually(
      'it is called',
      () => existsSync(path) && Number(readFileSync(path, 'utf8')),
    );
    assert.equal((await program.stop()).code, 0);
    await eventually('its process is gone', () => !existsSync(`/proc/${pid}`));
  });
});

describe('docker', () => {
  it('ends with 78 in a container without a HEALTHCHECK', async () => {
    const docker = await startDockerSocket({ containers: { [id]: inspectAnswer({ id, name: 'web' }) } });
    ends.push(() => docker.stop());
    const program = await dockreg(8000, [
      '--check',
      'docker',
      '--docker',
      docker.socketPath,
      '--container',
      id,
    ]);
    assert.equal((await program.exitWithin(10_000)).code, 78);
    assert.match(program.stderr, /^dockreg: container web has no HEALTHCHECK, and --check docker/);
    programs = [];
  });

  it('keeps the key while Docker is away for a moment', async () => {
    const answer = inspectAnswer({ id, health: healthAnswer('healthy', 0, 'fine') });
    const docker = await startDockerSocket({ containers: { [id]: answer } });
    ends.push(() => docker.stop());
    const watcher = await etcd.watch('/');
    const args = ['--check', 'docker', '--docker', docker.socketPath, '--container', id, '--ttl', '20s'];
    const program = await dockreg(8000, args);
    await program.waitForLine('registered');
    docker.close();
    await program.waitForLine('app could not be checked: no Docker socket');
    await docker.listen();
    await docker.request();
    await docker.request();
    assert.deepEqual(
      watcher.events.filter(({ type }) => type === 'delete'),
      [],
    );
    watcher.close();
  });
});

describe('an authority that cannot be read at the start', () => {
  it('ends with 78', async () => {
    const program = await dockreg(8000, ['--check', 'https', '--check-ca', join(folder, 'none.pem')]);
    assert.equal((await program.exitWithin(10_000)).code, 78);
    assert.match(program.stderr, /^dockreg: --check-ca .*none\.pem cannot be read/);
    programs = [];
  });

  it('nor can a certificate of ours whose key is another', async () => {
    const other = await authority.issue('other');
    const pair = ['--check-cert', certificate.cert, '--check-key', other.key];
    const program = await dockreg(8000, ['--check', 'grpcs', ...pair]);
    assert.equal((await program.exitWithin(10_000)).code, 78);
    assert.match(
      program.stderr,
      /^dockreg: --check-key .*other-key\.pem is not the key of --check-cert .*app\.pem; name the key and the certificate that belong together$/m,
    );
    programs = [];
  });
});
