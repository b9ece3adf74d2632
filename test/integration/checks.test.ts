/** Every kind of check against good, bad, slow, hanging and hostile apps: real sockets, servers and processes. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  Server as GrpcServer,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { readCommand } from '../../src/cli.ts';
import { systemClock } from '../../src/clock.ts';
import type { Config } from '../../src/config/config.ts';
import type { ContainerView } from '../../src/core/address/container.ts';
import { detailOf, type Verdict } from '../../src/core/registration/health.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import { findSelf } from '../../src/docker/self.ts';
import { openProbe } from '../../src/probe/open.ts';
import { checkMethod } from '../support/grpc-app.ts';
import { atProcessEnd, Child, cleanEnvironment } from '../support/children.ts';
import { healthAnswer, inspectAnswer, startDockerSocket } from '../support/docker-socket.ts';
import { startRawServer, type RawServer, type RawServerOptions } from '../support/raw-server.ts';
import { reset } from '../support/sockets.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { eventually, freePort, pause, stopwatch } from '../support/wait.ts';

const timeoutMs = 500;
/** What a busy machine may add, in ms. */
const slackMs = 2000;

let folder: string;
let authority: Authority;
let certificate: CertificateFiles;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-checks-'));
  atProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  authority = await Authority.make();
  certificate = await authority.issue('app');
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await authority.remove();
});

interface ProbeSetup {
  readonly env?: Readonly<Record<string, string>>;
  readonly inspect?: (config: Config) => Promise<ContainerView>;
  readonly signal?: AbortSignal;
}

/** Opens the probe for these options, as the program does. */
async function open(argv: readonly string[], port: number, { env = {}, inspect }: ProbeSetup = {}) {
  const command = await readCommand(['--etcd', 'http://h1:2379', '--port', String(port), ...argv], {});
  assert.equal(command.kind, 'run');
  const { config } = command as { config: Config };
  const [service] = config.services;
  return openProbe(service!.check, {
    host: '127.0.0.1',
    port,
    clock: systemClock,
    timeoutMs,
    userAgent: 'dockreg/test',
    env: { ...cleanEnvironment(), ...env },
    inspect: () => (inspect ? inspect(config) : Promise.reject(new Error('Docker is not asked'))),
  });
}

function show(verdict: Verdict): string {
  return `${verdict.kind}: ${detailOf(verdict)}`;
}

/** The verdict of one check, which must come in time. */
async function check(argv: readonly string[], port = 1, setup: ProbeSetup = {}): Promise<string> {
  const probe = await open(argv, port, setup);
  const elapsed = stopwatch();
  const verdict = await probe(setup.signal ?? new AbortController().signal);
  assert.ok(elapsed() < timeoutMs + slackMs, `it took ${elapsed()} ms`);
  return show(verdict);
}

type Row = readonly [name: string, serve: (socket: Socket) => void, argv: readonly string[], verdict: RegExp];

/** Runs the row, and checks that no connection stays open. */
async function play([, serve, argv, verdict]: Row, options: RawServerOptions, own: string[]): Promise<void> {
  const server: RawServer = await startRawServer(serve, options);
  try {
    assert.match(await check([...own, ...argv], server.port || 1), verdict);
    assert.equal(server.connectionsSeen, 1, 'more than one connection was made');
    await eventually('no connection is left', () => server.openConnections === 0, { timeoutMs: 2000 });
  } finally {
    server.close();
  }
}

/** Waits for the first bytes of a request, and then does this. */
async function afterRequest(socket: Socket, answer: () => Promise<void>): Promise<void> {
  await once(socket, 'data');
  await answer();
}

/** Answers the first bytes of a request with a text as it stands, and ends. */
const say =
  (answer: string | Buffer) =>
  (socket: Socket): void =>
    void socket.once('data', () => socket.end(answer));
/** The same, and keeps the connection open. */
const sayAndHold =
  (answer: string | Buffer) =>
  (socket: Socket): void =>
    void socket.once('data', () => socket.write(answer));
/** Answers what the request, whole, deserves. */
const judge =
  (deserves: (request: string) => boolean) =>
  (socket: Socket): void => {
    let request = '';
    socket.on('data', part => {
      request += part.toString('latin1');
      if (request.includes('\r\n\r\n')) socket.end(deserves(request) ? ok('') : head('400 Bad Request'));
    });
  };
/** Writes the same for ever, as fast as it is read. */
const flood =
  (start: string, part: string | Buffer) =>
  (socket: Socket): void => {
    const fill = (): void => {
      while (!socket.destroyed && socket.write(part));
    };
    socket.once('data', () => {
      socket.on('drain', fill);
      if (start) socket.write(start);
      fill();
    });
  };
/** Writes a byte every 20 ms: the text, and then `x`. */
const drip =
  (text: string) =>
  (socket: Socket): void =>
    void afterRequest(socket, async () => {
      for (let at = 0; !socket.destroyed; at++) {
        socket.write(text[at] ?? 'x');
        await pause(20);
      }
    });
const hold = (socket: Socket): void => void socket.resume();
const close = (socket: Socket): void => void socket.resume().end();

const head = (line: string, fields = ''): string => `HTTP/1.1 ${line}\r\n${fields}\r\n`;
const ok = (body: string | Buffer): string =>
  `${head('200 OK', `content-length: ${Buffer.byteLength(body)}\r\n`)}${body.toString('latin1')}`;
const chunked = (...chunks: string[]): string =>
  `${head('200 OK', 'transfer-encoding: chunked\r\n')}${[...chunks, ''].map(part => `${part.length.toString(16)}\r\n${part}\r\n`).join('')}`;
const late =
  (ms: number, answer: string) =>
  (socket: Socket): void =>
    void afterRequest(socket, async () => {
      await pause(ms);
      socket.end(answer);
    });

const tooLate = new RegExp(
  `^fail: no (complete )?answer from .* within ${timeoutMs} ms(: .*|; .*--check-send.*)?$`,
);
const needle = ['--check-body', 'needle'];
const explosive = `${'a'.repeat(40)}b`;

const appSocket = (): string => join(folder, 'app.sock');

const httpRows: readonly Row[] = [
  ['good: 200', say(ok('fine\n')), [], /^pass: HTTP 200$/],
  ['good: 204', say(head('204 No Content')), [], /^pass: HTTP 204$/],
  ['good: a body that ends with the connection', say(`${head('200 OK')}fine`), [], /^pass: HTTP 200$/],
  ['good: HTTP/1.0', say('HTTP/1.0 200 OK\r\n\r\nfine'), [], /^pass: HTTP 200$/],
  [
    'good: 100 and 103 before it',
    say(head('100 Continue') + head('103 Early Hints') + ok('')),
    [],
    /^pass: HTTP 200$/,
  ],
  ['good: the path', judge(text => text.startsWith('GET / HTTP/1.1\r\n')), [], /^pass: HTTP 200$/],
  ['good: POST', judge(text => text.startsWith('POST / ')), ['--check-method', 'POST'], /^pass: HTTP 200$/],
  [
    'good: HEAD',
    say(head('200 OK', 'content-length: 10\r\n')),
    ['--check-method', 'HEAD'],
    /^pass: HTTP 200$/,
  ],
  [
    'good: our own headers',
    judge(
      text => /\r\nuser-agent: dockreg\/test\r\n/i.test(text) && /\r\nconnection: keep-alive\r\n/i.test(text),
    ),
    [],
    /^pass: HTTP 200$/,
  ],
  [
    'good: headers as they were asked for',
    judge(
      text =>
        /\r\nhost: web\.example\r\n/i.test(text) &&
        !/127\.0\.0\.1|localhost/.test(text) &&
        text.match(/\r\nx-twice: [ab]\r\n/gi)?.length === 1 &&
        /\r\nx-twice: a\r\nx-twice: b\r\n/i.test(text),
    ),
    ['--check-header', 'Host: web.example', '--check-header', 'X-Twice: a', '--check-header', 'X-Twice: b'],
    /^pass: HTTP 200$/,
  ],
  [
    'good: a status that is asked for',
    say(head('404 Not Found', 'content-length: 0\r\n')),
    ['--check-status', '200-299,404'],
    /^pass: HTTP 404$/,
  ],
  [
    'good: a redirect to itself is not followed',
    say(head('302 Found', 'location: /\r\ncontent-length: 0\r\n')),
    [],
    /^pass: HTTP 302$/,
  ],
  ['good: the body has the text, in two parts', say(chunked('a nee', 'dle b')), needle, /^pass: HTTP 200$/],
  [
    'good: the body matches the pattern',
    say(ok('{"status":"up"}')),
    ['--check-body', '/"status":\\s*"UP"/i'],
    /^pass: HTTP 200$/,
  ],
  [
    'good: the body has the text at the end of 64 KiB',
    say(ok(`${'x'.repeat(65_530)}needle`)),
    needle,
    /^pass: HTTP 200$/,
  ],
  [
    'good: a compressed bomb is not unpacked',
    say(head('200 OK', 'content-encoding: gzip\r\n') + gzipSync(Buffer.alloc(20e6)).toString('latin1')),
    [],
    /^pass: HTTP 200$/,
  ],
  ['slow: in time', late(150, ok('late')), [], /^pass: HTTP 200$/],
  ['slow: too late', late(2000, ok('late')), [], tooLate],
  [
    'bad: 500',
    say(head('500 Internal Server Error', 'content-length: 0\r\n')),
    [],
    /^fail: HTTP 500 from http/,
  ],
  [
    'bad: 400 is one above',
    say(head('400 Bad Request', 'content-length: 0\r\n')),
    [],
    /^fail: HTTP 400 from/,
  ],
  ['bad: a status that is not asked for', say(ok('')), ['--check-status', '204'], /^fail: HTTP 200 from/],
  [
    'bad: the body lacks the text',
    say(ok('hay')),
    needle,
    /^fail: HTTP 200 from .*, but its body has no needle: it is "hay"$/,
  ],
  ['bad: an empty body', say(ok('')), ['--check-body', '/./'], /but its body has no \/\.\/: it is empty$/],
  [
    'bad: the text comes after 64 KiB',
    say(ok(`${'x'.repeat(65_531)}needle`)),
    needle,
    /but the first 64 KiB of its body has no needle: it begins "x{80}" \(80 of 6553[67] bytes\)$/,
  ],
  [
    'bad: closed without an answer',
    socket => void socket.once('data', () => socket.end()),
    [],
    /: the app closed the connection before it answered$/,
  ],
  [
    'bad: closed before the request',
    close,
    [],
    /: the app (closed|reset) the connection before it answered$/,
  ],
  [
    'bad: reset',
    socket => void socket.once('data', () => reset(socket)),
    [],
    /: the app (closed|reset) the connection before it answered$/,
  ],
  [
    'bad: closed in the middle of the head',
    say('HTTP/1.1 200 OK\r\nconte'),
    [],
    /: the app closed the connection after 22 bytes, in the middle of the head of its answer$/,
  ],
  [
    'bad: closed in the middle of the body',
    say(head('200 OK', 'content-length: 100\r\n') + 'half'),
    [],
    /: the answer ended after 4 of 100 bytes of its body$/,
  ],
  [
    'bad: closed in the middle of a chunk',
    say(`${head('200 OK', 'transfer-encoding: chunked\r\n')}ff\r\nhalf`),
    [],
    /: the answer ended after 4 bytes of its body, without its last chunk$/,
  ],
  [
    'bad: a chunk that is none',
    say(`${head('200 OK', 'transfer-encoding: chunked\r\n')}zz\r\n`),
    [],
    /: the body of the answer is not valid HTTP: a chunk has no valid size$/,
  ],
  [
    'bad: another protocol',
    say('SSH-2.0-OpenSSH_9.2\r\n'),
    [],
    /: the app answered "SSH-2\.0-OpenSSH_9\.2\\r\\n" instead of HTTP$/,
  ],
  [
    'bad: switches protocols unasked',
    sayAndHold(head('101 Switching Protocols', 'connection: upgrade\r\nupgrade: x\r\n')),
    [],
    /^fail: /,
  ],
  ['hanging: never answers', hold, [], tooLate],
  ['hanging: half a head', sayAndHold('HTTP/1.1 200 OK\r\nx: '), [], tooLate],
  ['hanging: half a body', sayAndHold(head('200 OK', 'content-length: 9\r\n') + 'half'), [], tooLate],
  ['hostile: the head drips', drip('HTTP/1.1 200 OK\r\nx-filler: '), [], tooLate],
  ['hostile: the body drips', drip(head('200 OK', 'content-length: 1000\r\n')), [], tooLate],
  [
    'hostile: 1xx without an end',
    flood('', head('100 Continue').repeat(100)),
    [],
    /more than 20 interim answers/,
  ],
  [
    'hostile: a huge header',
    flood('HTTP/1.1 200 OK\r\nx: ', 'x'.repeat(16_384)),
    [],
    /: the head of the answer is longer than 16 KiB$/,
  ],
  [
    'hostile: headers without an end',
    flood('HTTP/1.1 200 OK\r\n', 'x: y\r\n'.repeat(100)),
    [],
    /: the head of the answer is longer than 16 KiB$/,
  ],
  [
    'hostile: an endless body, the status is what counts',
    flood(head('200 OK'), Buffer.alloc(65_536, 'x')),
    [],
    /^pass: HTTP 200$/,
  ],
  [
    'hostile: an endless body to look through',
    flood(head('200 OK'), Buffer.alloc(65_536, 'x')),
    needle,
    /first 64 KiB/,
  ],
  [
    'hostile: endless tiny chunks',
    flood(head('200 OK', 'transfer-encoding: chunked\r\n'), '1\r\nx\r\n'.repeat(1000)),
    needle,
    /first 64 KiB|no (complete )?answer/,
  ],
  [
    'hostile: a body on which the pattern would explode',
    say(ok(explosive)),
    ['--check-body', '/^(a+)+$/'],
    /^fail: HTTP 200 from .*, but its body has no \/\^\(a\+\)\+\$\/: it is "a{40}b"$/,
  ],
];

describe('http', () => {
  for (const row of httpRows) it(row[0], () => play(row, {}, ['--check', 'http:/']));

  it('bad: refused', async () => {
    assert.match(await check([], await freePort()), /^fail: connect ECONNREFUSED 127\.0\.0\.1:/);
  });

  it('asks for the path with its query', async () => {
    const server = await startRawServer(judge(text => text.startsWith('GET /a/b?c=%20d HTTP/1.1\r\n')));
    assert.equal(await check(['--check', 'http:/a/b?c=%20d'], server.port), 'pass: HTTP 200');
    server.close();
  });

  it('never shows its query, however it fails', async () => {
    for (const serve of [
      say('HTTP/1.1 500 x\r\n\r\n'),
      say('no HTTP'),
      hold,
      (socket: Socket) => socket.destroy(),
    ]) {
      const server = await startRawServer(serve);
      const verdict = await check(['--check', 'http:/h?token=geheim'], server.port);
      assert.match(verdict, /^fail: .*\/h\?\*\*\*/);
      assert.doesNotMatch(verdict, /geheim/);
      server.close();
    }
  });

  it('is abandoned at once when it is aborted', async () => {
    const server = await startRawServer(hold);
    const stop = new AbortController();
    const verdict = check([], server.port, { signal: stop.signal });
    await eventually('it is connected', () => server.openConnections === 1);
    const elapsed = stopwatch();
    stop.abort();
    assert.equal(await verdict, 'unknown: the check was abandoned');
    assert.ok(elapsed() < timeoutMs / 2, `${elapsed()} ms`);
    await eventually('no connection is left', () => server.openConnections === 0);
    server.close();
  });
});

describe('http at a Unix socket', () => {
  for (const row of httpRows)
    it(row[0], () => play(row, { path: appSocket() }, ['--check', 'http:/', '--check-socket', appSocket()]));

  it('bad: nobody there', async () => {
    const argv = ['--check-socket', join(folder, 'nobody.sock')];
    assert.match(await check(argv), /^fail: connect ENOENT .*nobody\.sock$/);
  });
});

describe('https', () => {
  for (const row of httpRows)
    it(row[0], () => play(row, { certificate }, ['--check', 'https:/', '--check-ca', authority.ca]));

  const fine = say(ok(''));
  const answer = async (argv: string[], options: RawServerOptions, serve = fine): Promise<string> => {
    const server = await startRawServer(serve, options);
    try {
      return await check(['--check', 'https:/', ...argv], server.port || 1);
    } finally {
      server.close();
    }
  };

  it('bad: an unknown authority, with a hint', async () => {
    assert.match(
      await answer([], { certificate }),
      /^fail: https:.*: unable to verify the first certificate; name its authority in --check-ca, or .*--check-insecure$/,
    );
  });

  it('good: any certificate with --check-insecure, also an expired one', async () => {
    const expired = await authority.issue('expired', { expiresInSeconds: -60 });
    assert.equal(await answer(['--check-insecure'], { certificate: expired }), 'pass: HTTP 200');
    assert.match(
      await answer(['--check-ca', authority.ca], { certificate: expired }),
      /^fail: https:.*: certificate has expired$/,
    );
  });

  it('checks the certificate again each time', async () => {
    const short = await authority.issue('short', { expiresInSeconds: 2 });
    const server = await startRawServer(fine, { certificate: short });
    const probe = await open(['--check', 'https:/', '--check-ca', authority.ca], server.port);
    const ask = async (): Promise<string> => show(await probe(new AbortController().signal));
    assert.equal(await ask(), 'pass: HTTP 200');
    await eventually('it has expired', async () => (await ask()).endsWith(': certificate has expired'));
    server.close();
  });

  it('the name: the address, or that of --check-server-name, which is also asked for', async () => {
    const named = await authority.issue('named', { names: ['web.example'] });
    const ca = ['--check-ca', authority.ca];
    assert.match(
      await answer(ca, { certificate: named }),
      /^fail: https:.*altnames.*; say the certificate's name with --check-server-name/,
    );
    const name = ['--check-server-name', 'web.example'];
    let asked: unknown;
    const serve = (socket: Socket): void => {
      asked = (socket as Socket & { servername?: string | false }).servername;
      fine(socket);
    };
    assert.equal(await answer([...ca, ...name], { certificate: named }, serve), 'pass: HTTP 200');
    assert.equal(asked, 'web.example');
    assert.match(
      await answer([...ca, '--check-server-name', 'other.example'], { certificate: named }),
      /^fail: .*altnames/,
    );
    assert.equal(
      await answer([...ca, '--check-header', 'Host: other.example'], { certificate }),
      'pass: HTTP 200',
    );
  });

  it('at a Unix socket', async () => {
    const path = join(folder, 'tls.sock');
    assert.equal(
      await answer(['--check-ca', authority.ca, '--check-socket', path], { certificate, path }),
      'pass: HTTP 200',
    );
  });

  it('bad: no TLS there, with a hint', async () => {
    assert.match(
      await answer([], {}),
      /^fail: https:.*: it does not speak TLS there; write the check without the s/,
    );
  });

  it('hanging: the handshake is never answered', async () => {
    assert.match(await answer([], {}, hold), tooLate);
  });

  it('bad: refused', async () => {
    assert.match(await check(['--check', 'https'], await freePort()), /^fail: connect ECONNREFUSED/);
  });

  it('ours: the file of the authority is gone', async () => {
    const argv = ['--check-ca', join(folder, 'gone.pem')];
    assert.match(await answer(argv, { certificate }), /^unknown: --check-ca .*gone\.pem cannot be read/);
  });
});

/** Greets before it is spoken to. */
const greet =
  (text: string) =>
  (socket: Socket): void =>
    void socket.resume().write(text);
const redis = ['--check-send', 'PING\\r\\n', '--check-expect', '+PONG'];

const tcpRows: readonly Row[] = [
  ['good: takes connections', hold, [], /^pass: .* takes connections$/],
  ['good: takes and closes them', close, [], /^pass: .* takes connections$/],
  [
    'good: answers as expected',
    socket =>
      void socket.once('data', part =>
        socket.write(part.equals(Buffer.from('PING\r\n')) ? '+PONG\r\n' : '-ERR\r\n'),
      ),
    redis,
    /^pass: .* answers \+PONG$/,
  ],
  [
    'good: greets as expected',
    greet('220 mail.example ESMTP\r\n'),
    ['--check-expect', '/^220 .*ESMTP/'],
    /^pass: .* answers \/\^220/,
  ],
  ['good: bytes', greet('\x00\x01\x02'), ['--check-expect', '\\x01\\x02'], /^pass/],
  [
    'good: the answer comes in two parts',
    socket =>
      void afterRequest(socket, async () => {
        socket.write('+PO');
        await pause(50);
        socket.write('NG\r\n');
      }),
    redis,
    /^pass/,
  ],
  ['slow: in time', late(150, '+PONG\r\n'), redis, /^pass/],
  ['slow: too late', late(2000, '+PONG\r\n'), redis, tooLate],
  [
    'bad: another answer',
    say('-LOADING\r\n'),
    redis,
    /: the app closed the connection after 10 bytes, and its answer "-LOADING\\r\\n" has no \+PONG; correct --check-send or --check-expect$/,
  ],
  [
    'bad: no answer',
    socket => void socket.once('data', () => socket.end()),
    redis,
    /: the app closed the connection before it answered$/,
  ],
  [
    'bad: reset',
    socket => void socket.once('data', () => reset(socket)),
    redis,
    /: the app (reset|closed) the connection before it answered$/,
  ],
  ['hanging: another answer and no end', sayAndHold('-LOADING\r\n'), redis, tooLate],
  ['hanging: never answers', hold, redis, tooLate],
  [
    'hostile: an answer without an end',
    flood('', Buffer.alloc(65_536, 'x')),
    redis,
    /^fail: the first 16 KiB from .* have no \+PONG: they begin "x{80}" \(80 of \d+ bytes\); correct --check-send or --check-expect$/,
  ],
  ['hostile: the answer drips', drip(''), redis, tooLate],
  [
    'hostile: an answer on which the pattern would explode',
    greet(explosive),
    ['--check-expect', '/^(a+)+$/'],
    tooLate,
  ],
];

describe('tcp', () => {
  for (const row of tcpRows) it(row[0], () => play(row, {}, ['--check', 'tcp']));

  it('bad: refused', async () => {
    assert.match(await check(['--check', 'tcp'], await freePort()), /^fail: connect ECONNREFUSED/);
  });
});

describe('tcp at a Unix socket', () => {
  for (const row of tcpRows)
    it(row[0], () => play(row, { path: appSocket() }, ['--check', 'tcp', '--check-socket', appSocket()]));
});

describe('an app whose process is stopped', () => {
  it('accepts connections, so it passes only tcp, and fails every check that needs an answer', async () => {
    const port = await freePort();
    const code = `require('http').createServer((_, r) => r.end('ok')).listen(${port}, '127.0.0.1')`;
    const app = await Child.spawn(process.execPath, ['-e', code], {
      env: cleanEnvironment(),
      stdio: 'ignore',
    });
    await eventually('it answers', async () => (await check([], port)).startsWith('pass'));
    app.signal('SIGSTOP');
    assert.match(await check(['--check', 'http'], port), tooLate);
    assert.match(await check(['--check', 'tcp', '--check-expect', 'x'], port), tooLate);
    assert.match(await check(['--check', 'grpc'], port), tooLate);
    assert.match(await check(['--check', 'https'], port), tooLate);
    assert.match(await check(['--check', 'tcp'], port), /^pass/);
    app.signal('SIGKILL');
    await app.exited(5000);
  });
});

const exec = (command: string, setup?: ProbeSetup): Promise<string> =>
  check(['--check', `exec:${command}`], 1, setup);

/** The processes whose command line has this word. */
const processesWith = (word: string): string[] =>
  readdirSync('/proc').filter(pid => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(word);
    } catch {
      return false;
    }
  });

const openFiles = (): number => readdirSync('/proc/self/fd').length;
/** Children of ours that nobody has asked for their end. */
const zombies = (): string[] =>
  readdirSync('/proc').filter(pid => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const text = readFileSync(`/proc/${pid}/status`, 'latin1');
      return text.includes(`PPid:\t${process.pid}\n`) && text.includes('State:\tZ');
    } catch {
      return false;
    }
  });

describe('exec', () => {
  it('never shows its arguments when it takes too long', async () => {
    const verdict = await check(['--check', 'exec:sleep 5 # geheim'], 1);
    assert.equal(verdict, 'fail: no answer from exec:sleep *** within 500 ms');
  });

  const rows: [name: string, command: string, verdict: RegExp][] = [
    ['good: exit 0', 'true', /^pass: exit 0$/],
    ['good: the last line is reported', 'echo one; echo two; echo', /^pass: exit 0: two$/],
    ['good: what the shell can', 'test "$(echo a b | wc -w)" -eq 2 && [ -n "$PATH" ]', /^pass/],
    ["good: the app's port", 'test "$DOCKREG_PORT" = 8000', /^pass/],
    ['good: no input to wait for', 'cat', /^pass/],
    ['good: a flood before the end', 'head -c 2000000 /dev/zero; echo; echo done', /^pass: exit 0: done$/],
    ['slow: in time', 'sleep 0.15', /^pass/],
    ['bad: exit 1', 'false', /^fail: exit 1$/],
    [
      'bad: exit 2 with the last line of its output',
      'echo no response; echo usage >&2; exit 2',
      /^fail: exit 2: no response$/,
    ],
    [
      'bad: what it says on standard error, when it says nothing else',
      'echo refused >&2; exit 1',
      /^fail: exit 1: refused$/,
    ],
    ['bad: there is no such command', 'no-such-command -q', /^fail: exit 127: .*no-such-command.*not found$/],
    ['bad: it crashes', 'kill -SEGV $$', /^fail: ended by SIGSEGV$/],
    ['bad: it is no shell command', 'if', /^fail: exit 2: .*[Ss]yntax error/],
    [
      'hostile: control characters and bytes that are no text',
      'printf "a\\033[31m\\377b\\n"; exit 3',
      /^fail: exit 3: a \[31m\ufffdb$/,
    ],
    [
      'hostile: a line without an end',
      'head -c 1000000 /dev/zero | tr "\\0" x; exit 1',
      /^fail: exit 1: x{200}$/,
    ],
    ['hanging', 'sleep 60', tooLate],
    ['hanging: it ignores signals', 'trap "" TERM INT HUP; sleep 60; sleep 60', tooLate],
    ['hanging: in the background too', 'sleep 60 & sleep 60', tooLate],
    ['hostile: output without an end', 'yes', tooLate],
  ];
  for (const [name, command, verdict] of rows)
    it(name, async () => {
      const env = { DOCKREG_PORT: '8000' };
      assert.match(await exec(command, { env }), verdict);
    });

  it('leaves nothing running: neither what hangs nor what was put in the background', async () => {
    assert.match(await exec('sleep 61.5 & sleep 61.5'), tooLate);
    assert.match(await exec('sleep 61.5 & exit 0'), /^pass/);
    await eventually('nothing is left', () => processesWith('61.5').length === 0);
  });

  it('ends when it is aborted', async () => {
    const stop = new AbortController();
    const verdict = exec('sleep 62.5', { signal: stop.signal });
    await eventually('it runs', () => processesWith('62.5').length > 0, { everyMs: 10 });
    stop.abort();
    assert.equal(await verdict, 'unknown: the check was abandoned');
    await eventually('nothing is left', () => processesWith('62.5').length === 0);
  });

  it('does not wait for a process that left the group and holds the output open', async () => {
    const elapsed = stopwatch();
    assert.match(await exec('setsid sleep 2.25 & echo fine'), /^pass: exit 0: fine$/);
    assert.ok(elapsed() < 1000, `${elapsed()} ms`);
  });

  it('leaves no zombies and no open files', async () => {
    const probe = await open(['--check', 'exec:echo a; (sleep 60) & exit 1'], 1);
    await probe(new AbortController().signal);
    const atFirst = openFiles();
    for (let round = 0; round < 20; round++) await probe(new AbortController().signal);
    await eventually('no zombie is left', () => zombies().length === 0);
    await eventually('the files are closed', () => openFiles() <= atFirst);
  });

  it('keeps only the end of a flood', async () => {
    const probe = await open(['--check', 'exec:yes 0123456789'], 1);
    await probe(new AbortController().signal);
    const atFirst = process.memoryUsage().rss;
    for (let round = 0; round < 3; round++) await probe(new AbortController().signal);
    const grownMiB = (process.memoryUsage().rss - atFirst) / 2 ** 20;
    assert.ok(grownMiB < 64, `${grownMiB} MiB`);
  });
});

const health = protobuf.parse(`
  syntax = "proto3";
  package grpc.health.v1;
  message HealthCheckRequest { string service = 1; }
  message HealthCheckResponse {
    enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
    ServingStatus status = 1;
  }
  message Later { string note = 7; fixed64 at = 8; fixed32 of = 9; uint64 big = 300; ServingStatus status = 1; enum ServingStatus { UNKNOWN = 0; SERVING = 1; } }
`).root;
const codec = (name: string): protobuf.Type => health.lookupType(`grpc.health.v1.${name}`);
const answerOf = (value: number): Buffer =>
  Buffer.from(codec('HealthCheckResponse').encode({ status: value }).finish());

const many = (part: Buffer): Buffer => Buffer.concat(Array.from({ length: 1000 }, () => part));
/** A frame of HTTP/2. */
const frame = (type: number, flags = 0, payload = Buffer.alloc(0)): Buffer =>
  Buffer.concat([
    Buffer.from([0, payload.length >> 8, payload.length & 0xff, type, flags, 0, 0, 0, 0]),
    payload,
  ]);

type Answer = Buffer | { readonly code: status; readonly details?: string } | 'hang' | number;

describe('grpc', () => {
  let servers: GrpcServer[] = [];
  afterEach(() => {
    for (const server of servers) server.forceShutdown();
    servers = [];
  });

  /** A server with the health service, which answers by the service's name. */
  async function serve(
    answers: Record<string, Answer>,
    target = '127.0.0.1:0',
    secure?: CertificateFiles,
  ): Promise<number> {
    const server = new GrpcServer();
    servers.push(server);
    const respond = async (
      call: ServerUnaryCall<Buffer, Buffer>,
      reply: sendUnaryData<Buffer>,
    ): Promise<void> => {
      const { service } = codec('HealthCheckRequest').decode(call.request) as unknown as { service: string };
      const answer = answers[service] ?? { code: status.NOT_FOUND };
      if (answer === 'hang') return;
      if (typeof answer === 'number') await pause(answer);
      if (Buffer.isBuffer(answer)) return reply(null, answer);
      return typeof answer === 'number' ? reply(null, answerOf(1)) : reply(answer);
    };
    server.addService(
      { Check: checkMethod },
      {
        Check: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
          void respond(call, reply),
      },
    );
    const credentials = secure
      ? ServerCredentials.createSsl(null, [
          { cert_chain: readFileSync(secure.cert), private_key: readFileSync(secure.key) },
        ])
      : ServerCredentials.createInsecure();
    return new Promise((resolve, reject) =>
      server.bindAsync(target, credentials, (error, port) => (error ? reject(error) : resolve(port))),
    );
  }

  const long = `a.${'b'.repeat(300)}.Service`;
  const later = Buffer.from(
    codec('Later')
      .encode({ note: 'x'.repeat(200), at: 1, of: 2, big: 4e9, status: 1 })
      .finish(),
  );
  const rows: [name: string, service: string, answer: Answer, verdict: RegExp][] = [
    ['good: SERVING', '', answerOf(1), /^pass: the server is SERVING$/],
    ['good: a service that is SERVING', 'my.Service', answerOf(1), /^pass: service my\.Service is SERVING$/],
    ['good: a long name', long, answerOf(1), /^pass/],
    ['good: an answer with fields of a later time', '', later, /^pass/],
    ['slow: in time', '', 150, /^pass/],
    ['slow: too late', '', 2000, tooLate],
    ['bad: NOT_SERVING', '', answerOf(2), /^fail: 127\.0\.0\.1:\d+: the server is NOT_SERVING$/],
    ['bad: UNKNOWN', '', answerOf(0), /^fail: 127\.0\.0\.1:\d+: the server is UNKNOWN$/],
    [
      'bad: SERVICE_UNKNOWN',
      'my.Service',
      answerOf(3),
      /^fail: 127\.0\.0\.1:\d+: service my\.Service is SERVICE_UNKNOWN$/,
    ],
    ['bad: an unknown status', '', answerOf(77), /^fail: 127\.0\.0\.1:\d+: the server is status 77$/],
    [
      'bad: a service that is not known',
      'other.Service',
      { code: status.NOT_FOUND },
      /^fail: 127\.0\.0\.1:\d+: service other\.Service is not known to the health service$/,
    ],
    [
      'bad: denied',
      '',
      { code: status.PERMISSION_DENIED, details: 'no token' },
      /^fail: 127\.0\.0\.1:\d+: PERMISSION_DENIED: no token$/,
    ],
    [
      'bad: UNAVAILABLE',
      '',
      { code: status.UNAVAILABLE, details: 'shutting down' },
      /^fail: 127\.0\.0\.1:\d+: UNAVAILABLE: shutting down$/,
    ],
    ['hanging', '', 'hang', tooLate],
    [
      'hostile: an answer that is cut',
      '',
      Buffer.from([0x08]),
      /^fail: 127\.0\.0\.1:\d+: the server answers with \d+ bytes that are no HealthCheckResponse$/,
    ],
    [
      'hostile: an answer that is none',
      '',
      Buffer.from([0x0f, 0xff]),
      /^fail: 127\.0\.0\.1:\d+: the server answers with \d+ bytes that are no HealthCheckResponse$/,
    ],
    [
      'hostile: a number without an end',
      '',
      Buffer.alloc(500, 0xff),
      /^fail: 127\.0\.0\.1:\d+: the server answers with \d+ bytes that are no HealthCheckResponse$/,
    ],
    [
      'hostile: a huge answer',
      '',
      Buffer.alloc(1e6),
      /^fail: 127\.0\.0\.1:\d+: the server answers with more than 1024 bytes$/,
    ],
    [
      'hostile: a length beyond the end',
      '',
      Buffer.from([0x08, 0x01, 0x12, 0x7f]),
      /^fail: 127\.0\.0\.1:\d+: the server answers with \d+ bytes that are no HealthCheckResponse$/,
    ],
  ];
  for (const [name, service, answer, verdict] of rows) {
    it(name, async () => {
      const port = await serve({ [service]: answer });
      assert.match(await check(['--check', service ? `grpc:${service}` : 'grpc'], port), verdict);
    });
  }

  it('bad: no health service', async () => {
    const server = new GrpcServer();
    servers.push(server);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    assert.equal(
      await check(['--check', 'grpc'], port),
      `fail: 127.0.0.1:${port}: the server has no health service (grpc.health.v1)`,
    );
  });

  it('at a Unix socket', async () => {
    const path = join(folder, 'grpc.sock');
    await serve({ '': answerOf(1) }, `unix:${path}`);
    assert.match(await check(['--check', 'grpc', '--check-socket', path]), /^pass/);
  });

  it('over TLS: the authority, the name, or neither', async () => {
    const named = await authority.issue('grpc', { names: ['grpc.example'] });
    const port = await serve({ 'my.Service': answerOf(1) }, undefined, named);
    const ask = (...argv: string[]): Promise<string> => check(['--check', 'grpcs:my.Service', ...argv], port);
    const ca = ['--check-ca', authority.ca];
    assert.match(await ask(), /^fail: .*unable to .*certificate.*; name its authority in --check-ca/);
    assert.match(await ask(...ca), /^fail: .*altnames.*--check-server-name/);
    assert.match(await ask(...ca, '--check-server-name', 'grpc.example'), /^pass/);
    assert.match(await ask('--check-insecure'), /^pass/);
    assert.match(await check(['--check', 'grpc:my.Service'], port), /^fail: /);
  });

  const settings = frame(4);
  const hostile: [name: string, serve: (socket: Socket) => void, verdict: RegExp][] = [
    ['hanging: sends nothing', hold, tooLate],
    ['hanging: agrees to HTTP/2 and says no more', greet(settings.toString('latin1')), tooLate],
    ['bad: speaks HTTP/1', say(head('400 Bad Request')), /^fail: /],
    ['bad: closes', close, /^fail: /],
    ['bad: resets', socket => void socket.once('data', () => reset(socket)), /^fail: /],
    ['bad: goes away', sayAndHold(Buffer.concat([settings, frame(7, 0, Buffer.alloc(8))])), /^fail: /],
    [
      'hostile: pings without an end',
      flood(settings.toString('latin1'), many(frame(6, 0, Buffer.alloc(8)))),
      /^fail: /,
    ],
    ['hostile: settings without an end', flood('', many(settings)), /^fail: /],
    ['hostile: bytes without sense', flood('', Buffer.alloc(65_536, 0xff)), /^fail: /],
  ];
  for (const [name, serveRaw, verdict] of hostile) {
    it(name, async () => {
      const server = await startRawServer(serveRaw);
      try {
        assert.match(await check(['--check', 'grpc'], server.port), verdict);
        await eventually('no connection is left', () => server.openConnections === 0, { timeoutMs: 2000 });
      } finally {
        server.close();
      }
    });
  }

  it('bad: refused', async () => {
    assert.match(await check(['--check', 'grpc'], await freePort()), /^fail: connect ECONNREFUSED/);
  });
});

const inspect = async ({ engine, container }: Config): Promise<ContainerView> =>
  (await findSelf(connectEngine(engine, systemClock), container)).network;

describe('docker', () => {
  const id = 'c0ffee00'.repeat(8);

  const rows: [name: string, health: ReturnType<typeof healthAnswer>, verdict: RegExp][] = [
    [
      'good: healthy',
      healthAnswer('healthy', 0, 'hello\nall fine\n'),
      /^pass: Docker says healthy: exit 0: all fine$/,
    ],
    [
      'bad: unhealthy',
      healthAnswer('unhealthy', 1, 'curl: (7) refused\n'),
      /^fail: Docker says unhealthy: exit 1: curl: \(7\) refused$/,
    ],
    ['bad: starting', healthAnswer('starting'), /^fail: Docker says starting$/],
  ];
  for (const [name, answer, verdict] of rows) {
    it(name, async () => {
      const docker = await startDockerSocket({ containers: { [id]: inspectAnswer({ id, health: answer }) } });
      const argv = ['--check', 'docker', '--docker', docker.socketPath, '--container', id];
      assert.match(await check(argv, 8000, { inspect }), verdict);
      assert.deepEqual(
        docker.requests.map(({ path }) => path),
        [`/containers/${id}/json`],
      );
      await docker.stop();
    });
  }

  for (const none of [undefined, healthAnswer('none'), healthAnswer('')]) {
    it(`is impossible without a HEALTHCHECK (${none?.Status ?? 'left out'})`, async () => {
      const answer = inspectAnswer({ id, name: 'web', ...(none && { health: none }) });
      const docker = await startDockerSocket({ containers: { [id]: answer } });
      const argv = ['--check', 'docker', '--docker', docker.socketPath, '--container', id];
      assert.match(
        await check(argv, 8000, { inspect }),
        /^impossible: container web has no HEALTHCHECK.*--health-cmd.*another --check$/,
      );
      await docker.stop();
    });
  }

  for (const mode of ['silent', 'cut', 'garbage', 'error500'] as const) {
    it(`no verdict while Docker is ${mode}`, async () => {
      const answer = inspectAnswer({ id, health: healthAnswer('unhealthy', 1, '') });
      const docker = await startDockerSocket({ containers: { [id]: answer } });
      docker.mode = mode;
      const argv = ['--check', 'docker', '--docker', docker.socketPath, '--container', id];
      assert.match(await check(argv, 8000, { inspect }), /^unknown: Docker/);
      await docker.stop();
    });
  }
});

describe('a machine without free file descriptors', () => {
  it("is not the app's fault, whatever the check", async () => {
    const server = await startRawServer(say(ok('')));
    const secure = await startRawServer(say(ok('')), { certificate });
    const checks: [argv: string[], port: number][] = [
      [['--check', 'http'], server.port],
      [['--check', 'https', '--check-insecure'], secure.port],
      [['--check', 'https', '--check-ca', authority.ca], secure.port],
      [['--check', 'tcp'], server.port],
      [['--check', 'grpc'], server.port],
      [['--check', 'exec:true'], 1],
    ];
    const probes = await Promise.all(
      checks.map(async ([argv, port]) => ({ what: argv.join(' '), probe: await open(argv, port) })),
    );
    const held: number[] = [];
    const verdicts: string[] = [];
    try {
      for (;;) held.push(openSync('/dev/null', 'r'));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EMFILE');
      for (const { what, probe } of probes)
        verdicts.push(`${what}: ${show(await probe(new AbortController().signal))}`);
    } finally {
      for (const file of held) closeSync(file);
      server.close();
      secure.close();
    }
    assert.equal(verdicts.length, checks.length);
    for (const verdict of verdicts) assert.match(verdict, /: unknown: .*EMFILE/);
  });
});
