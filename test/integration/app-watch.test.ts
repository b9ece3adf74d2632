/**
 * The app watch of the built program, on real processes. The interval is so long that no regular check runs: every change
 * here was noticed through the kernel.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Child, cleanEnvironment } from '../support/children.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startProgram, type Program, type ProgramOptions, readableEntry } from '../support/program.ts';
import { eventually, freePort } from '../support/wait.ts';

const key = '/service/10.1.0.101:49155';
const example = fileURLToPath(new URL('../../../example-app/server.js', import.meta.url));

/** Listens on PORT of HOST as soon as it can; a request for /busy is answered by a loop without an end. */
const plain = `
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/busy') for (;;);
    response.end(String(process.pid));
  });
  const listen = () => server.listen(Number(process.env.PORT), process.env.HOST || undefined);
  server.on('error', () => setTimeout(listen, 1));
  listen();
`;
/** Listens, and passes its socket on to a child, which tells its pid and serves on alone. */
const handingOver = `
  const server = require('node:net').createServer().listen(Number(process.env.PORT), () => {
    const child = require('node:child_process').fork('-', { execArgv: ['-e', process.env.HEIR] });
    child.once('message', () => {
      child.send('socket', server);
      child.once('message', () => console.log(child.pid));
    });
  });
`;
const heir = `
  const server = require('node:http').createServer((request, response) => response.end('heir'));
  process.on('disconnect', () => undefined);
  process.on('message', (_, socket) => server.listen(socket, () => process.send('serving')));
  process.send('ready');
`;
const sharing = `
import http.server, os, socket
class Server(http.server.HTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
server = Server(('', int(os.environ['PORT'])), Handler)
print('listening', flush=True)
server.serve_forever()
`;

const isRoot = process.getuid?.() === 0;
const hasPython = spawnSync('python3', ['--version']).status === 0;

let etcd: EtcdCluster;
let watcher: Watcher;
let port: number;
let programs: Program[] = [];
let children: Child[] = [];

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
afterEach(async () => {
  watcher?.close();
  for (const program of programs) await program.stop();
  for (const child of children) child.signal('SIGKILL');
  for (const program of programs) program.assertClean();
  [programs, children] = [[], []];
});

interface AppOptions {
  readonly script?: string;
  readonly host?: string;
  readonly uid?: number;
  readonly command?: readonly string[];
}

async function app({ script = plain, host = '', uid, command }: AppOptions = {}): Promise<Child> {
  const [file = '', ...args] = command ?? [process.execPath, '-e', script];
  const child = await Child.spawn(file, args, {
    env: { ...cleanEnvironment(), PORT: String(port), HOST: host, HEIR: heir },
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(uid !== undefined && { uid }),
  });
  children.push(child);
  return child;
}

/** The first line that the child writes. */
async function firstLine(child: Child): Promise<string> {
  let text = '';
  child.process.stdout!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return eventually('a line of the app', () => /^(.*)\n/.exec(text)?.[1]);
}

async function dockreg(options: ProgramOptions = {}): Promise<Program> {
  watcher = await etcd.watch('/');
  const program = await startProgram({
    ...options,
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(port),
      DOCKREG_ADVERTISE: '10.1.0.101:49155',
      DOCKREG_INTERVAL: '10m',
      DOCKREG_TIMEOUT: '500ms',
      DOCKREG_TTL: '20m',
      ...options.env,
    },
  });
  programs.push(program);
  return program;
}

/** Whether the program has this file open. */
function holdsOpen({ pid }: Program, path: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some(number => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${number}`) === path;
    } catch {
      return false;
    }
  });
}

const put = (timeoutMs?: number): Promise<unknown> => watcher.next(({ type }) => type === 'put', timeoutMs);
const deleted = (timeoutMs?: number): Promise<unknown> =>
  watcher.next(({ type }) => type === 'delete', timeoutMs);

describe('the app watch', () => {
  it('registers the key when the app begins to listen, and removes it when its process is gone', async () => {
    port = await freePort();
    const program = await dockreg();
    await program.waitForLine('app down: connect ECONNREFUSED');
    for (let round = 0; round < 3; round++) {
      const web = await app();
      await put();
      await program.waitForLine(round === 0 ? `app is watched: process ${web.pid} (node)` : 'app up');
      watcher.skipToNow();
      web.signal('SIGKILL');
      await deleted();
      await program.waitForLine(/app down: nothing listens any more|app down 1\/1/);
    }
  });

  it('removes the key when the app only stops listening', async () => {
    port = await freePort();
    const web = await app({ command: [process.execPath, example] });
    const program = await dockreg();
    await program.waitForLine(`app is watched: process ${web.pid}`);
    await fetch(`http://127.0.0.1:${port}/play/stop?seconds=1`);
    await deleted();
    await program.waitForLine(`nothing listens any more: process ${web.pid} (node) has closed its socket`);
    await put();
  });

  it('notices a restart that is quicker than any check', async () => {
    port = await freePort();
    let web = await app();
    const program = await dockreg();
    await program.waitForLine(`app is watched: process ${web.pid}`);
    for (let round = 0; round < 3; round++) {
      // A restart is visible only to a watch that knew the process before.
      await eventually('the watch knows the process', () => holdsOpen(program, `/proc/${web.pid}/stat`));
      // It waits for the port, and has it a moment after its predecessor's end.
      const successor = await app();
      const since = program.lines.length;
      web.signal('SIGKILL');
      await program.waitForLine(
        new RegExp(`restarted: process ${successor.pid} |nothing listens any more: process ${web.pid} `),
        10_000,
        since,
      );
      await eventually('the key', async () => (await etcd.keys('/service')).has(key));
      web = successor;
    }
  });

  it('checks an app that is stopped by a signal, and again when it is resumed', async () => {
    port = await freePort();
    const web = await app();
    const program = await dockreg();
    await program.waitForLine('app is watched');
    web.signal('SIGSTOP');
    await program.waitForLine(`app was stopped by a signal: process ${web.pid}`);
    await deleted();
    await program.waitForLine('app down 1/1: no answer');
    web.signal('SIGCONT');
    await put();
  });

  it('checks an app while clients wait', async () => {
    port = await freePort();
    await app();
    const program = await dockreg();
    await program.waitForLine('app is watched');
    const clients: Socket[] = [];
    const come = (path: string): void => {
      const client = connect(port, '127.0.0.1', () =>
        client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`),
      );
      clients.push(client.on('error', () => undefined));
    };
    come('/busy');
    await eventually(
      'a check that fails',
      () => {
        come('/');
        return program.lines.some(({ raw }) => raw.includes('app down 1/1: no answer'));
      },
      { timeoutMs: 60_000, everyMs: 1000 },
    );
    await deleted();
    for (const client of clients) client.destroy();
  });

  it('keeps the key when the socket goes to another process', async () => {
    port = await freePort();
    const parent = await app({ script: handingOver });
    const pid = Number(await firstLine(parent));
    const program = await dockreg();
    try {
      await program.waitForLine(`app is watched: process ${parent.pid}`);
      parent.signal('SIGKILL');
      await program.waitForLine(`app is served by another process: process ${pid}`);
      assert.equal((await etcd.keys('/service')).get(key)?.version, 1);
      watcher.skipToNow();
    } finally {
      process.kill(pid, 'SIGKILL');
    }
    await deleted();
  });

  it('keeps the key when one of several on the port ends', { skip: !hasPython && 'no python3' }, async () => {
    port = await freePort();
    const workers = [];
    for (let count = 0; count < 2; count++) {
      const worker = await app({ command: ['python3', '-c', sharing] });
      await firstLine(worker);
      workers.push(worker);
    }
    const program = await dockreg();
    const line = await program.waitForLine('app is watched: process');
    const owner = workers.find(({ pid }) => line.raw.includes(`process ${pid} `))!;
    const other = workers.find(each => each !== owner)!;
    owner.signal('SIGKILL');
    await program.waitForLine(`app is served by another process: process ${other.pid}`);
    assert.equal((await etcd.keys('/service')).get(key)?.version, 1);
    other.signal('SIGKILL');
    await deleted();
  });

  it('reports an app that Docker cannot reach', async () => {
    port = await freePort();
    await app({ host: '127.0.0.1' });
    const program = await dockreg();
    await program.waitForLine(`app listens on 127.0.0.1:${port} only`);
    await put();
  });

  it('is off with --watch off', async () => {
    port = await freePort();
    const web = await app();
    const program = await dockreg({
      args: ['--watch', 'off'],
      env: { DOCKREG_INTERVAL: '500ms', DOCKREG_TTL: '5s' },
    });
    await put();
    web.signal('SIGKILL');
    await program.waitForLine('app down 1/1: connect ECONNREFUSED');
    await deleted();
    assert.ok(!program.lines.some(({ raw }) => raw.includes('watched')));
  });
});

/** Makes the program another user's once it has begun. */
const asUser = (uid: number): ProgramOptions => ({
  entry: readableEntry(),
  nodeFlags: [
    '--import',
    `data:text/javascript,process.setgid(${uid});process.setgroups([]);process.setuid(${uid})`,
  ],
});

describe(
  'the app watch without rights',
  { skip: !isRoot && 'only root can make processes of other users' },
  () => {
    it("notices the end of another user's only process", async () => {
      port = await freePort();
      const web = await app({ uid: 61_234 });
      const program = await dockreg(asUser(61_235));
      await program.waitForLine(
        new RegExp(
          `app is watched: process ${web.pid} \\(node\\) listens on .*, of which only its end is visible`,
        ),
      );
      web.signal('SIGKILL');
      await deleted();
    });

    it('watches only the socket where there are many', async () => {
      port = await freePort();
      const web = await app();
      const program = await dockreg(asUser(61_235));
      await program.waitForLine('app is watched: only the socket on [::]');
      web.signal('SIGKILL');
      await deleted(60_000);
    });
  },
);
