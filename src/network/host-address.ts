/**
 * Finds the host's address that the user means by `--ip`.
 */
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import type { Clock } from '../clock.ts';
import type { HostName } from '../core/settings/service.ts';
import { canonicalIp, isIPv6, reservedRange } from '../core/address/ip.ts';
import type { HostIp } from '../core/address/advertise.ts';
import { messageOf, UnavailableError } from '../errors.ts';
import { lookup, type Resolver } from './lookup.ts';

/**
 * An address stays as it is. A name is that of one of our interfaces, else it is looked up in /etc/hosts and DNS. Of
 * several addresses the first IPv4 address that others can reach is taken, else the first IPv6 address. The one that was
 * chosen before is kept while it is among the best: many name servers change the order with each answer. It is not
 * replaced because a name server says nothing about its family.
 * @param resolver looks up a name; default: /etc/hosts and DNS
 * @param chosen what was chosen before, by name; the choice is added
 * @throws UnavailableError when the name does not resolve within 3 s
 */
export async function resolveHostIp(
  host: HostName,
  clock: Clock,
  resolver?: Resolver,
  chosen = new Map<string, string>(),
): Promise<HostIp> {
  const interfaces = ownInterfaces();
  const isOurs = (ip: string): boolean =>
    Object.values(interfaces).some(list => list?.some(({ address }) => canonicalIp(address) === ip));
  if (host.kind === 'ip')
    return { ip: host.ip, source: `--ip ${host.ip}`, fromInterface: undefined, ours: isOurs(host.ip) };

  const { name } = host;
  const own = interfaces[name];
  if (own) {
    const ip = best(own);
    if (ip === undefined) throw new UnavailableError(`--ip ${name} is an interface without an address`);
    return { ip, source: `interface ${name}`, fromInterface: name, ours: true };
  }
  const resolved = await lookup(name, clock, resolver).catch((cause: unknown) => {
    const interfacesText = interfaces === unreadable ? 'is not known as an interface' : 'is not an interface';
    const message = `--ip ${name} ${interfacesText} and does not resolve: ${messageOf(cause)}`;
    throw new UnavailableError({ message, hint: "correct it, or give the host's IP address" }, { cause });
  });
  const before = chosen.get(name);
  const isMissing = before !== undefined && !resolved.some(({ address }) => canonicalIp(address) === before);
  if (isMissing && resolved.some(({ isPartial }) => isPartial)) {
    const family = isIPv6(before) ? 'IPv6' : 'IPv4';
    throw new UnavailableError(
      `--ip ${name}: the name server does not answer about ${family}, and it was ${before}`,
    );
  }
  const ip = best(resolved, before);
  if (ip === undefined) throw new UnavailableError(`--ip ${name} resolves to no address`);
  chosen.set(name, ip);
  return { ip, source: `name ${name}`, fromInterface: undefined, ours: isOurs(ip) };
}

const unreadable: NodeJS.Dict<NetworkInterfaceInfo[]> = {};

/** Our interfaces. Where the kernel does not show them, an address still stands for itself and a name may be in DNS. */
function ownInterfaces(): NodeJS.Dict<NetworkInterfaceInfo[]> {
  try {
    return networkInterfaces();
  } catch {
    return unreadable;
  }
}

function best(addresses: readonly { readonly address: string }[], before?: string): string | undefined {
  const ips = addresses.map(({ address }) => canonicalIp(address));
  const [first] = ips.toSorted((a, b) => rank(a) - rank(b));
  const isKept = ips.some(ip => ip === before && first !== undefined && rank(ip) === rank(first));
  return isKept ? before : first;
}

function rank(ip: string): number {
  return (reservedRange(ip) === null ? 0 : 2) + (isIPv6(ip) ? 1 : 0);
}
