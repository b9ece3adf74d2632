/**
 * Published ports that the engine's network does not map in the usual way: podman's networks without root, where a
 * program of the user forwards the ports, and Docker's gateway mode `routed`, where others reach the container itself.
 */
import { failure, success, type Result } from '../../errors.ts';
import { keepOr, type AdvertisedAddress } from './choice.ts';
import type { ContainerView } from './container.ts';
import { formatAddress, isIPv6, type Address } from './ip.ts';

/** What forwards the published ports of a container of podman without root, by its network mode; else null. */
export function forwarderOf(networkMode: string): 'pasta' | 'slirp4netns' | null {
  const [, name] = /^(pasta|slirp4netns)(?::|$)/.exec(networkMode) ?? [];
  return (name as 'pasta' | 'slirp4netns' | undefined) ?? null;
}

/**
 * Whether an address of the host is the container's own one too, because both have it: on the host's network, and with
 * podman's `pasta`, which gives the container the addresses and the names of the host's interface.
 */
export function sharesHostAddress(networkMode: string): boolean {
  return networkMode === 'host' || forwarderOf(networkMode) === 'pasta';
}

/** The way to the host from a container in which the host's own address means the container itself. */
export const pastaHost = 'host.containers.internal (169.254.1.2)';

/**
 * The container's own address and port, where a port is routed to it instead of being mapped; undefined where the mapped
 * bindings decide. IPv4 may be routed and IPv6 mapped, or the other way round.
 * @param host what --ip gives, and where it comes from
 * @param registered kept while it is one of several
 */
export function routedAddress(
  view: ContainerView,
  port: string,
  localPort: number,
  host: { readonly ip: string; readonly source: string } | undefined,
  registered: Address | undefined,
): Result<AdvertisedAddress> | undefined {
  const routed = view.routed.get(port) ?? [];
  const mapped = view.ports.get(port) ?? [];
  const isRouted = (six: boolean): boolean => routed.some(hostIp => isIPv6(hostIp) === six);
  const isMapped = (six: boolean): boolean =>
    mapped.some(({ hostIp }) => hostIp === '' || isIPv6(hostIp) === six);
  const wanted = host && isIPv6(host.ip);
  if (routed.length === 0 || (wanted !== undefined && isMapped(wanted))) return undefined;
  const six = wanted !== undefined && isRouted(wanted) ? wanted : !isRouted(false);
  if (host === undefined && six && mapped.length > 0) return undefined;

  const own = [...view.networks]
    .map(([network, its]) => ({ network, ip: six ? its.ipv6 : its.ipv4 }))
    .filter(({ ip }) => ip !== '');
  const title = `port ${port} of container ${view.title} is published by routing`;
  const [first, second] = own;
  if (first === undefined)
    return refused(`${title}, but the container has no ${six ? 'IPv6' : 'IPv4'} address`, byAdvertise);
  const same = own.find(({ ip }) => ip === host?.ip);
  if (same === undefined && second !== undefined) {
    const names = own.map(({ network }) => network).join(', ');
    const candidates = own.map(({ ip: hostIp }) => ({ hostIp, hostPort: localPort }));
    return keepOr(registered, candidates, {
      message: `${title}, and the container is on several networks (${names})`,
      hint: `name one: --advertise container:${first.network}`,
    });
  }
  const { ip, network } = same ?? first;
  const address = { ip, port: localPort };
  if (host !== undefined && same === undefined)
    return refused(
      `${title} at ${formatAddress(address)}, the container's own address, and not at ${host.ip} (${host.source})`,
      'leave --ip out, or use --advertise container',
    );
  return success({ address, by: `routed, network ${network}` });
}

const byAdvertise = 'give the address with --advertise IP:PORT';

function refused(message: string, hint: string): Result<never> {
  return failure({ message, hint });
}
