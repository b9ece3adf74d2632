/**
 * Lists the containers that this process may run in. Each source can mislead (a hostname that was set, a decoy mount, a
 * private cgroup namespace), so these are candidates only, best first; an inspect confirms or discards each.
 */

export interface Candidate {
  /** A container id, 12 or 64 hexadecimal digits. */
  readonly id: string;
  /** Where the id was read, for the log. */
  readonly source: '--container' | 'mountinfo' | 'cgroup' | 'containerenv' | 'hostname';
}

/** What the process can read about itself. The text of a file that cannot be read is empty. */
export interface IdentitySources {
  /** The id that the user gives, which is then the only candidate. */
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
 * Files that the engine itself mounts from the container's folder; no image or user does. The last two belong to the
 * container that owns the network. Podman mounts all four in no fixed order.
 */
const engineMounts = ['/etc/hostname', '/run/.containerenv', '/etc/hosts', '/etc/resolv.conf'];

/** Docker: `…/containers/<id>/…`; podman: `…/overlay-containers/<id>/userdata/…`. */
const containerFolder = /\/(?:containers|overlay-containers)\/([0-9a-f]{64})\//;

/**
 * The candidates, best first, each id once. On the network of another container (`--network container:X`) Docker's
 * mountinfo names X, which is right: X owns the ports.
 * Source: proc_pid_mountinfo(5): field 4 is the root of the mount in its file system, field 5 the mount point.
 */
export function candidates(sources: IdentitySources): Candidate[] {
  const { container, mountinfo, cgroup, containerenv, hostname } = sources;
  if (container !== undefined) return [{ id: container, source: '--container' }];
  const list: Candidate[] = [];
  const mounts = mountinfo.split('\n').map(line => line.split(' '));
  for (const file of engineMounts) {
    const root = mounts.find(([, , , , mountPoint]) => mountPoint === file)?.[3] ?? '';
    const id = containerFolder.exec(root)?.[1];
    if (id) list.push({ id, source: 'mountinfo' });
  }
  for (const line of cgroup.split('\n')) {
    const id = line.match(/[0-9a-f]{64}/g)?.at(-1);
    if (id) list.push({ id, source: 'cgroup' });
  }
  const podmanId = /^id="([0-9a-f]{64})"$/m.exec(containerenv)?.[1];
  if (podmanId) list.push({ id: podmanId, source: 'containerenv' });
  if (/^[0-9a-f]{12}$/.test(hostname)) list.push({ id: hostname, source: 'hostname' });
  return list.filter((candidate, at) => list.findIndex(({ id }) => id === candidate.id) === at);
}
