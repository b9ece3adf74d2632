/**
 * A client that does what no client should, in a process of its own, until it is ended:
 * node attacker.js NAME PORT|PATH
 */
import { connect, type Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

type Open = () => Socket;
type Attack = (open: Open) => void;

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

/** Keeps `count` connections open, each of which `use` is called for, and opens another for each that is closed. */
function keep(count: number, open: Open, use: (socket: Socket) => void): void {
  const next = (): void => {
    const socket = open();
    socket.on('error', () => undefined).once('close', () => setImmediate(next));
    use(socket);
  };
  for (let index = 0; index < count; index++) next();
}

/** Writes the bytes again and again, as fast as the other side reads. */
function flood(socket: Socket, bytes: string | Buffer): void {
  const fill = (): void => {
    while (socket.writable && socket.write(bytes));
  };
  socket.on('connect', fill).on('drain', fill);
}

/** Writes one of the bytes every `everyMs`, and then `filler` for ever. */
function drip(socket: Socket, start: string, filler: string, everyMs: number): void {
  let at = 0;
  socket.setNoDelay();
  const timer = setInterval(() => socket.writable && socket.write(start[at++] ?? filler), everyMs);
  socket.once('close', () => clearInterval(timer));
}

/** Against `--listen`. */
export const httpAttacks: Readonly<Record<string, Attack>> = {
  'thousands of requests at once on a connection': open =>
    keep(20, open, socket => flood(socket.resume(), get('/metrics').repeat(2000))),
  'a thousand silent connections': open => keep(1000, open, socket => socket.resume()),
  'connections that are closed at once': open =>
    keep(100, open, socket => socket.once('connect', () => socket.resetAndDestroy())),
  'requests as fast as they are answered': open =>
    keep(100, open, socket => socket.resume().write(get('/metrics'))),
  'clients that never read their answer': open =>
    keep(300, open, socket => socket.pause().write(get('/metrics').repeat(500))),
  'requests that never end, a byte at a time': open =>
    keep(300, open, socket => drip(socket.resume(), get('/').trimEnd(), 'x', 20)),
  'heads without an end': open =>
    keep(50, open, socket => flood(socket.resume(), `GET /${'x'.repeat(2 ** 20)}`)),
  'chunked bodies without an end': open =>
    keep(50, open, socket => {
      socket.resume().write('POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
      flood(socket, `10000\r\n${'x'.repeat(2 ** 16)}\r\n`);
    }),
  'bodies of a given length, from two hundred': open =>
    keep(200, open, socket => {
      socket.resume().write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n');
      flood(socket, Buffer.alloc(2 ** 20, 'x'));
    }),
  'requests that are reset at once': open =>
    keep(200, open, socket =>
      socket.once('connect', () => socket.write(get('/metrics'), () => socket.resetAndDestroy())),
    ),
};

/** Against the control socket. */
export const controlAttacks: Readonly<Record<string, Attack>> = {
  'status as fast as it is answered': open => keep(50, open, socket => socket.resume().write('status\n')),
  'silent connections to the control socket': open => keep(200, open, socket => socket.resume()),
  'lines without an end': open => keep(50, open, socket => flood(socket.resume(), 'x'.repeat(2 ** 20))),
};

const [, , name = '', at = ''] = process.argv;
const attack = httpAttacks[name] ?? controlAttacks[name];
if (isMainThread && attack !== undefined && import.meta.filename === process.argv[1])
  attack(() => (at.startsWith('/') ? connect(at) : connect(Number(at), '127.0.0.1')));
