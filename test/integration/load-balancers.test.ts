/** examples/haproxy and examples/nginx: the real servers in front of apps with dockreg, and where requests go. */
import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type App, startApp } from '../support/app.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { askHaproxy, kinds, type LoadBalancer, prepareLoadBalancer } from '../support/load-balancers.ts';
import { startProgram, type Program } from '../support/program.ts';
import { eventually, pause } from '../support/wait.ts';

const dockreg = fileURLToPath(new URL('../../../dist/dockreg.js', import.meta.url));

let etcd: EtcdCluster;
let balancer: LoadBalancer;
let programs: Program[] = [];
let apps: App[] = [];

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
afterEach(async () => {
  for (const program of programs) await program.stop();
  for (const app of apps) app.close();
  await balancer.remove();
  for (const program of programs) program.assertClean(/; retrying$/);
  programs = [];
  apps = [];
});

/** An app that answers with its name, and its dockreg. */
async function startInstance(
  name: string,
  weight = 100,
): Promise<{ app: App; address: string; program: Program }> {
  const app = await startApp();
  apps.push(app);
  app.respond({ status: 200, body: name });
  const address = `127.0.0.1:${app.port}`;
  const program = await startProgram({
    args: [
      ...['--etcd', etcd.endpoints.join(','), '--port', String(app.port), '--advertise', address],
      ...['--allow-loopback', '--layout', 'kratos', '--name', 'web', '--weight', String(weight)],
      ...['--interval', '1s', '--timeout', '1s', '--ttl', '5s'],
      // This process is the apps too, and sends the requests: one late answer under load must not withdraw an app.
      ...['--fall', '2'],
    ],
  });
  programs.push(program);
  return { app, address, program };
}

async function follow(...options: string[]): Promise<Program> {
  const words = ['ls', '--watch', '--json', '--etcd', etcd.endpoints.join(','), '--layout', 'kratos'];
  const program = await balancer.follow([process.execPath, dockreg, ...words], [...options, 'web']);
  programs.push(program);
  return program;
}

/** Resolves with the moment when the load balancer has exactly these servers. */
function inStep(...servers: string[]): Promise<number> {
  return eventually(
    'the expected servers',
    async () => {
      assert.deepEqual(await balancer.servers(), servers.toSorted());
      return performance.now();
    },
    { everyMs: 10 },
  );
}

interface Reply {
  /** When the request was sent, in `performance.now()` milliseconds. */
  readonly at: number;
  /** The text of an answer with status 200; otherwise the status or the error. */
  readonly of: string;
  readonly tried: readonly string[];
}

async function reply(): Promise<Reply> {
  const at = performance.now();
  try {
    const { status, text, tried } = await balancer.ask();
    return { at, of: status === 200 ? text : String(status), tried };
  } catch (error) {
    return { at, of: String(error), tried: [] };
  }
}

/** Resolves when each of these apps has answered. */
async function answersOf(...names: string[]): Promise<void> {
  for (const name of names) await eventually(`an answer of ${name}`, async () => (await reply()).of === name);
}

/** Sends a request every 20 ms until `work` is done. */
async function underLoad(work: () => Promise<void>): Promise<Reply[]> {
  const replies: Promise<Reply>[] = [];
  const done = new AbortController();
  const sending = (async () => {
    while (!done.signal.aborted) {
      replies.push(reply());
      await pause(20, done.signal);
    }
  })();
  try {
    await work();
  } finally {
    done.abort();
    await sending;
  }
  return Promise.all(replies);
}

function countOf(replies: readonly Reply[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { of } of replies) counts[of] = (counts[of] ?? 0) + 1;
  return counts;
}

/** A message that counts the requests that no app answered, by the servers that they were tried at. */
function failed(replies: readonly Reply[]): string {
  const failures = replies.filter(({ of }) => !/^[abc]$/.test(of));
  const rows = failures.map(({ of, tried, at }) => ({
    of: `${of} after ${tried.join(', ')}`,
    at,
    tried: [],
  }));
  return `failed: ${JSON.stringify(countOf(rows))}`;
}

/** When the last request to the address was sent, or `since` if there was none. */
function lastTry(replies: readonly Reply[], address: string, since: number): number {
  return Math.max(since, ...replies.filter(({ tried }) => tried.includes(address)).map(({ at }) => at));
}

for (const kind of Object.values(kinds)) {
  describe(`${kind.name} of the example`, () => {
    beforeEach(async () => {
      balancer = await prepareLoadBalancer(kind);
      await balancer.start();
    });

    it('sends requests to apps that answer and to no others, by their weights', async t => {
      await follow();
      assert.ok((await balancer.ask()).status >= 500, 'there is no server');
      const a = await startInstance('a');
      await answersOf('a');
      const b = await startInstance('b');
      const c = await startInstance('c', 200);
      await inStep(`${a.address} 100`, `${b.address} 100`, `${c.address} 200`);
      await answersOf('a', 'b', 'c');

      // While nginx reloads, its old workers still share with the new ones.
      await pause(500);
      const replies: Reply[] = [];
      while (replies.length < 200) replies.push(...(await Promise.all(Array.from({ length: 8 }, reply))));
      const shares = countOf(replies);
      const share = (shares['c'] ?? 0) / ((shares['a'] ?? 0) + (shares['b'] ?? 0));
      assert.ok(share > 0.8 && share < 1.25, JSON.stringify(shares));

      let from = Infinity;
      let until = Infinity;
      const crash = await underLoad(async () => {
        from = performance.now();
        b.app.close();
        until = await inStep(`${a.address} 100`, `${c.address} 200`);
        await pause(1000);
      });
      until = lastTry(crash, b.address, until);
      t.diagnostic(`the last request ${Math.round(until - from)} ms after a crash`);
      assert.ok(until - from < 4000);
      assert.deepEqual(Object.keys(countOf(crash)).toSorted(), ['a', 'c'], failed(crash));

      const failing = await underLoad(async () => {
        from = performance.now();
        c.app.respond({ status: 500 });
        until = await inStep(`${a.address} 100`);
        await pause(1000);
      });
      until = Math.max(...failing.filter(({ of }) => of === '500').map(({ at }) => at));
      t.diagnostic(`the last request ${Math.round(until - from)} ms after an app began to fail`);
      assert.ok(until - from < 5000);

      const back = await underLoad(async () => {
        from = performance.now();
        c.app.respond({ status: 200, body: 'c' });
        await b.app.listen();
        await inStep(`${a.address} 100`, `${b.address} 100`, `${c.address} 200`);
        await answersOf('b', 'c');
        await pause(500);
      });
      const first = (name: string): number => back.find(({ of }) => of === name)!.at;
      t.diagnostic(`the first request ${Math.round(first('b') - from)} ms after an app listens again`);
      assert.ok(Math.max(first('b'), first('c')) - from < 5000);
      assert.deepEqual(Object.keys(countOf(back)).toSorted(), ['a', 'b', 'c'], failed(back));
    });

    it('serves without etcd, also after a restart, and loses no server when etcd comes back empty', async t => {
      await follow();
      const a = await startInstance('a');
      const b = await startInstance('b');
      const both = [`${a.address} 100`, `${b.address} 100`];
      await inStep(...both);
      await answersOf('a', 'b');
      const [member] = etcd.members;
      await member!.kill();
      const without = countOf(await underLoad(() => pause(3000)));
      assert.deepEqual(Object.keys(without).toSorted(), ['a', 'b']);
      await balancer.stop();
      await balancer.start();
      assert.deepEqual(await balancer.servers(), both.toSorted());
      const restarted = countOf(await underLoad(() => pause(1000)));
      assert.deepEqual(Object.keys(restarted).toSorted(), ['a', 'b']);

      await member!.wipe();
      let c: Awaited<ReturnType<typeof startInstance>>;
      const back = await underLoad(async () => {
        const from = performance.now();
        await member!.start();
        await eventually(
          'the instances in etcd',
          async () => (await etcd.keys('/microservices/')).size === 2,
        );
        t.diagnostic(`the instances are in the empty etcd after ${Math.round(performance.now() - from)} ms`);
        c = await startInstance('c');
        await inStep(...both, `${c.address} 100`);
      });
      assert.deepEqual(Object.keys(countOf(back.filter(({ of }) => of !== 'c'))).toSorted(), ['a', 'b']);
      await answersOf('c');
    });

    it('keeps the last servers of a service for the time of --hold', async () => {
      const program = await follow('--hold', '4');
      const a = await startInstance('a');
      await inStep(`${a.address} 100`);
      await answersOf('a');
      const from = performance.now();
      await a.program.stop();
      assert.equal((await balancer.ask()).text, 'a');
      assert.ok((await inStep()) - from > 4000);
      await eventually('no server', async () => (await balancer.ask()).status >= 500);

      const b = await startInstance('b');
      await answersOf('b');
      const answers = countOf(await underLoad(() => pause(500)));
      assert.deepEqual(Object.keys(answers), ['b'], 'a request went to a, whose app still answers');
      await program.stop();
      const anew = await follow('--hold', '1');
      await b.program.stop();
      await inStep();
      anew.assertClean();
    });

    it('is in step again after it has lost its servers, or was stopped', async () => {
      const program = await follow();
      const a = await startInstance('a');
      await inStep(`${a.address} 100`);
      await balancer.forget();
      await inStep(`${a.address} 100`);
      await balancer.stop();
      const b = await startInstance('b');
      await program.waitForLine('; retrying');
      await balancer.start();
      await program.waitForLine('in step again');
      await inStep(`${a.address} 100`, `${b.address} 100`);
      await answersOf('b');

      await program.stop();
      await b.program.stop();
      await follow();
      await inStep(`${a.address} 100`);
    });

    it('uses only addresses and weights from etcd', async () => {
      const path = join(balancer.folder, 'lines');
      const evil = [
        ...[
          '127.0.0.1:80;',
          '127.0.0.1:80; server 10.0.0.1:80',
          '127.0.0.1:80\nserver 10.0.0.1:80;',
          ' 127.0.0.1:80',
        ],
        ...[
          '127.0.0.1 :80',
          '127.0.0.1:80 down',
          '$(id):80',
          '`id`:80',
          '[::1];:80',
          '[::1%lo]:80',
          '[::1]',
          '::1:80',
        ],
        ...[
          '999.0.0.1:80',
          '1.2.3:80',
          '0x7f000001:80',
          'host.example:80',
          'unix:/run/docker.sock',
          '127.0.0.1',
        ],
        ...['127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:-1', '127.0.0.1:8e1', '', null, 7, {}, [], true],
      ];
      const first = [
        ...evil.map(address => row(address)),
        ...['web; show info', 'web\n', '__proto__', '../web', 'web/web1 state maint', '', null, {}].map(
          service => row('10.0.0.9:80', 100, service),
        ),
        ...['1; state maint', '7', -1, 0, 1.5, 65_536, 1e9, null, {}].map((weight, index) =>
          row(`10.0.1.${index}:80`, weight),
        ),
        ...[row('[2001:DB8:0:0::1]:80'), row('10.0.1.0:80')],
      ];
      await writeFile(path, `${JSON.stringify(first)}\n`);
      const program = await balancer.follow(['tail', '-n', '+1', '-f', path], ['web']);
      programs.push(program);
      const harmless = [
        ...Array.from({ length: 9 }, (_, index) => `10.0.1.${index}:80 100`),
        '[2001:db8::1]:80 100',
      ];
      await inStep(...harmless);

      for (const line of ['', '{', 'null', '7', '[null]', '{"service":"web"}', '[7]x', '\u0000']) {
        const since = program.lines.length;
        await appendFile(path, `${line}\n`);
        await program.waitForLine('cannot read a line of dockreg ls', 10_000, since);
      }
      assert.deepEqual(await balancer.servers(), harmless.toSorted());
      await appendFile(path, `${JSON.stringify([row('10.0.0.1:80', 65_535), row('10.0.0.2:80', 6554)])}\n`);
      await inStep(
        ...(kind === kinds.nginx
          ? ['10.0.0.1:80 65535', '10.0.0.2:80 6554']
          : ['10.0.0.1:80 256', '10.0.0.2:80 26']),
      );
    });

    it('ends, and keeps the servers, when the command that lists the instances has ended', async () => {
      const program = await balancer.follow(
        ['sh', '-c', `echo '${rowsOf(1, 2).trim()}'; sleep 3; exit 7`],
        ['web'],
      );
      await inStep('10.0.0.1:80 100');
      assert.equal((await program.exitWithin(10_000)).code, 1);
      await program.waitForLine('sh has ended with 7; the instances stay as they are');
      assert.deepEqual(await balancer.servers(), ['10.0.0.1:80 100']);
      const none = await balancer.follow(['/no/such/program'], ['web']);
      assert.equal((await none.exitWithin(10_000)).code, 1);
      await none.waitForLine('spawn /no/such/program ENOENT');
    });
  });
}

describe('haproxy of the example', () => {
  beforeEach(async () => {
    balancer = await prepareLoadBalancer(kinds.haproxy);
    await balancer.start();
  });

  it('reports that there are too few slots, and uses those that exist', async () => {
    const path = join(balancer.folder, 'lines');
    await writeFile(path, rowsOf(0, 32));
    const program = await balancer.follow(['tail', '-n', '+1', '-f', path], ['web']);
    programs.push(program);
    await inStep(...serversOf(0, 32));
    await appendFile(path, rowsOf(0, 34));
    await program.waitForLine(
      'backend web: 2 slots too few; raise its server-template etcd.invalid; retrying',
    );
    assert.deepEqual(await balancer.servers(), serversOf(0, 32).toSorted());
    await appendFile(path, rowsOf(10, 42));
    await program.waitForLine('in step again');
    await inStep(...serversOf(10, 42));
  });

  it('ignores servers that are not slots, and continues when a backend does not exist', async () => {
    const sorry = await startApp();
    apps.push(sorry);
    sorry.respond({ status: 200, body: 'sorry' });
    await appendFile(balancer.configuration, `    server sorry 127.0.0.1:${sorry.port} backup\n`);
    await balancer.stop();
    await balancer.start();
    const path = join(balancer.folder, 'lines');
    await writeFile(path, rowsOf(0, 1));
    const program = await balancer.follow(['tail', '-n', '+1', '-f', path], ['other=web', 'web']);
    programs.push(program);
    await program.waitForLine("backend other: HAProxy says Can't find backend.; retrying");
    await inStep('10.0.0.0:80 100', `127.0.0.1:${sorry.port} 1`);
    await appendFile(path, '[]\n');
    await program.stop();
    programs.push(await balancer.follow(['tail', '-n', '+1', '-f', path], ['--hold', '0', 'web']));
    await inStep(`127.0.0.1:${sorry.port} 1`);
    await answersOf('sorry');
  });

  it('reports the error of HAProxy when it refuses a weight', async () => {
    const text = await readFile(balancer.configuration, 'utf8');
    await writeFile(balancer.configuration, text.replace('balance roundrobin', 'balance static-rr'));
    await balancer.stop();
    await balancer.start();
    const path = join(balancer.folder, 'lines');
    await writeFile(path, rowsOf(0, 1));
    const program = await balancer.follow(['tail', '-n', '+1', '-f', path], ['web']);
    programs.push(program);
    await program.waitForLine(/^backend web: HAProxy says .*static LB algorithm.*; retrying$/);
    assert.equal(program.lines.length, 1);
  });

  it('keeps a server in drain that a person has drained', async () => {
    const path = join(balancer.folder, 'lines');
    await writeFile(path, rowsOf(0, 1));
    const program = await balancer.follow(['tail', '-n', '+1', '-f', path], ['web']);
    programs.push(program);
    await inStep('10.0.0.0:80 100');
    await askHaproxy(balancer.folder, 'set server web/web1 state drain');
    await appendFile(path, rowsOf(0, 2));
    await inStep('10.0.0.0:80 100', '10.0.0.1:80 100');
    assert.match(await askHaproxy(balancer.folder, 'show stat'), /^web,web1,(?:[^,]*,){15}DRAIN/m);
  });
});

describe('the command line of the examples', () => {
  beforeEach(async () => {
    balancer = await prepareLoadBalancer(kinds.haproxy);
  });

  for (const [words, complaint] of [
    [[], /^no name is given; usage: /],
    [['--no-such', '1', 'web'], /^Unknown option '--no-such'/],
    [['web=x', 'a/b'], /^"a\/b" must be NAME or NAME=SERVICE; usage: /],
    [['--hold', 'x', 'web'], /^--hold "x" must be seconds; usage: /],
  ] as const) {
    it(`refuses ${words.join(' ') || 'nothing'}`, async () => {
      const program = await balancer.follow(['true'], words);
      assert.equal((await program.exitWithin(10_000)).code, 64);
      await program.waitForLine(complaint);
    });
  }
});

describe('nginx of the example', () => {
  beforeEach(async () => {
    balancer = await prepareLoadBalancer(kinds.nginx);
    await balancer.start();
  });

  it('keeps its file while its configuration is broken', async () => {
    const program = await follow();
    const a = await startInstance('a');
    await inStep(`${a.address} 100`);
    await answersOf('a');
    const whole = await readFile(balancer.configuration, 'utf8');
    await writeFile(balancer.configuration, `${whole}broken\n`);
    const b = await startInstance('b');
    await program.waitForLine(/^nginx -t: .*unexpected end of file.*; retrying$/);
    await a.program.stop();
    const answers = countOf(await underLoad(() => pause(1500)));
    assert.deepEqual(Object.keys(answers), ['a']);
    await writeFile(balancer.configuration, whole);
    await program.waitForLine('in step again');
    await inStep(`${b.address} 100`);
    await answersOf('b');
  });
});

/** An instance as `dockreg ls` prints it. The tests also pass invalid values. */
function row(address: unknown, weight: unknown = null, service: unknown = 'web'): object {
  const rest = { host: 'x', layout: 'service:web', key: 'x', createRevision: 1, ageSeconds: null };
  return { ...{ service, address, weight }, ...rest };
}

/** A line with 10.0.0.FROM to 10.0.0.TO; TO is excluded. */
function rowsOf(from: number, to: number): string {
  return `${JSON.stringify(addressesOf(from, to).map(address => row(address)))}\n`;
}

function serversOf(from: number, to: number): string[] {
  return addressesOf(from, to).map(address => `${address} 100`);
}

function addressesOf(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `10.0.0.${from + index}:80`);
}
