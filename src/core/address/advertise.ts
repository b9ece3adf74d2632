/**
 * Where do others reach the app? From what Docker says of our container to the address, or to one of the reasons why
 * there is none. Never a guess: `0.0.0.0` is no address, and neither is one that only we can reach.
 */
import {
  canonicalIp,
  isIPv6,
  isWildcard,
  reservedRange,
  type Address,
  type Protocol,
  type ReservedRange,
} from './ip.ts';
import type { Binding, ContainerView, IngressPort, NetworkView } from './container.ts';

/** Which of the addresses that reach the app is registered. */
export type Advertise =
  /** The host's address and the port that Docker maps to ours; on the host's network, ours. */
  | { readonly kind: 'published' }
  /** The host's address and our own port: the container shares the host's network. */
  | { readonly kind: 'host' }
  /** The container's own address on a network (the only one it is on, when none is named) and our own port. */
  | { readonly kind: 'container'; readonly network: string | undefined }
  /** A task of a swarm service: what it publishes itself, else the node's address and the service's ingress port. */
  | { readonly kind: 'swarm' }
  /** Said by the user; Docker is not asked. */
  | { readonly kind: 'literal'; readonly address: Address };

/** The host's address as the user gave it, found out. */
export interface HostIp {
  readonly ip: string;
  /** `--ip 10.1.0.101`, `interface eth1`, `name host-1`: where it comes from, for the log. */
  readonly source: string;
  /** The name of the interface that it was read from. */
  readonly fromInterface: string | undefined;
  /** One of our own network's interfaces has this address. */
  readonly ours: boolean;
}

export interface AddressQuestion {
  readonly localPort: number;
  readonly protocol: Protocol;
  readonly advertise: Exclude<Advertise, { kind: 'literal' }>;
  readonly hostIp: HostIp | undefined;
  readonly allowLoopback: boolean;
}

/** What only a swarm knows; each is asked for when it is needed. */
export interface SwarmFacts {
  /** The node's address in the swarm; null outside of a swarm, or if we may not ask. */
  readonly nodeIp?: string | null;
  /** The ports that our service publishes on every node; null if this node or a proxy refuses to tell. */
  readonly ingress?: readonly IngressPort[] | null;
}

export type AddressAnswer =
  | { readonly kind: 'address'; readonly address: Address; /** For the log. */ readonly by: string }
  /** What is wrong and the way out, for a person. */
  | { readonly kind: 'problem'; readonly problem: string }
  /** Ask again with this fact. */
  | { readonly kind: 'needs'; readonly fact: keyof SwarmFacts };

/** `view` is the container that owns the network which we are in. */
export function addressOf(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const answer = find(view, question, facts);
  if (answer.kind !== 'address') return answer;
  const ip = canonicalIp(answer.address.ip);
  const range = reservedRange(ip);
  if (range === null || (range === 'loopback' && question.allowLoopback))
    return { ...answer, address: { ip, port: answer.address.port } };
  return problem(`${ip} (${answer.by}) ${unreachable(range)}`);
}

/** The rest of a sentence that begins with the address. */
export function unreachable(range: ReservedRange): string {
  const hint = 'give the address that others use, such as 10.1.0.101';
  switch (range) {
    case 'unspecified':
      return `means every address and reaches none; ${hint}`;
    case 'loopback':
      return `is a loopback address, which no other host can reach; ${hint}, or --allow-loopback if nobody else shall`;
    case 'link-local':
    case 'multicast':
    case 'broadcast':
      return `is a ${range} address, which names no single host; ${hint}`;
  }
}

function find(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const { advertise, hostIp } = question;
  const onHost = view.networkMode === 'host';
  if (hostIp?.fromInterface !== undefined && !onHost) {
    return problem(
      `--ip ${hostIp.fromInterface} is an interface of this container, whose network is not the host's; give the host's address or a name that resolves to it`,
    );
  }
  if (hostIp?.ours && !onHost && reservedRange(hostIp.ip) !== 'loopback') {
    return problem(
      `${hostIp.ip} (${hostIp.source}) is this container's own address, and a published port is reached at the host's; give the host's address, or register the container's own: --advertise container`,
    );
  }
  switch (advertise.kind) {
    case 'host':
      return onHost
        ? onHostNetwork(view, question, facts)
        : problem(
            `container ${labelOf(view)} is not on the host's network (its mode is ${view.networkMode}), so --advertise host would name a port that is not its own; start it with --network host, or leave --advertise out`,
          );
    case 'container':
      return onContainerNetwork(view, question, advertise.network);
    case 'swarm':
      return asTask(view, question, facts);
    case 'published':
      return onHost ? onHostNetwork(view, question, facts) : published(view, question, facts);
  }
}

function onHostNetwork(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const host = hostAddress(question, facts);
  if (host.kind === 'needs') return host;
  return host.kind === 'ip'
    ? address(host.ip, question.localPort, `${host.source}, host network`)
    : problem(
        `container ${labelOf(view)} uses the host's network, so port ${question.localPort} is the host's own; say the host's address with --ip`,
      );
}

/**
 * What Docker maps to the port. It lists the bindings in no fixed order, and IPv4 and IPv6 may be mapped to different
 * ports (moby #42442).
 */
function published(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const { localPort, hostIp } = question;
  const port = portKey(question);
  // Podman goes on telling the ports of a container that nobody can reach.
  if (view.networks.size === 0 && view.networkMode !== 'none') {
    return problem(
      `container ${labelOf(view)} is on no network, so nobody can reach port ${port}; connect it to one`,
    );
  }
  const bindings = view.ports.get(port);
  if (bindings === undefined || bindings.length === 0) return problem(unpublished(view, port, bindings));

  const chosen = choose(bindings, hostIp?.ip);
  const range = reservedRange(chosen.hostIp);
  if (hostIp === undefined && range !== 'unspecified')
    return address(chosen.hostIp, chosen.hostPort, 'published');
  if (hostIp !== undefined && range === 'loopback' && chosen.hostIp !== hostIp.ip) {
    return problem(
      `port ${port} of container ${labelOf(view)} is published on ${chosen.hostIp} only, where ${hostIp.ip} (${hostIp.source}) does not reach it; publish it on ${hostIp.ip} or on every address: -p ${localPort}`,
    );
  }

  const host = hostAddress(question, facts);
  if (host.kind === 'needs') return host;
  if (host.kind === 'none') {
    return problem(
      `port ${port} of container ${labelOf(view)} is published on every address of the host (${chosen.hostIp || 'no HostIp'}:${chosen.hostPort}), ` +
        `which is no address to register; say the host's address with --ip, or publish it on one: -p <host address>::${localPort}`,
    );
  }
  const fits = choose(bindings, host.ip);
  if (fits.hostIp === '' && !hasFamilyOf(host.ip, view)) {
    return problem(
      `port ${port} of container ${labelOf(view)} is published for the families of its own addresses only, and ${host.ip} (${host.source}) is of the other; ` +
        `give an ${isIPv6(host.ip) ? 'IPv4' : 'IPv6'} --ip, or connect the container to a network with ${isIPv6(host.ip) ? 'IPv6' : 'IPv4'}`,
    );
  }
  return fits.hostIp === '' || isIPv6(fits.hostIp) === isIPv6(host.ip)
    ? address(host.ip, fits.hostPort, `${host.source}, published`)
    : problem(
        `port ${port} of container ${labelOf(view)} is published on ${fits.hostIp} only, and ${host.ip} (${host.source}) is of the other family; ` +
          `give an ${isIPv6(host.ip) ? 'IPv4' : 'IPv6'} --ip, or publish it on an ${isIPv6(host.ip) ? 'IPv6' : 'IPv4'} address`,
      );
}

function onContainerNetwork(
  view: ContainerView,
  { localPort }: AddressQuestion,
  wanted: string | undefined,
): AddressAnswer {
  const name = labelOf(view);
  if (view.networkMode === 'host')
    return problem(
      `container ${name} uses the host's network and has no address of its own; leave --advertise out`,
    );
  const own = [...view.networks].filter(([network]) => wanted !== undefined || network !== 'ingress');
  const named = own.filter(([network, at]) => (wanted ?? network) === network && ipOf(at) !== '');
  const names = own.map(([network]) => network).join(', ') || 'none';
  const [first, second] = named;
  if (first === undefined) {
    return problem(
      wanted === undefined
        ? `container ${name} has no address on a network (networks: ${names}); connect it to one, or say the address with --advertise IP:PORT`
        : `container ${name} has no address on network ${wanted} (networks: ${names}); connect it: docker network connect ${wanted} ${name}`,
    );
  }
  if (second !== undefined) {
    return problem(
      `container ${name} is on several networks (${names}); say which: --advertise container:${first[0]}`,
    );
  }
  return address(ipOf(first[1]), localPort, `network ${first[0]}`);
}

function asTask(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const name = labelOf(view);
  if (!isTask(view)) {
    return problem(
      `container ${name} is no task of a swarm service (it has no label ${serviceIdLabel}); leave --advertise out`,
    );
  }
  const port = portKey(question);
  if ((view.ports.get(port) ?? []).length > 0) return published(view, question, facts);
  if (facts.ingress === undefined) return { kind: 'needs', fact: 'ingress' };
  if (facts.ingress === null) {
    return problem(
      `the port that the service of ${name} publishes cannot be read here: only a manager tells it; ` +
        `publish it on each task's node (--publish mode=host,target=${question.localPort}), or say the address with --advertise IP:PORT or container:<overlay network>`,
    );
  }
  const ingress = facts.ingress.find(({ target }) => target === port);
  if (!ingress) {
    const others = facts.ingress.map(({ target }) => target).join(', ') || 'none';
    return problem(
      `the service of ${name} publishes no port for ${port} (it publishes: ${others}); start it with --publish target=${question.localPort}`,
    );
  }
  const host = hostAddress(question, facts);
  if (host.kind === 'needs') return host;
  return host.kind === 'ip'
    ? address(host.ip, ingress.publishedPort, `${host.source}, ingress`)
    : problem(`Docker does not tell this node's address in the swarm; say it with --ip`);
}

/** The label that Docker gives to each task of a swarm service. */
export const serviceIdLabel = 'com.docker.swarm.service.id';

function isTask(view: ContainerView): boolean {
  return view.labels.has(serviceIdLabel);
}

type HostAddress =
  | { readonly kind: 'ip'; readonly ip: string; readonly source: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'needs'; readonly fact: 'nodeIp' };

/** What the user says, else the node's address in the swarm. */
function hostAddress({ hostIp }: AddressQuestion, { nodeIp }: SwarmFacts): HostAddress {
  if (hostIp) return { kind: 'ip', ip: hostIp.ip, source: hostIp.source };
  if (nodeIp === undefined) return { kind: 'needs', fact: 'nodeIp' };
  return nodeIp === null ? { kind: 'none' } : { kind: 'ip', ip: nodeIp, source: 'swarm node' };
}

/**
 * The user's own address first, then a specific IPv4, the IPv4 wildcard, and IPv6; with an IPv6 --ip, its family first.
 * What is published on loopback is for the host itself: last.
 */
function choose(bindings: readonly Binding[], ip: string | undefined): Binding {
  const wantsSix = ip !== undefined && isIPv6(ip);
  const rank = ({ hostIp }: Binding): number => {
    if (hostIp === ip) return 0;
    if (reservedRange(hostIp) === 'loopback') return 5;
    return (isIPv6(hostIp) === wantsSix || hostIp === '' ? 0 : 2) + (isWildcard(hostIp) ? 2 : 1);
  };
  return bindings.reduce((best, next) => (rank(next) < rank(best) ? next : best));
}

function unpublished(view: ContainerView, port: string, bindings: readonly Binding[] | undefined): string {
  const name = labelOf(view);
  const hint = `start it with -p ${port.replace(/\/tcp$/, '')}, or say the address with --advertise IP:PORT`;
  if (view.networkMode === 'none')
    return `container ${name} has no network (--network none), so nobody can reach port ${port}; ${hint}`;
  if (isTask(view))
    return `port ${port} of task ${name} is not published on its node; if its service publishes it on all nodes (ingress), use --advertise swarm; else publish it with --publish mode=host,target=${Number.parseInt(port, 10)}`;
  if (bindings) return `port ${port} of container ${name} is exposed but not published; ${hint}`;
  const others = [...view.ports].filter(([, list]) => list.length > 0).map(([other]) => other);
  return others.length > 0
    ? `port ${port} of container ${name} is not published, only ${others.join(', ')}; check --port, or ${hint}`
    : `container ${name} publishes no port; ${hint}`;
}

/** With podman's wildcard the host passes on what the container itself could answer; Docker's proxy translates. */
function hasFamilyOf(ip: string, { networks }: ContainerView): boolean {
  return [...networks.values()].some(({ ipv4, ipv6 }) => (isIPv6(ip) ? ipv6 : ipv4) !== '');
}

function ipOf({ ipv4, ipv6 }: NetworkView): string {
  return ipv4 || ipv6;
}

function portKey({ localPort, protocol }: AddressQuestion): string {
  return `${localPort}/${protocol}`;
}

function labelOf(view: ContainerView): string {
  return view.name || view.id.slice(0, 12);
}

function address(ip: string, port: number, by: string): AddressAnswer {
  return { kind: 'address', address: { ip, port }, by };
}

function problem(text: string): AddressAnswer {
  return { kind: 'problem', problem: text };
}
