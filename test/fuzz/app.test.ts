/**
 * Answers of HTTP, HTTP/2, TCP and gRPC, also packed, with lines that end with LF alone, and from apps that demand a
 * certificate: good ones, good ones with a part changed, and those with bytes changed, in pieces and
 * with every kind of end, against the real probes over the loopback interface. An oracle says what an answer deserves
 * where that is known: it builds the answer, so it knows what it has broken.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { detailOf, type Verdict } from '../../src/core/registration/health.ts';
import {
  fields,
  frame,
  grpcAnswer,
  grpcHead,
  head,
  http2Answer,
  message,
  ok,
  settings,
} from '../support/answers.ts';
import { openCheck } from '../support/probes.ts';
import type { Random } from '../support/random.ts';
import { reset } from '../support/sockets.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { pause } from '../support/wait.ts';
import { declare } from './harness.ts';

const timeoutMs = 250;
/** What a busy machine may add to the time of a check, in ms. */
const slackMs = 3000;
/** The most characters of a reason. */
const mostReason = 700;
/** What Node says, and nobody should have to read. */
const raw =
  /\baborted\b|hang up|Parse Error|other side closed|premature close|(?:read|write) E[A-Z]+|ERR_|HPE_|NGHTTP2|\[object|undefined|NaN/;

/** What a probe must say: `either` where nobody knows. */
type Deserved = 'pass' | 'fail' | 'either';

interface Case {
  readonly check: readonly string[];
  readonly bytes: Buffer;
  readonly deserves: Deserved;
  /** `hold` says nothing more and keeps the connection. */
  readonly end: 'close' | 'reset' | 'hold' | 'half-close';
  /** Whether the app speaks before it is asked. */
  readonly greets: boolean;
  readonly delivery: 'whole' | 'pieces' | 'drip';
  /** Speaks TLS. */
  readonly tls?: TlsOptions;
}

/** Certificates of an app and of two clients, one of which the app does not know. */
interface Certificates {
  readonly authority: Authority;
  readonly stranger: Authority;
  readonly app: CertificateFiles;
  readonly own: CertificateFiles;
  readonly foreign: CertificateFiles;
}

const word = 'ready';
const check = {
  http: ['--check', 'http:/health'],
  body: ['--check', 'http:/health', '--check-body', word],
  pattern: ['--check', 'http:/health', '--check-body', '/rea(d|dd)+y$/m'],
  tcp: ['--check', 'tcp', '--check-send', 'PING\\r\\n', '--check-expect', word],
  tcpPattern: ['--check', 'tcp', '--check-send', 'PING\\r\\n', '--check-expect', '/^\\+?(r+e*)+ady\\b/'],
  grpc: ['--check', 'grpc'],
  h2c: ['--check', 'h2c:/health'],
  h2cBody: ['--check', 'h2c:/health', '--check-body', word],
} as const;

const delivery = (random: Random) => random.pick(['whole', 'whole', 'pieces', 'drip'] as const);

function httpCase(random: Random): Case {
  const asked = random.pick(['http', 'body', 'pattern'] as const);
  const plain = random.pick([word, word, `${word}\n`, `not yet\n${word}`, 'starting', '', 'x'.repeat(3000)]);
  const { body, fieldsOfBody, isWhole: isUnpackable } = packing(random, plain);
  const isMatch = asked === 'http' || (plain.includes(word) && isUnpackable);
  const status = random.pick([200, 200, 200, 201, 302, 400, 500, 503]);
  const isGood = status < 400 && isMatch;
  const line = `${status} Some Reason`;
  const filler = random.list(
    random.below(3),
    () => `x-${random.below(100)}: ${'y'.repeat(random.below(60))}`,
  );
  filler.push(...fieldsOfBody);
  const isLfAlone = random.below(3) === 0;
  const ends = (lines: string): string => (isLfAlone ? lines.replaceAll('\r\n', '\n') : lines);
  const begin = (...lines: [string, ...string[]]): string => ends(head(...lines));
  const interim = random.below(6) === 0 ? begin('103 Early Hints', 'link: </a>') : '';
  const length = `content-length: ${body.length}`;
  const chunks = (body && ends(`${body.length.toString(16)}\r\n`) + body + ends('\r\n')) + ends('0\r\n\r\n');
  const chunked = 'transfer-encoding: chunked';
  const good = [
    begin(line, ...filler, length) + body,
    begin(line, ...filler, chunked) + chunks,
    begin(line, ...filler) + body,
  ];
  const cut = 1 + random.below(Math.max(1, body.length));
  const lie = random.pick([1, 5, 1000]);
  /** None of them is a whole answer. */
  const bad = [
    begin(line, ...filler, `content-length: ${body.length + lie}`) + body,
    begin(line, ...filler, chunked) +
      chunks.slice(0, -1 - random.below(Math.min(chunks.length, isLfAlone ? 2 : 4))),
    begin(line, ...filler, length, `content-length: ${body.length + lie}`) + body,
    head(line, ...filler, 'content-length: 1x') + body,
    head(line, ...filler, chunked) + `z${chunks}`,
    (head(line, ...filler, length) + body).slice(0, 12 + random.below(3)),
    head(line, 'x: a\0b', length) + body,
    `${random.pick(['SSH-2.0-OpenSSH_9.2', '220 mail.example ESMTP', '-ERR what', '<html>', '\0\0\0', ''])}\r\n${body}`,
    head('101 Switching Protocols', 'connection: upgrade', 'upgrade: x'),
    head('100 Continue').repeat(random.pick([1, 30])),
    settings.toString('latin1'),
    '',
  ];
  const kind = random.below(4);
  const end = random.pick(['close', 'close', 'half-close', 'reset', 'hold'] as const);
  const index = random.below(3);
  // The third good answer ends with the connection, so how that ends counts; a reset may take away what came before it.
  const isWhole = end === 'close' || end === 'half-close' || (end === 'hold' && index < 2);
  const text = kind < 2 ? interim + (good[index] ?? '') : random.pick(bad);
  const known: Deserved = kind < 2 ? (!isGood ? 'fail' : isWhole ? 'pass' : 'either') : 'fail';
  const bytes = Buffer.from(text, 'latin1');
  const isChanged = kind === 3 || random.below(8) === 0;
  return {
    check: check[asked],
    bytes: isChanged ? changed(random, bytes, cut) : bytes,
    deserves: isChanged ? 'either' : known,
    end,
    greets: false,
    delivery: delivery(random),
  };
}

function tcpCase(random: Random): Case {
  const isPattern = random.below(2) === 0;
  const isGood = random.below(2) === 0;
  const good = [`+${word}\r\n`, `${word} and more`, `+${word}`];
  const bad = [
    '-LOADING\r\n',
    'rea',
    'r'.repeat(200),
    `${'r'.repeat(40)}x`,
    '\0\0',
    'ré\u202e\n\x1b[31m',
    '',
    'x'.repeat(20_000),
  ];
  const end = random.pick(['close', 'half-close', 'hold', 'reset'] as const);
  const bytes = Buffer.from(random.pick(isGood ? good : bad));
  const isChanged = random.below(4) === 0;
  return {
    check: isPattern ? check.tcpPattern : check.tcp,
    bytes: isChanged ? changed(random, bytes, 1 + random.below(5)) : bytes,
    deserves: isChanged ? 'either' : !isGood ? 'fail' : end === 'reset' ? 'either' : 'pass',
    end,
    greets: random.below(3) === 0,
    delivery: delivery(random),
  };
}

function grpcCase(random: Random): Case {
  const serving = Buffer.from([8, 1]);
  const trailers = { 'grpc-status': '0' };
  const status = random.pick([0, 2, 3, 77]);
  const code = String(1 + random.below(20));
  const number = Buffer.alloc(8);
  number.writeUInt32BE(random.below(14), 4);
  const bad = [
    () => grpcAnswer(grpcHead, message(Buffer.from([8, status])), trailers),
    () =>
      grpcAnswer(
        { ...grpcHead, 'grpc-status': code, 'grpc-message': '%zz%0a%e2%80%ae' },
        undefined,
        undefined,
      ),
    () => grpcAnswer(grpcHead, message(serving), { 'grpc-status': code }),
    () => grpcAnswer(grpcHead, message(serving), undefined),
    () => grpcAnswer(grpcHead, message(serving, random.pick([0, 1, 3, 2 ** 31])), trailers),
    () =>
      grpcAnswer(
        grpcHead,
        message(random.pick([Buffer.from([0xff]), Buffer.from([8]), Buffer.from([0x0f, 0xff])])),
        trailers,
      ),
    () => grpcAnswer(grpcHead, message(Buffer.alloc(2000)), trailers),
    () => grpcAnswer(grpcHead, Buffer.concat([message(serving), message(serving)]), trailers),
    () => grpcAnswer({ ':status': '200', 'content-type': 'text/html' }, message(serving), trailers),
    () => grpcAnswer({ ':status': '404', 'content-type': 'text/plain' }, Buffer.from('no'), undefined),
    () => Buffer.concat([settings, frame(1, 4, 1, fields(grpcHead)), frame(0, 0, 1, message(serving))]),
    () => Buffer.concat([settings, frame(7, 0, 0, number)]),
    () => Buffer.concat([settings, frame(3, 0, 1, number.subarray(4))]),
    () => Buffer.concat([settings, frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff]))]),
    () => settings,
    () => Buffer.from(head('200 OK', 'content-length: 0')),
    () => Buffer.from('\x15\x03\x01\0\x02\x02\x46', 'latin1'),
    () => Buffer.alloc(0),
  ];
  const isGood = random.below(3) === 0;
  const bytes = isGood ? grpcAnswer(grpcHead, message(serving), trailers) : random.pick(bad)();
  const isChanged = random.below(4) === 0;
  const end = random.pick(['close', 'half-close', 'hold', 'reset'] as const);
  return {
    check: check.grpc,
    bytes: isChanged ? changed(random, bytes, 1 + random.below(20)) : bytes,
    deserves: isChanged ? 'either' : !isGood ? 'fail' : end === 'hold' ? 'pass' : 'either',
    end,
    greets: false,
    delivery: delivery(random),
  };
}

/** The body, now and then packed, and whether it can be unpacked. */
function packing(
  random: Random,
  plain: string,
): { readonly body: string; readonly fieldsOfBody: readonly string[]; readonly isWhole: boolean } {
  if (random.below(3) > 0) return { body: plain, fieldsOfBody: [], isWhole: true };
  const [coding, pack] = random.pick([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
  ] as const);
  const packed = pack(plain);
  const isWhole = random.below(3) > 0;
  const bytes = isWhole ? packed : packed.subarray(0, Math.max(1, packed.length - 1 - random.below(4)));
  return { body: bytes.toString('latin1'), fieldsOfBody: [`content-encoding: ${coding}`], isWhole };
}

function h2cCase(random: Random): Case {
  const asked = random.pick(['h2c', 'h2cBody'] as const);
  const plain = random.pick([word, `not yet\n${word}`, 'starting', '', 'x'.repeat(3000)]);
  const { body, fieldsOfBody, isWhole: isUnpackable } = packing(random, plain);
  const bytes = Buffer.from(body, 'latin1');
  const status = random.pick(['200', '200', '204', '302', '404', '503']);
  const more = Object.fromEntries(fieldsOfBody.map(line => line.split(': ')));
  const start = (fieldsOfHead: Readonly<Record<string, string>>, flags = 4) =>
    frame(1, flags, 1, fields({ ':status': status, ...more, ...fieldsOfHead }));
  const code = Buffer.alloc(8);
  code.writeUInt32BE(1, 0);
  code.writeUInt32BE(random.below(14), 4);
  const bad = [
    () => Buffer.concat([start({}), frame(0, 0, 1, bytes)]),
    () => Buffer.concat([start({ 'content-length': String(bytes.length + 1) }), frame(0, 1, 1, bytes)]),
    () =>
      Buffer.concat([
        start({ 'content-length': '99999' }),
        frame(0, 0, 1, bytes),
        frame(3, 0, 1, code.subarray(4)),
      ]),
    () => Buffer.concat([start({}), frame(0, 0, 1, bytes), frame(7, 0, 0, code)]),
    () => Buffer.concat(Array.from({ length: 30 }, () => frame(1, 4, 1, fields({ ':status': '103' })))),
    () => frame(1, 5, 1, fields({ server: 'x' })),
    () => frame(1, 5, 1, fields({ ':status': '200', x: 'y'.repeat(17_000) })),
    () => frame(1, 5, 1, fields({ ':status': '200', 'UPPER-CASE': 'x' })),
    () => frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff])),
    () => frame(3, 0, 1, code.subarray(4)),
    () => frame(7, 0, 0, code),
    () => Buffer.concat(Array.from({ length: 300 }, () => frame(99, 0, 0, Buffer.alloc(1000)))),
    () => Buffer.alloc(0),
  ];
  const isGood = random.below(2) === 0;
  const good = random.pick([
    http2Answer(bytes, { ':status': status, ...more }),
    Buffer.concat([start({ 'content-length': String(bytes.length) }), frame(0, 0, 1, bytes), frame(0, 1, 1)]),
    Buffer.concat([
      frame(1, 4, 1, fields({ ':status': '103' })),
      start({}),
      frame(0, 0, 1, bytes),
      frame(1, 5, 1, fields({ x: 'y' })),
    ]),
  ]);
  const whole = Buffer.concat([settings, isGood ? good : random.pick(bad)()]);
  const isOther = random.below(10) === 0;
  const said = isOther ? Buffer.from(ok(word)) : whole;
  const isChanged = random.below(4) === 0;
  const end = random.pick(['close', 'half-close', 'hold', 'reset'] as const);
  const isPass = Number(status) < 400 && (asked === 'h2c' || (plain.includes(word) && isUnpackable));
  return {
    check: check[asked],
    bytes: isChanged ? changed(random, said, 1 + random.below(20)) : said,
    // 204 has no body, so its frames of data break a rule.
    deserves:
      isChanged || (isGood && status === '204')
        ? 'either'
        : isOther || !isGood || !isPass
          ? 'fail'
          : end === 'hold'
            ? 'pass'
            : 'either',
    end,
    greets: false,
    delivery: delivery(random),
  };
}

function certificateCase(random: Random, { authority, stranger, app, own, foreign }: Certificates): Case {
  const [client, isKnown] = random.pick([
    [own, true],
    [foreign, false],
    [undefined, false],
  ] as const);
  const isDemanded = random.below(3) > 0;
  const trusted = random.below(4) > 0;
  const offered = random.pick([undefined, 'http/1.1', 'h2'] as const);
  const pair = client ? ['--check-cert', client.cert, '--check-key', client.key] : [];
  const isGood = trusted && (isKnown || !isDemanded) && offered !== 'h2';
  return {
    check: ['--check', 'https', '--check-ca', (trusted ? authority : stranger).ca, ...pair],
    bytes: Buffer.from(ok(word)),
    deserves: isGood ? 'pass' : 'fail',
    end: random.pick(['close', 'hold'] as const),
    greets: false,
    delivery: 'whole',
    tls: {
      cert: readFileSync(app.cert),
      key: readFileSync(app.key),
      ca: readFileSync(authority.ca),
      requestCert: isDemanded,
      maxVersion: random.pick(['TLSv1.2', 'TLSv1.3'] as const),
      ...(offered && { ALPNProtocols: [offered] }),
    },
  };
}

/** Changes some bytes, or leaves some out, or adds some. */
function changed(random: Random, bytes: Buffer, some: number): Buffer {
  const at = random.below(bytes.length + 1);
  switch (random.below(4)) {
    case 0: {
      const copy = Buffer.from(bytes);
      for (let times = 0; times < 3 && copy.length > 0; times++)
        copy[random.below(copy.length)] = random.below(256);
      return copy;
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some)]);
    case 2: {
      const more = Buffer.from(random.list(some, () => random.pick([0, 10, 13, 32, 58, 0xff, 0xe2, 97])));
      return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
    }
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes]);
  }
}

/** Sends the bytes of the case, and ends as it says. */
async function answer(socket: Socket, { bytes, delivery: how, end }: Case): Promise<void> {
  const size = { whole: bytes.length || 1, pieces: Math.ceil(bytes.length / 3) || 1, drip: 7 }[how];
  // Not longer than the check waits.
  const most = how === 'drip' ? 200 : Infinity;
  for (let at = 0; at < bytes.length && !socket.destroyed; at += size) {
    socket.write(bytes.subarray(at, at + size));
    if (how !== 'whole' && at < most) await pause(1);
  }
  if (end === 'close') socket.end();
  else if (end === 'half-close') socket.end().resume();
  else if (end === 'reset') reset(socket);
}

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);

export const fuzzer = declare({
  name: 'app',
  cases: 1200,
  atOnce: 24,
  caseMs: timeoutMs + slackMs + 5000,
  async open() {
    process.on('unhandledRejection', note);
    const [authority, stranger] = [await Authority.make(), await Authority.make('a stranger')];
    const certificates = {
      authority,
      stranger,
      app: await authority.issue('app'),
      own: await authority.issue('own'),
      foreign: await stranger.issue('foreign'),
    };
    const kinds = [httpCase, httpCase, httpCase, tcpCase, grpcCase, h2cCase, h2cCase];
    return {
      async run(random) {
        const one =
          random.below(12) === 0 ? certificateCase(random, certificates) : random.pick(kinds)(random);
        const sockets = new Set<Socket>();
        const serve = (socket: Socket): void => {
          sockets.add(socket);
          socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
          if (one.greets) void answer(socket.resume(), one);
          else socket.once('data', () => void answer(socket, one));
        };
        const server = one.tls
          ? createTlsServer(one.tls, serve).on('tlsClientError', () => undefined)
          : createServer({ allowHalfOpen: one.end === 'half-close' }, serve);
        await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
        const shown = `${one.check.join(' ')}, ${one.delivery}, ${one.end}, ${JSON.stringify(one.bytes.toString('latin1', 0, 400))}`;
        try {
          const probe = await openCheck(one.check, { port: portOf(server), timeoutMs });
          const began = performance.now();
          const verdict = await probe(new AbortController().signal);
          const took = performance.now() - began;
          judge(verdict, one.deserves, took, shown);
          for (let tries = 0; sockets.size > 0 && one.end !== 'half-close' && tries < 200; tries++)
            await pause(5);
          assert.ok(sockets.size === 0 || one.end === 'half-close', `a connection is left open: ${shown}`);
        } finally {
          for (const socket of sockets) socket.destroy();
          await new Promise(resolve => server.close(resolve));
        }
        assert.deepEqual(unhandled, [], `unhandled rejection: ${shown}`);
      },
      async close() {
        process.off('unhandledRejection', note);
        await Promise.all([authority.remove(), stranger.remove()]);
      },
    };
  },
});

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

function judge(verdict: Verdict, deserves: Deserved, took: number, shown: string): void {
  const text = detailOf(verdict);
  const where = `"${text}" on ${shown}`;
  assert.ok(verdict.kind === 'pass' || verdict.kind === 'fail', `${verdict.kind}: ${where}`);
  // On a busy machine even a good answer may come too late.
  const isLate = verdict.kind === 'fail' && verdict.trouble === 'timeout';
  if (deserves !== 'either' && !(deserves === 'pass' && isLate && took > timeoutMs))
    assert.equal(verdict.kind, deserves, where);
  assert.ok(took < timeoutMs + slackMs, `${took} ms: ${where}`);
  assert.ok(text.length <= mostReason, `${text.length} characters: ${where}`);
  assert.doesNotMatch(text, /[\p{Cc}\u2028\u2029\u202a-\u202e]/u, where);
  assert.doesNotMatch(text.replaceAll(/"[^]*"/g, ''), raw, where);
  if (verdict.kind === 'fail') assert.match(text, /127\.0\.0\.1:\d+/, `it does not name the place: ${where}`);
}
