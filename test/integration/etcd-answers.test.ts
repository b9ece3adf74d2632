/** The built program against a server that speaks etcd's protocol and lies. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { systemClock as clock } from '../../src/clock.ts';
import { TokenKeeper } from '../../src/etcd/auth.ts';
import { connectClient } from '../../src/etcd/client.ts';
import { startApp, type App } from '../support/app.ts';
import { startEtcd } from '../support/etcd.ts';
import { floods, frame, startFloodingProxy } from '../support/flooding-etcd.ts';
import { encode, type Field } from '../support/protobuf.ts';
import { header, startGrpcEtcd, truth, type Asked, type GrpcEtcd, type Reply } from '../support/grpc-etcd.ts';
import { literal, literalKey, startProgram, type Program } from '../support/program.ts';
import { startRawServer } from '../support/raw-server.ts';
import { eventually, pause, stopwatch } from '../support/wait.ts';

let app: App | undefined;
let etcd: GrpcEtcd | undefined;
let program: Program | undefined;

afterEach(async () => {
  await program?.stop();
  app?.close();
  etcd?.close();
  [app, etcd, program] = [undefined, undefined, undefined];
});

/** What a request to etcd, a check or a log line costs, in 8 s. */
const windowMs = 8000;

async function start(lie: (asked: Asked, honest: (asked: Asked) => Reply) => Reply): Promise<Program> {
  const honest = truth();
  app = await startApp();
  etcd = await startGrpcEtcd(asked => lie(asked, honest));
  // The default interval, so that what is counted is not the usual cadence.
  program = await startProgram({
    env: { ...literal(etcd.endpoint, app.port), DOCKREG_INTERVAL: '5s', DOCKREG_TTL: '20s' },
  });
  return program;
}

const notFound = { code: 5, details: 'etcdserver: requested lease not found' };
const exists = { code: 9, details: 'etcdserver: lease already exists' };

const lies: readonly [
  name: string,
  lie: (asked: Asked, honest: (asked: Asked) => Reply) => Reply,
  line: RegExp,
][] = [
  [
    'a lease is granted and then does not exist',
    (asked, honest) => (asked.method === 'transaction' ? notFound : honest(asked)),
    /etcd answers, but nothing lasts: it grants a lease and then says that the lease does not exist/,
  ],
  [
    'every lease exists already, and then does not',
    (asked, honest) =>
      asked.method === 'grant' ? exists : asked.method === 'transaction' ? notFound : honest(asked),
    /nothing lasts/,
  ],
  [
    'a write is refused, and the key is as it was read',
    (asked, honest) =>
      asked.method === 'transaction' && asked.request.all(1).length > 0
        ? { message: encode(header, [3, encode([1, encode(header)])]) }
        : honest(asked),
    /it refuses a write because a key has changed, and shows the key unchanged/,
  ],
  [
    'every answer is empty',
    () => ({ message: Buffer.alloc(0) }),
    /etcd: grant: the answer does not fit: ID is ..0.., not \d+; retrying/,
  ],
  [
    'a write is answered without a header',
    (asked, honest) =>
      asked.method === 'transaction'
        ? { message: encode([2, 1], [3, encode([2, encode(header)])]) }
        : honest(asked),
    /etcd: write: the answer does not fit: header is null, not a message; retrying/,
  ],
];

describe('an etcd that lies is asked a few times a second at most', () => {
  for (const [name, lie, line] of lies) {
    it(name, async () => {
      const dockreg = await start(lie);
      await dockreg.waitForLine(line);
      await pause(windowMs);
      const requests = etcd!.asked.length;
      const checks = app!.requests.length;
      const lines = dockreg.lines.length;
      console.log(`${name}: ${requests} requests, ${checks} checks, ${lines} lines in ${windowMs / 1000} s`);
      assert.ok(requests <= 2 * (windowMs / 1000), `${requests} requests`);
      assert.ok(checks <= windowMs / 1000, `${checks} checks`);
      assert.ok(lines <= windowMs / 1000, `${lines} lines`);
      assert.equal(dockreg.exit, undefined);
      dockreg.assertClean();
    });
  }
});

describe('a client', () => {
  const tls = { ca: undefined, cert: undefined, key: undefined };

  it('gives a call one limit for its token and all its attempts', async () => {
    const honest = truth();
    etcd = await startGrpcEtcd(asked => {
      if (asked.method === 'authenticate') return { message: encode(header, [2, 'token']), afterMs: 500 };
      return asked.method === 'timeToLive' ? 'silent' : honest(asked);
    });
    const tokens = new TokenKeeper({ name: 'app', password: { text: 'secret' } }, clock, Math.random);
    const client = await connectClient(etcd.endpoint, { clock, tls, tokens });
    const elapsed = stopwatch();
    // A busy machine may still wait for the token; two limits in a row would be 1600 ms and more.
    await assert.rejects(client.timeToLive('5', { ms: 1200 }), / no answer in time/);
    assert.ok(elapsed() >= 1190 && elapsed() < 1550, `${elapsed()} ms`);
    await eventually('the first token', () => tokens.known() === 'token');
    tokens.drop('token');
    // The password check continues, and its token is used.
    await assert.rejects(client.timeToLive('5', { ms: 200 }), { message: 'authenticate: no answer in time' });
    await eventually('the token', () => tokens.known() === 'token');
    client.close();
  });

  it('closes a connection on which nothing is said, or something without an end', async () => {
    const silent = await startRawServer(socket => void socket.resume());
    const chatty = await startRawServer(socket => {
      // Settings that take half an hour.
      socket.resume().write(frame(4, 0, 0, Buffer.alloc(16_380)).subarray(0, 20));
      const timer = setInterval(() => socket.write(Buffer.alloc(1)), 100);
      socket.once('close', () => clearInterval(timer));
    });
    const access = { clock, tls, tokens: new TokenKeeper(undefined, clock, Math.random) };
    for (let times = 0; times < 5; times++) {
      const client = await connectClient(`http://127.0.0.1:${silent.port}`, access);
      await assert.rejects(client.revoke('5', { ms: 100 }), {
        message:
          'revoke: no connection in time; check the network of this container, the firewall, and --etcd',
      });
      client.close();
    }
    const client = await connectClient(`http://127.0.0.1:${chatty.port}`, access);
    await assert.rejects(
      client.revoke('5', { ms: 300 }),
      /^RequestError: revoke: no connection in time; check the network/,
    );
    client.close();
    assert.equal(silent.openConnections, 5);
    await eventually('the end of the connections', () => silent.openConnections === 0, { timeoutMs: 15_000 });
    assert.equal(silent.connectionsSeen, 5);
    silent.close();
    await eventually('the end of the other', () => chatty.openConnections === 0, { timeoutMs: 15_000 });
    chatty.close();
  });
});

describe('an endpoint that floods its client with frames of HTTP/2', () => {
  const access = { clock, tls: { ca: undefined, cert: undefined, key: undefined } };

  it('loses the connection at once, and the failure says why', async () => {
    const { endpoint, close } = await startGrpcEtcd(truth());
    const outcomes = Object.entries(floods).map(async ([name, flood]) => {
      const proxy = await startFloodingProxy(endpoint, flood);
      const tokens = new TokenKeeper(undefined, clock, Math.random);
      const client = await connectClient(proxy.endpoint, { ...access, tokens });
      const ask = async (): Promise<string> =>
        client.status({ ms: 10_000 }).then(
          () => '',
          (error: Error) => error.message,
        );
      const said: string[] = [];
      // A few calls may be answered before the flood, and HTTP/2 has limits of its own.
      await eventually('the end of the flood', async () => (said.push(await ask()), said.at(-1) !== ''));
      await eventually('the end of the connection', () => proxy.open() === 0);
      // A system's buffers hold some of what was sent.
      assert.ok(proxy.sent < 16 * 2 ** 20, `${name}: ${proxy.sent} bytes`);
      client.close();
      proxy.close();
      return `${name}: ${said.at(-1)}`;
    });
    const said = await Promise.all(outcomes);
    close();
    const named = said.filter(each => /status: it sent too many frames of HTTP\/2 .*most of them/.test(each));
    assert.ok(named.length >= said.length - 6, said.join('\n'));
    assert.match(named.join('\n'), /^PING: .* most of them PING; the connection was closed$/m);
  });

  it('does not cost the key while another endpoint is well', async () => {
    app = await startApp();
    const member = await startEtcd();
    const proxies = await Promise.all([0, 1].map(() => startFloodingProxy(member.endpoints[0]!)));
    const endpoints = proxies.map(proxy => proxy.endpoint).join();
    program = await startProgram({ env: literal(endpoints, app.port) });
    await program.waitForLine(/registered/);
    const watcher = await member.watch(literalKey);
    await watcher.ready();
    const used = proxies.find(proxy => proxy.open() > 0)!;
    used.flood = floods['PING']!;
    const line = await program.waitForLine(
      /it sent too many frames .* PING; the connection was closed; retrying/,
    );
    assert.equal(line.fields['endpoint'], used.endpoint);
    await pause(5500);
    assert.deepEqual(watcher.events, []);
    assert.equal((await member.keys(literalKey)).size, 1);
    for (const proxy of proxies) proxy.close();
    await program.stop();
    await member.stop();
  });
});

describe('an endpoint that breaks its connections as they come up', () => {
  const kinds = ['GOAWAY', 'RST_STREAM', 'answers to PING', 'WINDOW_UPDATE of the call', 'PUSH_PROMISE'];
  const broke = /the connection broke as it came up \(/;

  it('neither freezes dockreg nor makes it connect again and again', async () => {
    app = await startApp();
    const { port } = app;
    const runs = kinds.map(async kind => {
      // In one write, so that all is read before gRPC has taken the connection over.
      const bytes = Buffer.concat([frame(4, 0, 0), ...floods[kind]!(1)]);
      const serve = (socket: Socket): void => void socket.write(bytes);
      const servers = [await startRawServer(serve), await startRawServer(serve)] as const;
      const [endpoint, ofAgent] = servers.map(({ port: each }) => `http://127.0.0.1:${each}`);
      const ls = await startProgram({ args: ['ls', '--etcd', endpoint!] });
      const agent = await startProgram({ env: literal(ofAgent!, port) });
      try {
        assert.equal((await ls.exitWithin(30_000)).code, 69, `${kind}: ${ls.stderr}`);
        assert.match(ls.stderr, broke, kind);
        // gRPC alone makes hundreds a second.
        assert.ok(servers[0].connectionsSeen <= 2, `${kind}: ${servers[0].connectionsSeen} connections`);
        await agent.waitForLine(broke, 30_000);
        assert.equal((await agent.stop(30_000)).code, 0, kind);
      } finally {
        await Promise.all([ls.stop(), agent.stop()]);
        for (const each of servers) each.close();
      }
    });
    await Promise.all(runs);
  });
});

/** A page of 1000 keys that follow the one from which it was asked for. */
function page(from: string, more: number): Reply {
  const first = Number(/\d+/.exec(from)?.[0] ?? 0) + 1;
  const pairs = Array.from({ length: 1000 }, (_, at): Field => {
    const key = `/service/${String(first + at).padStart(12, '0')}`;
    return [2, encode([1, key], [2, 1], [3, 1], [5, 'running'], [6, 5])];
  });
  return { message: encode(header, ...pairs, [3, more], [4, 9]) };
}

describe('a list that never ends', () => {
  const endless: readonly [name: string, reply: (from: string) => Reply, line: RegExp][] = [
    ['with the same keys', () => page('', 1), /key is .*, not the next one of the range/],
    [
      'without keys',
      () => ({ message: encode(header, [3, 1]) }),
      /more is true, not false after 0 of 1000 keys/,
    ],
    ['with new keys', from => page(from, 1), /there is more under \/service\/ than 200000 keys and 64 MiB/],
  ];
  for (const [name, reply, line] of endless) {
    it(`${name} is refused by dockreg ls with 69`, async () => {
      etcd = await startGrpcEtcd(({ method, request }) =>
        method === 'range'
          ? reply(request.bytes(1).toString())
          : { message: encode(header, [2, request.integer(1)], [3, 1], [4, 1]) },
      );
      const ls = await startProgram({
        args: ['ls', '--etcd', etcd.endpoint],
        nodeFlags: ['--max-old-space-size=256'],
      });
      program = ls;
      const exit = await ls.exitWithin(50_000);
      assert.equal(exit.code, 69, ls.stderr);
      assert.match(ls.stderr, line);
      ls.assertClean(/^dockreg: /);
    });
  }
});
