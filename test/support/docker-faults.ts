/**
 * Ways to send an HTTP answer that no correct engine has: cut off, too long, endless, redirected, in pieces. Each writes
 * to one connection of a raw server.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { Random } from './random.ts';
import { pause } from './wait.ts';

export interface Fault {
  readonly name: string;
  /** Whether a client that keeps to HTTP gets the whole answer. */
  readonly isHarmless?: boolean;
  readonly send: (socket: Socket, body: string, random: Random) => Promise<void>;
}

/** A whole answer with status 200. */
export function wholeAnswer(body: string, headers = 'Content-Type: application/json\r\n'): string {
  return `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

const chunkedHead = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

function chunked(body: string, random: Random, extension = ''): string {
  let text = chunkedHead;
  for (let rest = Buffer.from(body); rest.length > 0;) {
    const part = rest.subarray(0, 1 + random.below(rest.length));
    text += `${part.length.toString(16)}${extension}\r\n${part.toString('latin1')}\r\n`;
    rest = rest.subarray(part.length);
  }
  return `${text}0\r\n\r\n`;
}

/** Sends `text` and closes. */
const say =
  (write: (body: string, random: Random) => string | Buffer): Fault['send'] =>
  async (socket, body, random) => {
    const text = write(body, random);
    socket.end(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  };

/** Sends `first`, then `piece` until the client closes; the bound is for a client that never does. */
const endless =
  (first: string, piece: string, bytes = 512 * 2 ** 20): Fault['send'] =>
  async socket => {
    const closed = new AbortController();
    socket.once('close', () => closed.abort());
    socket.write(first);
    for (let sent = 0; sent < bytes && !closed.signal.aborted; sent += piece.length)
      if (!socket.write(piece)) await once(socket, 'drain', { signal: closed.signal }).catch(() => undefined);
    socket.end();
  };

const redirect = (to: string): Fault['send'] =>
  say(body => `HTTP/1.1 302 Found\r\nLocation: ${to}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

const piece = 'x'.repeat(65_536);

export const faults: readonly Fault[] = [
  { name: 'whole', isHarmless: true, send: say(body => wholeAnswer(body)) },
  {
    name: 'in pieces',
    isHarmless: true,
    async send(socket, body, random) {
      const text = wholeAnswer(body);
      for (let at = 0; at < text.length;) {
        const length = 1 + random.below(text.length);
        socket.write(text.slice(at, at + length), 'latin1');
        at += length;
        await pause(1);
      }
      socket.end();
    },
  },
  { name: 'chunked', isHarmless: true, send: say(chunked) },
  { name: 'chunk extensions', isHarmless: true, send: say((body, random) => chunked(body, random, ';a=b')) },
  { name: 'without a length', isHarmless: true, send: say(body => `HTTP/1.1 200 OK\r\n\r\n${body}`) },
  { name: 'HTTP/1.0', isHarmless: true, send: say(body => `HTTP/1.0 200 OK\r\n\r\n${body}`) },
  {
    name: 'another content type',
    isHarmless: true,
    send: say(body => wholeAnswer(body, 'Content-Type: text/html; charset=utf-16\r\n')),
  },
  {
    name: 'a provisional answer first',
    isHarmless: true,
    send: say(body => `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${wholeAnswer(body)}`),
  },
  {
    name: 'cut off',
    send: say((body, random) => {
      const text = random.next() < 0.5 ? wholeAnswer(body) : chunked(body, random);
      return text.slice(0, random.below(text.length));
    }),
  },
  {
    name: 'longer than it is, then closed',
    send: say((body, random) =>
      wholeAnswer(body).replace(
        /Content-Length: \d+/,
        `Content-Length: ${body.length + 1 + random.below(1e6)}`,
      ),
    ),
  },
  {
    name: 'longer than it is, then silent',
    async send(socket, body) {
      socket.write(wholeAnswer(body).replace(/Content-Length: \d+/, `Content-Length: ${body.length + 1}`));
    },
  },
  {
    name: 'shorter than it is',
    send: say((body, random) =>
      wholeAnswer(body).replace(/Content-Length: \d+/, `Content-Length: ${random.below(body.length)}`),
    ),
  },
  {
    name: 'an impossible length',
    send: say((body, random) =>
      wholeAnswer(body).replace(
        /Content-Length: \d+/,
        `Content-Length: ${random.pick(['-1', '1e9', '99999999999999999999', '', '0x10', '5, 6', '5\r\nContent-Length: 6'])}`,
      ),
    ),
  },
  { name: 'silence', send: () => Promise.resolve() },
  { name: 'closed at once', send: say(() => '') },
  {
    name: 'drips',
    async send(socket, body) {
      for (const character of wholeAnswer(body)) {
        if (socket.destroyed) return;
        socket.write(character);
        await pause(30);
      }
    },
  },
  { name: 'an absolute redirect', send: redirect('http://169.254.169.254/latest/meta-data') },
  { name: 'a relative redirect', send: redirect('/containers/json') },
  { name: 'a redirect that is no URL', send: redirect('http://[') },
  { name: 'a redirect to a file', send: redirect('file:///etc/passwd') },
  { name: 'a redirect to nowhere', send: redirect('') },
  {
    name: 'an upgrade',
    send: say(() => 'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello'),
  },
  { name: 'no content', send: say(() => 'HTTP/1.1 204 No Content\r\n\r\n') },
  { name: 'not modified', send: say(() => 'HTTP/1.1 304 Not Modified\r\n\r\n') },
  { name: 'an empty body', send: say(() => wholeAnswer('')) },
  {
    name: 'gzip',
    send: say(body =>
      Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'), gzipSync(body)]),
    ),
  },
  { name: 'another protocol', send: say(() => 'SSH-2.0-OpenSSH_9.2\r\n') },
  { name: 'HTTP/0.9', send: say(body => body) },
  { name: 'TLS', send: say(() => '\x15\x03\x01\x00\x02\x02\x46') },
  { name: 'HTTP/2', send: say(() => '\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00') },
  {
    name: 'random bytes',
    send: say((_, random) => Buffer.from(random.list(1 + random.below(3000), () => random.below(256)))),
  },
  {
    name: 'random bytes in the answer',
    send: say((body, random) => {
      const bytes = Buffer.from(random.next() < 0.5 ? wholeAnswer(body) : chunked(body, random));
      for (let count = 1 + random.below(8); count > 0; count--)
        bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    }),
  },
  {
    name: 'chunks of impossible sizes',
    send: say(
      (body, random) =>
        `${chunkedHead}${random.pick(['-1', 'xyz', 'fffffffffffffffffff', '', '0x5', '7fffffff'])}\r\n${body}`,
    ),
  },
  { name: 'an endless body', send: endless(`${chunkedHead}10000\r\n`, `${piece}\r\n10000\r\n`) },
  {
    name: 'an endless body of a known length',
    send: endless('HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n', piece),
  },
  { name: 'an endless body without a length', send: endless('HTTP/1.1 200 OK\r\n\r\n', piece) },
  { name: 'an endless header', send: endless('HTTP/1.1 200 OK\r\nX-A: ', piece) },
  { name: 'endless headers', send: endless('HTTP/1.1 200 OK\r\n', 'X-A: b\r\n'.repeat(4096)) },
  { name: 'an endless status', send: endless('HTTP/1.1 200 ', piece) },
  { name: 'endless provisional answers', send: endless('', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(500)) },
  { name: 'an endless chunk extension', send: endless(`${chunkedHead}5;a=`, piece) },
  {
    name: 'endless chunk extensions',
    send: endless(chunkedHead, `1;a=${'b'.repeat(4000)}\r\n{\r\n`.repeat(8)),
  },
  { name: 'endless trailers', send: endless(`${chunkedHead}0\r\n`, 'X-A: b\r\n'.repeat(4096)) },
  { name: 'endless line breaks', send: endless('', '\r\n'.repeat(8192)) },
  { name: 'an endless error', send: endless('HTTP/1.1 500 Internal Server Error\r\n\r\n', piece) },
  { name: 'deep nesting', send: say((_, random) => wholeAnswer('['.repeat(random.below(200_000)))) },
  {
    name: 'closed deep nesting',
    send: say(() => wholeAnswer(`${'{"State":'.repeat(20_000)}1${'}'.repeat(20_000)}`)),
  },
  {
    name: 'an error status',
    send: say((_, random) => {
      const status = random.pick([400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 599, 999, 199]);
      const text = random.pick([
        '{"message":"sorry"}',
        '{"message":42}',
        '"text"',
        'null',
        '<html>',
        '',
        '\x1b[2J',
      ]);
      return `HTTP/1.1 ${status} Status\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
    }),
  },
  {
    name: 'JSON that is no object',
    send: say((_, random) => wholeAnswer(random.pick(['null', '[]', '42', '"x"', 'true', '{}']))),
  },
  { name: 'two answers', send: say(body => wholeAnswer(body) + wholeAnswer(body)) },
];
