/** Each row of docs/messages.md: the situation is played on real parts, and the message is the one of the page. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCommand } from '../../src/cli.ts';
import { systemClock } from '../../src/clock.ts';
import { control } from '../../src/commands/control.ts';
import { detailOf } from '../../src/core/registration/health.ts';
import type { EngineEndpoint } from '../../src/core/settings/process.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import { formatProblem, ProblemError } from '../../src/errors.ts';
import { readPem } from '../../src/tls/pem.ts';
import { sharedConnections } from '../../src/wiring/etcd.ts';
import { startApp, type App, type Behaviour } from '../support/app.ts';
import { cleanEnvironment } from '../support/children.ts';
import { startDns, type DnsServer } from '../support/dns.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startGrpcApp, type GrpcApp } from '../support/grpc-app.ts';
import { openCheck } from '../support/probes.ts';
import { startProgram, type ProgramOptions } from '../support/program.ts';
import { startProxy } from '../support/proxy.ts';
import { startRawServer, type RawServer } from '../support/raw-server.ts';
import { makeTls } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

/** The rows of the page: the situation, and the message as it is printed. */
const page = readFileSync(join(import.meta.dirname, '../../../docs/messages.md'), 'utf8');
const rows = new Map(
  [...page.matchAll(/^\| ([^|]+) \| `.+` \| `(.+)` \|$/gm)].map(([, name = '', now = '']) => [name, now]),
);

const id = 'c0ffee00'.repeat(8);
const dist = fileURLToPath(new URL('../../../dist/dockreg.js', import.meta.url));
const isRoot = process.getuid?.() === 0;
/** As on the page, and long enough for a busy machine. */
const timeoutMs = 3000;

let folder: string;
let app: App;
let grpc: GrpcApp;
let redis: RawServer;
let silent: RawServer;
let secureApp: RawServer;
let docker: DockerSocket;
let dns: DnsServer;
let etcd: EtcdCluster;
let secureEtcd: EtcdCluster;
let tls: Awaited<ReturnType<typeof makeTls>>;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-messages-'));
  tls = await makeTls();
  [etcd, secureEtcd, app, grpc, redis, silent, secureApp, dns] = await Promise.all([
    startEtcd(),
    startEtcd({ tls, clientCertAuth: true }),
    startApp(),
    startGrpcApp(),
    startRawServer(socket => socket.on('data', () => socket.write("-ERR unknown command 'PONG'\r\n"))),
    startRawServer(socket => socket.resume()),
    startRawServer(socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'), {
      certificate: tls.server,
    }),
    startDns('127.0.0.53', '127.0.0.1'),
  ]);
  docker = await startDockerSocket({
    tcp: true,
    containers: { [id]: inspectAnswer({ id, ports: published(app.port, 49155) }) },
  });
});
after(async () => {
  for (const each of [app, grpc, redis, silent, secureApp, dns]) each.close();
  await Promise.all([etcd.stop(), secureEtcd.stop(), docker.stop(), tls.authority.remove()]);
  await rm(folder, { recursive: true, force: true });
});

/** What a check that fails says. */
async function check(argv: readonly string[], port: number): Promise<string> {
  const probe = await openCheck(argv, { port, timeoutMs });
  const verdict = await probe(new AbortController().signal);
  assert.equal(verdict.kind, 'fail');
  return detailOf(verdict).replaceAll(`:${port}`, ':8000');
}

/** What a check of an app that answers so says. */
async function answered(behaviour: Behaviour, argv: readonly string[] = []): Promise<string> {
  const other = await startApp();
  other.respond(behaviour);
  try {
    return await check(argv, other.port);
  } finally {
    other.close();
  }
}

/** The problem with which the work rejects. */
async function problem(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => assert.fail('it works'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProblemError)) throw error;
  return error.problems.map(formatProblem).join(' ⏎ ');
}

function words(...argv: string[]): Promise<string> {
  return problem(readCommand(argv, {}));
}

/** What is wrong with a file of --config. */
async function config(yaml: string): Promise<string> {
  const own = await mkdtemp(join(folder, 'config-'));
  const path = join(own, 'dockreg.yaml');
  writeFileSync(path, yaml);
  const text = await words('--etcd', 'http://10.1.0.101:2379', '--config', path);
  return text.replaceAll(own, '/etc');
}

/** What a request to this endpoint of etcd says. */
async function request(endpoint: string, ca?: string): Promise<string> {
  const security = { tls: { ca, cert: undefined, key: undefined }, user: undefined };
  const client = await sharedConnections({ security })(endpoint);
  try {
    const text = await problem(client.status({ ms: 3000 }));
    return text.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:2379');
  } finally {
    client.close();
  }
}

function engine(endpoint: EngineEndpoint): Promise<string> {
  return problem(connectEngine(endpoint, systemClock).inspect(id)).then(text =>
    text.replaceAll(folder, '/run').replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:2375'),
  );
}

/** A step of `doctor`, without its name. */
async function doctor(step: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const program = await startProgram({
    ...options,
    args: ['doctor', '--etcd', 'http://127.0.0.1:1', '--port', String(app.port), ...args],
  });
  await program.exitWithin(30_000);
  return findingOf(
    step,
    program.lines.map(({ raw }) => raw),
  );
}

function findingOf(step: string, lines: readonly string[]): string {
  const line = lines.find(each => each.startsWith(`✗ ${step} `)) ?? assert.fail(lines.join('\n'));
  return line.slice(`✗ ${step}`.length).trim();
}

/** Runs doctor in a mount namespace where `source` is mounted at `target`, after `meanwhile`. */
async function doctorWithMount(
  source: string,
  target: string,
  meanwhile: () => Promise<void>,
): Promise<string> {
  writeFileSync(target, '');
  const script = 'mount --bind "$1" "$2" && echo mounted && read -r _ && shift 2 && exec "$@"';
  const command = [process.execPath, dist, 'doctor', '--docker', target, '--port', String(app.port)];
  const args = [
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    source,
    target,
    ...command,
    '--etcd',
    'http://127.0.0.1:1',
  ];
  const child = spawn('unshare', args, { env: cleanEnvironment(), stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  output.on('line', line => lines.push(line));
  const ended = new Promise(resolve => output.once('close', resolve));
  try {
    await eventually('the mount', () => lines.includes('mounted'));
    await meanwhile();
    child.stdin.end('go\n');
    await ended;
  } finally {
    child.kill('SIGKILL');
  }
  return findingOf('docker', lines).replaceAll(target, '/var/run/docker.sock');
}

async function statusWithoutAddress(): Promise<string> {
  const path = join(folder, 'control.sock');
  const program = await startProgram({
    args: ['--etcd', 'http://127.0.0.1:1', '--port', String(app.port), '--docker', join(folder, 'none.sock')],
    env: { DOCKREG_CONTROL: path, DOCKREG_NAME: 'web', DOCKREG_CONTAINER: id },
  });
  try {
    return await eventually('a status with the reason', async () => {
      let text = '';
      await control({ word: 'status', service: undefined, path, json: false }, part => (text += part));
      const line = text.split('\n').find(each => each.startsWith('no address for '));
      return line?.includes('not known yet') ? undefined : line?.replaceAll(folder, '/run');
    });
  } finally {
    await program.stop();
  }
}

async function stopWithoutEtcd(): Promise<string> {
  const proxy = await startProxy(etcd.members[0]!.port);
  const program = await startProgram({
    args: [
      '--etcd',
      `http://${proxy.address}`,
      '--port',
      String(app.port),
      '--advertise',
      '10.1.0.101:49155',
    ],
  });
  await program.waitForLine('registered /service/10.1.0.101:49155');
  await proxy.set('refuse');
  proxy.dropConnections();
  program.signal('SIGTERM');
  const { fields } = await program.waitForLine('stopped without an answer');
  await program.exitWithin(10_000);
  proxy.close();
  assert.equal(fields['key'], '/service/10.1.0.101:49155');
  assert.match(fields['cause'] ?? '', /^revoke: .*ECONNREFUSED/);
  return (fields['msg'] ?? '').replace(/[0-9a-f]{16}/, '694d81f4c9ab2c1f');
}

/** Doctor where an app listens on 8080 and nothing else does. */
async function wrongPort(): Promise<string> {
  const args = [
    'doctor',
    '--etcd',
    'http://127.0.0.1:1',
    '--port',
    '8000',
    '--advertise',
    '10.1.0.101:49155',
  ];
  const script = `require('net').createServer().listen(8080, () => {
    const { spawn } = require('child_process');
    spawn(process.execPath, ${JSON.stringify([dist, ...args])}, { stdio: 'inherit' }).on('exit', () => process.exit());
  })`;
  const child = spawn('unshare', ['--net', process.execPath, '-e', script], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
  });
  let text = '';
  for await (const part of child.stdout.setEncoding('utf8') as AsyncIterable<string>) text += part;
  return findingOf('app', text.split('\n'));
}

async function forbiddenSocket(): Promise<string> {
  const own = await startDockerSocket();
  await chmod(join(own.socketPath, '..'), 0o755);
  await chmod(own.socketPath, 0o660);
  await chown(own.socketPath, 0, 998);
  const text = await doctor('docker', ['--docker', own.socketPath], { uid: 65_534 });
  await own.stop();
  return text.replaceAll(own.socketPath, '/var/run/docker.sock');
}

async function proxyAnswers(status: number, body = '<h1>no</h1>'): Promise<string> {
  const proxy = await startApp();
  proxy.respond({ status, body });
  const text = await engine({ kind: 'tcp', host: '127.0.0.1', port: proxy.port });
  proxy.close();
  return text;
}

const tcp = ['--check', 'tcp', '--check-expect', '+PONG'];
const ping = [...tcp, '--check-send', 'PING\\r\\n'];
const none = { ca: undefined, cert: undefined, key: undefined };

/** How each situation comes about. Those that need root are played only as root. */
const plays: Readonly<Record<string, () => Promise<string>>> = {
  'HTTP 404': () => answered({ status: 404 }),
  'HTTP 401': () => answered({ status: 401 }),
  'HTTP 403': () => answered({ status: 403 }),
  'HTTP 405': () => answered({ status: 405 }, ['--check-method', 'HEAD']),
  'HTTP 400': () => answered({ status: 400 }),
  'HTTP 301, with `--check-status 200`': () =>
    answered({ status: 301, headers: { location: '/login?next=/' } }, ['--check-status', '200']),
  'HTTP asked of a port with TLS that says so': () =>
    answered({ status: 400, body: 'Client sent an HTTP request to an HTTPS server.' }),
  'HTTP asked of a gRPC server': () => check([], grpc.port),
  'gRPC asked of an HTTP/1 server': () => check(['--check', 'grpc'], app.port),
  'gRPC over TLS asked of an HTTP/1 server': () =>
    check(['--check', 'grpcs', '--check-ca', tls.ca], secureApp.port),
  'TLS asked of a port without it': () => check(['--check', 'https:/'], app.port),
  'a certificate that needs `--check-ca`': () => check(['--check', 'https:/'], secureApp.port),
  'a tcp answer that does not match': () => check(ping, redis.port),
  'a tcp answer that does not match, and a close': () => check(ping, app.port),
  'a tcp check that waits for an app that waits too': () => check(tcp, silent.port),
  'a tcp check that sends no line end': () => check([...tcp, '--check-send', 'PING'], silent.port),
  'the app listens on another port': wrongPort,

  'etcd refuses connections': () => request('http://127.0.0.1:1'),
  'a certificate of etcd that needs `--etcd-ca`': () => request(secureEtcd.endpoints[0]!),
  'etcd wants a certificate': () => request(secureEtcd.endpoints[0]!, tls.ca),
  'http, and etcd speaks TLS': () => request(secureEtcd.endpoints[0]!.replace('https', 'http')),
  'https, and etcd speaks no TLS': () => request(etcd.endpoints[0]!.replace('http', 'https')),
  'etcd is another HTTP server, or an etcd 2': () => request(`http://127.0.0.1:${app.port}`),
  'etcd is another gRPC server': () => request(`http://127.0.0.1:${grpc.port}`),
  '`--etcd` without a scheme': () => words('--etcd', '10.1.0.101:2379', '--port', '8000'),
  'dockreg is stopped while etcd is away': stopWithoutEtcd,

  'the engine was restarted, and its socket is mounted as a file': () =>
    doctorWithMount(docker.socketPath, join(folder, 'mounted.sock'), async () => {
      docker.close();
      await docker.listen();
    }),
  '`-v` of a socket that did not exist': async () => {
    await mkdir(join(folder, 'docker.sock'));
    return engine({ kind: 'unix', path: join(folder, 'docker.sock') });
  },
  '`--docker` names the folder of the socket': async () => {
    const path = docker.socketPath.replace('/docker.sock', '');
    return (await engine({ kind: 'unix', path })).replaceAll(path, '/host-run');
  },
  'no Docker socket': () => engine({ kind: 'unix', path: join(folder, 'none.sock') }),
  'the user may not open the Docker socket': forbiddenSocket,
  'the engine is down, and its socket is still there': async () => {
    const path = join(folder, 'old.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    const child = spawn(process.execPath, ['-e', script]);
    await new Promise(resolve => child.once('exit', resolve));
    return engine({ kind: 'unix', path });
  },
  'the proxy of the Docker socket is down': async () => {
    const args = ['--docker', 'tcp://proxy.example:2375'];
    const text = await doctor('docker', args, { resolver: `nameserver ${dns.address}\n` });
    return text.replace('127.0.0.1', '10.1.0.101');
  },
  '`--docker tcp://127.0.0.1:2375` in a container': () => engine({ kind: 'tcp', host: '127.0.0.1', port: 1 }),
  'the proxy of the Docker socket has no name here': () =>
    doctor('docker', ['--docker', 'tcp://socket-proxy:2375'], { resolver: `nameserver ${dns.address}\n` }),
  'the proxy of the Docker socket forbids the question': () => proxyAnswers(403),
  'the proxy of the Docker socket has no engine': () => proxyAnswers(503),
  'the engine speaks TLS, and says so': () =>
    proxyAnswers(400, 'Client sent an HTTP request to an HTTPS server.\n'),
  'the engine speaks TLS, and closes': () => engine({ kind: 'tcp', host: '127.0.0.1', port: secureApp.port }),

  '`-v` of a file of `--config` that did not exist': async () => {
    await mkdir(join(folder, 'config.yaml'));
    const text = await words('--etcd', 'http://10.1.0.101:2379', '--config', join(folder, 'config.yaml'));
    return text.replaceAll(folder, '/etc');
  },
  '`-v` of a file of `--etcd-ca` that did not exist': async () => {
    await mkdir(join(folder, 'ca.pem'));
    const read = readPem({ ...none, ca: join(folder, 'ca.pem') }, () => '--etcd-ca');
    return (await problem(read)).replaceAll(folder, '/etc');
  },
  '`dockreg status`, and no dockreg runs': () =>
    problem(
      control({ word: 'status', service: undefined, path: '/run/none/dockreg.sock', json: false }, () => ''),
    ),
  'a misspelt command': () => words('statsu'),
  'a command that another program has': () => words('list'),
  'a command that nobody has': () => words('frobnicate', '--etcd', 'x'),
  '`service:` for `services:` in YAML': () => config('service:\n  web: {port: 8000}\n'),
  'a misspelt option of a service in YAML': () => config('services:\n  web: {port: 8000, chekc: tcp}\n'),
  'a service at the top of the YAML': () => config('web: {port: 8000}\n'),
  'a list for `services:` in YAML': () => config('services:\n  - {name: web, port: 8000}\n'),
  'entries below `check:` in YAML': () => config('services:\n  web: {port: 8000, check: {http: /}}\n'),
  'the status of a service without an address': statusWithoutAddress,
};

const needsRoot: ReadonlySet<string> = new Set([
  'the app listens on another port',
  'the engine was restarted, and its socket is mounted as a file',
  'the user may not open the Docker socket',
  'the proxy of the Docker socket is down',
  'the proxy of the Docker socket has no name here',
]);

describe('what dockreg says', { concurrency: 10 }, () => {
  for (const [situation, play] of Object.entries(plays))
    it(situation, { skip: needsRoot.has(situation) && !isRoot && 'needs root' }, async () => {
      assert.equal(await play(), rows.get(situation));
    });

  it('is on the page for each of these situations, and for no other', () => {
    assert.deepEqual([...rows.keys()].toSorted(), Object.keys(plays).toSorted());
  });
});
