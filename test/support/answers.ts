/**
 * Apps that answer badly, one for each row of "The app's answers" in docs/faults.md, and what raw servers say: for the test
 * of those rows and for the fuzzer of answers.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { reset } from './sockets.ts';
import { pause } from './wait.ts';

export type Serve = (socket: Socket) => void;

export interface BadAnswer {
  /** As in the first column. */
  readonly name: string;
  readonly check: readonly string[];
  /** Undefined for a check of a command. */
  readonly serve?: Serve;
  /** Speaks TLS. */
  readonly tls?: boolean | TlsOptions;
}

/** Waits for a request, does this, and ends. */
const then =
  (deed: (socket: Socket) => unknown): Serve =>
  socket =>
    void once(socket, 'data')
      .then(() => deed(socket))
      .catch(() => undefined);
const say = (answer: string | Buffer): Serve => then(socket => socket.end(answer, 'latin1'));
const sayAndHold = (answer: string | Buffer): Serve => then(socket => socket.write(answer, 'latin1'));
const sayAndReset = (answer: string): Serve =>
  then(async socket => {
    socket.write(answer);
    // What was written must have been read, or the reset takes it away.
    await pause(50);
    reset(socket);
  });
const greet =
  (text: string): Serve =>
  socket =>
    void socket.resume().write(text);
const flood = (start: string | Buffer, part: string | Buffer): Serve =>
  then(socket => {
    socket.write(start);
    pour(socket, part);
  });

/** Writes the part again and again, as fast as it is read. */
function pour(socket: Socket, part: string | Buffer): void {
  const fill = (): void => {
    while (!socket.destroyed && socket.write(part));
  };
  socket.on('drain', fill);
  fill();
}

export const head = (line: string, ...lines: string[]): string =>
  `HTTP/1.1 ${line}\r\n${lines.map(field => `${field}\r\n`).join('')}\r\n`;
export const ok = (body: string, ...lines: string[]): string =>
  head('200 OK', `content-length: ${Buffer.byteLength(body)}`, ...lines) + body;
const packed = (encoding: string, bytes: Buffer): string =>
  head('200 OK', `content-length: ${bytes.length}`, `content-encoding: ${encoding}`) +
  bytes.toString('latin1');

/** A frame of HTTP/2. */
export function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)) {
  const start = Buffer.alloc(9);
  start.writeUIntBE(payload.length, 0, 3);
  start[3] = type;
  start[4] = flags;
  start.writeUInt32BE(stream, 5);
  return Buffer.concat([start, payload]);
}

const text = (value: string) => Buffer.concat([integer(value.length), Buffer.from(value, 'latin1')]);

/** Headers of HTTP/2 without compression. */
export function fields(of: Readonly<Record<string, string>>) {
  return Buffer.concat(
    Object.entries(of).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  );
}

/** With a prefix of seven bits, as the length of a text in HPACK. */
function integer(value: number) {
  const bytes = [Math.min(value, 127)];
  if (value >= 127) {
    let rest = value - 127;
    for (; rest >= 128; rest >>= 7) bytes.push(128 | (rest & 127));
    bytes.push(rest);
  }
  return Buffer.from(bytes);
}

/** A message of gRPC, whose length may be given wrongly. */
export function message(bytes: Buffer, length = bytes.length) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, bytes]);
}

export const settings = frame(4, 0, 0);
export const grpcHead = { ':status': '200', 'content-type': 'application/grpc' };
const [headersType, data] = [1, 0];
const [endStream, endHeaders] = [1, 4];

/** The frames of a call that is answered. */
export function grpcAnswer(
  start: Readonly<Record<string, string>>,
  body: Buffer<ArrayBuffer> | undefined,
  end: Readonly<Record<string, string>> | undefined,
): Buffer {
  const isLast = body === undefined && end === undefined;
  return Buffer.concat([
    settings,
    frame(headersType, endHeaders | (isLast ? endStream : 0), 1, fields(start)),
    ...(body ? [frame(data, end ? 0 : endStream, 1, body)] : []),
    ...(end ? [frame(headersType, endHeaders | endStream, 1, fields(end))] : []),
  ]);
}

/** Says these frames over HTTP/2, one after the other, once the call has come. */
const sayHttp2 = (...steps: (Buffer | 'end' | 'flood')[]): Serve =>
  then(async socket => {
    socket.write(settings);
    for (const part of steps) {
      await pause(20);
      if (part === 'end') socket.end();
      else if (part === 'flood') pour(socket, manyUpdates);
      else
        socket.write(
          part.subarray(0, settings.length).equals(settings) ? part.subarray(settings.length) : part,
        );
    }
  });

const [http, body, https] = [
  ['--check', 'http:/health'],
  ['--check', 'http:/health', '--check-body', 'ready'],
  ['--check', 'https:/health', '--check-insecure'],
];
const [h2c, h2cBody, h2] = [
  ['--check', 'h2c:/health'],
  ['--check', 'h2c:/health', '--check-body', 'ready'],
  ['--check', 'h2:/health', '--check-insecure'],
];
const redis = ['--check', 'tcp', '--check-send', 'PING\\r\\n', '--check-expect', '+PONG'];
const grpc = ['--check', 'grpc'];
const exec = (command: string): string[] => ['--check', `exec:${command}`];
const serving = Buffer.from([8, 1]);
const trailers = { 'grpc-status': '0' };
const number = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A client needs a certificate. */
const demanding: TlsOptions = { requestCert: true, rejectUnauthorized: true };
/** What nginx says to a client without one (`ssl_verify_client on`). */
const nginxRefusal =
  head('400 Bad Request', 'content-length: 84') +
  '<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>';
/** 20 MiB of one letter. */
const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, 'x'));
/** Blocks of deflate that hold nothing. */
const emptyBlocks = Buffer.alloc(5000, Buffer.from([0, 0, 0, 0xff, 0xff]));
/** A head that promises 100 bytes, and 2 of them. */
const half = Buffer.concat([
  frame(headersType, endHeaders, 1, fields({ ':status': '200', 'content-length': '100' })),
  frame(data, 0, 1, Buffer.from('ok')),
]);
const manyUpdates = Buffer.concat(Array.from({ length: 500 }, () => frame(8, 0, 0, number(1))));
const longHead = (() => {
  const block = fields({
    ':status': '200',
    ...Object.fromEntries([1, 2, 3].map(each => [`x${each}`, 'y'.repeat(8000)])),
  });
  return [
    frame(headersType, 0, 1, block.subarray(0, 16_000)),
    frame(9, endHeaders, 1, block.subarray(16_000)),
  ];
})();
/** A whole answer of HTTP/2. */
export function http2Answer(content: string | Buffer, more: Readonly<Record<string, string>> = {}): Buffer {
  return Buffer.concat([
    frame(headersType, endHeaders, 1, fields({ ':status': '200', ...more })),
    frame(data, endStream, 1, Buffer.from(content)),
  ]);
}
/** Sends as much of a body as the window of a client allows at first, which is the most that a check reads. */
const endlessHttp2 = sayHttp2(
  frame(headersType, endHeaders, 1, fields({ ':status': '200' })),
  ...Array.from({ length: 5 }, () => frame(data, 0, 1, Buffer.alloc(13_000, 'x'))),
  ...Array.from({ length: 5 }, () => frame(data, 0, 1, Buffer.alloc(13_000, 'x'))),
);

export const badAnswers: readonly BadAnswer[] = [
  // HTTP: no answer.
  { name: 'http: nothing comes', check: http, serve: socket => void socket.resume() },
  { name: 'http: closed without an answer', check: http, serve: then(socket => socket.end()) },
  { name: 'http: reset without an answer', check: http, serve: then(reset) },
  { name: 'http: closed within the head', check: http, serve: say('HTTP/1.1 200 OK\r\nserver: x') },
  { name: 'http: stops within the head', check: http, serve: sayAndHold('HTTP/1.1 200 OK\r\nserver: x') },
  // HTTP: half an answer.
  {
    name: 'http: body cut short',
    check: http,
    serve: say(`${head('200 OK', 'content-length: 100')}ok and fine\n`),
  },
  {
    name: 'http: chunks cut short',
    check: http,
    serve: say(`${head('200 OK', 'transfer-encoding: chunked')}c\r\nok and fine\n`),
  },
  {
    name: 'http: reset within the body',
    check: http,
    serve: sayAndReset(`${head('200 OK', 'content-length: 100')}ok and fine\n`),
  },
  {
    name: 'http: stops after the head',
    check: http,
    serve: sayAndHold(head('200 OK', 'content-length: 100')),
  },
  { name: 'http: body drips', check: http, serve: sayAndHold(`${head('200 OK')}ok`) },
  // HTTP: something else.
  { name: 'http: SSH', check: http, serve: greet('SSH-2.0-OpenSSH_9.2\r\n') },
  { name: 'http: SMTP', check: http, serve: greet('220 mail.example ESMTP\r\n') },
  { name: 'http: redis', check: http, serve: say("-ERR unknown command 'GET'\r\n") },
  { name: 'http: HTTP/0.9', check: http, serve: say('<html>It works!</html>\n') },
  { name: 'http: NUL bytes', check: http, serve: say('\0\0\0\0') },
  { name: 'http: TLS', check: http, serve: say('\x15\x03\x01\0\x02\x02\x46') },
  { name: 'http: HTTP/2', check: http, serve: greet(settings.toString('latin1')) },
  // HTTP: not valid.
  { name: 'http: no such version', check: http, serve: say('HTTP/7.3 200 OK\r\n\r\n') },
  {
    name: 'http: lines end with CR alone',
    check: http,
    serve: say('HTTP/1.1 200 OK\rcontent-length: 2\r\rok'),
  },
  { name: 'http: NUL in a header', check: http, serve: say(head('200 OK', 'x: a\0b')) },
  {
    name: 'http: two lengths',
    check: http,
    serve: say(`${head('200 OK', 'content-length: 2', 'content-length: 3')}ok`),
  },
  {
    name: 'http: length and chunks',
    check: http,
    serve: say(`${head('200 OK', 'content-length: 2', 'transfer-encoding: chunked')}ok`),
  },
  { name: 'http: length is no number', check: http, serve: say(head('200 OK', 'content-length: -1')) },
  {
    name: 'http: chunk without a size',
    check: http,
    serve: say(`${head('200 OK', 'transfer-encoding: chunked')}zz\r\n`),
  },
  {
    name: 'http: headers without an end',
    check: http,
    serve: flood('HTTP/1.1 200 OK\r\n', 'x: y\r\n'.repeat(1000)),
  },
  { name: 'http: 1xx without an end', check: http, serve: flood('', head('103 Early Hints').repeat(100)) },
  {
    name: 'http: 101',
    check: http,
    serve: sayAndHold(head('101 Switching Protocols', 'connection: upgrade', 'upgrade: x')),
  },
  // HTTP: another answer.
  { name: 'http: bad status', check: http, serve: say(head('503 Service Unavailable', 'content-length: 0')) },
  { name: 'http: bad body', check: body, serve: say(ok('starting\n')) },
  { name: 'http: empty body', check: body, serve: say(ok('')) },
  { name: 'http: body in gzip', check: body, serve: say(packed('gzip', gzipSync('starting'))) },
  { name: 'http: body in br', check: body, serve: say(packed('br', brotliCompressSync('not yet'))) },
  {
    name: 'http: body in zstd',
    check: body,
    serve: say(packed('zstd', Buffer.from('(\xb5/\xfd', 'latin1'))),
  },
  { name: 'http: body in gzip and br', check: body, serve: say(packed('gzip, br', Buffer.from('x'))) },
  { name: 'http: body is not gzip', check: body, serve: say(packed('gzip', Buffer.from('ready'))) },
  {
    name: 'http: body ends within gzip',
    check: body,
    serve: say(packed('gzip', gzipSync('ready').subarray(0, 15))),
  },
  { name: 'http: body unpacks to 20 MiB', check: body, serve: say(packed('gzip', bomb)) },
  {
    name: 'http: body unpacks to nothing, without an end',
    check: body,
    serve: flood(head('200 OK', 'content-encoding: deflate'), emptyBlocks),
  },
  { name: 'http: body without an end', check: body, serve: flood(head('200 OK'), 'x'.repeat(1024)) },
  // HTTPS.
  { name: 'https: no TLS there', check: https, serve: say(ok('')) },
  { name: 'https: closed within the handshake', check: https, serve: then(socket => socket.end()) },
  { name: 'https: reset within the handshake', check: https, serve: then(reset) },
  { name: 'https: handshake hangs', check: https, serve: socket => void socket.resume() },
  { name: 'https: handshake refused', check: https, serve: say('\x15\x03\x01\0\x02\x02\x28') },
  { name: 'https: closed without an answer', check: https, tls: true, serve: then(socket => socket.end()) },
  {
    name: 'https: body cut short',
    check: https,
    tls: true,
    serve: say(`${head('200 OK', 'content-length: 100')}ok and fine\n`),
  },
  {
    name: 'https: chunks cut short',
    check: https,
    tls: true,
    serve: say(`${head('200 OK', 'transfer-encoding: chunked')}c\r\nok and fine\n`),
  },
  {
    name: 'https: another protocol within TLS',
    check: https,
    tls: true,
    serve: greet('* OK IMAP4rev1 ready\r\n'),
  },
  {
    name: 'https: 101',
    check: https,
    tls: true,
    serve: sayAndHold(head('101 Switching Protocols', 'connection: upgrade', 'upgrade: x')),
  },
  ...(['TLSv1.3', 'TLSv1.2'] as const).map(maxVersion => ({
    name: `https: demands a certificate, ${maxVersion}`,
    check: https,
    tls: { ...demanding, maxVersion },
    serve: say(ok('')),
  })),
  {
    name: 'https: demands a certificate, and says so over HTTP',
    check: https,
    tls: true,
    serve: say(nginxRefusal),
  },
  { name: 'https: HTTP/2 only', check: https, tls: { ALPNProtocols: ['h2'] }, serve: say(ok('')) },
  { name: 'h2: HTTP/1.1 only', check: h2, tls: { ALPNProtocols: ['http/1.1'] }, serve: say(ok('')) },
  { name: 'h2: no TLS there', check: h2, serve: say(ok('')) },
  { name: 'h2: demands a certificate', check: h2, tls: demanding, serve: say(ok('')) },
  {
    name: 'h2: body cut short',
    check: h2,
    tls: true,
    serve: sayHttp2(half, frame(7, 0, 0, Buffer.concat([number(1), number(0)])), 'end'),
  },
  {
    name: 'grpcs: demands a certificate',
    check: ['--check', 'grpcs', '--check-insecure'],
    tls: demanding,
    serve: say(''),
  },
  // HTTP/2 in clear text.
  { name: 'h2c: nothing comes', check: h2c, serve: socket => void socket.resume() },
  { name: 'h2c: closed without an answer', check: h2c, serve: then(socket => socket.end()) },
  { name: 'h2c: reset without an answer', check: h2c, serve: then(reset) },
  { name: 'h2c: reset at once', check: h2c, serve: reset },
  { name: 'h2c: HTTP/1', check: h2c, serve: say(head('400 Bad Request', 'content-length: 0')) },
  { name: 'h2c: TLS', check: h2c, serve: say('\x15\x03\x01\0\x02\x02\x46') },
  { name: 'h2c: request not answered', check: h2c, serve: sayHttp2() },
  { name: 'h2c: closed instead of an answer', check: h2c, serve: sayHttp2('end') },
  {
    name: 'h2c: GOAWAY',
    check: h2c,
    serve: sayHttp2(frame(7, 0, 0, Buffer.concat([number(0), number(0)]))),
  },
  {
    name: 'h2c: GOAWAY with an error',
    check: h2c,
    serve: sayHttp2(frame(7, 0, 0, Buffer.concat([number(0), number(11)]))),
  },
  { name: 'h2c: RST_STREAM', check: h2c, serve: sayHttp2(frame(3, 0, 1, number(7))) },
  { name: 'h2c: RST_STREAM without an error', check: h2c, serve: sayHttp2(frame(3, 0, 1, number(0))) },
  ...[
    { what: 'PRIORITY', each: frame(2, 0, 1, Buffer.from([0, 0, 0, 3, 1])) },
    { what: 'WINDOW_UPDATE', each: frame(8, 0, 0, number(1)) },
  ].map(({ what, each }) => ({
    name: `h2c: frames of ${what} without an end`,
    check: h2c,
    serve: flood(settings, Buffer.concat(Array.from({ length: 500 }, () => each))),
  })),
  { name: 'h2c: head too long', check: h2c, serve: sayHttp2(...longHead) },
  {
    name: 'h2c: 1xx without an end',
    check: h2c,
    serve: sayHttp2(
      Buffer.concat(
        Array.from({ length: 30 }, () => frame(headersType, endHeaders, 1, fields({ ':status': '103' }))),
      ),
    ),
  },
  { name: 'h2c: no status', check: h2c, serve: sayHttp2(frame(headersType, 5, 1, fields({ server: 'x' }))) },
  { name: 'h2c: stops after the head', check: h2c, serve: sayHttp2(half.subarray(0, half.length - 9 - 2)) },
  { name: 'h2c: body drips', check: h2c, serve: sayHttp2(half) },
  { name: 'h2c: body cut short', check: h2c, serve: sayHttp2(half, 'end') },
  { name: 'h2c: stream ends within the body', check: h2c, serve: sayHttp2(half, frame(data, endStream, 1)) },
  { name: 'h2c: RST_STREAM within the body', check: h2c, serve: sayHttp2(half, frame(3, 0, 1, number(2))) },
  { name: 'h2c: CANCEL within the body', check: h2c, serve: sayHttp2(half, frame(3, 0, 1, number(8))) },
  {
    name: 'h2c: RST_STREAM without an error within the body',
    check: h2c,
    serve: sayHttp2(half, frame(3, 0, 1, number(0))),
  },
  {
    name: 'h2c: GOAWAY within the body',
    check: h2c,
    serve: sayHttp2(half, frame(7, 0, 0, Buffer.concat([number(1), number(11)])), 'end'),
  },
  { name: 'h2c: frames without an end within the body', check: h2c, serve: sayHttp2(half, 'flood') },
  {
    name: 'h2c: bad status',
    check: h2c,
    serve: sayHttp2(frame(headersType, 5, 1, fields({ ':status': '503' }))),
  },
  { name: 'h2c: bad body', check: h2cBody, serve: sayHttp2(http2Answer('starting\n')) },
  { name: 'h2c: empty body', check: h2cBody, serve: sayHttp2(http2Answer('')) },
  {
    name: 'h2c: body in gzip',
    check: h2cBody,
    serve: sayHttp2(http2Answer(gzipSync('starting'), { 'content-encoding': 'gzip' })),
  },
  { name: 'h2c: body without an end', check: h2cBody, serve: endlessHttp2 },
  // TCP.
  { name: 'tcp: nothing comes', check: redis, serve: socket => void socket.resume() },
  { name: 'http: reset at once', check: http, serve: reset },
  { name: 'tcp: reset at once', check: redis, serve: reset },
  { name: 'grpc: reset at once', check: grpc, serve: reset },
  { name: 'https: reset at once', check: https, serve: reset },
  { name: 'tcp: closed without an answer', check: redis, serve: then(socket => socket.end()) },
  { name: 'tcp: reset without an answer', check: redis, serve: then(reset) },
  { name: 'tcp: another answer, closed', check: redis, serve: say('-LOADING Redis is loading\r\n') },
  {
    name: 'tcp: another answer, kept open',
    check: redis,
    serve: sayAndHold('-LOADING Redis is loading\r\n'),
  },
  { name: 'tcp: reset within the answer', check: redis, serve: sayAndReset('+PO') },
  { name: 'tcp: answer without an end', check: redis, serve: flood('', 'x'.repeat(1024)) },
  // gRPC.
  { name: 'grpc: nothing comes', check: grpc, serve: socket => void socket.resume() },
  { name: 'grpc: closed without an answer', check: grpc, serve: then(socket => socket.end()) },
  { name: 'grpc: reset without an answer', check: grpc, serve: then(reset) },
  { name: 'grpc: HTTP/1', check: grpc, serve: say(head('400 Bad Request', 'content-length: 0')) },
  { name: 'grpc: TLS', check: grpc, serve: say('\x15\x03\x01\0\x02\x02\x46') },
  { name: 'grpc: call not answered', check: grpc, serve: sayHttp2() },
  {
    name: 'grpc: closed instead of an answer',
    check: grpc,
    serve: then(async socket => {
      socket.write(settings);
      await pause(50);
      socket.end();
    }),
  },
  {
    name: 'grpc: GOAWAY',
    check: grpc,
    serve: sayHttp2(frame(7, 0, 0, Buffer.concat([number(0), number(0)]))),
  },
  {
    name: 'grpc: GOAWAY with an error',
    check: grpc,
    serve: sayHttp2(frame(7, 0, 0, Buffer.concat([number(0), number(11)]))),
  },
  { name: 'grpc: RST_STREAM', check: grpc, serve: sayHttp2(frame(3, 0, 1, number(7))) },
  { name: 'grpc: RST_STREAM without an error', check: grpc, serve: sayHttp2(frame(3, 0, 1, number(0))) },
  ...[
    { what: 'PRIORITY', each: frame(2, 0, 1, Buffer.from([0, 0, 0, 3, 1])) },
    { what: 'WINDOW_UPDATE', each: frame(8, 0, 0, number(1)) },
    { what: 'an unknown type', each: frame(99, 0, 0, Buffer.alloc(100)) },
  ].map(({ what, each }) => ({
    name: `grpc: frames of ${what} without an end`,
    check: grpc,
    serve: flood(settings, Buffer.concat(Array.from({ length: 500 }, () => each))),
  })),
  {
    name: 'grpc: not gRPC',
    check: grpc,
    serve: sayHttp2(
      grpcAnswer({ ':status': '200', 'content-type': 'text/html' }, Buffer.from('<html>'), undefined),
    ),
  },
  {
    name: 'grpc: no grpc-status',
    check: grpc,
    serve: sayHttp2(grpcAnswer(grpcHead, message(serving), undefined)),
  },
  {
    name: 'grpc: trailers do not come',
    check: grpc,
    serve: sayHttp2(
      Buffer.concat([
        settings,
        frame(headersType, endHeaders, 1, fields(grpcHead)),
        frame(data, 0, 1, message(serving)),
      ]),
    ),
  },
  {
    name: 'grpc: an error',
    check: grpc,
    serve: sayHttp2(
      grpcAnswer(
        { ...grpcHead, 'grpc-status': '14', 'grpc-message': 'shutting%20down%0a' },
        undefined,
        undefined,
      ),
    ),
  },
  {
    name: 'grpc: no health service',
    check: grpc,
    serve: sayHttp2(grpcAnswer({ ...grpcHead, 'grpc-status': '12' }, undefined, undefined)),
  },
  {
    name: 'grpc: unknown service',
    check: ['--check', 'grpc:my.Service'],
    serve: sayHttp2(grpcAnswer({ ...grpcHead, 'grpc-status': '5' }, undefined, undefined)),
  },
  {
    name: 'grpc: NOT_SERVING',
    check: grpc,
    serve: sayHttp2(grpcAnswer(grpcHead, message(Buffer.from([8, 2])), trailers)),
  },
  {
    name: 'grpc: message cut short',
    check: grpc,
    serve: sayHttp2(grpcAnswer(grpcHead, message(serving, 9), trailers)),
  },
  {
    name: 'grpc: message that is not valid',
    check: grpc,
    serve: sayHttp2(grpcAnswer(grpcHead, message(Buffer.from([0xff, 0xff])), trailers)),
  },
  {
    name: 'grpc: message too long',
    check: grpc,
    serve: sayHttp2(grpcAnswer(grpcHead, message(Buffer.alloc(4000)), trailers)),
  },
  // Commands.
  { name: 'exec: fails', check: exec('echo no response; exit 2') },
  { name: 'exec: does not end', check: exec('echo connecting; sleep 60') },
  { name: 'exec: is killed', check: exec('kill -9 $$') },
  { name: 'exec: binary output', check: exec('printf "\\000\\033[1m\\377\\n"; exit 1') },
  { name: 'exec: closes its output and does not end', check: exec('exec >&- 2>&-; sleep 60') },
  { name: 'exec: its child keeps the output open', check: exec('setsid sleep 1 & exit 1') },
  { name: 'exec: output without an end', check: exec('yes starting') },
];
