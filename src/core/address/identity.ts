/**
 * Which container are we in? Each source may lie (a set hostname, a decoy mount, a private cgroup namespace), so this
 * only lists the candidates, best first; an inspect confirms or discards each.
 */

export interface Candidate {
  /** A container id, 12 or 64 hexadecimal digits. */
  readonly id: string;
  /** Where it was read, for the log. */
  readonly source: '--container' | 'mountinfo' | 'cgroup' | 'containerenv' | 'hostname';
}

/** What the process can see of itself. A file that cannot be read is the empty string. */
export interface IdentitySources {
  /** What the user said; then nothing else is a candidate. */
  readonly container: string | undefined;
  /** The text of /proc/self/mountinfo. */
  readonly mountinfo: string;
  /** The text of /proc/self/cgroup. */
  readonly cgroup: string;
  /** The text of /run/.containerenv: podman writes the id there for privileged containers. */
  readonly containerenv: string;
  readonly hostname: string;
}

/**
 * The engine itself mounts these files from a container's own folder; no image or user does. The last two are those of
 * the container that owns the network, and podman mounts all four in no fixed order.
 */
const engineMounts = ['/etc/hostname', '/run/.containerenv', '/etc/hosts', '/etc/resolv.conf'];

/** Docker: `…/containers/<id>/…`; podman: `…/overlay-containers/<id>/userdata/…`. */
const containerFolder = /\/(?:containers|overlay-containers)\/([0-9a-f]{64})\//;

/**
 * The candidates, best first, each id once. With the network of another container (`--network container:X`) Docker's
 * mountinfo gives X, which is right: X owns the ports.
 * Source: proc_pid_mountinfo(5): field 4 is the root of the mount in its file system, field 5 the mount point.
 */
export function candidates({
  container,
  mountinfo,
  cgroup,
  containerenv,
  hostname,
}: IdentitySources): Candidate[] {
  if (container !== undefined) return [{ id: container, source: '--container' }];
  const found: Candidate[] = [];
  const mounts = mountinfo.split('\n').map(line => line.split(' '));
  for (const file of engineMounts) {
    const root = mounts.find(([, , , , mountPoint]) => mountPoint === file)?.[3] ?? '';
    const id = containerFolder.exec(root)?.[1];
    if (id) found.push({ id, source: 'mountinfo' });
  }
  for (const line of cgroup.split('\n')) {
    const id = line.match(/[0-9a-f]{64}/g)?.at(-1);
    if (id) found.push({ id, source: 'cgroup' });
  }
  const written = /^id="([0-9a-f]{64})"$/m.exec(containerenv)?.[1];
  if (written) found.push({ id: written, source: 'containerenv' });
  if (/^[0-9a-f]{12}$/.test(hostname)) found.push({ id: hostname, source: 'hostname' });
  return found.filter((candidate, at) => found.findIndex(({ id }) => id === candidate.id) === at);
}
