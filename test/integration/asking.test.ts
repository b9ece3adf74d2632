/**
 * How an app is asked: with a certificate, behind a proxy, over HTTP/2, and answers that are packed or end their lines with
 * LF alone. Against node:tls, node:http2, grpc-js, HAProxy and nginx, and beside curl.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer as createHttpsServer } from 'node:https';
import { createSecureServer as createHttp2Server, createServer as createH2cServer } from 'node:http2';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { detailOf } from '../../src/core/registration/health.ts';
import type { ProbeOptions } from '../../src/probe/probe.ts';
import { head, ok } from '../support/answers.ts';
import { atProcessEnd } from '../support/children.ts';
import { startHaproxy, startNginx, type Asked, type FrontEnd } from '../support/front-ends.ts';
import { startGrpcApp, type GrpcApp } from '../support/grpc-app.ts';
import { openCheck } from '../support/probes.ts';
import { startRawServer } from '../support/raw-server.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { pause } from '../support/wait.ts';

/** Long enough for a busy machine: no check here ends with its time. */
const timeoutMs = 15_000;
const missing = ['nginx', 'haproxy', 'curl', 'openssl'].find(
  tool => spawnSync(tool, ['-v'], { stdio: 'ignore' }).error !== undefined,
);
const skip = missing !== undefined && `no ${missing}`;

let folder: string;
let authority: Authority;
let stranger: Authority;
let certificate: CertificateFiles;
let own: CertificateFiles;
let foreign: CertificateFiles;
let haproxy: FrontEnd;
let nginx: FrontEnd;
let grpc: GrpcApp;
let ends: (() => unknown)[] = [];

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), 'dockreg-asking-'));
  atProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  [authority, stranger] = [await Authority.make(), await Authority.make('a stranger')];
  certificate = await authority.issue('app');
  own = await authority.issue('dockreg');
  foreign = await stranger.issue('dockreg');
  grpc = await startGrpcApp();
  const options = { certificate, ca: authority.ca, relayTo: grpc.port };
  [haproxy, nginx] = await Promise.all([startHaproxy(options), startNginx(options)]);
});
after(async () => {
  if (skip) return;
  for (const end of ends) await end();
  ends = [];
  grpc.close();
  await Promise.all([haproxy.stop(), nginx.stop(), authority.remove(), stranger.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

/** The verdict of one check: `pass: HTTP 200`. */
async function ask(
  port: number | undefined,
  argv: readonly string[],
  more: Partial<ProbeOptions> = {},
): Promise<string> {
  assert.ok(port !== undefined);
  const probe = await openCheck(argv, { port, timeoutMs, ...more });
  const verdict = await probe(new AbortController().signal);
  return `${verdict.kind}: ${detailOf(verdict)}`;
}

const trust = (): string[] => ['--check-ca', authority.ca];
const pair = ({ cert, key }: CertificateFiles): string[] => ['--check-cert', cert, '--check-key', key];

async function listening(server: Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => void server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

/** A server in Node that demands a certificate. */
function demanding(kind: 'https' | 'h2', maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<number> {
  const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
  const tls = { ...files, ca: readFileSync(authority.ca), requestCert: true, maxVersion } as const;
  const server =
    kind === 'https'
      ? createHttpsServer(tls, (_, response) => response.end('ready'))
      : createHttp2Server(tls, (_, response) => response.end('ready'));
  return listening(server.on('tlsClientError', () => undefined).on('sessionError', () => undefined));
}

describe('an app that demands a certificate', { skip }, () => {
  const apps: [name: string, check: string, port: () => Promise<number | undefined>][] = [
    ['node:https, TLS 1.3', 'https', () => demanding('https', 'TLSv1.3')],
    ['node:https, TLS 1.2', 'https', () => demanding('https', 'TLSv1.2')],
    ['node:http2, TLS 1.3', 'h2', () => demanding('h2', 'TLSv1.3')],
    ['node:http2, TLS 1.2', 'h2', () => demanding('h2', 'TLSv1.2')],
    ['HAProxy', 'https', () => Promise.resolve(haproxy.ports['https certificate'])],
    ['HAProxy, HTTP/2', 'h2', () => Promise.resolve(haproxy.ports['h2 certificate'])],
    ['nginx', 'https', () => Promise.resolve(nginx.ports['https certificate'])],
    ['nginx, HTTP/2', 'h2', () => Promise.resolve(nginx.ports['h2 certificate'])],
  ];
  for (const [name, check, portOf] of apps)
    it(`gets ours, refuses one of a stranger, and says that it wants one: ${name}`, async () => {
      const port = await portOf();
      const secure = ['--check', check, ...trust()];
      assert.equal(await ask(port, [...secure, ...pair(own)]), 'pass: HTTP 200');
      assert.match(
        await ask(port, secure),
        /^fail: .*; (?:if )?the app demands a certificate[:,] give one with --check-cert and --check-key$/,
      );
      assert.match(
        await ask(port, [...secure, ...pair(foreign)]),
        /^fail: .*; the app (?:may|does) not accept the certificate in --check-cert$/,
      );
    });

  it('over gRPC too', async () => {
    const port = await demanding('h2', 'TLSv1.3');
    const check = ['--check', 'grpcs', ...trust()];
    // It is no gRPC app, so it is enough that it was asked.
    assert.match(await ask(port, [...check, ...pair(own)]), /HTTP 200 with no content type/);
    assert.match(await ask(port, check), /the app demands a certificate: give one with --check-cert/);
  });

  it('takes a certificate and its key from one file, in any order', async () => {
    const port = await demanding('https', 'TLSv1.3');
    const texts = [own.cert, own.key].map(path => readFileSync(path, 'utf8'));
    for (const text of [texts.join(''), texts.toReversed().join('')]) {
      const file = join(folder, 'both.pem');
      writeFileSync(file, text);
      const both = ['--check-cert', file, '--check-key', file];
      assert.equal(await ask(port, ['--check', 'https', ...trust(), ...both]), 'pass: HTTP 200');
    }
  });

  it('gets the one that was renewed on disk, without a restart', async () => {
    const port = await demanding('https', 'TLSv1.3');
    const files = { cert: join(folder, 'renewed.pem'), key: join(folder, 'renewed-key.pem') };
    const use = (from: CertificateFiles): void => {
      copyFileSync(from.cert, files.cert);
      copyFileSync(from.key, files.key);
    };
    use(foreign);
    const probe = await openCheck(['--check', 'https', ...trust(), ...pair(files)], { port, timeoutMs });
    const verdict = async () => (await probe(new AbortController().signal)).kind;
    assert.equal(await verdict(), 'fail');
    use(own);
    assert.equal(await verdict(), 'pass');
    // The new certificate is there and its key is not yet: that is no fault of the app.
    copyFileSync(foreign.cert, files.cert);
    assert.equal(await verdict(), 'unknown');
  });

  it('says which of our files is of no use', async () => {
    const encrypted = join(folder, 'encrypted.pem');
    const made = spawnSync('openssl', [
      'ec',
      '-aes256',
      '-passout',
      'pass:x',
      '-in',
      own.key,
      '-out',
      encrypted,
    ]);
    assert.equal(made.status, 0, made.stderr.toString());
    const gone = join(folder, 'gone.pem');
    const rows: [cert: string, key: string, text: RegExp][] = [
      [gone, own.key, /^unknown: --check-cert .*gone\.pem cannot be read: /],
      [own.cert, gone, /^unknown: --check-key .*gone\.pem cannot be read: /],
      [own.key, own.key, /^unknown: --check-cert .* is not usable PEM: /],
      [own.cert, own.cert, /^unknown: --check-key .* is not usable PEM: /],
      [
        own.cert,
        foreign.key,
        /^unknown: --check-key .* is not the key of --check-cert .*dockreg\.pem; name the key and the certificate that belong together$/,
      ],
      [own.cert, encrypted, /^unknown: --check-key .* cannot be used: it needs a passphrase/],
    ];
    for (const [cert, key, text] of rows)
      assert.match(await ask(1, ['--check', 'grpcs', ...pair({ cert, key })]), text);
  });
});

/** What comes first, and the ports of the two ends. */
async function firstBytes(argv: readonly string[], more: Partial<ProbeOptions> = {}, path?: string) {
  let text = '';
  let ports: (number | undefined)[] = [];
  const server = await startRawServer(
    socket => {
      ports = [socket.remotePort, socket.localPort];
      socket.on('data', (part: Buffer) => {
        text += part.toString('latin1');
        if (text.includes('\r\n\r\n') && text.includes('HTTP/1.1')) socket.end(ok('ready'));
      });
    },
    path === undefined ? {} : { path },
  );
  try {
    assert.match(await ask(server.port || 1, argv, more), /^pass/);
    return { text, ports };
  } finally {
    server.close();
  }
}

describe('an app that expects the PROXY protocol', { skip }, () => {
  const versions = ['v1', 'v2'] as const;
  const protocols = ['http', 'https', 'h2c', 'h2'] as const;
  for (const version of versions) {
    const option = ['--check-proxy-protocol', version];
    for (const name of ['HAProxy', 'nginx'] as const)
      for (const protocol of protocols)
        it(`takes the header of ${version}: ${name}, ${protocol}`, async () => {
          const asked: Asked = `${protocol} proxy`;
          const port = (name === 'nginx' ? nginx : haproxy).ports[asked];
          const check = ['--check', protocol, '--check-body', 'ready'];
          const secure = protocol === 'https' || protocol === 'h2' ? trust() : [];
          assert.equal(await ask(port, [...check, ...secure, ...option]), 'pass: HTTP 200');
          assert.match(await ask(port, [...check, ...secure]), /^fail: /);
        });

    it(`takes the header of ${version}: HAProxy, grpc and tcp`, async () => {
      assert.match(await ask(haproxy.relayPort, ['--check', 'grpc', ...option]), /^pass: /);
      assert.match(await ask(haproxy.relayPort, ['--check', 'grpc']), /^fail: /);
      // The settings of HTTP/2, with which the app behind it begins.
      const tcp = [
        '--check',
        'tcp',
        '--check-send',
        'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\x04\\0\\0\\0\\0\\0',
      ];
      assert.match(
        await ask(haproxy.relayPort, [...tcp, '--check-expect', '\\0\\x04', ...option]),
        /^pass: /,
      );
    });
  }

  it('comes before all else, with the ends of the connection or as LOCAL', async () => {
    const one = await firstBytes(['--check-proxy-protocol', 'v1']);
    assert.ok(
      one.text.startsWith(`PROXY TCP4 127.0.0.1 127.0.0.1 ${one.ports.join(' ')}\r\nGET / HTTP/1.1\r\n`),
      one.text,
    );
    const two = await firstBytes(['--check-proxy-protocol', 'v2']);
    assert.ok(two.text.startsWith('\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET / HTTP/1.1\r\n'), two.text);
    const path = join(folder, 'proxy.sock');
    const three = await firstBytes(['--check-proxy-protocol', 'v1', '--check-socket', path], {}, path);
    assert.ok(three.text.startsWith('PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n'), three.text);
  });
});

describe('an app that speaks HTTP/2', { skip }, () => {
  it('is asked as over HTTP/1.1: method, headers, status and body', async () => {
    const port = nginx.ports['h2c nothing'];
    const asked = ['--check', 'h2c:/host', '--check-header', 'Host: web.example'];
    const twice = ['--check-header', 'X-Twice: a', '--check-header', 'X-Twice: b'];
    assert.equal(
      await ask(port, [...asked, ...twice, '--check-body', '/^GET web\\.example a, b$/']),
      'pass: HTTP 200',
    );
    assert.equal(
      await ask(port, [...asked, '--check-method', 'PUT', '--check-body', 'PUT']),
      'pass: HTTP 200',
    );
    assert.equal(await ask(port, [...asked, '--check-method', 'HEAD']), 'pass: HTTP 200');
    assert.match(await ask(port, [...asked, '--check-status', '204']), /^fail: HTTP 200 from h2c:\/\//);
    assert.equal(await ask(port, ['--check', 'h2c:/large']), 'pass: HTTP 200');
    assert.match(
      await ask(port, ['--check', 'h2c:/large', '--check-body', 'y']),
      /the first 64 KiB of its body/,
    );
    assert.equal(await ask(haproxy.ports['h2c nothing'], ['--check', 'h2c:/']), 'pass: HTTP 200');
  });

  it('may repeat any header, and have any character in one', async () => {
    let observed: unknown;
    const server = createH2cServer((request, response) => {
      observed = [request.headers['authorization'], request.headers['cookie'], request.headers['x-text']];
      response.end('ready');
    });
    const given = ['Authorization: a', 'Authorization: b', 'Cookie: a=1', 'Cookie: b=2', 'X-Text: \xe9\t|'];
    const argv = given.flatMap(each => ['--check-header', each]);
    assert.equal(await ask(await listening(server), ['--check', 'h2c', ...argv]), 'pass: HTTP 200');
    assert.deepEqual(observed, ['a, b', 'a=1; b=2', '\xe9\t|']);
  });

  it('at a Unix socket', async () => {
    const path = join(folder, 'h2c.sock');
    const server = createH2cServer((_, response) => response.end('ready'));
    await new Promise<void>(resolve => server.listen(path, resolve));
    ends.push(() => void server.close());
    assert.equal(await ask(1, ['--check', 'h2c', '--check-socket', path]), 'pass: HTTP 200');
  });

  it('and only that under TLS: an https check says how to ask', async () => {
    assert.match(
      await ask(await demanding('h2', 'TLSv1.3'), ['--check', 'https', ...trust(), ...pair(own)]),
      /^fail: .*no application protocol; the app may speak HTTP\/2 only: write the check as h2:$/,
    );
  });
});

/** Answers the first bytes of a request, whole or byte by byte, and ends. */
const answer =
  (text: string, isDripping = false) =>
  (socket: Socket): void => {
    const say = async (): Promise<void> => {
      if (isDripping)
        for (const byte of Buffer.from(text, 'latin1')) {
          socket.write(Buffer.of(byte));
          await pause(0);
        }
      socket.end(isDripping ? '' : text, 'latin1');
    };
    socket.once('data', () => void say());
  };

describe('an app whose lines end with LF alone', { skip, concurrency: true }, () => {
  const chunked = 'transfer-encoding: chunked\n\n';
  const answers: [name: string, text: string, isGood: boolean][] = [
    ['all lines', 'HTTP/1.1 200 OK\ncontent-length: 5\n\nready', true],
    ['the first line', 'HTTP/1.1 200 OK\ncontent-length: 5\r\n\r\nready', true],
    ['a header', 'HTTP/1.1 200 OK\r\nx: y\ncontent-length: 5\r\n\r\nready', true],
    ['the empty line', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\nready', true],
    ['no headers', 'HTTP/1.1 200 OK\n\nready', true],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\n\nready', true],
    ['no reason', 'HTTP/1.1 200\ncontent-length: 5\n\nready', true],
    ['an interim answer', 'HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\ncontent-length: 5\n\nready', true],
    ['chunks', `HTTP/1.1 200 OK\n${chunked}3\nrea\n2\ndy\n0\n\n`, true],
    ['chunks alone', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nready\n0\n\n', true],
    ['chunks with extensions and trailers', `HTTP/1.1 200 OK\n${chunked}5;a=b\nready\n0\nx: y\n\n`, true],
    ['a chunk that ends with CR', `HTTP/1.1 200 OK\n${chunked}6\nready\r\n0\n\n`, true],
    ['a body of lines', 'HTTP/1.1 200 OK\ncontent-length: 7\n\nready\n\n', true],
    ['HTTP/0.9', 'ready\n', false],
    ['a line before the first', '\nHTTP/1.1 200 OK\ncontent-length: 5\n\nready', false],
    ['CR alone', 'HTTP/1.1 200 OK\rcontent-length: 5\r\rready', false],
    ['a header without a colon', 'HTTP/1.1 200 OK\nx\ncontent-length: 5\n\nready', false],
    ['NUL in a header', 'HTTP/1.1 200 OK\nx: a\0b\ncontent-length: 5\n\nready', false],
    ['no end of the head', 'HTTP/1.1 200 OK\ncontent-length: 5\n', false],
    ['a body cut short', 'HTTP/1.1 200 OK\ncontent-length: 9\n\nready', false],
    ['chunks cut short', `HTTP/1.1 200 OK\n${chunked}5\nready\n0\n`, false],
  ];
  for (const [name, text, isGood] of answers)
    it(`is taken where curl takes it: ${name}`, async () => {
      const check = ['--check-body', 'ready'];
      const [plain, dripping] = [
        await startRawServer(answer(text)),
        await startRawServer(answer(text, true)),
      ];
      const secure = await startRawServer(answer(text), { certificate });
      try {
        const byCurl = await new Promise<boolean>(resolve =>
          execFile('curl', ['-sS', '-m', '20', `http://127.0.0.1:${plain.port}/`], error => resolve(!error)),
        );
        assert.equal(byCurl, isGood, 'curl');
        const verdict = isGood ? /^pass/ : /^fail/;
        assert.match(await ask(plain.port, check), verdict);
        assert.match(await ask(dripping.port, check), verdict);
        assert.match(await ask(secure.port, ['--check', 'https', ...trust(), ...check]), verdict);
      } finally {
        for (const server of [plain, dripping, secure]) server.close();
      }
    });
});

const packed = (encoding: string, bytes: Buffer): string =>
  head('200 OK', `content-encoding: ${encoding}`, `content-length: ${bytes.length}`) +
  bytes.toString('latin1');

describe('an app that packs its answers', { skip }, () => {
  const text = `${'some text '.repeat(100)}ready`;
  const answers: [name: string, answer: string, verdict: RegExp][] = [
    ['gzip', packed('gzip', gzipSync(text)), /^pass/],
    ['x-gzip', packed('X-GZIP', gzipSync(text)), /^pass/],
    ['gzip in two members', packed('gzip', Buffer.concat([gzipSync('some '), gzipSync('ready')])), /^pass/],
    ['deflate', packed('deflate', deflateSync(text)), /^pass/],
    ['deflate without a header', packed('deflate', deflateRawSync(text)), /^pass/],
    ['br', packed('br', brotliCompressSync(text)), /^pass/],
    ['identity', packed('identity', Buffer.from(text)), /^pass/],
    ['nothing, though it says gzip', packed('gzip', Buffer.alloc(0)), /^fail: .*: it is empty$/],
    [
      'gzip with a wrong sum',
      packed('gzip', Buffer.concat([gzipSync(text).subarray(0, -8), Buffer.alloc(8)])),
      /not valid gzip$/,
    ],
    [
      'the text after 64 KiB',
      packed('gzip', gzipSync(`${'x'.repeat(65_532)}ready`)),
      /^fail: .*the first 64 KiB/,
    ],
    ['the text at the end of 64 KiB', packed('gzip', gzipSync(`${'x'.repeat(65_531)}ready`)), /^pass/],
  ];
  for (const [name, packedText, verdict] of answers)
    it(`is read: ${name}`, async () => {
      const plain = await startRawServer(answer(packedText));
      const dripping = await startRawServer(answer(packedText, packedText.length < 2000));
      try {
        assert.match(await ask(plain.port, ['--check-body', 'ready']), verdict);
        assert.match(await ask(dripping.port, ['--check-body', 'ready']), verdict);
      } finally {
        plain.close();
        dripping.close();
      }
    });

  it('is asked not to, and read where a header of the check asks it to', async () => {
    const port = nginx.ports['http nothing'];
    const wanted = ['--check-body', '/^ready$/m'];
    assert.equal(await ask(port, wanted), 'pass: HTTP 200');
    const gzip = ['--check-header', 'Accept-Encoding: gzip'];
    assert.equal(await ask(port, [...wanted, ...gzip]), 'pass: HTTP 200');
    assert.equal(
      await ask(nginx.ports['h2c nothing'], ['--check', 'h2c', ...wanted, ...gzip]),
      'pass: HTTP 200',
    );
    let observed = '';
    const server = await startRawServer(socket => {
      socket.once('data', (part: Buffer) => {
        observed = part.toString();
        socket.end(ok('ready'));
      });
    });
    await ask(server.port, wanted);
    assert.match(observed, /\r\naccept-encoding: identity\r\n/i);
    await ask(server.port, []);
    assert.doesNotMatch(observed, /accept-encoding/i);
    server.close();
  });

  it('cannot take memory or CPU with a body that unpacks to 256 MiB', async () => {
    const zeros = gzipSync(Buffer.alloc(64 * 1024 * 1024, 'x'));
    const bomb = packed('gzip', Buffer.concat([zeros, zeros, zeros, zeros]));
    const server = await startRawServer(answer(bomb));
    const memory = process.memoryUsage.rss();
    const cpuBefore = process.cpuUsage();
    for (let times = 0; times < 10; times++)
      assert.match(await ask(server.port, ['--check-body', 'ready']), /^fail: .*the first 64 KiB/);
    const { user, system } = process.cpuUsage(cpuBefore);
    server.close();
    assert.ok(user + system < 2_000_000, `${(user + system) / 1000} ms of CPU time`);
    assert.ok(process.memoryUsage.rss() - memory < 100e6, `${process.memoryUsage.rss() - memory} bytes`);
  });
});
