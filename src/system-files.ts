/**
 * The files with which the system looks names up. One that is a named pipe, a device or very large is waited for: by Node's
 * DNS client on the main thread, and by getaddrinfo on a thread that cannot be ended. So they are looked at first.
 */
import { statSync, type Stats } from 'node:fs';

/** What Node's DNS client reads, when it is loaded and for each resolver. */
export const dnsFiles: readonly string[] = ['/etc/resolv.conf', '/etc/nsswitch.conf', '/etc/svc.conf'];
/** What getaddrinfo reads besides. */
export const lookupFiles: readonly string[] = [...dnsFiles, '/etc/host.conf', '/etc/gai.conf', '/etc/hosts'];

const mostBytes = 4 * 1024 * 1024;
/** Some people have long lists of hosts, and getaddrinfo reads them line by line. */
const mostHostsBytes = 256 * 1024 * 1024;
/** The number of /dev/null, which a container may have in place of such a file. */
const nullDevice = 0x1_03;

/** Says which of the files must not be read, and why: `/etc/hosts is a named pipe`. Null if there is none. */
export function endlessFile(paths: readonly string[]): string | null {
  for (const path of paths) {
    const reason = whyEndless(statOf(path), path === '/etc/hosts' ? mostHostsBytes : mostBytes);
    if (reason !== null) return `${path} ${reason}`;
  }
  return null;
}

function whyEndless(stat: Stats | null, most: number): string | null {
  if (stat?.isFIFO()) return 'is a named pipe';
  if (stat?.isCharacterDevice() && stat.rdev !== nullDevice) return 'is a device';
  return stat?.isFile() && stat.size > most ? `has more than ${most} bytes` : null;
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}
