/**
 * Odd clients against --listen and the control socket, and the commands against an odd control socket, all in this
 * process. Whatever happens, an answer is whole and right or there is none, each connection ends, and the next client is
 * answered.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requestControl } from '../../src/admin/control-client.ts';
import { openControlSocket } from '../../src/admin/control-socket.ts';
import { serveHttp } from '../../src/admin/http-endpoint.ts';
import { createMetrics } from '../../src/admin/metrics.ts';
import { systemClock } from '../../src/clock.ts';
import { control } from '../../src/commands/control.ts';
import type { AdminService, ProcessStatus, ServiceStatus } from '../../src/core/registration/status.ts';
import { UnavailableError, UsageError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import type { Random } from '../support/random.ts';
import { startRawServer } from '../support/raw-server.ts';
import { reset } from '../support/sockets.ts';
import { eventually, freePort, inTime, pause } from '../support/wait.ts';
import { declare, type FuzzBed } from './harness.ts';

const status = (name: string): ServiceStatus => ({
  name,
  health: 'up',
  why: 'HTTP 200',
  since: '2026-01-01T00:00:00.000Z',
  drained: false,
  address: '10.1.0.101:49155',
  addressCause: null,
  registration: 'registered',
  registeredSince: '2026-01-01T00:00:01.000Z',
  records: [{ key: '/service/10.1.0.101:49155', value: 'running' }],
  addressWarning: null,
  lease: { id: 'ff', remainingSeconds: 18.5 },
  etcdError: null,
  etcdErrors: 0,
  etcdAnsweredAt: '2026-01-01T00:00:02.000Z',
  isLate: false,
  uncheckedSince: null,
  lastCheck: { at: '2026-01-01T00:00:02.000Z', seconds: 0.01, verdict: 'pass', detail: 'HTTP 200' },
});
const services: AdminService[] = ['web', 'api'].map(name => ({
  name,
  otherNames: [],
  drain: () => undefined,
  resume: () => undefined,
  status: () => status(name),
}));
const processStatus: ProcessStatus = {
  version: '1.2.3',
  startedAt: '2026-01-01T00:00:00.000Z',
  services: services.map(service => service.status()),
};

type Ending = 'wait' | 'half-close' | 'reset' | 'never-read';
interface Conversation {
  readonly bytes: Buffer;
  readonly pieces: number;
  readonly ending: Ending;
}

function conversation(random: Random, text: string): Conversation {
  const bytes = Buffer.from(text, random.pick(['latin1', 'utf8'] as const));
  // Some bytes of every tenth text are not what they were.
  if (random.below(10) === 0)
    for (let count = random.below(5); count > 0 && bytes.length > 0; count--)
      bytes[random.below(bytes.length)] = random.below(256);
  // To wait with a request that is not complete takes as long as the server's patience.
  const ending = random.pick([
    'wait',
    'half-close',
    'half-close',
    'half-close',
    'half-close',
    'half-close',
    'half-close',
    'reset',
    'never-read',
  ] as const);
  return { bytes, pieces: random.pick([1, 1, 1, 2, 10]), ending };
}

/** Plays it and resolves with what came back; null where the client did not want to know. */
async function play(socket: Socket, { bytes, pieces, ending }: Conversation): Promise<string | null> {
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
  let answer = '';
  socket
    .on('error', () => undefined)
    .on('end', () => socket.destroy())
    .setNoDelay();
  if (ending === 'never-read') socket.pause();
  else socket.setEncoding('latin1').on('data', part => (answer += String(part)));
  const size = Math.max(1, Math.ceil(bytes.length / pieces));
  for (let at = 0; at < bytes.length && socket.writable; at += size) {
    socket.write(bytes.subarray(at, at + size));
    if (pieces > 1) await pause(1);
  }
  if (ending === 'half-close') socket.end();
  if (ending === 'reset' || ending === 'never-read') {
    await pause(20);
    reset(socket);
  }
  await inTime(closed, 13_000, 'the server did not close the connection');
  return ending === 'reset' || ending === 'never-read' ? null : answer;
}

const methods = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'CONNECT', 'PRI', 'get', 'G\0T', ''];
const targets = [
  '/healthz',
  '/metrics',
  '/status',
  '/status?a=b',
  'http://x/healthz',
  '*',
  '/\xff\xfe',
  '/%',
  '//',
  '',
  `/${'x'.repeat(9000)}`,
  '/__proto__',
];
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', 'http/1.1', ''];
const fieldLines = [
  'Host: x',
  'Host: x',
  'Expect: 100-continue',
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Content-Length: 99999999999999999999',
  'Content-Length: -1',
  'Transfer-Encoding: chunked',
  'X:',
  ': y',
  'no colon',
  `X-Big: ${'y'.repeat(7000)}`,
  'X-Bad: \0\x01',
];

function httpText(random: Random): string {
  switch (random.below(8)) {
    case 0: // A TLS hello, then noise.
      return `\x16\x03\x01\x02\x00\x01${String.fromCharCode(...random.list(100, () => random.below(256)))}`;
    case 1:
      return String.fromCharCode(...random.list(random.below(300), () => random.below(256)));
    case 2: // Pipelined.
      return 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1 + random.below(3000));
    case 3:
      return 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    default: {
      const line = `${random.pick(methods)} ${random.pick(targets)} ${random.pick(versions)}`;
      const end = random.pick(['\r\n', '\r\n', '\r\n', '\n', '\r']);
      const lines = [line, ...random.list(random.below(5), () => random.pick(fieldLines)), '', ''];
      return lines.join(end) + 'z'.repeat(random.pick([0, 0, 10, 100_000]));
    }
  }
}

const expectedStatus = new Set([200, 400, 404, 405, 431, 503, 505]);

function assertHttpAnswer(answer: string, { bytes, ending }: Conversation): void {
  const text = bytes.toString('latin1');
  if (/^(GET|HEAD) (\/healthz|\/metrics|\/status) HTTP\/1\.1\r\nHost: x\r\n\r\n/.test(text))
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  if (ending === 'half-close' && bytes.length > 0) assert.notEqual(answer, '');
  if (answer === '') return;
  const [, code = '', head = '', body = ''] = /^HTTP\/1\.1 (\d{3}) ([^]*?)\r\n\r\n([^]*)$/.exec(answer) ?? [];
  assert.ok(expectedStatus.has(Number(code)), answer.slice(0, 100));
  assert.match(head, /\r\nconnection: close$/);
  const length = Number(/\r\ncontent-length: (\d+)\r\n/.exec(head)?.[1]);
  assert.equal(body.length, /^(\r?\n)?HEAD /.test(text) && code !== '400' && body === '' ? 0 : length);
}

function controlText(random: Random): string {
  const words = [
    'status',
    'status',
    'drain',
    'resume',
    'web',
    'api',
    'nobody',
    '',
    '\0',
    '\xff',
    '{}',
    'x'.repeat(600),
  ];
  const line = random
    .list(1 + random.below(3), () => random.pick(words))
    .join(random.pick([' ', ' ', '  ', '\t']));
  return line + random.pick(['\n', '\n', '\r\n', '', '\nstatus\n', `\n${'drain\n'.repeat(5000)}`]);
}

function assertControlAnswer(answer: string, { bytes, ending }: Conversation): void {
  if (ending === 'half-close') assert.notEqual(answer, '');
  if (answer === '') return;
  assert.match(answer, /^\{.*\}\n$/);
  const value = JSON.parse(answer) as Record<string, unknown>;
  const line = bytes.toString('latin1').split('\n')[0] ?? '';
  if (/^(status|drain|resume)( web| api)?$/.test(line)) assert.ok('services' in value, answer);
  else assert.ok('services' in value || typeof value['error'] === 'string', answer);
}

const oddValues: readonly unknown[] = [
  null,
  true,
  -1,
  'text',
  '',
  '\u001b[2J',
  [],
  {},
  [null],
  { error: 1 },
  { error: 'no' },
  'x'.repeat(5000),
];

/** The value with a random part replaced or removed. */
function mutate(random: Random, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || random.below(6) === 0) return random.pick(oddValues);
  const entries = Object.entries(value);
  const chosen = random.below(Math.max(1, entries.length));
  const changed = entries.flatMap(([key, each], index) => {
    if (index !== chosen) return [[key, each] as const];
    return random.below(8) === 0 ? [] : [[key, mutate(random, each)] as const];
  });
  if (Array.isArray(value)) return changed.map(([, each]) => each);
  return Object.fromEntries(changed);
}

function endless(socket: Socket): void {
  const block = Buffer.alloc(2 ** 16, 'x');
  const fill = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on('drain', fill);
  fill();
}

/** Plays the server: returns a function that answers a connection. */
function oddServer(random: Random): { readonly what: string; readonly serve: (socket: Socket) => void } {
  const good = `${JSON.stringify(processStatus)}\n`;
  const cut = random.below(good.length);
  const mutated = `${JSON.stringify(mutate(random, processStatus))}\n`;
  const noise = Buffer.from(random.list(200, () => random.below(256)));
  const deep = random.pick(['[', '{"a":', '{"services":[']).repeat(200_000);
  const servers: [what: string, serve: (socket: Socket) => void][] = [
    ['good', socket => socket.end(good)],
    ['good and left open', socket => socket.write(good)],
    [
      'good in two pieces',
      socket => void (socket.write(good.slice(0, cut)), setTimeout(() => socket.end(good.slice(cut)), 5)),
    ],
    ['cut', socket => socket.end(good.slice(0, cut))],
    [`mutated ${mutated.slice(0, 2000)}`, socket => socket.end(mutated)],
    [`mutated ${mutated.slice(0, 2000)}`, socket => socket.end(mutated)],
    [`mutated ${mutated.slice(0, 2000)}`, socket => socket.end(mutated)],
    ['noise', socket => socket.end(noise)],
    ['noise and a line end', socket => socket.end(Buffer.concat([noise, Buffer.from('\n')]))],
    ['deep', socket => socket.end(`${deep}\n`)],
    ['closed at once', socket => socket.destroy()],
    ['refusing', socket => socket.end('{"error":"no","hint":"\\u0007"}\n')],
    ['silent', () => undefined],
    [
      'dripping',
      socket => {
        const timer = setInterval(() => socket.write(' '), 10);
        socket.once('close', () => clearInterval(timer));
      },
    ],
  ];
  // It costs some MiB, so it is rare.
  const [what, serve] = random.below(40) === 0 ? (['endless', endless] as const) : random.pick(servers);
  return { what, serve };
}

/** Only a problem for people may be thrown. Returns its kind. */
async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof UnavailableError) return 'unavailable';
    if (error instanceof UsageError) return 'usage';
    throw error;
  }
}

async function open(): Promise<FuzzBed> {
  const folder = mkdtempSync(join(tmpdir(), 'dockreg-fuzz-'));
  const path = join(folder, 'ours.sock');
  const port = await freePort();
  const log = createLog('logfmt', systemClock, () => undefined);
  const api = {
    version: '1.2.3',
    startedAt: Date.parse(processStatus.startedAt),
    services,
    clock: systemClock,
    random: Math.random,
    log,
  };
  const stop = new AbortController();
  const metrics = createMetrics('1.2.3', 0);
  for (const { name } of services) metrics.countersOf(() => name);
  const serving = serveHttp({ ip: '127.0.0.1', port }, api, metrics, stop.signal);
  const closeControl = await openControlSocket(path, api);
  assert.ok(closeControl);
  const normal = async (): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(8000) });
    assert.equal(response.status, 200);
    assert.match(await response.text(), /^dockreg_service_up\{service="api"\} 1$/m);
    assert.deepEqual(await requestControl(path, 'status', undefined, 8000), processStatus);
  };
  await eventually('an answer', async () => normal().then(() => true));
  let count = 0;

  const runHttp = async (random: Random): Promise<void> => {
    const said = conversation(random, httpText(random));
    const answer = await play(connect({ port, host: '127.0.0.1', allowHalfOpen: true }), said);
    if (answer !== null) assertHttpAnswer(answer, said);
  };
  const runControl = async (random: Random): Promise<void> => {
    const said = conversation(random, controlText(random));
    const answer = await play(connect({ path, allowHalfOpen: true }), said);
    if (answer !== null) assertControlAnswer(answer, said);
  };
  const runClient = async (random: Random): Promise<void> => {
    const at = join(folder, `${count}.sock`);
    const service = random.pick([undefined, 'web']);
    const { what, serve } = oddServer(random);
    const server = await startRawServer(socket => void socket.once('data', () => serve(socket)), {
      path: at,
    });
    try {
      const isSlow = what === 'silent' || what === 'dripping';
      const limitMs = isSlow ? 500 : 10_000;
      const result = await outcome(inTime(requestControl(at, 'status', service, limitMs), 12_000, what));
      if (what.startsWith('good')) assert.equal(result, 'done', what);
      else if (what === 'refusing') assert.equal(result, service === undefined ? 'unavailable' : 'usage');
      else if (!what.startsWith('mutated')) assert.equal(result, 'unavailable', what);
      if (isSlow) return;
      let text = '';
      const options = { word: 'status', service, path: at, json: random.below(2) === 0 } as const;
      const shown = await outcome(control(options, part => (text += part)));
      assert.equal(shown, result, what);
      assert.doesNotMatch(text, /undefined|NaN|\[object/, what);
    } finally {
      server.close();
    }
  };
  const runNoSocket = async (random: Random): Promise<void> => {
    const at = join(folder, `${count}.file`);
    const kind = random.pick(['nothing', 'a file', 'a folder', 'too long']);
    if (kind === 'a file') writeFileSync(at, 'mine');
    const where = kind === 'a folder' ? folder : kind === 'too long' ? at + 'x'.repeat(200) : at;
    assert.equal(await outcome(requestControl(where, 'status')), 'unavailable', kind);
  };
  const roles = [runHttp, runHttp, runControl, runClient, runClient, runNoSocket];

  return {
    async run(random) {
      const isBatchEnd = ++count % 25 === 0;
      await random.pick(roles)(random);
      if (isBatchEnd) await normal();
    },
    async close() {
      await normal();
      stop.abort();
      closeControl();
      await serving;
      rmSync(folder, { recursive: true });
    },
  };
}

export const fuzzer = declare({ name: 'admin', cases: 1000, atOnce: 24, caseMs: 25_000, open });
