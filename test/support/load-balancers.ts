/**
 * HAProxy and nginx as the examples have them: their configurations with other paths and ports, and the programs that
 * keep their servers in step with etcd.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { Child, cleanEnvironment } from './children.ts';
import { type Program, startProgram } from './program.ts';
import { eventually, freePort } from './wait.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** nginx alone tells: the addresses that it sent the request to. */
  readonly tried: readonly string[];
}

export class LoadBalancer {
  readonly port: number;
  readonly folder: string;
  /** The file with what it starts with. */
  readonly configuration: string;
  readonly #kind: Kind;
  #child: Child | undefined;

  constructor(kind: Kind, port: number, folder: string) {
    this.#kind = kind;
    this.port = port;
    this.folder = folder;
    this.configuration = join(folder, kind.file);
  }

  /** Resolves when it answers, were it that it has no server. */
  async start(): Promise<void> {
    const [command = '', ...args] = this.#kind.command(this.configuration);
    this.#child = await Child.spawn(command, args, { env: cleanEnvironment(), stdio: 'ignore' });
    await eventually(`${this.#kind.name} on port ${this.port}`, () => this.ask());
  }

  async stop(): Promise<void> {
    this.#child?.signal('SIGTERM');
    await this.#child?.exited(10_000);
  }

  /** Stops it and removes its files. */
  async remove(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Starts what keeps `web` in step with what the command tells. */
  follow(command: readonly string[], options: readonly string[] = []): Promise<Program> {
    const { follower, options: own } = this.#kind;
    return startProgram({
      entry: join(examples, follower),
      args: [...own(this.folder), ...options, '--', ...command],
    });
  }

  /** Where it sends the requests for `web` now, and with what weight: `10.0.0.5:49155 100`. Sorted. */
  async servers(): Promise<string[]> {
    return (await this.#kind.servers(this.folder)).toSorted();
  }

  /** Takes all servers from it, as one does who starts it with nothing. */
  forget(): Promise<void> {
    return this.#kind.forget(this.folder);
  }

  /** One request on a connection of its own. */
  ask(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = get({ port: this.port, host: '127.0.0.1', agent: false, timeout: 10_000 }, response => {
        const { statusCode: status = 0, headers } = response;
        const tried = String(headers['x-tried'] ?? '').split(', ');
        text(response).then(body => resolve({ status, text: body, tried }), reject);
      });
      request.on('error', reject);
      request.on('timeout', () => request.destroy(new Error('no answer in 10 s')));
    });
  }
}

interface Kind {
  readonly name: string;
  /** The configuration's name, in the example and in the folder. */
  readonly file: string;
  readonly command: (configuration: string) => string[];
  /** Of the example, the program. */
  readonly follower: string;
  readonly options: (folder: string) => string[];
  readonly servers: (folder: string) => Promise<string[]>;
  readonly forget: (folder: string) => Promise<void>;
  /** What stands in the example's configuration and what in ours. */
  readonly changes: (folder: string, port: number) => Readonly<Record<string, string>>;
}

/** What the file of the servers must hold for nginx to start. */
const noServer = 'server 127.0.0.1:1 down;\n';

const examples = fileURLToPath(new URL('../../../examples', import.meta.url));

const haproxy: Kind = {
  name: 'haproxy',
  file: 'haproxy.cfg',
  command: configuration => ['haproxy', '-db', '-f', configuration],
  follower: 'haproxy/dockreg-haproxy.mjs',
  options: folder => ['--socket', `${folder}/admin.sock`, '--state', `${folder}/server-state`],
  changes: (folder, port) => ({
    '/run/haproxy/admin.sock': `${folder}/admin.sock`,
    '/var/lib/haproxy/server-state': `${folder}/server-state`,
    'bind :80': `bind 127.0.0.1:${port}`,
  }),
  async forget(folder) {
    const maintenance = Array.from(
      { length: 32 },
      (_, index) => `set server web/web${index + 1} state maint`,
    );
    await askHaproxy(folder, maintenance.join('; '));
  },
  async servers(folder) {
    const [head = '', ...lines] = (await askHaproxy(folder, 'show stat')).split('\n');
    const names = head.replace('# ', '').split(',');
    return lines
      .map(line => line.split(','))
      .map(cells => Object.fromEntries(names.map((name, column) => [name, cells[column] ?? ''])))
      .filter(({ pxname, addr, status }) => pxname === 'web' && addr !== '' && status !== 'MAINT')
      .map(({ addr, uweight }) => `${addr} ${uweight}`);
  },
};

const nginx: Kind = {
  name: 'nginx',
  file: 'nginx.conf',
  command: configuration => ['nginx', '-c', configuration, '-g', 'daemon off;'],
  follower: 'nginx/dockreg-nginx.mjs',
  options: folder => ['--folder', `${folder}/dockreg`, '--conf', `${folder}/nginx.conf`],
  changes: (folder, port) => ({
    '/run/nginx.pid': `${folder}/nginx.pid`,
    '/var/log/nginx': folder,
    '/etc/nginx/dockreg': `${folder}/dockreg`,
    'listen 80': `listen 127.0.0.1:${port}`,
    'proxy_pass ': 'add_header X-Tried $upstream_addr always; proxy_pass ',
  }),
  forget: folder => writeFile(`${folder}/dockreg/web.servers`, noServer),
  async servers(folder) {
    const lines = await readFile(`${folder}/dockreg/web.servers`, 'utf8');
    return [...lines.matchAll(/^server (\S+) weight=(\d+);$/gm)].map(
      ([, address, weight]) => `${address} ${weight}`,
    );
  },
};

export const kinds = { haproxy, nginx };

/** Makes the folder of one, with the example's configuration and no server known. It is not started. */
export async function prepareLoadBalancer(kind: Kind): Promise<LoadBalancer> {
  const folder = await mkdtemp(join(tmpdir(), `dockreg-${kind.name}-`));
  const port = await freePort();
  let configuration = await readFile(join(examples, kind.name, kind.file), 'utf8');
  for (const [given, ours] of Object.entries(kind.changes(folder, port))) {
    if (!configuration.includes(given)) throw new Error(`${kind.file} of the example has no ${given}`);
    configuration = configuration.replaceAll(given, ours);
  }
  await writeFile(join(folder, kind.file), configuration);
  await mkdir(join(folder, 'dockreg'));
  await writeFile(join(folder, 'dockreg/web.servers'), noServer);
  return new LoadBalancer(kind, port, folder);
}

/** One command of HAProxy's runtime API, and the whole answer. */
export function askHaproxy(folder: string, command: string): Promise<string> {
  const socket = connect(join(folder, 'admin.sock'));
  socket.end(`${command}\n`);
  return text(socket);
}
