/**
 * Where do others reach the app? From what Docker says of our container to the host's address and port, or to one of
 * the reasons why there is none. Never a guess: `0.0.0.0` is no address.
 */

export type Protocol = 'tcp' | 'udp';

export interface Address {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly ip: string;
  readonly port: number;
}

/** What an inspect of a container tells, in our words. */
export interface ContainerView {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  /** As in HostConfig.NetworkMode: `default`, `bridge`, `host`, `none`, `container:<id>`, or a network's name. */
  readonly networkMode: string;
  /** NetworkSettings.Ports: `8000/tcp` → its bindings; exposed but not published is an empty list. */
  readonly ports: ReadonlyMap<string, readonly Binding[]>;
}

export interface Binding {
  /** `0.0.0.0`, `::`, the empty string (podman's wildcard), or a specific address of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
}

export interface AddressQuestion {
  readonly localPort: number;
  readonly protocol: Protocol;
  /** The host's address that the user gave. */
  readonly ip: string | undefined;
}

export type AddressAnswer =
  | { readonly kind: 'address'; readonly address: Address }
  /** What is wrong and the way out, for a person. */
  | { readonly kind: 'problem'; readonly problem: string };

/**
 * The address under which the container's local port is reached from outside.
 * Docker lists the bindings in no fixed order, and IPv4 and IPv6 may be mapped to different ports (moby #42442).
 */
export function publishedAddress(view: ContainerView, question: AddressQuestion): AddressAnswer {
  const { localPort, protocol, ip } = question;
  const key = `${localPort}/${protocol}`;
  const name = view.name || view.id.slice(0, 12);
  if (view.networkMode === 'host') {
    return ip === undefined
      ? problem(
          `container ${name} uses the host's network, so port ${localPort} is the host's own; say the host's address with --ip`,
        )
      : address(ip, localPort);
  }
  const bindings = view.ports.get(key);
  if (bindings === undefined || bindings.length === 0) return problem(unpublished(view, name, key, bindings));

  const chosen = choose(bindings, ip);
  if (ip !== undefined) {
    return chosen.hostIp === '' || isSix(chosen.hostIp) === isSix(ip)
      ? address(ip, chosen.hostPort)
      : problem(
          `port ${key} of container ${name} is published on ${chosen.hostIp} only, and --ip ${ip} is of the other family; ` +
            `give an ${isSix(ip) ? 'IPv4' : 'IPv6'} --ip, or publish it on an ${isSix(ip) ? 'IPv6' : 'IPv4'} address`,
        );
  }
  if (isWildcard(chosen.hostIp)) {
    return problem(
      `port ${key} of container ${name} is published on every address of the host (${chosen.hostIp || 'no HostIp'}:${chosen.hostPort}), ` +
        `which is no address to register; say the host's address with --ip, or publish it on one: -p <host address>::${localPort}`,
    );
  }
  return address(chosen.hostIp, chosen.hostPort);
}

/** `10.1.0.101:49155`, `[2001:db8::1]:49155`. */
export function formatAddress({ ip, port }: Address): string {
  return isSix(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

export function isWildcard(ip: string): boolean {
  return ip === '' || ip === '0.0.0.0' || ip === '::';
}

function isSix(ip: string): boolean {
  return ip.includes(':');
}

/** The user's own address first, then a specific IPv4, the IPv4 wildcard, and IPv6; with an IPv6 --ip, its family first. */
function choose(bindings: readonly Binding[], ip: string | undefined): Binding {
  const wantsSix = ip !== undefined && isSix(ip);
  const rank = ({ hostIp }: Binding): number => {
    if (hostIp === ip) return 0;
    return (isSix(hostIp) === wantsSix || hostIp === '' ? 0 : 2) + (isWildcard(hostIp) ? 2 : 1);
  };
  return bindings.reduce((best, next) => (rank(next) < rank(best) ? next : best));
}

function unpublished(
  view: ContainerView,
  name: string,
  key: string,
  bindings: readonly Binding[] | undefined,
): string {
  const wayOut = `start it with -p ${key.replace(/\/tcp$/, '')}, or say the address with --advertise IP:PORT`;
  if (view.networkMode === 'none')
    return `container ${name} has no network (--network none), so nobody can reach port ${key}; ${wayOut}`;
  if (bindings) return `port ${key} of container ${name} is exposed but not published; ${wayOut}`;
  const others = [...view.ports].filter(([, list]) => list.length > 0).map(([other]) => other);
  return others.length > 0
    ? `port ${key} of container ${name} is not published, only ${others.join(', ')}; check --port, or ${wayOut}`
    : `container ${name} publishes no port; ${wayOut}`;
}

function address(ip: string, port: number): AddressAnswer {
  return { kind: 'address', address: { ip, port } };
}

function problem(text: string): AddressAnswer {
  return { kind: 'problem', problem: text };
}
