/**
 * A session and a client against an etcd that answers anything. Two thirds of the cases are scripted: an etcd in memory
 * on a fake clock draws each answer. The others are real: a gRPC server whose messages, statuses and streams are drawn,
 * or a port that speaks something else.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { systemClock as clock } from '../../src/clock.ts';
import { TokenKeeper } from '../../src/etcd/auth.ts';
import { connectClient, type Access } from '../../src/etcd/client.ts';
import { EtcdError } from '../../src/etcd/errors.ts';
import type { EtcdClient } from '../../src/etcd/ports.ts';
import { openSession } from '../../src/etcd/session.ts';
import { floods, frame } from '../support/flooding-etcd.ts';
import { header, startGrpcEtcd, truth, type Asked, type Reply } from '../support/grpc-etcd.ts';
import type { Lie } from '../support/fake-etcd.ts';
import { key, lies, mostWithin, openLyingBed, randomLie } from '../support/lying-etcd.ts';
import { encode, type Field } from '../support/protobuf.ts';
import type { Random } from '../support/random.ts';
import { startRawServer } from '../support/raw-server.ts';
import { pause } from '../support/wait.ts';
import { declare, openDescriptors } from './harness.ts';

/** The longest wait after denials while no lease is held, an interval, and the checks, in ms. */
const repairMs = 30_000 + 5000 + 1000;

async function scripted(random: Random): Promise<void> {
  const endpoints = ['a', 'b', 'c'].slice(0, 1 + random.below(3)).map(name => `http://${name}:2379`);
  const bed = openLyingBed(endpoints, () => random.next());
  const { etcd } = bed;
  const said: string[] = [];
  const about = (): string => `${said.slice(-20).join('\n')}\n${bed.log.slice(-10).join('\n')}`;
  /** What was shown under each lease: only that may be removed. */
  const shown = new Set<string>();
  const honesty = random.below(5);
  /** Drawn answers rarely repeat, and what repeats for ever is the worst. */
  const steadyLie = random.below(3) === 0 ? random.pick(Object.values(lies))() : null;
  etcd.lie = (call, details) => {
    const { id, write } = details;
    for (const each of write?.removes ?? [])
      assert.ok(shown.has(`${id} ${each}`) || each === key, `${each} was never ours\n${about()}`);
    const drawn = steadyLie ?? ((): Lie | undefined => randomLie(random, call, details));
    const lie = random.below(6) < honesty ? undefined : drawn(call, details);
    const observed = (lie?.answer as { observed?: ReadonlyMap<string, { lease: string }> } | undefined)
      ?.observed;
    for (const [each, { lease }] of observed ?? []) shown.add(`${lease} ${each}`);
    said.push(
      `${call.at} ${call.kind} ${lie ? (lie.error?.message ?? JSON.stringify(lie.answer ?? null)) : ''}`,
    );
    return lie;
  };
  for (let times = 2 + random.below(8); times > 0; times--) {
    await bed.runFor(random.pick([1000, 5000, 20_000]));
    if (random.below(6) === 0) bed.session.withdraw('down');
  }
  const { requests, checks, lines } = bed.cost();
  assert.ok(!etcd.isSpinning, `it spins\n${about()}`);
  // A round of all endpoints goes on at once; every other failure and every setback waits.
  const most = 20 + 20 * endpoints.length;
  for (const [what, moments] of Object.entries({ requests, checks, lines }))
    assert.ok(
      mostWithin(moments, 10_000) <= most,
      `${mostWithin(moments, 10_000)} ${what} in 10 s\n${about()}`,
    );
  if (random.below(2) === 0) {
    etcd.lie = () => undefined;
    await bed.runFor(20_000);
    // What nobody keeps alive has expired by now: leases that lies made the session forget.
    const kept = bed.session.snapshot().lease;
    for (const id of etcd.leases) if (kept.kind === 'none' || id !== kept.id) etcd.drop(id);
    await bed.runFor(repairMs);
    const { lease } = bed.session.snapshot();
    const stored = etcd.keys.get(key);
    assert.ok(lease.kind === 'held' && stored?.lease === lease.id, `not registered\n${about()}`);
    assert.ok(etcd.leases.has(lease.id), about());
  }
  assert.ok(await bed.close(), `it does not end\n${about()}`);
  assert.equal(etcd.open, 0, 'a connection is left');
  assert.deepEqual(bed.clock.due, [], 'a timer is left');
}

/** Texts that etcd has, and some that it does not. */
const texts = [
  'etcdserver: requested lease not found',
  'etcdserver: lease already exists',
  'etcdserver: permission denied',
  'etcdserver: invalid auth token',
  'etcdserver: user name is empty',
  'etcdserver: revision of auth store is old',
  'etcdserver: authentication is not enabled',
  'etcdserver: authentication failed, invalid user ID or password',
  'etcdserver: mvcc: required revision has been compacted',
  'etcdserver: mvcc: required revision is a future revision',
  'etcdserver: no leader',
  'etcdserver: too many requests',
  'etcdserver: mvcc: database space exceeded',
  '',
  'x\u001b[31m\n\u202e',
  'y'.repeat(5000),
];

function randomValue(random: Random): Field[1] {
  return random.pick<() => Field[1]>([
    () => 0,
    () => random.below(1000),
    () => -1,
    () => 2n ** 63n - 1n,
    () => '',
    () => random.pick(['token', 'bad\u0001token', '/service/x', 'running', 'é'.repeat(9000)]),
    () => Buffer.from(random.list(random.below(20), () => random.below(256))),
    () => encode(...randomFields(random)),
  ])();
}

function randomFields(random: Random): Field[] {
  const fields = random.list(random.below(5), (): Field => [1 + random.below(6), randomValue(random)]);
  return random.below(2) === 0 ? [header, ...fields] : fields;
}

function randomReply(random: Random, asked: Asked, honest: (asked: Asked) => Reply): Reply {
  return random.pick<() => Reply>([
    () => honest(asked),
    () => honest(asked),
    () => honest(asked),
    () => ({ message: encode(...randomFields(random)) }),
    () => ({ message: encode(...randomFields(random)), times: random.pick([1, 2, 200]) }),
    () => ({ message: Buffer.from(random.list(random.below(60), () => random.below(256))) }),
    () => ({ message: Buffer.alloc(0) }),
    () => ({ message: Buffer.alloc(5 * 2 ** 20) }),
    () => ({ code: random.below(18), details: random.pick(texts) }),
    () => ({ code: random.pick([2, 3, 5, 7, 9, 14, 16]), details: random.pick(texts) }),
    () => random.pick(['silent', 'end'] as const),
  ])();
}

function code(number: number, zeros = 0): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(zeros + 4);
  bytes.writeUInt32BE(number, zeros);
  return bytes;
}

const settings = frame(4, 0, 0);

/** Frames that nobody asked for: a kind of which others are floods, or any. */
function randomFrames(random: Random): readonly Buffer[] {
  if (random.below(3) > 0) return random.pick(Object.values(floods))(1 + 2 * random.below(3));
  const payload = Buffer.from(random.list(random.below(20), () => random.below(256)));
  return [frame(random.below(16), random.below(256), random.below(6), payload)];
}

/** Sends the frames once the client has said something. */
function answer(...frames: Buffer[]): (socket: Socket) => void {
  return socket => {
    socket.write(settings);
    socket.once('data', () => socket.write(Buffer.concat([frame(4, 1, 0), ...frames])));
  };
}

/** Ports that do not speak gRPC, or break it. */
function randomPort(random: Random): (socket: Socket) => void {
  const error = random.below(16);
  const goaway = frame(7, 0, 0, code(error, 4));
  const unasked = random.list(1 + random.below(3), () => randomFrames(random)).flat();
  if (random.below(2) === 0)
    return random.pick<(socket: Socket) => void>([
      answer(...unasked),
      // What comes with the settings is read before gRPC has taken the connection over.
      socket => void socket.write(Buffer.concat([settings, ...unasked])),
      socket => void socket.end(Buffer.concat([settings, ...unasked])),
    ]);
  return random.pick<(socket: Socket) => void>([
    socket => void socket.write('SSH-2.0-OpenSSH_9.2p1\r\n'),
    socket => void socket.on('data', () => socket.write('-ERR unknown command\r\n')),
    socket => void socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'),
    socket => void socket.end('HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n'),
    socket => void socket.write(Buffer.from([21, 3, 3, 0, 2, 2, 70])),
    socket => void socket.destroy(),
    socket => void socket.end(),
    () => undefined,
    socket => void socket.write(Buffer.from(random.list(200, () => random.below(256)))),
    answer(goaway),
    answer(...random.list(50, () => goaway)),
    // The first call has stream 1.
    answer(...[1, 3, 5].map(stream => frame(3, 0, stream, code(error)))),
    answer(...random.list(2000, () => frame(6, 0, 0, Buffer.alloc(8)))),
    answer(frame(1, 5, 1, Buffer.from([0x88]))),
    // :status 302, with no content type.
    answer(frame(1, 5, 1, Buffer.from([0x08, 3, 0x33, 0x30, 0x32]))),
    answer(frame(0, 0, 1, Buffer.alloc(100, 0xff))),
    socket => {
      answer()(socket);
      setTimeout(() => socket.destroy(), random.below(50));
    },
  ]);
}

const tls = { ca: undefined, cert: undefined, key: undefined };

async function real(random: Random): Promise<void> {
  const honest = truth();
  let isHonest = false;
  const isGrpc = random.below(3) > 0;
  const server = isGrpc
    ? await startGrpcEtcd(asked => (isHonest ? honest(asked) : randomReply(random, asked, honest)))
    : null;
  const port = server ? null : await startRawServer(randomPort(random));
  const endpoint = server?.endpoint ?? `http://127.0.0.1:${port?.port}`;
  const user = random.below(2) === 0 ? { name: 'app', password: { text: 'secret' } } : undefined;
  const access: Access = { clock, tls, tokens: new TokenKeeper(user, clock, Math.random) };
  const lines: string[] = [];
  const session = openSession({
    endpoints: [endpoint],
    connect: each => connectClient(each, access),
    ttlSeconds: 20,
    rules: { renewGapMs: 200, freshForMs: 10_000 },
    clock,
    random: Math.random,
    emit: event => lines.push(JSON.stringify(event)),
    requestCheck: () => void setTimeout(() => session.publish([{ key, value: 'running' }], clock.now()), 5),
  });
  const about = (): string =>
    `${server?.asked.map(({ method, at }) => `${Math.round(at)} ${method}`).join('\n')}\n${lines.join('\n')}`;
  const limit = { ms: 300 };
  const client = await connectClient(endpoint, access);
  const asks: readonly ((from: EtcdClient) => Promise<unknown>)[] = [
    from => from.list('/service/', limit),
    from => from.status(limit),
    from => from.checkWrite([{ key, value: 'running' }], limit),
    from => from.timeToLive('5', limit),
    from => from.renew('5', [key, '/other'], limit),
    from => from.grant('5', 20, limit),
    from =>
      from.write(
        '5',
        { expect: [{ key, modRevision: '0' }], puts: [{ key, value: '' }], removes: ['/x'] },
        limit,
      ),
    from => from.revoke('5', limit),
  ];
  try {
    for (let times = 0; times < 5; times++) {
      session.publish([{ key, value: 'running' }], clock.now());
      const startedAt = performance.now();
      const ask = random.pick(asks);
      await ask(client).catch((error: unknown) => {
        assert.ok(error instanceof EtcdError, `${String(error)} is not of etcd\n${about()}`);
        assert.doesNotMatch(
          error.message,
          /undefined|is not a function|Cannot read/,
          `${error.message}\n${about()}`,
        );
        assert.ok(error.message.length < 6000);
      });
      // An honest list of one page is one call; a list in pages is as many as its pages.
      const tookMs = performance.now() - startedAt;
      assert.ok(tookMs < 2500, `a call of ${tookMs} ms\n${about()}`);
      await pause(random.below(100));
    }
    const ofSession = server?.asked.length ?? port?.connectionsSeen ?? 0;
    assert.ok(ofSession <= 120, `${ofSession} requests\n${about()}`);
    assert.ok(lines.length <= 40, `${lines.length} events\n${about()}`);
    isHonest = random.below(2) === 0;
  } finally {
    client.close();
    const closingAt = performance.now();
    await session.close(300);
    assert.ok(performance.now() - closingAt < 3000, 'it closes in time');
    server?.close();
    port?.close();
  }
}

// libuv opens a descriptor for the first server of a process and keeps it: that is no leak.
(await startRawServer(socket => void socket.destroy())).close();

export const fuzzer = declare({
  name: 'etcd',
  cases: 200,
  atOnce: 16,
  caseMs: 60_000,
  open: () => {
    const descriptors = openDescriptors().size;
    return Promise.resolve({
      // A real case waits most of its time, so some of them run beside the scripted ones.
      run: random => (random.below(4) === 0 ? real(random) : scripted(random)),
      async close() {
        // A connection whose peer is silent goes 10 s after its client was closed.
        for (let tries = 0; tries < 130 && openDescriptors().size > descriptors; tries++) await pause(100);
      },
    });
  },
});
