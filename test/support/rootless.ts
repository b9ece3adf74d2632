/**
 * Podman without root, of another Debian than the machine's: its service runs as a user of its own, who exists only for
 * the service. Its client is podman's own, which asks the service on its socket.
 */
import { execFile } from 'node:child_process';
import { appendFile, chown, cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A process to start. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A user that no machine has. */
const user = { name: 'dockreg-bed', id: 65_432 } as const;
/** The ids that the user's containers may use for other users than root. */
const subordinates = `${user.name}:1000000:65536\n`;

/**
 * What the service sees in place of the machine's files: programs and libraries, its user, and a tun device that every
 * user may open. Everything else is the bed's.
 */
const enter = `
  mount --bind "$1" /usr
  mount --bind "$2/etc" /etc
  mount --bind "$3" "$2/home"
  mount --bind "$2/tun" /dev/net/tun
  shift 3
  exec setpriv --reuid ${user.id} --regid ${user.id} --clear-groups "$@"`;

/** The command that starts the service of the host's engine. */
export async function rootlessService(
  { data, runtime }: { readonly data: string; readonly runtime: string },
  usr: string,
): Promise<Command> {
  const [home, etc] = [join(runtime, 'home'), join(runtime, 'etc')];
  await cp('/etc', etc, { recursive: true, verbatimSymlinks: true });
  const line = `${user.name}:x:${user.id}:`;
  await appendFile(join(etc, 'passwd'), `${line}${user.id}::${home}:/bin/sh\n`);
  await appendFile(join(etc, 'group'), `${line}\n`);
  await appendFile(join(etc, 'subuid'), subordinates);
  await appendFile(join(etc, 'subgid'), subordinates);
  await mkdir(join(etc, 'containers'), { recursive: true });
  await writeFile(join(etc, 'containers/policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  await writeFile(join(etc, 'containers/containers.conf'), settings);
  await promisify(execFile)('mknod', ['--mode=666', join(runtime, 'tun'), 'c', '10', '200']);
  await mkdir(home);
  await mkdir(join(runtime, 'user'), { mode: 0o700 });
  for (const folder of [data, runtime, join(runtime, 'user')]) await chown(folder, user.id, user.id);

  const service = ['podman', 'system', 'service', '--time=0', `unix://${join(runtime, 'docker.sock')}`];
  return {
    command: 'unshare',
    args: ['--mount', 'sh', '-ec', enter, 'sh', usr, runtime, data, ...service],
    env: { HOME: home, USER: user.name, XDG_RUNTIME_DIR: join(runtime, 'user'), ...quiet },
  };
}

/** The client's command line. It runs as root and can do no more than the service. */
export function remoteClient(usr: string, socket: string, words: readonly string[]): Command {
  const script = 'mount --bind "$0" /usr && exec podman --url "$@"';
  return {
    command: 'unshare',
    args: ['--mount', 'sh', '-c', script, usr, `unix://${socket}`, ...words],
    env: quiet,
  };
}

const quiet = { PODMAN_IGNORE_CGROUPSV1_WARNING: '1' };

/** Settings for the bed: no journal, no systemd, limits that cannot be raised, and a runtime that knows cgroup v1. */
const settings = `
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`;
