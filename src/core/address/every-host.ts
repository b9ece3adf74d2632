/**
 * Addresses that every host with containers has: where its own containers reach the host. Another host that connects to
 * such an address reaches itself, or nobody.
 */
import type { Problem } from '../../errors.ts';
import type { ContainerView } from './container.ts';
import { formatAddress, type Address } from './ip.ts';
import { sharesHostAddress } from './unmapped.ts';

/** What our own kernel says. */
export interface OwnNetwork {
  /** Where our default routes lead. */
  readonly gateways: readonly string[];
  /** The bridges of engines among our interfaces: address → name. */
  readonly bridges: ReadonlyMap<string, string>;
}

/** The address of Docker's first bridge, docker0, unless the host's administrator has chosen another. */
export const docker0 = '172.17.0.1';

const hint =
  'give the address that others use, such as 10.1.0.101, or set --allow-loopback if only this host and its containers connect';

function ofEveryHost(title: string, what: string): Required<Problem> {
  const message = `${title} is ${what}: every Docker host has such an address for its own containers, and no other host reaches this one there`;
  return { message, hint };
}

export function docker0Problem(title: string): Problem {
  return ofEveryHost(title, 'the address of docker0');
}

/**
 * The problem with an address that is certain to be this host's for its own containers; undefined if there is none.
 * @param title names the address and its source, for the message
 */
export function everyHostProblem(
  title: string,
  ip: string,
  { networkMode, networks }: Pick<ContainerView, 'networkMode' | 'networks'>,
  own: OwnNetwork | undefined,
): Required<Problem> | undefined {
  const bridge = own?.bridges.get(ip);
  if (bridge !== undefined) return ofEveryHost(title, `the address of the bridge ${bridge}`);
  // There, our routes are the host's own.
  if (sharesHostAddress(networkMode)) return undefined;
  const network = [...networks].find(([, its]) => its.gateways?.includes(ip))?.[0];
  if (network !== undefined) return ofEveryHost(title, `the gateway of network ${network}`);
  return own?.gateways.includes(ip)
    ? ofEveryHost(title, "the gateway of this container's network")
    : undefined;
}

/** Names by which engines give containers the address of their host. */
const namesOfEveryHost =
  /^(?:.+\.(?:docker|containers|lima|minikube|orb|rancher-desktop)\.internal|docker\.for\.(?:mac|win)\..+|host-gateway)$/i;

/** Addresses that engines give to the host or to its first networks, where nobody chose others. */
const likelyAddresses: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^172\.(?:1[89]|2\d|3[01])\.0\.1$/, "the gateway of one of Docker's networks"],
  [/^10\.(?:88\.0|89\.\d+)\.1$/, "the gateway of one of podman's networks"],
  [/^10\.0\.2\.(?:2|3|100)$/, 'of slirp4netns'],
  [/^192\.168\.65\.(?:1|2|254)$/, 'of Docker Desktop'],
  [/^192\.168\.127\.(?:1|254)$/, "of podman's machine"],
  [/^192\.168\.5\.2$/, 'of Lima'],
];

/**
 * The warning about an address that is only likely to be such a one: another network's gateway is not visible here, and
 * the administrator may have given the name a better address.
 * @param name the name that was resolved, if the user gave one
 */
export function everyHostWarning(
  address: Address,
  name: string | undefined,
  hostGatewayNames: readonly string[] = [],
): Problem | undefined {
  const isMapped = hostGatewayNames.some(each => each.toLowerCase() === name?.toLowerCase());
  const byName = name !== undefined && (isMapped || namesOfEveryHost.test(name));
  const what = byName
    ? `${name} is a name that every Docker host has for itself`
    : likelyAddresses.find(([pattern]) => pattern.test(address.ip))?.[1];
  if (what === undefined) return undefined;
  const reason = byName ? what : `${address.ip} is usually ${what}, which every host has`;
  return { message: `${formatAddress(address)} may not be reached by other hosts: ${reason}`, hint };
}
