/** A check leaves nothing on the app's port, and the app sees no error: an app that crashes listens again at once. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { examineAddress } from '../../src/commands/doctor/app.ts';
import { tryConnect } from '../../src/kernel/app-watch.ts';
import { atProcessEnd, Child, cleanEnvironment } from '../support/children.ts';
import { enough, serviceOf } from '../support/config.ts';
import { openCheck } from '../support/probes.ts';
import { crashUnderSupervisord } from '../support/supervised.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { eventually, freePort, pause } from '../support/wait.ts';

const run = promisify(execFile);
const inRepository = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const python = '/usr/bin/python3';
const pythonApp = inRepository('test/support/recording-app.py');
const nodeApp = inRepository('build/test/support/recording-app.js');
const missing = [python, 'nginx', 'supervisord', 'ss'].find(
  tool => spawnSync(tool, ['--help'], { stdio: 'ignore' }).error !== undefined,
);
const skip = missing !== undefined && `no ${missing}`;
const rounds = 20;
/** The longest closing of a connection, in ms: twice 200, and what a busy machine adds. */
const closingMs = 3000;

let folder: string;
let authority: Authority;
let certificate: CertificateFiles;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-trace-'));
  atProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  authority = await Authority.make();
  certificate = await authority.issue('app');
});
after(async () => {
  await authority.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** The states of the sockets on the port, except the listener's. */
async function statesOn(port: number): Promise<string[]> {
  const { stdout } = await run('ss', ['-Htan', `sport = :${port}`]);
  const states = stdout.split('\n').map(line => line.split(/\s+/)[0] ?? '');
  return states.filter(state => state !== '' && state !== 'LISTEN');
}

interface App {
  readonly port: number;
  /** What it says about errors of connections. */
  errors(): string[];
  stop(): Promise<void>;
}

async function start(command: string, args: readonly string[], port: number): Promise<Child> {
  const child = await Child.spawn(command, args, {
    env: { ...cleanEnvironment(), PYTHONUNBUFFERED: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await eventually('the app listens', async () => {
    const { stdout } = await run('ss', ['-Htln', `sport = :${port}`]);
    return stdout !== '';
  });
  return child;
}

async function startRecording(command: string, script: string, kind: string, isTls: boolean): Promise<App> {
  const port = await freePort();
  const files = isTls ? [certificate.cert, certificate.key] : [];
  const child = await start(command, [script, kind, String(port), ...files], port);
  let output = '';
  child.process.stdout?.on('data', (part: Buffer) => (output += part.toString()));
  return {
    port,
    errors: () => output.match(/^error: .*$/gm) ?? [],
    async stop() {
      child.signal('SIGKILL');
      await child.exited(5000);
    },
  };
}

/** @param protocol `http2` or `proxy_protocol` */
async function startNginx(fields: string, isTls: boolean, protocol: string): Promise<App> {
  const port = await freePort();
  const at = await mkdtemp(join(folder, 'nginx-'));
  const log = join(at, 'error.log');
  const tls = isTls ? `ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};` : '';
  writeFileSync(join(at, 'large'), 'x'.repeat(300_000));
  writeFileSync(
    join(at, 'nginx.conf'),
    `pid ${at}/pid; error_log ${log} info; daemon off; master_process off;
    events {}
    http {
      access_log off; client_body_temp_path ${at}/a; proxy_temp_path ${at}/b; fastcgi_temp_path ${at}/c;
      uwsgi_temp_path ${at}/d; scgi_temp_path ${at}/e; ${fields}
      server { listen 127.0.0.1:${port}${isTls ? ' ssl' : ''} ${protocol}; ${tls} root ${at}; location = / { return 200 "ok"; } }
    }`,
  );
  const child = await start('nginx', ['-p', at, '-e', log, '-c', join(at, 'nginx.conf')], port);
  return {
    port,
    errors: () => readFileSync(log, 'utf8').match(/^.*(?:reset by peer|\[(?:error|crit|alert)\]).*$/gm) ?? [],
    async stop() {
      child.signal('SIGKILL');
      await child.exited(5000);
    },
  };
}

const http = ['--check', 'http'];
const large = ['--check', 'http:/large'];
const https = ['--check', 'https', '--check-insecure'];
const tcp = ['--check', 'tcp'];
const greeting = [...tcp, '--check-expect', '220'];
const pong = [...tcp, '--check-send', 'PING\\r\\n', '--check-expect', '+PONG'];
const grpc = ['--check', 'grpc'];
const grpcs = ['--check', 'grpcs', '--check-insecure'];
const h2c = ['--check', 'h2c'];
const proxied = ['--check-proxy-protocol', 'v1'];
const ofPython =
  (kind: string, isTls = false) =>
  () =>
    startRecording(python, pythonApp, kind, isTls);
const ofNode =
  (kind: string, isTls = false) =>
  () =>
    startRecording(process.execPath, nodeApp, kind, isTls);
const ofNginx =
  (fields: string, isTls = false, protocol = '') =>
  () =>
    startNginx(fields, isTls, protocol);

type Check = readonly string[] | ((port: number) => Promise<boolean>);
const watch: Check = async port => {
  const { kind } = await tryConnect(systemClock, '127.0.0.1', port);
  return kind === 'accepted';
};
const doctor: Check = async port => {
  const service = await serviceOf(enough);
  const finding = await examineAddress({ service, address: { ip: '127.0.0.1', port }, self: null });
  return finding.ok === true;
};

const rows: readonly (readonly [name: string, check: Check, app: () => Promise<App>])[] = [
  ['http, Python, HTTP/1.0', http, ofPython('http10')],
  ['http, Python, HTTP/1.1', http, ofPython('http11')],
  ['http, Python, HTTP/1.1 with connection: close', http, ofPython('close')],
  ['http, Python, HTTP/1.0, a large body', large, ofPython('http10')],
  ['http, Python, HTTP/1.1, a large body', large, ofPython('http11')],
  ['http, Node', http, ofNode('http')],
  ['http, Node with connection: close', http, ofNode('close')],
  ['http, Node, a large body', large, ofNode('http')],
  ['http, nginx', http, ofNginx('')],
  ['http, nginx with keepalive_timeout 0', http, ofNginx('keepalive_timeout 0;')],
  ['http, nginx, a large body', large, ofNginx('')],
  ['http, an app that closes and does not say so', http, ofPython('answers-and-closes')],
  ['https, Python, HTTP/1.0', https, ofPython('http10', true)],
  ['https, Python, HTTP/1.1', https, ofPython('http11', true)],
  ['https, an app that closes and does not say so', https, ofPython('answers-and-closes', true)],
  ['https, Node', https, ofNode('http', true)],
  ['https, Node with connection: close', https, ofNode('close', true)],
  ['https, nginx', https, ofNginx('', true)],
  ['https, nginx with keepalive_timeout 0', https, ofNginx('keepalive_timeout 0;', true)],
  ['tcp, a silent app', tcp, ofPython('silent')],
  ['tcp, an app that greets at once', tcp, ofPython('greets')],
  ['tcp, an app that greets after 20 ms', tcp, ofPython('greets-late')],
  ['tcp, an app that greets and closes', tcp, ofPython('greets-and-closes')],
  ['tcp that expects a greeting', greeting, ofPython('greets')],
  ['tcp that expects a late greeting', greeting, ofPython('greets-late')],
  ['tcp that expects a greeting, an app that then closes', greeting, ofPython('greets-and-closes')],
  ['tcp that expects an answer', pong, ofPython('pongs')],
  ['tcp that expects an answer, an app that then closes', pong, ofPython('pongs-and-closes')],
  ['grpc, grpc-js', grpc, ofNode('grpc')],
  ['grpc, HTTP/2 of Node', grpc, ofNode('http2')],
  ['grpcs, grpc-js', grpcs, ofNode('grpc', true)],
  ['grpcs, HTTP/2 of Node', grpcs, ofNode('http2', true)],
  ['h2c, HTTP/2 of Node', h2c, ofNode('http2')],
  ['h2c, nginx', h2c, ofNginx('', false, 'http2')],
  ['h2c, nginx, a large body', ['--check', 'h2c:/large'], ofNginx('', false, 'http2')],
  ['h2, nginx', ['--check', 'h2', '--check-insecure'], ofNginx('', true, 'http2')],
  ['http with a PROXY header, nginx', [...http, ...proxied], ofNginx('', false, 'proxy_protocol')],
  ['tcp with a PROXY header, a silent app', [...tcp, ...proxied], ofPython('silent')],
  ['the app watch, a silent app', watch, ofPython('silent')],
  ['the app watch, an app that greets at once', watch, ofPython('greets')],
  ['the app watch, an app that greets after 20 ms', watch, ofPython('greets-late')],
  ['the app watch, nginx', watch, ofNginx('')],
  ['doctor, an app that greets at once', doctor, ofPython('greets')],
  ['doctor, an app that greets after 20 ms', doctor, ofPython('greets-late')],
];

describe(`${rounds} checks leave nothing on the app's port, and the app sees no error`, { skip }, () => {
  for (const [name, check, open] of rows)
    it(name, async t => {
      const app = await open();
      try {
        const probe =
          typeof check === 'function' ? null : await openCheck(check, { port: app.port, timeoutMs: 5000 });
        for (let round = 0; round < rounds; round++) {
          if (typeof check === 'function') assert.ok(await check(app.port));
          const verdict = await probe?.(new AbortController().signal);
          assert.equal(verdict?.kind ?? 'pass', 'pass', JSON.stringify(verdict));
          // socketserver of Python keeps only 5 connections waiting.
          await pause(25);
        }
        const end = performance.now() + closingMs;
        let states = await statesOn(app.port);
        while (states.some(state => state !== 'TIME-WAIT') && performance.now() < end) {
          await pause(50);
          states = await statesOn(app.port);
        }
        const waiting = states.filter(state => state === 'TIME-WAIT').length;
        const errors = app.errors();
        t.diagnostic(`${waiting} TIME-WAIT, ${states.length - waiting} others, ${errors.length} errors`);
        assert.deepEqual({ states, errors }, { states: [], errors: [] });
      } finally {
        await app.stop();
      }
    });
});

describe('an app that is killed during a check leaves nothing on its port', { skip }, () => {
  const checks = [
    ['http', http, false],
    ['https', https, true],
    ['tcp that expects an answer', pong, false],
    ['grpc', grpc, false],
    ['grpcs', grpcs, true],
    ['h2c', h2c, false],
  ] as const;
  for (const [name, check, isTls] of checks)
    it(name, async () => {
      for (let round = 0; round < 3; round++) {
        const app = await startRecording(python, pythonApp, 'silent', isTls);
        const probe = await openCheck(check, { port: app.port, timeoutMs: 5000 });
        const judged = probe(new AbortController().signal);
        await eventually('the app is asked', async () => (await statesOn(app.port)).includes('ESTAB'));
        await pause(50);
        await app.stop();
        const verdict = await judged;
        assert.ok(verdict.kind === 'fail' && verdict.trouble === 'connection', JSON.stringify(verdict));
        await eventually('nothing is left', async () => (await statesOn(app.port)).length === 0, {
          timeoutMs: closingMs,
        });
      }
    });
});

describe('an app without SO_REUSEADDR that crashes under supervisord', { skip }, () => {
  it('listens again at once, twelve times, also when a check was under way', t => crashUnderSupervisord(t));
});
