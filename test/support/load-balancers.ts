/**
 * HAProxy and nginx as in the examples: their configurations with other paths and ports, and the programs that keep
 * their servers in step with etcd.
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
  /** The addresses that nginx sent the request to. HAProxy does not report them. */
  readonly tried: readonly string[];
}

export class LoadBalancer {
  readonly port: number;
  readonly folder: string;
  /** The path of its configuration. */
  readonly configuration: string;
  readonly #kind: Kind;
  #child: Child | undefined;

  constructor(kind: Kind, port: number, folder: string) {
    this.#kind = kind;
    this.port = port;
    this.folder = folder;
    this.configuration = join(folder, kind.file);
  }

  /** Resolves when it answers, even if only that it has no server. */
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

  /** Starts the program that keeps `web` in step with the output of the command. */
  follow(command: readonly string[], options: readonly string[] = []): Promise<Program> {
    const { follower, options: own } = this.#kind;
    return startProgram({
      entry: join(examples, follower),
      args: [...own(this.folder), ...options, '--', ...command],
    });
  }

  /** The servers of `web` with their weights: `10.0.0.5:49155 100`. Sorted. */
  async servers(): Promise<string[]> {
    return (await this.#kind.servers(this.folder)).toSorted();
  }

  /** Removes all its servers, as after a start without any. */
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
  /** The file name of the configuration, in the example and in the folder. */
  readonly file: string;
  readonly command: (configuration: string) => string[];
  /** The example's program. */
  readonly follower: string;
  readonly options: (folder: string) => string[];
  readonly servers: (folder: string) => Promise<string[]>;
  readonly forget: (folder: string) => Promise<void>;
  /** Texts of the example's configuration, and their replacements in the tests. */
  readonly changes: (folder: string, port: number) => Readonly<Record<string, string>>;
}

/** The least content of the servers file with which nginx starts. */
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

/** Makes its folder, with the example's configuration and without servers. Does not start it. */
export async function prepareLoadBalancer(kind: Kind): Promise<LoadBalancer> {
  const folder = await mkdtemp(join(tmpdir(), `dockreg-${kind.name}-`));
  const port = await freePort();
  let configuration = await readFile(join(examples, kind.name, kind.file), 'utf8');
  for (const [given, ours] of Object.entries(kind.changes(folder, port))) {
    if (!configuration.includes(given))
      throw new Error(`${kind.file} of the example does not contain ${given}`);
    configuration = configuration.replaceAll(given, ours);
  }
  await writeFile(join(folder, kind.file), configuration);
  await mkdir(join(folder, 'dockreg'));
  await writeFile(join(folder, 'dockreg/web.servers'), noServer);
  return new LoadBalancer(kind, port, folder);
}

/** Sends one command to HAProxy's runtime API. Resolves with the whole answer. */
export function askHaproxy(folder: string, command: string): Promise<string> {
  const socket = connect(join(folder, 'admin.sock'));
  socket.end(`${command}\n`);
  return text(socket);
}
