/**
 * Which of several addresses is registered. Where the engine's answer leaves that open, an address that is registered
 * already is kept while it still holds; what changes it is only an answer that no longer allows it. Whatever is chosen
 * or kept although others would do as well comes with a warning.
 */
import { failure, success, type Problem, type Result } from '../../errors.ts';
import type { Binding } from './container.ts';
import { formatAddress, isIPv6, reservedRange, type Address } from './ip.ts';

export interface AdvertisedAddress {
  readonly address: Address;
  /** How it was found, for the log. */
  readonly by: string;
  /** What people should know: others would do as well, or other hosts may not reach it. Each begins with the address. */
  readonly warnings?: readonly Problem[];
}

export function found(
  ip: string,
  port: number,
  by: string,
  warnings: readonly Problem[] = [],
): Result<AdvertisedAddress> {
  return success({ address: { ip, port }, by, warnings });
}

export function problem(message: string, hint: string): Result<never> {
  return failure({ message, hint });
}

/** Whether who connects to the IP address reaches the binding. A wildcard of one family is reached at that family. */
function coversIp(hostIp: string, ip: string): boolean {
  return hostIp === ip || hostIp === '' || (isWildcard(hostIp) && isIPv6(hostIp) === isIPv6(ip));
}

function isWildcard(hostIp: string): boolean {
  return reservedRange(hostIp) === 'unspecified';
}

/**
 * Whether a registered address still holds: its IP address and port are among the candidates of the new answer. The
 * empty string as the IP address of a candidate is every address.
 */
export function stillHolds(registered: Address | undefined, candidates: readonly Binding[]): boolean {
  return (
    registered !== undefined &&
    candidates.some(({ hostIp, hostPort }) => hostPort === registered.port && coversIp(hostIp, registered.ip))
  );
}

/** The registered address while it still holds, with the problem as a warning; otherwise the problem. */
export function keepOr(
  registered: Address | undefined,
  candidates: readonly Binding[],
  { message, hint }: { readonly message: string; readonly hint: string },
): Result<AdvertisedAddress> {
  if (registered === undefined || !stillHolds(registered, candidates)) return problem(message, hint);
  const warning = { message: `${formatAddress(registered)} is kept, although ${message}`, hint };
  return found(registered.ip, registered.port, 'kept', [warning]);
}

/** What a published port is reached at when the user gives no address of the host: the address of a binding. */
export function atBinding(
  bindings: readonly Binding[],
  registered: Address | undefined,
  title: string,
): Result<AdvertisedAddress> {
  const forOthers = bindings.filter(({ hostIp }) => reservedRange(hostIp) !== 'loopback');
  const usable = distinct(forOthers.length > 0 ? forOthers : bindings);
  const best = bestOf(usable, undefined);
  const isKept = stillHolds(registered, bindings);
  const address = isKept && registered ? registered : { ip: best.hostIp, port: best.hostPort };
  const hint = 'name one with --ip, or with --advertise IP:PORT';
  const candidates = isKept && !stillHolds(registered, usable) ? distinct(bindings) : usable;
  const warnings = candidates.length === 1 ? [] : [chosen(address, title, candidates, hint)];
  return found(address.ip, address.port, 'published', warnings);
}

/**
 * The same when the address of the host is known: at the port of its own binding, else at that of every address.
 * @param hasFamily whether podman's wildcard passes on what comes to this address
 */
export function atHostIp(
  bindings: readonly Binding[],
  hasFamily: () => boolean,
  { ip, source }: { readonly ip: string; readonly source: string },
  registered: Address | undefined,
  title: string,
): Result<AdvertisedAddress> {
  const reached = distinct(
    bindings.filter(({ hostIp }) => coversIp(hostIp, ip) && (hostIp !== '' || hasFamily())),
  );
  if (reached.length === 0) return problem(...notListening(bindings, ip, source, title));
  const ownBindings = reached.filter(({ hostIp }) => hostIp === ip);
  const preferred = ownBindings.length > 0 ? ownBindings : reached;
  const isKept = registered?.ip === ip && stillHolds(registered, reached);
  const port = isKept ? registered.port : bestOf(preferred, ip).hostPort;
  const isOnlyOne = preferred.every(({ hostPort }) => hostPort === port);
  const hint = `publish it once, or name one: --advertise ${formatAddress({ ip, port })}`;
  const warnings = isOnlyOne ? [] : [chosen({ ip, port }, title, reached, hint)];
  return found(ip, port, `${source}, published`, warnings);
}

/** Why nothing listens at the host's address, and what to do about it. */
function notListening(
  bindings: readonly Binding[],
  ip: string,
  source: string,
  title: string,
): [message: string, hint: string] {
  const target = `${ip} (${source})`;
  const forOthers = bindings.filter(({ hostIp }) => reservedRange(hostIp) !== 'loopback');
  const [family, other] = isIPv6(ip) ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6'];
  if (forOthers.length === 0)
    return [
      `${title} on ${listIps(bindings)} only, so nobody reaches it at ${target}`,
      `publish it on ${ip} or on every address, without an address in -p`,
    ];
  if (forOthers.some(({ hostIp }) => hostIp === ''))
    return [
      `${title} for ${other} only, as its networks have no ${family}, and ${target} is an ${family} address`,
      `give an ${other} --ip, or connect it to a network with ${family}`,
    ];
  if (forOthers.every(({ hostIp }) => isIPv6(hostIp) !== isIPv6(ip)))
    return [
      `${title} on ${listIps(forOthers)} only, and ${target} is an ${family} address`,
      `give an ${other} --ip, or publish it on an ${family} address`,
    ];
  const { hostIp, hostPort } = bestOf(forOthers, ip);
  const wanted = formatAddress({ ip, port: hostPort });
  return [
    `${title} on ${list(forOthers)} only, so nothing listens at ${target}`,
    `give --ip ${isWildcard(hostIp) ? 'one of these' : hostIp}, or publish it on ${ip} or on every address; where something in front of the host forwards ${wanted} to it, give --advertise ${wanted}`,
  ];
}

/** The warning about an address that is one of several. */
function chosen(address: Address, title: string, bindings: readonly Binding[], hint: string): Problem {
  return { message: `${formatAddress(address)} is one of several: ${title} on ${list(bindings)}`, hint };
}

/** The warning about an address of the host that is one of several. */
export function severalIps(address: Address, source: string, others: readonly string[]): Problem {
  return {
    message: `${formatAddress(address)} is one of several: ${source} stands for ${shorten([address.ip, ...others])}`,
    hint: 'give the address itself with --ip',
  };
}

/**
 * The best binding: that on the user's own address, then a specific IPv4 address, the IPv4 wildcard, and the same of
 * IPv6; with an IPv6 `ip`, IPv6 comes first. A binding on loopback is for the host itself and comes last. Docker lists
 * bindings in no fixed order, so among equals the order of the text decides: a restart chooses the same.
 */
export function bestOf(bindings: readonly Binding[], ip: string | undefined): Binding {
  const prefersIPv6 = ip !== undefined && isIPv6(ip);
  const rank = ({ hostIp }: Binding): number => {
    if (hostIp === ip) return 0;
    const range = reservedRange(hostIp);
    if (range === 'loopback') return 5;
    return (isIPv6(hostIp) === prefersIPv6 || hostIp === '' ? 0 : 2) + (range === 'unspecified' ? 2 : 1);
  };
  return bindings.reduce((best, next) =>
    (rank(next) - rank(best) || compare(next, best)) < 0 ? next : best,
  );
}

function compare(a: Binding, b: Binding): number {
  if (a.hostIp !== b.hostIp) return a.hostIp < b.hostIp ? -1 : 1;
  return a.hostPort - b.hostPort;
}

/** Podman can list a binding more than once. */
function distinct(bindings: readonly Binding[]): readonly Binding[] {
  const byText = new Map(bindings.map(each => [textOf(each), each]));
  return [...byText.values()].toSorted(compare);
}

/** How many bindings a message lists. */
const listed = 5;

function list(bindings: readonly Binding[]): string {
  return shorten(distinct(bindings).map(textOf));
}

function listIps(bindings: readonly Binding[]): string {
  return shorten([...new Set(distinct(bindings).map(({ hostIp }) => hostIp))]);
}

function shorten(texts: readonly string[]): string {
  const more = texts.length > listed ? ` and ${texts.length - listed} more` : '';
  return `${texts.slice(0, listed).join(', ')}${more}`;
}

function textOf({ hostIp, hostPort }: Binding): string {
  return formatAddress({ ip: hostIp === '' ? '*' : hostIp, port: hostPort });
}
