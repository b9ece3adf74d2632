/**
 * Hosts on a network, inside the bed (bed.sh). The bed's own network namespace is the switch: the bridge `lan` with
 * the address 10.1.0.1. Each host is a network namespace on it with an engine of its own (engines.ts), whose images stay in
 * the cache from run to run and whose containers never do.
 */
import { spawn, type StdioOptions } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Child, cleanEnvironment, type Exit } from './children.ts';
import type { TlsFiles } from './tls.ts';
import {
  clientOf,
  daemonOf,
  defaultEngine,
  dockerEnvironment,
  type EngineName,
  type EnginePlace,
  socketOf,
} from './engines.ts';
import { eventually } from './wait.ts';

/** The switch's address, as bed.sh sets it: whatever listens in the bed itself is reached here by hosts and containers. */
export const lanAddress = '10.1.0.1';

export interface HostOptions {
  /** At most 11 of a-z, 0-9 and `-`; names the host's folder in the cache. */
  readonly name: string;
  /** 10.1.0.2 to 10.1.0.254. */
  readonly ip: string;
  /** The engine is reached at its address on port 2376 too, with TLS and a certificate of the authority. */
  readonly tls?: TlsFiles;
  /** What DOCKREG_TEST_ENGINE says when left out, and `docker` when that says nothing. */
  readonly engine?: EngineName;
}

export interface RunOptions {
  /** Milliseconds until the command is killed. 60,000 when left out. */
  readonly timeoutMs?: number;
  /** What the command reads. Nothing when left out. */
  readonly input?: string;
}

export interface CommandOptions extends RunOptions {
  readonly env?: Readonly<Record<string, string>>;
}

export interface Host {
  readonly name: string;
  readonly ip: string;
  /** The switch's end of the host's cable, a network device of the bed. */
  readonly switchPort: string;
  readonly engine: EngineName;
  /** The path of the socket of the engine's Docker API. */
  readonly dockerSocket: string;
  /** What makes a docker CLI, or a script that runs one, speak to this engine. */
  readonly dockerEnvironment: Readonly<Record<string, string>>;
  /** What the docker CLI (or podman's) prints, without the newline at the end. Rejects with a CommandError. */
  docker(args: readonly string[], options?: RunOptions): Promise<string>;
  /** Runs a command on the host's network to its end, like `run`. */
  run(command: string, args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a process on the host's network. Its pipes are the caller's. */
  spawn(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Child>;
  /** Pulls the host's network cable: packets of both directions are lost without a word. */
  disconnect(): Promise<void>;
  /** Puts the cable back. */
  connect(): Promise<void>;
  /** Pulls the plug: the network is gone without a word, then all processes are. The host is stopped by that. */
  powerOff(): Promise<void>;
  /** Ends the host's containers, engine and network. May be called again. */
  stop(): Promise<void>;
}

/** A command ended with another code than 0, or was too slow. The message has the end of what it said. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Makes a host and starts its engine; what an earlier run left of it is ended first. */
export async function startHost({ name, ip, tls, engine = defaultEngine() }: HostOptions): Promise<Host> {
  const { DOCKREG_CACHE: cache, DOCKREG_BED_CGROUP: bedCgroup } = process.env;
  if (cache === undefined || bedCgroup === undefined)
    throw new Error('a host needs the bed: run this by bed.sh');
  if (!/^[a-z0-9-]{1,11}$/.test(name)) throw new Error(`host name ${name}: at most 11 of a-z, 0-9 and -`);
  if (!/^10\.1\.0\.\d+$/.test(ip)) throw new Error(`host address ${ip}: must be in 10.1.0.0/24`);

  const place: HostSpec = {
    name,
    ip,
    engine,
    port: `lan-${name}`,
    netns: `/run/netns/${name}`,
    cgroup: `${bedCgroup}/${name}`,
    data: join(cache, 'hosts', name, engine),
    runtime: join('/run/dockreg', name),
    bridge: `172.18.${ip.split('.')[3]}.1/24`,
  };
  await demolish(place);
  await wire(place);
  return new LanHost(place, await startEngine(place, tls));
}

/** Runs a command to its end. Answers what it printed; rejects with a CommandError. */
export async function run(
  command: string,
  args: readonly string[],
  { timeoutMs = 60_000, input = '', env = {} }: CommandOptions = {},
): Promise<string> {
  const line = [command, ...args].join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...cleanEnvironment(), ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    // A command that ends without reading its input breaks the pipe; its exit code says what matters.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', cause => reject(new CommandError(`${line}: ${cause.message}`, { cause })));
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(output.trimEnd());
      const end = child.killed ? `not done within ${timeoutMs} ms` : (signal ?? `exit code ${code}`);
      reject(new CommandError(`${line}: ${end}\n${errors.slice(-4000).trimEnd()}`));
    });
  });
}

/** Where a host's parts are. */
interface HostSpec extends EnginePlace {
  readonly name: string;
  /** The switch's end of the host's cable. */
  readonly port: string;
  readonly netns: string;
}

class LanHost implements Host {
  readonly name: string;
  readonly ip: string;
  readonly switchPort: string;
  readonly engine: EngineName;
  readonly dockerSocket: string;
  readonly dockerEnvironment: Readonly<Record<string, string>>;
  readonly #place: HostSpec;
  readonly #engine: Child;
  #stopped: Promise<void> | undefined;

  constructor(place: HostSpec, engine: Child) {
    this.#place = place;
    this.#engine = engine;
    this.name = place.name;
    this.ip = place.ip;
    this.switchPort = place.port;
    this.engine = place.engine;
    this.dockerSocket = socketOf(place);
    this.dockerEnvironment = dockerEnvironment(place);
  }

  docker(args: readonly string[], options?: RunOptions): Promise<string> {
    return engineClient(this.#place, args, options);
  }

  run(command: string, args: readonly string[], options?: CommandOptions): Promise<string> {
    return runOnNetwork(this.#place, command, args, options);
  }

  spawn(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Child> {
    return spawnOnNetwork(this.#place, command, args, env, ['ignore', 'pipe', 'pipe']);
  }

  async disconnect(): Promise<void> {
    // At the switch's end, because the host's own end would forget its routes and refuse at once.
    await run('ip', ['link', 'set', this.#place.port, 'down']);
  }

  async connect(): Promise<void> {
    await run('ip', ['link', 'set', this.#place.port, 'up']);
  }

  powerOff(): Promise<void> {
    // Processes that are killed would still say farewell to whom they were connected.
    this.#stopped ??= this.disconnect().then(() => demolish(this.#place));
    return this.#stopped;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    try {
      await removeContainers(this.#place);
      await stopEngine(this.#engine);
    } finally {
      // Whatever could not be ended politely.
      this.#engine.signal('SIGKILL');
      await demolish(this.#place);
    }
  }
}

async function wire({ name, ip, port }: HostSpec): Promise<void> {
  await ipBatch([
    `netns add ${name}`,
    `link add ${port} type veth peer name eth0 netns ${name}`,
    `link set ${port} master lan up`,
  ]);
  const inside = [
    'link set lo up',
    `addr add ${ip}/24 dev eth0`,
    'link set eth0 up',
    `route add default via ${lanAddress}`,
  ];
  await ipBatch(inside, ['-netns', name]);
}

async function startEngine(place: HostSpec, tls: TlsFiles | undefined): Promise<Child> {
  await mkdir(place.data, { recursive: true });
  await mkdir(place.runtime, { recursive: true });
  const logPath = join(place.runtime, 'engine.log');
  const log = openSync(logPath, 'w');
  const { command, args, env } = await daemonOf(place, tls);
  const engine = await spawnOnNetwork(place, command, args, env, ['ignore', log, log]);
  closeSync(log);
  try {
    await eventually(`the engine of ${place.name}`, () => engine.exit !== undefined || answers(place), {
      timeoutMs: 30_000,
    });
    if (engine.exit) throw new Error(`it ended: ${describe(engine.exit)}`);
    await removeContainers(place);
    // What containers of a killed run had made for themselves.
    await engineClient(place, ['network', 'prune', '--force']);
    await engineClient(place, ['volume', 'prune', '--force']);
    return engine;
  } catch (cause) {
    engine.signal('SIGKILL');
    const said = await readFile(logPath, 'utf8');
    throw new Error(`the engine of ${place.name} did not start: ${String(cause)}\n${said.slice(-4000)}`, {
      cause,
    });
  }
}

async function stopEngine(engine: Child): Promise<void> {
  engine.signal('SIGTERM');
  await engine.exited(15_000);
}

async function answers(place: HostSpec): Promise<boolean> {
  await run('docker', ['version'], { timeoutMs: 5_000, env: dockerEnvironment(place) });
  return true;
}

async function removeContainers(place: HostSpec): Promise<void> {
  if (place.engine === 'podman') {
    // A pod's infra container goes with its pod only.
    await engineClient(place, ['pod', 'rm', '--force', '--time', '0', '--all']);
    await engineClient(place, ['rm', '--force', '--time', '0', '--volumes', '--all']);
    return;
  }
  const ids = await engineClient(place, ['ps', '--all', '--quiet', '--no-trunc']);
  if (ids !== '') await engineClient(place, ['rm', '--force', '--volumes', ...ids.split('\n')]);
}

function engineClient(place: HostSpec, words: readonly string[], options: RunOptions = {}): Promise<string> {
  const { command, args, env } = clientOf(place, words);
  return runOnNetwork(place, command, args, { ...options, env });
}

/** `ip netns exec` would mount another /sys, without control groups. */
function runOnNetwork(
  { netns }: HostSpec,
  command: string,
  args: readonly string[],
  options?: CommandOptions,
): Promise<string> {
  return run('nsenter', [`--net=${netns}`, command, ...args], options);
}

function spawnOnNetwork(
  { netns }: HostSpec,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdio: StdioOptions,
): Promise<Child> {
  return Child.spawn('nsenter', [`--net=${netns}`, command, ...args], {
    env: { ...cleanEnvironment(), ...env },
    stdio,
  });
}

/** Kills all processes of a host and takes its network away. Does nothing where there is no such host. */
async function demolish(place: HostSpec): Promise<void> {
  const gone = async (): Promise<boolean> => {
    const pids = await processesOf(place);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    return pids.length === 0;
  };
  await eventually(`the end of ${place.name}'s processes`, gone);
  // The cable goes with its port at the switch; the namespace itself with its last process.
  if (await hasLink(place.port)) await run('ip', ['link', 'del', place.port]);
  if (existsSync(place.netns)) await run('ip', ['netns', 'del', place.name]);
}

/** The processes of a host: those on its network, and those of its containers, which have networks of their own. */
async function processesOf(place: HostSpec): Promise<number[]> {
  const lists: string[] = [];
  if (existsSync(place.netns)) lists.push(await run('ip', ['netns', 'pids', place.name]));
  for (const root of ['/sys/fs/cgroup', '/sys/fs/cgroup/pids', '/sys/fs/cgroup/unified']) {
    const group = join(root, place.cgroup);
    if (!existsSync(group)) continue;
    for (const entry of await readdir(group, { recursive: true, withFileTypes: true })) {
      if (entry.name !== 'cgroup.procs') continue;
      lists.push(await readFile(join(entry.parentPath, entry.name), 'utf8'));
    }
  }
  // A process of another pid namespace shows as 0.
  return lists
    .join('\n')
    .split('\n')
    .map(Number)
    .filter(pid => pid > 0);
}

async function ipBatch(lines: readonly string[], options: readonly string[] = []): Promise<void> {
  await run('ip', [...options, '-batch', '-'], { input: lines.map(line => `${line}\n`).join('') });
}

/** Looked up by `ip`: the bed's /sys still shows the machine's links. */
async function hasLink(name: string): Promise<boolean> {
  const links = JSON.parse(await run('ip', ['-json', 'link'])) as { readonly ifname: string }[];
  return links.some(({ ifname }) => ifname === name);
}

function describe({ code, signal }: Exit): string {
  return signal ?? `exit code ${code}`;
}
