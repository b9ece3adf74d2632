/**
 * Finds the host's address that the user means by `--ip`.
 */
import type { Clock } from '../clock.ts';
import type { HostName } from '../core/settings/service.ts';
import { canonicalIp, isIPv6, reservedRange } from '../core/address/ip.ts';
import type { AddressQuestion, HostIp } from '../core/address/advertise.ts';
import { docker0 } from '../core/address/every-host.ts';
import { messageOf, UnavailableError } from '../errors.ts';
import { isOwn, ownInterfaces, unreadable } from './interfaces.ts';
import { lookup, type Resolver } from './lookup.ts';

/**
 * An address stays as it is. A name is that of one of our interfaces, else it is looked up in /etc/hosts and DNS. Of
 * several addresses the first IPv4 address that others can reach is taken, else the first IPv6 address. The one that is
 * registered is kept while it is among those that others can reach, and the one that was chosen before while it is among
 * the best: many name servers change the order with each answer. It is not replaced because a name server says nothing
 * about its family.
 * @param resolver looks up a name; default: /etc/hosts and DNS
 * @param chosen what was chosen before, by name; the choice is added
 * @param known the address that is registered, and what our own kernel says
 * @throws UnavailableError when the name does not resolve within 3 s
 */
export async function resolveHostIp(
  host: HostName,
  clock: Clock,
  resolver?: Resolver,
  chosen = new Map<string, string>(),
  known: Pick<AddressQuestion, 'registered' | 'own'> = {},
): Promise<HostIp> {
  const interfaces = ownInterfaces();
  const isOurs = (ip: string): boolean => isOwn(ip, interfaces);
  if (host.kind === 'ip')
    return { ip: host.ip, source: `--ip ${host.ip}`, fromInterface: undefined, ours: isOurs(host.ip) };

  const { name } = host;
  const own = interfaces[name];
  if (own) {
    const { ip, others } = best(own, known);
    if (ip === undefined) throw new UnavailableError(`--ip ${name} is an interface without an address`);
    return { ip, source: `interface ${name}`, fromInterface: name, ours: true, others };
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
  const { ip, others } = best(resolved, known, before);
  if (ip === undefined) throw new UnavailableError(`--ip ${name} resolves to no address`);
  chosen.set(name, ip);
  return { ip, source: `name ${name}`, fromInterface: undefined, ours: isOurs(ip), name, others };
}

/** The best of the addresses, and those that are as good. */
function best(
  addresses: readonly { readonly address: string }[],
  { registered, own }: Pick<AddressQuestion, 'registered' | 'own'>,
  before?: string,
): { readonly ip: string | undefined; readonly others: readonly string[] } {
  /** How far an address is from one that others can reach. */
  const distance = (ip: string): number => {
    if (reservedRange(ip) !== null) return 2;
    return ip === docker0 || own?.gateways.includes(ip) || own?.bridges.has(ip) ? 1 : 0;
  };
  const rank = (ip: string): number => 2 * distance(ip) + (isIPv6(ip) ? 1 : 0);
  const ips = [...new Set(addresses.map(({ address }) => canonicalIp(address)))];
  const [first] = ips.toSorted((a, b) => rank(a) - rank(b));
  if (first === undefined) return { ip: undefined, others: [] };
  const chosen =
    ips.find(ip => ip === registered?.ip && distance(ip) === distance(first)) ??
    ips.find(ip => ip === before && rank(ip) === rank(first)) ??
    first;
  const others = ips.filter(ip => ip !== chosen && rank(ip) === rank(chosen)).toSorted();
  return { ip: chosen, others };
}
