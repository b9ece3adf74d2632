/**
 * Hosts on a network, inside the bed (bed.sh). The bed's own network namespace is the switch: the bridge `lan` with the
 * address 10.1.0.1. Each host is a network namespace on it with its own engine (engines.ts). The engine's images stay
 * in the cache from run to run, its containers never do.
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
  type EngineSetup,
  socketOf,
} from './engines.ts';
import { eventually } from './wait.ts';

/** The switch's address, set by bed.sh. Hosts and containers reach servers in the bed itself here. */
export const lanAddress = '10.1.0.1';

export interface HostOptions {
  /** At most 11 of a-z, 0-9 and `-`; names the host's folder in the cache. */
  readonly name: string;
  /** 10.1.0.2 to 10.1.0.254. */
  readonly ip: string;
  /** The engine also listens on port 2376 of its address, with TLS and client certificates of the authority. */
  readonly tls?: TlsFiles;
  /** Default: DOCKREG_TEST_ENGINE, or `docker`. */
  readonly engine?: EngineName;
}

export interface RunOptions {
  /** Milliseconds until the command is killed. Default: 60,000. */
  readonly timeoutMs?: number;
  /** The standard input of the command. Default: empty. */
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
  /** The environment in which a docker CLI, or a script that runs one, uses this engine. */
  readonly dockerEnvironment: Readonly<Record<string, string>>;
  /** The output of the docker CLI (or podman's), without the newline at the end. Rejects with a CommandError. */
  docker(args: readonly string[], options?: RunOptions): Promise<string>;
  /** Runs a command on the host's network to its end, like `run`. */
  run(command: string, args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a process on the host's network. The caller reads its pipes. */
  spawn(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Child>;
  /** Pulls the host's network cable: packets of both directions are lost silently. */
  disconnect(): Promise<void>;
  /** Puts the cable back. */
  connect(): Promise<void>;
  /**
   * Switches the power off: the network disappears silently, then all processes are killed. The host is then stopped.
   */
  powerOff(): Promise<void>;
  /** Ends the host's containers, engine and network. Idempotent. */
  stop(): Promise<void>;
}

/** A command ended with a code other than 0, or was too slow. The message has the end of its error output. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Makes a host and starts its engine. First ends what an earlier run left of it. */
export async function startHost({ name, ip, tls, engine = defaultEngine() }: HostOptions): Promise<Host> {
  const { DOCKREG_CACHE: cache, DOCKREG_BED: bed, DOCKREG_BED_CGROUP: bedCgroup } = process.env;
  if (cache === undefined || bed === undefined || bedCgroup === undefined)
    throw new Error('a host needs the bed; run this with bed.sh');
  if (!/^[a-z0-9-]{1,11}$/.test(name))
    throw new Error(`host name ${name}: must be at most 11 of a-z, 0-9 and -`);
  if (!/^10\.1\.0\.\d+$/.test(ip)) throw new Error(`host address ${ip}: must be in 10.1.0.0/24`);

  const spec: HostSpec = {
    name,
    ip,
    engine,
    port: `lan-${name}`,
    netns: `/run/netns/${name}`,
    cgroup: `${bedCgroup}/${name}`,
    data: join(cache, 'hosts', bed, name, engine),
    runtime: join('/run/dockreg', name),
    bridge: `172.18.${ip.split('.')[3]}.1/24`,
  };
  await demolish(spec);
  await wire(spec);
  return new LanHost(spec, await startEngine(spec, tls));
}

/** Runs a command to its end. Resolves with its output; rejects with a CommandError. */
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
    // A command that ends without reading its input breaks the pipe. Only its exit code matters.
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

/** An engine and its place on the network. */
interface HostSpec extends EngineSetup {
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
  readonly #spec: HostSpec;
  readonly #engine: Child;
  #stopped: Promise<void> | undefined;

  constructor(spec: HostSpec, engine: Child) {
    this.#spec = spec;
    this.#engine = engine;
    this.name = spec.name;
    this.ip = spec.ip;
    this.switchPort = spec.port;
    this.engine = spec.engine;
    this.dockerSocket = socketOf(spec);
    this.dockerEnvironment = dockerEnvironment(spec);
  }

  docker(args: readonly string[], options?: RunOptions): Promise<string> {
    return engineClient(this.#spec, args, options);
  }

  run(command: string, args: readonly string[], options?: CommandOptions): Promise<string> {
    return runOnNetwork(this.#spec, command, args, options);
  }

  spawn(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Child> {
    return spawnOnNetwork(this.#spec, command, args, env, ['ignore', 'pipe', 'pipe']);
  }

  async disconnect(): Promise<void> {
    // At the switch's end: the host's own end would lose its routes and refuse connections at once.
    await run('ip', ['link', 'set', this.#spec.port, 'down']);
  }

  async connect(): Promise<void> {
    await run('ip', ['link', 'set', this.#spec.port, 'up']);
  }

  powerOff(): Promise<void> {
    // First the network, because killed processes would still send a FIN or RST to their peers.
    this.#stopped ??= this.disconnect().then(() => demolish(this.#spec));
    return this.#stopped;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    try {
      await removeContainers(this.#spec);
      await stopEngine(this.#engine);
    } finally {
      // Processes that did not end on SIGTERM.
      this.#engine.signal('SIGKILL');
      await demolish(this.#spec);
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

async function startEngine(spec: HostSpec, tls: TlsFiles | undefined): Promise<Child> {
  await mkdir(spec.data, { recursive: true });
  await mkdir(spec.runtime, { recursive: true });
  const logPath = join(spec.runtime, 'engine.log');
  const log = openSync(logPath, 'w');
  const { command, args, env } = await daemonOf(spec, tls);
  const engine = await spawnOnNetwork(spec, command, args, env, ['ignore', log, log]);
  closeSync(log);
  try {
    await eventually(`the engine of ${spec.name}`, () => engine.exit !== undefined || answers(spec), {
      timeoutMs: 30_000,
    });
    if (engine.exit) throw new Error(`it ended: ${describe(engine.exit)}`);
    await removeContainers(spec);
    // Networks and volumes that containers of a killed run left.
    await engineClient(spec, ['network', 'prune', '--force']);
    await engineClient(spec, ['volume', 'prune', '--force']);
    return engine;
  } catch (cause) {
    engine.signal('SIGKILL');
    const output = await readFile(logPath, 'utf8');
    throw new Error(`the engine of ${spec.name} did not start: ${String(cause)}\n${output.slice(-4000)}`, {
      cause,
    });
  }
}

async function stopEngine(engine: Child): Promise<void> {
  engine.signal('SIGTERM');
  await engine.exited(15_000);
}

async function answers(spec: HostSpec): Promise<boolean> {
  await run('docker', ['version'], { timeoutMs: 5_000, env: dockerEnvironment(spec) });
  return true;
}

async function removeContainers(spec: HostSpec): Promise<void> {
  if (spec.engine.startsWith('podman')) {
    // A pod's infra container is removed only with its pod.
    await engineClient(spec, ['pod', 'rm', '--force', '--time', '0', '--all']);
    await engineClient(spec, ['rm', '--force', '--time', '0', '--volumes', '--all']);
    return;
  }
  const ids = await engineClient(spec, ['ps', '--all', '--quiet', '--no-trunc']);
  if (ids !== '') await engineClient(spec, ['rm', '--force', '--volumes', ...ids.split('\n')]);
}

function engineClient(spec: HostSpec, words: readonly string[], options: RunOptions = {}): Promise<string> {
  const { command, args, env } = clientOf(spec, words);
  return runOnNetwork(spec, command, args, { ...options, env });
}

/** Uses nsenter, because `ip netns exec` would mount another /sys, without control groups. */
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

/** Kills all processes of a host and removes its network. Does nothing if there is no such host. */
async function demolish(spec: HostSpec): Promise<void> {
  const gone = async (): Promise<boolean> => {
    const pids = await processesOf(spec);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    return pids.length === 0;
  };
  await eventually(`the end of ${spec.name}'s processes`, gone);
  // The cable disappears with its port at the switch, the namespace with its last process.
  if (await hasLink(spec.port)) await run('ip', ['link', 'del', spec.port]);
  if (existsSync(spec.netns)) await run('ip', ['netns', 'del', spec.name]);
}

/** The processes of a host: those on its network, and those of its containers, which have their own networks. */
async function processesOf(spec: HostSpec): Promise<number[]> {
  const lists: string[] = [];
  if (existsSync(spec.netns)) lists.push(await run('ip', ['netns', 'pids', spec.name]));
  for (const root of ['/sys/fs/cgroup', '/sys/fs/cgroup/pids', '/sys/fs/cgroup/unified']) {
    const group = join(root, spec.cgroup);
    if (!existsSync(group)) continue;
    for (const entry of await readdir(group, { recursive: true, withFileTypes: true })) {
      if (entry.name !== 'cgroup.procs') continue;
      lists.push(await readFile(join(entry.parentPath, entry.name), 'utf8'));
    }
  }
  // A process of another pid namespace appears as 0.
  return lists
    .join('\n')
    .split('\n')
    .map(Number)
    .filter(pid => pid > 0);
}

async function ipBatch(lines: readonly string[], options: readonly string[] = []): Promise<void> {
  await run('ip', [...options, '-batch', '-'], { input: lines.map(line => `${line}\n`).join('') });
}

/** Asks `ip`, because the bed's /sys still shows the machine's links. */
async function hasLink(name: string): Promise<boolean> {
  const links = JSON.parse(await run('ip', ['-json', 'link'])) as { readonly ifname: string }[];
  return links.some(({ ifname }) => ifname === name);
}

function describe({ code, signal }: Exit): string {
  return signal ?? `exit code ${code}`;
}
