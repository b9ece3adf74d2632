/**
 * The engines that a host of the bed (lan.ts) can have: how each is started, spoken to and brought back to having
 * images only.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { TlsFiles } from './tls.ts';

/** `docker` and `podman` are those of Debian 12; `docker-next` is that of Debian 13 (`setup.sh docker-next`). */
export type EngineName = 'docker' | 'docker-next' | 'podman';

/** Where an engine has its things. */
export interface EnginePlace {
  readonly engine: EngineName;
  /** The host's. */
  readonly ip: string;
  /** What stays from run to run. */
  readonly data: string;
  /** What is gone with the bed. */
  readonly runtime: string;
  /** Of the containers, from the root of each controller. */
  readonly cgroup: string;
  /** The address of the bridge that containers are on by default, with the length of its prefix. */
  readonly bridge: string;
}

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The whole suite runs on another engine when the environment names it. */
export function defaultEngine(): EngineName {
  const name = process.env['DOCKREG_TEST_ENGINE'] ?? 'docker';
  if (name === 'docker' || name === 'docker-next') return name;
  throw new Error(`DOCKREG_TEST_ENGINE=${name}: must be docker or docker-next`);
}

/** The path of the socket of its Docker API. */
export function socketOf({ runtime }: EnginePlace): string {
  return join(runtime, 'docker.sock');
}

/** What starts the engine on the network of whoever runs it; with `tls`, Docker is served on port 2376 too. */
export async function daemonOf(place: EnginePlace, tls: TlsFiles | undefined): Promise<Command> {
  if (place.engine === 'podman') {
    await writeFile(settingsOf(place), podmanSettings(place));
    const service = ['system', 'service', '--time=0', `unix://${socketOf(place)}`];
    return { command: 'podman', args: [...storageOf(place), ...service], env: podmanEnvironment(place) };
  }
  const { DOCKREG_CACHE: cache = '' } = process.env;
  const usr = place.engine === 'docker' ? '/usr' : join(cache, place.engine, 'usr');
  if (!existsSync(usr)) throw new Error(`no ${usr}: run scripts/setup.sh ${place.engine} first`);
  // The engine sees all files as the bed does, and its programs with their libraries in its own /usr.
  const args = ['--mount', 'sh', '-c', 'mount --bind "$0" /usr && exec dockerd "$@"', usr];
  args.push('--log-level=warn', '--exec-opt=native.cgroupdriver=cgroupfs');
  args.push('--data-root', place.data, '--exec-root', join(place.runtime, 'exec'));
  args.push('--pidfile', join(place.runtime, 'dockerd.pid'), '-H', `unix://${socketOf(place)}`);
  args.push('--cgroup-parent', place.cgroup, '--bip', place.bridge);
  if (tls) {
    args.push('-H', `tcp://${place.ip}:2376`, '--tlsverify', '--tlscacert', tls.ca);
    args.push('--tlscert', tls.server.cert, '--tlskey', tls.server.key);
  }
  return { command: 'unshare', args, env: {} };
}

/** What its command line makes of these words. Podman's takes the same words as Docker's, and some more. */
export function clientOf(place: EnginePlace, words: readonly string[]): Command {
  if (place.engine !== 'podman') return { command: 'docker', args: words, env: dockerEnvironment(place) };
  // Podman has no setting for where all control groups go. Those of a pod's members go to the pod's.
  const verbs = /^(run(?!.* --pod )|pod create) /.exec(words.join(' '))?.[1]?.split(' ').length ?? 0;
  const parent = verbs > 0 ? ['--cgroup-parent', place.cgroup] : [];
  const placed = [...words.slice(0, verbs), ...parent, ...words.slice(verbs)];
  return { command: 'podman', args: [...storageOf(place), ...placed], env: podmanEnvironment(place) };
}

/** What makes a docker CLI, or a script that runs one, speak to the engine. */
export function dockerEnvironment(place: EnginePlace): Record<string, string> {
  return {
    DOCKER_HOST: `unix://${socketOf(place)}`,
    // The user's own configuration can name proxies, which the CLI would then set in every container.
    DOCKER_CONFIG: join(place.runtime, 'cli'),
    // The engine of Debian 12 comes without BuildKit's client.
    DOCKER_BUILDKIT: '0',
  };
}

function storageOf({ data, runtime }: EnginePlace): string[] {
  return ['--root', data, '--runroot', join(runtime, 'storage'), '--tmpdir', join(runtime, 'libpod')];
}

function podmanEnvironment(place: EnginePlace): Record<string, string> {
  return { CONTAINERS_CONF: settingsOf(place) };
}

function settingsOf({ runtime }: EnginePlace): string {
  return join(runtime, 'containers.conf');
}

/** Only what the bed has: no journal, no systemd, and a machine that may not raise its limits. */
function podmanSettings({ runtime }: EnginePlace): string {
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
