/**
 * A network namespace in which programs see the loopback ports of this process and addresses of their own. Their network
 * can so be changed without a change to this machine's. Needs root.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, cleanEnvironment } from './children.ts';
import { Program } from './program.ts';
import { inTime } from './wait.ts';

const entry = new URL('../../../dist/dockreg.js', import.meta.url).pathname;

/** Runs in the namespace: passes each port on to the Unix socket of that name. */
const relay = `
  const { connect, createServer } = require('node:net');
  const [folder, ...ports] = process.argv.slice(1);
  const pipe = (from, to) => from.on('error', () => to.destroy()).pipe(to);
  let open = 0;
  for (const port of ports)
    createServer({ allowHalfOpen: true }, socket => {
      const other = connect({ path: folder + '/' + port, allowHalfOpen: true });
      pipe(socket, other);
      pipe(other, socket);
    }).listen(Number(port), '0.0.0.0', () => ++open === ports.length && console.log('ready'));`;

export class OwnNetwork {
  readonly #child: Child;
  readonly #servers: readonly Server[];
  readonly #folder: string;

  constructor(child: Child, servers: readonly Server[], folder: string) {
    this.#child = child;
    this.#servers = servers;
    this.#folder = folder;
  }

  get #enter(): string[] {
    return [`--net=/proc/${this.#child.pid}/ns/net`];
  }

  /** Gives the namespace an address more, which every program in it notices with its next check. */
  addAddress(ip: string): void {
    execFileSync('nsenter', [...this.#enter, 'ip', 'address', 'add', `${ip}/32`, 'dev', 'lo']);
  }

  async startProgram(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Program> {
    const words = [...this.#enter, process.execPath, entry, ...args];
    const child = await Child.spawn('nsenter', words, {
      env: { ...cleanEnvironment(), DOCKREG_CONTROL: 'off', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Program(child);
  }

  async close(): Promise<void> {
    this.#child.signal('SIGKILL');
    await this.#child.exited(5000);
    for (const server of this.#servers) server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** @param ports of 127.0.0.1, which are open in the namespace too */
export async function startOwnNetwork(ports: readonly number[]): Promise<OwnNetwork> {
  const folder = mkdtempSync(join(tmpdir(), 'dockreg-network-'));
  const servers = ports.map(port => {
    const server = createServer({ allowHalfOpen: true }, socket => {
      const other = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => other.destroy()).pipe(other);
      other.on('error', () => socket.destroy()).pipe(socket);
    });
    return server.listen(join(folder, String(port))).unref();
  });
  const script = 'ip link set lo up && exec "$@"';
  const words = [
    '--net',
    'sh',
    '-c',
    script,
    'sh',
    process.execPath,
    '--eval',
    relay,
    folder,
    ...ports.map(String),
  ];
  const child = await Child.spawn('unshare', words, {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { stdout } = child.process;
  if (stdout) await inTime(once(stdout, 'data'), 10_000, 'the relay did not start');
  return new OwnNetwork(child, servers, folder);
}
