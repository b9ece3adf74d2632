/**
 * What we can see of networks from where we are: which address the user means by `--ip`, and whether our own addresses
 * have changed.
 */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { HostName } from '../core/settings/service.ts';
import { canonicalIp, isIPv6, reservedRange } from '../core/address/ip.ts';
import type { HostIp } from '../core/address/advertise.ts';
import { messageOf, UnavailableError } from '../errors.ts';

/**
 * An address stays as it is; a name is one of our interfaces, or else what DNS and /etc/hosts make of it.
 * Of several addresses the first IPv4 that others may reach, else the first IPv6.
 * @throws UnavailableError when the name does not resolve
 */
export async function findHostIp(host: HostName): Promise<HostIp> {
  const interfaces = networkInterfaces();
  const ours = (ip: string): boolean =>
    Object.values(interfaces).some(list => list?.some(({ address }) => canonicalIp(address) === ip));
  if (host.kind === 'ip')
    return { ip: host.ip, source: `--ip ${host.ip}`, fromInterface: undefined, ours: ours(host.ip) };

  const { name } = host;
  const own = interfaces[name];
  if (own) {
    const ip = best(own.map(({ address }) => address));
    if (ip === undefined) throw new UnavailableError(`interface ${name} has no address`);
    return { ip, source: `interface ${name}`, fromInterface: name, ours: true };
  }
  const found = await lookup(name, { all: true }).catch((error: unknown) => {
    throw new UnavailableError(`--ip ${name} is no interface and does not resolve: ${messageOf(error)}`, {
      cause: error,
    });
  });
  const ip = best(found.map(({ address }) => address));
  if (ip === undefined) throw new UnavailableError(`--ip ${name} resolves to no address`);
  return { ip, source: `name ${name}`, fromInterface: undefined, ours: ours(ip) };
}

function best(addresses: readonly string[]): string | undefined {
  return addresses.map(canonicalIp).toSorted((a, b) => rank(a) - rank(b))[0];
}

function rank(ip: string): number {
  return (reservedRange(ip) === null ? 0 : 2) + (isIPv6(ip) ? 1 : 0);
}

/** Answers whether the addresses of our network are others than at the last call. */
export function networkWatcher(): () => boolean {
  let before = addressesOf();
  return () => {
    const now = addressesOf();
    const changed = now !== before;
    before = now;
    return changed;
  };
}

/**
 * An interface that was connected anew mostly has its old address; its index tells it from the old one.
 * Link-local addresses come and go with every container on the host's network and tell nothing.
 */
function addressesOf(): string {
  return Object.entries(networkInterfaces())
    .map(([name, list = []]) => {
      const ips = list.map(({ address }) => canonicalIp(address)).filter(ip => reservedRange(ip) === null);
      return ips.length > 0 ? `${name} ${indexOf(name)} ${ips.join(' ')}` : '';
    })
    .join('\n');
}

/** Where /sys is not mounted the index is left out. */
function indexOf(name: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8').trim();
  } catch {
    return '';
  }
}
