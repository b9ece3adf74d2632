/**
 * Where the built program asks an app, on real sockets: apps on IPv6, on one address only, with a port for their health;
 * apps that move, and apps that listen where nobody else reaches them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, ListenOptions, Server } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { after, afterEach, before, describe, it } from 'node:test';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import type { ServiceStatus } from '../../src/core/registration/status.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { checkMethod } from '../support/grpc-app.ts';
import { literal, startProgram, type Program, type ProgramOptions } from '../support/program.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { eventually, freePort } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const all = Object.values(networkInterfaces()).flatMap((list = []) => list);
const hasIPv6 = all.some(({ address }) => address === '::1');
/** An address of this machine that is not a loopback address. */
const own = all.find(({ internal, family }) => !internal && family === 'IPv4')?.address;
const needsIPv6 = { skip: !hasIPv6 && 'no IPv6 here' };
const needsOwn = { skip: own === undefined && 'no address here but loopback' };

let etcd: EtcdCluster;
let authority: Authority;
let folder: string;
/** Its addresses are in the certificate; no DNS name is. */
let certificate: CertificateFiles;
let programs: Program[] = [];
let ends: (() => unknown)[] = [];

before(async () => {
  [etcd, authority, folder] = await Promise.all([
    startEtcd(),
    Authority.make(),
    mkdtemp(join(tmpdir(), 'dockreg-where-')),
  ]);
  certificate = await authority.issue('app', { names: ['::1', ...(own ? [own] : [])], commonName: '' });
});
after(async () => {
  await Promise.all([etcd.stop(), authority.remove(), rm(folder, { recursive: true })]);
});
afterEach(async () => {
  await Promise.all(programs.map(program => program.stop()));
  for (const program of programs) program.assertClean();
  for (const end of ends) await end();
  [programs, ends] = [[], []];
  assert.deepEqual([...(await etcd.keys('/')).keys()], [], 'a key was left behind');
});

async function dockreg(options: ProgramOptions): Promise<Program> {
  const program = await startProgram(options);
  programs.push(program);
  return program;
}

/** Starts to listen, and resolves with a function that stops it and breaks all connections. */
async function listening(server: Server, place: ListenOptions): Promise<() => Promise<void>> {
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', socket => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  // The old socket on the port may need a moment to go.
  await eventually(
    `a server at ${place.host}:${place.port}`,
    () =>
      new Promise<boolean>((resolve, reject) => {
        server.once('error', reject).listen(place, () => resolve(true));
      }),
  );
  const end = (): Promise<void> =>
    new Promise(resolve => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  ends.push(() => (server.listening ? end() : undefined));
  return end;
}

/** An HTTP app at one place. Resolves with a function that stops it. */
function web(place: ListenOptions, onRequest: (request: IncomingMessage) => void = () => undefined) {
  const server = createHttpServer((request, response) => {
    onRequest(request);
    response.end('ok');
  });
  return listening(server, place);
}

async function doctor(options: ProgramOptions): Promise<{ code: number | null; text: string }> {
  const program = await startProgram({ ...options, args: ['doctor', ...(options.args ?? [])] });
  const { code } = await program.exitWithin(30_000);
  program.assertClean();
  return { code, text: program.lines.map(({ raw }) => raw).join('\n') };
}

async function registered(...ports: number[]): Promise<void> {
  await eventually(`the keys of ${ports.join(', ')}`, async () => {
    const keys = await etcd.keys('/service');
    return ports.every(port => keys.has(`/service/10.1.0.101:${port}`));
  });
}

/** A service whose key ends in its port. */
function service(port: number, options = ''): string[] {
  const text = `port=${port},advertise=10.1.0.101:${port}${options && `,${options}`}`;
  return ['--service', text];
}

describe('an app that does not answer on 127.0.0.1', () => {
  it('is found wherever it listens, by each kind of check', needsIPv6, async () => {
    const place = own ?? '127.0.0.2';
    const asked = new Map<string, { host: string | undefined; sni?: unknown }>();
    const see = (name: string) => (request: IncomingMessage) => {
      const { servername } = request.socket as TLSSocket;
      asked.set(name, {
        host: request.headers.host,
        ...('encrypted' in request.socket && { sni: servername }),
      });
    };
    const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
    const secure = (name: string) =>
      createHttpsServer(files, (request, response) => {
        see(name)(request);
        response.end('ok');
      });
    const [v6only, six, one, tls6, tlsOwn, tcp] = (await Promise.all(
      Array.from({ length: 6 }, freePort),
    )) as [number, number, number, number, number, number];
    await Promise.all([
      web({ port: v6only, host: '::', ipv6Only: true }, see('v6only')),
      web({ port: six, host: '::1' }, see('six')),
      web({ port: one, host: place }, see('one')),
      listening(secure('tls6'), { port: tls6, host: '::1' }),
      listening(secure('tlsOwn'), { port: tlsOwn, host: place }),
      listening(
        createTcpServer(socket => socket.end('+PONG\r\n')),
        { port: tcp, host: place },
      ),
    ]);
    const grpc = await grpcApp(place, ServerCredentials.createInsecure());
    const pair = [{ cert_chain: files.cert, private_key: files.key }];
    const grpcs = await grpcApp('[::1]', ServerCredentials.createSsl(null, pair));
    const https = `check=https:/,check-ca=${authority.ca}`;
    const program = await dockreg({
      args: [
        ...['--etcd', etcd.endpoints.join(',')],
        ...service(v6only),
        ...service(six),
        ...service(one),
        ...service(tls6, https),
        ...(own ? service(tlsOwn, https) : []),
        ...service(tcp, 'check=tcp,check-expect=+PONG'),
        ...service(grpc, 'check=grpc'),
        ...service(grpcs, `check=grpcs,check-ca=${authority.ca}`),
      ],
    });
    await registered(v6only, six, one, tls6, ...(own ? [tlsOwn] : []), tcp, grpc, grpcs);
    assert.deepEqual(Object.fromEntries(asked), {
      one: { host: `${place}:${one}` },
      six: { host: `[::1]:${six}` },
      tls6: { host: `[::1]:${tls6}`, sni: false },
      ...(own && { tlsOwn: { host: `${place}:${tlsOwn}`, sni: false } }),
      v6only: { host: `[::1]:${v6only}` },
    });
    // Each was found by its first check.
    assert.deepEqual(
      program.lines.filter(({ raw }) => raw.includes('ECONNREFUSED')).map(({ raw }) => raw),
      [],
    );
  });

  it('is followed when it restarts and listens elsewhere', async () => {
    const port = await freePort();
    const places: ListenOptions[] = [
      { host: '127.0.0.1' },
      { host: own ?? '127.0.0.2' },
      ...(hasIPv6 ? [{ host: '::', ipv6Only: true }, { host: '::1' }] : []),
      { host: '127.0.0.1' },
    ];
    // No regular check runs: the watch finds it.
    const times = { DOCKREG_INTERVAL: '10m', DOCKREG_TTL: '20m', DOCKREG_TIMEOUT: '400ms' };
    const watcher = await etcd.watch('/');
    ends.push(() => watcher.close());
    let program: Program | undefined;
    for (const place of places) {
      const stop = await web({ port, ...place });
      program ??= await dockreg({ env: { ...literal(etcd.endpoints.join(','), port), ...times } });
      await watcher.next(({ type }) => type === 'put');
      await stop();
      await watcher.next(({ type }) => type === 'delete');
    }
  });

  it('with two certificates for loopback passes: one for the address, one for localhost', async () => {
    const names = [['127.0.0.1'], ['localhost'], ['web.example']];
    const ports = await Promise.all(
      names.map(async (name, index) => {
        const { cert, key } = await authority.issue(`loopback-${index}`, { names: name, commonName: '' });
        const server = createHttpsServer(
          { cert: readFileSync(cert), key: readFileSync(key) },
          (_, response) => void response.end('ok'),
        );
        await listening(server, { port: 0, host: '127.0.0.1' });
        return (server.address() as AddressInfo).port;
      }),
    );
    const [address = 0, localhost = 0, other = 0] = ports;
    const program = await dockreg({
      args: [
        ...['--etcd', etcd.endpoints.join(','), '--check', 'https:/', '--check-ca', authority.ca],
        ...ports.flatMap(port => service(port)),
      ],
    });
    await registered(address, localhost);
    await program.waitForLine(`app down: https://127.0.0.1:${other}/: Hostname/IP does not match`);
  });
});

/** A gRPC app with the health service. Resolves with its port. */
async function grpcApp(host: string, credentials: ServerCredentials): Promise<number> {
  const server = new GrpcServer();
  const serving = Buffer.from([8, 1]);
  server.addService(
    { Check: checkMethod },
    { Check: (_: unknown, reply: (error: null, answer: Buffer) => void) => reply(null, serving) },
  );
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, error => (error ? reject(error) : resolve()));
  });
  ends.push(() => server.forceShutdown());
  return port;
}

describe('an app with a port for its health', () => {
  it('has its key while it passes there, and while something listens on its own port', async () => {
    const [port, management] = [await freePort(), await freePort()];
    let status = 200;
    const host = hasIPv6 ? '::1' : '127.0.0.1';
    const server = createHttpServer((_, response) => response.writeHead(status).end());
    await listening(server, { port: management, host });
    const watcher = await etcd.watch('/');
    ends.push(() => watcher.close());
    const program = await dockreg({
      args: ['--check-port', String(management), '--check-host', host, '--check', 'http:/healthz'],
      env: literal(etcd.endpoints.join(','), port),
    });
    await program.waitForLine("app down: nothing listens on the app's port");
    const stop = await web({ port, host: '0.0.0.0' });
    await watcher.next(({ type }) => type === 'put');
    status = 503;
    await watcher.next(({ type }) => type === 'delete');
    await program.waitForLine(/app down 1\/1: HTTP 503 from http:\/\/\S+:\d+\/healthz/);
    status = 200;
    await watcher.next(({ type }) => type === 'put');
    await stop();
    await watcher.next(({ type }) => type === 'delete');
    const { index } = await program.waitForLine('app down: nothing listens any more');
    // Its checks pass all the while.
    const checks = await countChecks(server, 3);
    assert.ok(checks >= 3);
    assert.deepEqual([...(await etcd.keys('/')).keys()], []);
    await web({ port, host: '0.0.0.0' });
    await watcher.next(({ type }) => type === 'put');
    await program.waitForLine('app up', 10_000, index);
  });

  it('is explained by doctor: where the app listens, where the check asks, and which flag says so', async () => {
    const [port, management, none] = [await freePort(), await freePort(), await freePort()];
    const place = own ?? '127.0.0.2';
    await Promise.all([web({ port, host: place }), web({ port: management, host: '127.0.0.1' })]);
    const env = { ...literal(etcd.endpoints.join(','), port), DOCKREG_ADVERTISE: `${place}:${port}` };
    const rows: [args: string[], app: string, check: RegExp, code: number][] = [
      [[], `, so the check asks there`, new RegExp(`passes at ${place}:${port}: HTTP 200`), 0],
      [
        ['--check-port', String(management)],
        `; the check asks 127.0.0.1:${management}, because of --check-port`,
        /passes: HTTP 200/,
        0,
      ],
      [
        ['--check-host', '127.0.0.1'],
        `; the check asks 127.0.0.1:${port}, because of --check-host`,
        new RegExp(
          `ECONNREFUSED.*the app listens on ${place}:${port}: leave --check-host out, or give ${place}`,
        ),
        1,
      ],
      [
        ['--check-host', '127.0.0.1', '--check-port', String(none)],
        `; the check asks 127.0.0.1:${none}, because of --check-host and --check-port`,
        new RegExp(`ECONNREFUSED.*nothing listens on port ${none}: correct --check-port`),
        1,
      ],
    ];
    await Promise.all(
      rows.map(async ([args, app, check, code]) => {
        const answer = await doctor({ args, env });
        const line = (step: string): string =>
          answer.text.split('\n').find(each => each.slice(2).startsWith(step)) ?? answer.text;
        assert.ok(line('app ').endsWith(app), line('app '));
        assert.ok(line('app ').includes(` listens on ${place}:${port}`), line('app '));
        assert.match(line('check '), check);
        assert.equal(answer.code, code, answer.text);
      }),
    );
  });
});

/** Resolves when the server has had so many requests. */
async function countChecks(server: Server, wanted: number): Promise<number> {
  let count = 0;
  server.on('request', () => (count += 1));
  return eventually('more checks', () => (count >= wanted ? count : 0));
}

describe('an app that listens on 127.0.0.1 only', () => {
  let docker: DockerSocket;
  let port: number;
  let control: string;
  const options = (...args: string[]): ProgramOptions => ({
    args,
    env: {
      ...literal(etcd.endpoints.join(','), port),
      DOCKREG_ADVERTISE: 'published',
      DOCKREG_IP: '10.1.0.101',
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_CONTAINER: id,
      DOCKREG_CONTROL: control,
    },
  });

  before(async () => {
    port = await freePort();
    control = join(folder, 'control.sock');
    docker = await startDockerSocket({
      containers: { [id]: inspectAnswer({ id, ports: published(port, 49155) }) },
    });
  });
  after(() => docker.stop());

  async function status(): Promise<ServiceStatus> {
    const program = await startProgram({ args: ['status', '--json'], env: { DOCKREG_CONTROL: control } });
    await program.exited;
    const { services } = JSON.parse(program.lines.map(({ raw }) => raw).join('\n')) as {
      services: [ServiceStatus];
    };
    return services[0];
  }

  it(
    'is not registered, is registered when it listens elsewhere too, and withdrawn again',
    needsOwn,
    async () => {
      await web({ port, host: '127.0.0.1' });
      const watcher = await etcd.watch('/');
      ends.push(() => watcher.close());
      const program = await dockreg(options());
      const problem =
        `listens on 127.0.0.1:${port} only, where no other host or container reaches it, not even through a published ` +
        'port; let it listen on 0.0.0.0, or set --allow-unreachable if something here passes connections on to it';
      await program.waitForLine(`app is not registered: it ${problem}`);
      await program.waitForLine('app up 1/1');
      const { health, registration, why } = await status();
      assert.deepEqual(
        [health, registration, why],
        ['up', 'absent', `HTTP 200; not registered: the app ${problem}`],
      );
      const stop = await web({ port, host: own });
      const put = await watcher.next(() => true);
      assert.equal(put.type, 'put', 'it was registered for a moment before');
      await program.waitForLine(`app listens on ${own}:${port} now, where others reach it`);
      await stop();
      await watcher.next(({ type }) => type === 'delete');
      await program.waitForLine(`withdrawn: the app listens on 127.0.0.1:${port} only`);
      assert.equal((await status()).health, 'up');
    },
  );

  it('is not registered whatever its check asks', async () => {
    await web({ port, host: '127.0.0.1' });
    const other = createHttpServer((_, response) => void response.end('ok'));
    await listening(other, { path: join(folder, 'app.sock') });
    const kinds = [
      ['--check', 'exec:true'],
      ['--check-socket', join(folder, 'app.sock')],
      ['--check-port', String((await portOf()) ?? 0)],
    ];
    const watcher = await etcd.watch('/');
    ends.push(() => watcher.close());
    const started = await Promise.all(
      kinds.map(args => dockreg({ ...options(...args), env: { ...options().env, DOCKREG_CONTROL: 'off' } })),
    );
    for (const program of started) {
      await program.waitForLine('app is not registered: it listens on 127.0.0.1:');
      await program.waitForLine('app up 1/1');
    }
    await Promise.all(started.map(program => program.stop()));
    assert.deepEqual(watcher.events, []);
  });

  it('is registered with --allow-unreachable, without a warning, and doctor finds no fault in it', async () => {
    await web({ port, host: '127.0.0.1' });
    const [allowed, refused] = await Promise.all([
      doctor(options('--allow-unreachable')),
      doctor(options()),
      ...['--allow-unreachable', '--allow-loopback'].map(async flag => {
        const { env } = options();
        const program = await dockreg({
          args: [flag, '--key', flag.slice(2)],
          env: { ...env, DOCKREG_CONTROL: 'off' },
        });
        await program.waitForLine('registered');
        await program.waitForLine('app is watched');
        assert.deepEqual(
          program.lines.filter(({ fields }) => fields['level'] !== 'info'),
          [],
        );
      }),
    ]);
    assert.match(
      allowed.text,
      new RegExp(`✓ app .* listens on 127\\.0\\.0\\.1:${port} only, which is allowed`),
    );
    // Nothing listens at the address of this test.
    assert.deepEqual(allowed.text.match(/^✗ \w+/gm), ['✗ address']);
    assert.match(
      refused.text,
      /✗ app .* only, where no other host .*; let it listen on 0\.0\.0\.0, or set --allow-unr/,
    );
    assert.equal(refused.code, 1);
  });
});

/** The port of a new HTTP app on loopback. */
async function portOf(): Promise<number> {
  const port = await freePort();
  await web({ port, host: '127.0.0.1' });
  return port;
}
