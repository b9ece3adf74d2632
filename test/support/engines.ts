/**
 * The engines that a host of the bed (lan.ts) can have: how to start each and which client it needs.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { remoteClient, rootlessService, type Command } from './rootless.ts';
import type { TlsFiles } from './tls.ts';

/**
 * `docker` and `podman` are those of Debian 12. `docker-next` is that of Debian 13 (`setup.sh docker-next`).
 * `docker-sid` and `podman-sid` are those of Debian sid (`setup.sh sid`), and this podman runs without root.
 */
export type EngineName = 'docker' | 'docker-next' | 'docker-sid' | 'podman' | 'podman-sid';

/** The folder of the cache whose /usr has the engine, for one that is not the machine's own. */
const folders: Readonly<Partial<Record<EngineName, string>>> = {
  'docker-next': 'docker-next',
  'docker-sid': 'sid',
};

/** The folders, address and control group of an engine. */
export interface EngineSetup {
  readonly engine: EngineName;
  /** The host's address. */
  readonly ip: string;
  /** The folder that stays from run to run. */
  readonly data: string;
  /** The folder that is gone with the bed. */
  readonly runtime: string;
  /** The control group of the containers, from the root of each controller. */
  readonly cgroup: string;
  /** The address of the default bridge, with the length of its prefix. */
  readonly bridge: string;
}

/** The engine of the whole suite: DOCKREG_TEST_ENGINE, or that of Debian 12. */
export function defaultEngine(): EngineName {
  const name = process.env['DOCKREG_TEST_ENGINE'] ?? 'docker';
  if (name === 'docker' || name === 'docker-next' || name === 'docker-sid') return name;
  throw new Error(`DOCKREG_TEST_ENGINE=${name}: must be docker, docker-next or docker-sid`);
}

/** Whether only what depends on the engine's version is tested: DOCKREG_TEST_SHORT=1. */
export const isShort = process.env['DOCKREG_TEST_SHORT'] === '1';

/** The path of the socket of its Docker API. */
export function socketOf({ runtime }: EngineSetup): string {
  return join(runtime, 'docker.sock');
}

/** The /usr that a step of scripts/setup.sh has put into the cache: `docker-next`, `sid`. */
export function usrOf(step: string): string {
  const usr = join(process.env['DOCKREG_CACHE'] ?? '', step, 'usr');
  if (!existsSync(usr)) throw new Error(`no ${usr}: run scripts/setup.sh ${step} first`);
  return usr;
}

/** The command that starts the engine, on the network where it is run. With `tls`, Docker listens on port 2376 too. */
export async function daemonOf(setup: EngineSetup, tls: TlsFiles | undefined): Promise<Command> {
  if (setup.engine === 'podman-sid') return rootlessService(setup, usrOf('sid'));
  if (setup.engine === 'podman') {
    await writeFile(settingsOf(setup), podmanSettings(setup));
    const service = ['system', 'service', '--time=0', `unix://${socketOf(setup)}`];
    return { command: 'podman', args: [...storageOf(setup), ...service], env: podmanEnvironment(setup) };
  }
  const folder = folders[setup.engine];
  const usr = folder === undefined ? '/usr' : usrOf(folder);
  // The engine sees the files of the bed, except for its programs and libraries in its own /usr.
  const args = ['--mount', 'sh', '-c', 'mount --bind "$0" /usr && exec dockerd "$@"', usr];
  args.push('--log-level=warn', '--exec-opt=native.cgroupdriver=cgroupfs');
  args.push('--data-root', setup.data, '--exec-root', join(setup.runtime, 'exec'));
  args.push('--pidfile', join(setup.runtime, 'dockerd.pid'), '-H', `unix://${socketOf(setup)}`);
  args.push('--cgroup-parent', setup.cgroup, '--bip', setup.bridge);
  if (tls) {
    args.push('-H', `tcp://${setup.ip}:2376`, '--tlsverify', '--tlscacert', tls.ca);
    args.push('--tlscert', tls.server.cert, '--tlskey', tls.server.key);
  }
  return { command: 'unshare', args, env: {} };
}

/** The client's command line for these arguments. Podman takes the same arguments as Docker, and some more. */
export function clientOf(setup: EngineSetup, words: readonly string[]): Command {
  if (setup.engine === 'podman-sid') return remoteClient(usrOf('sid'), socketOf(setup), words);
  if (setup.engine !== 'podman') return { command: 'docker', args: words, env: dockerEnvironment(setup) };
  // Podman has no setting for the parent of all control groups. The groups of a pod's members are in the pod's.
  const verbs = /^(run(?!.* --pod )|pod create) /.exec(words.join(' '))?.[1]?.split(' ').length ?? 0;
  const parent = verbs > 0 ? ['--cgroup-parent', setup.cgroup] : [];
  const complete = [...words.slice(0, verbs), ...parent, ...words.slice(verbs)];
  return { command: 'podman', args: [...storageOf(setup), ...complete], env: podmanEnvironment(setup) };
}

/** The environment in which a docker CLI, or a script that runs one, uses the engine. */
export function dockerEnvironment(setup: EngineSetup): Record<string, string> {
  return {
    DOCKER_HOST: `unix://${socketOf(setup)}`,
    // The user's own configuration can name proxies, which the CLI would set in every container.
    DOCKER_CONFIG: join(setup.runtime, 'cli'),
    // The engine of Debian 12 comes without BuildKit's client.
    DOCKER_BUILDKIT: '0',
  };
}

function storageOf({ data, runtime }: EngineSetup): string[] {
  return ['--root', data, '--runroot', join(runtime, 'storage'), '--tmpdir', join(runtime, 'libpod')];
}

function podmanEnvironment(setup: EngineSetup): Record<string, string> {
  return { CONTAINERS_CONF: settingsOf(setup) };
}

function settingsOf({ runtime }: EngineSetup): string {
  return join(runtime, 'containers.conf');
}

/** Settings for the bed: no journal, no systemd, and limits that cannot be raised. */
function podmanSettings({ runtime }: EngineSetup): string {
  return `
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[network]
network_backend = "netavark"
network_config_dir = "${join(runtime, 'networks')}"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;
}
