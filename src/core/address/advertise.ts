/**
 * Decides at which address a service is registered: from the engine's view of the container to the address, or to the
 * problem that is in the way. It never guesses: a wildcard is no address, and neither is one that only this host reaches.
 */
import { failure, type Problem, type Result } from '../../errors.ts';
import {
  atBinding,
  atHostIp,
  bestOf,
  found,
  keepOr,
  problem,
  severalIps,
  type AdvertisedAddress,
} from './choice.ts';
import {
  docker0,
  docker0Problem,
  everyHostProblem,
  everyHostWarning,
  type OwnNetwork,
} from './every-host.ts';
import { canonicalIp, isIPv6, reservedRange, type Address, type Protocol } from './ip.ts';
import type { ContainerView, IngressPort, NetworkView } from './container.ts';
import { forwarderOf, routedAddress, sharesHostAddress } from './unmapped.ts';

/** Which of the addresses that reach the app is registered. */
export type Advertise =
  /** The host's address and the port that Docker maps to the app's; on the host's network, the app's own port. */
  | { readonly kind: 'published' }
  /** The host's address and the app's own port: the container shares the host's network. */
  | { readonly kind: 'host' }
  /** The container's own address on a network (its only one if none is named) and the app's own port. */
  | { readonly kind: 'container'; readonly network: string | undefined }
  /** A task of a swarm service: what the task publishes itself, else the node's address and the service's ingress port. */
  | { readonly kind: 'swarm' }
  /** The address that the user gives; Docker is not asked. */
  | { readonly kind: 'literal'; readonly address: Address };

/** The host's address as --ip gives it, with a name resolved. */
export interface HostIp {
  readonly ip: string;
  /** Where it comes from, for the log: `--ip 10.1.0.101`, `interface eth1`, `name host-1`. */
  readonly source: string;
  /** The interface that has it; undefined if --ip names none. */
  readonly fromInterface: string | undefined;
  /** Whether an interface of our own network has this address. */
  readonly ours: boolean;
  /** The name of a host that resolves to it, if the user gave one. */
  readonly name?: string;
  /** The addresses that name or interface has too, as good as this one. */
  readonly others?: readonly string[];
}

/** What the user configured for one service. */
export interface AddressQuestion {
  readonly localPort: number;
  readonly protocol: Protocol;
  readonly advertise: Exclude<Advertise, { kind: 'literal' }>;
  readonly hostIp: HostIp | undefined;
  readonly allowLoopback: boolean;
  /** The address that is registered; undefined at the start, and after it was gone. */
  readonly registered?: Address | undefined;
  /** What our own kernel says of gateways and bridges; left out where that does not matter. */
  readonly own?: OwnNetwork | undefined;
}

/** Facts that only a swarm knows. Each is read from the engine when it is needed. */
export interface SwarmFacts {
  /** The node's address in the swarm; null outside of a swarm, and where the engine does not show it. */
  readonly nodeIp?: string | null;
  /** The ports that the service publishes on every node; null where the engine does not show them. */
  readonly ingress?: readonly IngressPort[] | null;
}

export type { AdvertisedAddress };

/** A result, or the fact without which there is none yet. */
export type AddressAnswer = Result<AdvertisedAddress> | { readonly needs: keyof SwarmFacts };

/**
 * @param view the container that owns our network
 * @throws UnavailableError when the engine gave an odd value for something that decides
 */
export function addressOf(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const answer = find(view, question, facts);
  if ('needs' in answer || !answer.ok) return answer;
  const { address, by, warnings = [] } = answer.value;
  const ip = canonicalIp(address.ip);
  const title = `${ip} (${by})`;
  const unreachable = reachProblem(title, ip, question.allowLoopback);
  if (unreachable) return failure(unreachable);
  const { port } = address;
  if (question.advertise.kind === 'container') return found(ip, port, by, warnings);
  const { hostIp } = question;
  const several = hostIp?.others?.length ? [severalIps({ ip, port }, hostIp.source, hostIp.others)] : [];
  if (question.allowLoopback) return found(ip, port, by, [...warnings, ...several]);
  const ofEveryHost = everyHostProblem(title, ip, view, question.own);
  if (ofEveryHost)
    // A network may be connected whose gateway is the address that was right until now.
    return keepOr(question.registered, [{ hostIp: ip, hostPort: port }], ofEveryHost);
  const likely = everyHostWarning({ ip, port }, hostIp?.name, view.hostGatewayNames);
  return found(ip, port, by, [...warnings, ...several, ...(likely ? [likely] : [])]);
}

/**
 * The problem with an IP address to which other hosts cannot connect; undefined if there is none.
 * @param title names the address and its source, for the message
 * @param ip in its canonical form
 */
export function reachProblem(title: string, ip: string, allowLoopback: boolean): Problem | undefined {
  const range = reservedRange(ip);
  if (ip !== docker0 && range === null) return undefined;
  if (allowLoopback && (range === 'loopback' || ip === docker0)) return undefined;
  if (range === null) return docker0Problem(title);
  const hint = 'give the address that others use, such as 10.1.0.101';
  if (range === 'unspecified') return { message: `${title} means every address and reaches none`, hint };
  if (range === 'loopback')
    return {
      message: `${title} is a loopback address, which no other host can reach`,
      hint: `${hint}, or set --allow-loopback if only this host connects`,
    };
  return { message: `${title} is a ${range} address, which names no single host`, hint };
}

function find(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const { advertise, hostIp } = question;
  const onHost = view.networkMode === 'host';
  const isShared = sharesHostAddress(view.networkMode);
  if (hostIp?.fromInterface !== undefined && !isShared)
    return problem(
      `--ip ${hostIp.fromInterface} is an interface of this container, whose network is not the host's`,
      "give the host's address or a name that resolves to it",
    );
  if (hostIp?.ours && !isShared && reservedRange(hostIp.ip) !== 'loopback' && !isRoutedTo(view, question))
    return problem(
      `${hostIp.ip} (${hostIp.source}) is this container's own address, and a published port is reached at the host's`,
      "give the host's address, or register the container's own: --advertise container",
    );
  if (advertise.kind === 'container') return onContainerNetwork(view, question, advertise.network);
  if (advertise.kind === 'swarm') return asTask(view, question, facts);
  if (onHost) return onHostNetwork(view, question, facts);
  if (advertise.kind === 'published') return published(view, question, facts);
  return problem(
    `container ${view.title} is not on the host's network (its mode is ${view.networkMode}), so --advertise host would register a port that is not its own`,
    'start it with --network host, or leave --advertise out',
  );
}

function onHostNetwork(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const { localPort } = question;
  const unknown = keepOr(question.registered, [{ hostIp: '', hostPort: localPort }], {
    message: `container ${view.title} uses the host's network, so port ${localPort} is the host's own`,
    hint: "give the host's address with --ip",
  });
  return withHostIp(question, facts, unknown, ({ ip, source }) =>
    found(ip, localPort, `${source}, host network`),
  );
}

/**
 * What Docker maps to the port. It lists the bindings in no fixed order, and IPv4 and IPv6 may be mapped to different
 * ports (moby #42442).
 */
function published(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const { localPort, protocol, hostIp, registered } = question;
  const port = `${localPort}/${protocol}`;
  // Podman still lists the published ports of a container that is on no network.
  if (view.networks.size === 0 && view.networkMode !== 'none' && forwarderOf(view.networkMode) === null)
    return problem(
      `container ${view.title} is on no network, so nobody can reach port ${port}`,
      'connect it to one',
    );
  const routed = routedAddress(view, port, localPort, hostIp, registered);
  if (routed !== undefined) return routed;
  const bindings = view.ports.get(port) ?? [];
  if (bindings.length === 0) return unpublished(view, port);

  const title = `port ${port} of container ${view.title} is published`;
  const ranges = new Set(bindings.map(each => reservedRange(each.hostIp)));
  const isAtOne = bindings.some(each => each.hostIp === registered?.ip && each.hostPort === registered.port);
  if (hostIp === undefined && (ranges.has(null) || !ranges.has('unspecified') || isAtOne))
    return atBinding(bindings, registered, title);
  const best = bestOf(bindings, undefined);
  const unknown = keepOr(registered, bindings, {
    message: `${title} on every address of the host (${best.hostIp || 'no HostIp'}:${best.hostPort}), and Docker does not tell which one others use`,
    hint: `give the host's address with --ip, or publish the port on one: -p <host address>::${localPort}`,
  });
  return withHostIp(question, facts, unknown, host =>
    atHostIp(bindings, () => hasFamilyOf(host.ip, view), host, registered, title),
  );
}

function onContainerNetwork(
  view: ContainerView,
  { localPort, registered }: AddressQuestion,
  wanted?: string,
): AddressAnswer {
  const title = `container ${view.title}`;
  if (view.networkMode === 'host')
    return problem(`${title} uses the host's network and has no address of its own`, 'leave --advertise out');
  const forwarder = forwarderOf(view.networkMode);
  if (forwarder !== null)
    return problem(
      `${title} is on podman's network ${forwarder}, where others reach only its published ports`,
      `leave --advertise out, and publish the port: -p ${localPort}`,
    );
  const networks = [...view.networks].filter(([name]) => wanted !== undefined || name !== 'ingress');
  const names = networks.map(([name]) => name).join(', ') || 'none';
  const usable = networks
    .filter(([name]) => (wanted ?? name) === name)
    .map(([network, its]) => ({ network, ip: addressOn(its, registered?.ip) }))
    .filter(({ ip }) => ip !== '');
  const [first] = usable;
  if (first === undefined)
    return problem(
      `${title} has no address on ${wanted === undefined ? 'a network' : `network ${wanted}`} (networks: ${names})`,
      wanted === undefined
        ? 'connect it to one, or give the address with --advertise IP:PORT'
        : `connect it: docker network connect ${wanted} ${view.title}`,
    );
  const { network, ip } = first;
  if (usable.length === 1) return found(ip, localPort, `network ${network}`);
  const candidates = usable.map(each => ({ hostIp: each.ip, hostPort: localPort }));
  return keepOr(registered, candidates, {
    message: `${title} is on several networks (${names})`,
    hint: `name one: --advertise container:${network}`,
  });
}

/** The container's address on a network: the registered one while it has that, else the IPv4 address. */
function addressOn(its: NetworkView, registered: string | undefined): string {
  if (registered !== undefined && isIPv6(registered) && its.ipv6 === registered) return registered;
  return its.ipv4 || its.ipv6;
}

function asTask(view: ContainerView, question: AddressQuestion, facts: SwarmFacts): AddressAnswer {
  const { localPort, protocol, registered } = question;
  if (!view.labels.has(serviceIdLabel))
    return problem(
      `container ${view.title} is not a task of a swarm service (it has no label ${serviceIdLabel})`,
      'leave --advertise out',
    );
  const port = `${localPort}/${protocol}`;
  if ((view.ports.get(port) ?? []).length > 0) return published(view, question, facts);
  if (facts.ingress === undefined) return { needs: 'ingress' };
  if (facts.ingress === null)
    // A manager that has become a worker does not say that the port is gone.
    return keepOr(registered, registered ? [{ hostIp: '', hostPort: registered.port }] : [], {
      message: `the port that the service of ${view.title} publishes cannot be read here: only a manager tells it`,
      hint: `publish it on each task's node (--publish mode=host,target=${localPort}), or give the address with --advertise IP:PORT or container:<overlay network>`,
    });
  const ingress = facts.ingress.find(({ target }) => target === port);
  if (!ingress) {
    const others = facts.ingress.map(({ target }) => target).join(', ') || 'none';
    return problem(
      `the service of ${view.title} publishes no port for ${port} (it publishes: ${others})`,
      `start it with --publish target=${localPort}`,
    );
  }
  const unknown = keepOr(registered, [{ hostIp: '', hostPort: ingress.publishedPort }], {
    message: "Docker does not tell this node's address in the swarm",
    hint: 'give it with --ip',
  });
  return withHostIp(question, facts, unknown, ({ ip, source }) =>
    found(ip, ingress.publishedPort, `${source}, ingress`),
  );
}

/** The label that Docker gives to each task of a swarm service. */
export const serviceIdLabel = 'com.docker.swarm.service.id';

/** Continues with the user's address, else with the node's in the swarm. Without either, the answer is `unknown`. */
function withHostIp(
  { hostIp }: AddressQuestion,
  { nodeIp }: SwarmFacts,
  unknown: AddressAnswer,
  next: (host: Pick<HostIp, 'ip' | 'source'>) => AddressAnswer,
): AddressAnswer {
  if (hostIp) return next(hostIp);
  if (nodeIp === undefined) return { needs: 'nodeIp' };
  return nodeIp === null ? unknown : next({ ip: nodeIp, source: 'swarm node' });
}

function unpublished(view: ContainerView, port: string): AddressAnswer {
  const title = `port ${port} of container ${view.title}`;
  const remedy = `with -p ${port.replace(/\/tcp$/, '')}, or give the address with --advertise IP:PORT`;
  const hint = `start it ${remedy}`;
  if (view.networkMode === 'none')
    return problem(
      `container ${view.title} has no network (--network none), so nobody can reach port ${port}`,
      `start it on a network and ${remedy}`,
    );
  if (view.labels.has(serviceIdLabel))
    return problem(
      `port ${port} of task ${view.title} is not published on its node`,
      `if its service publishes it on all nodes (ingress), use --advertise swarm; else publish it with --publish mode=host,target=${Number.parseInt(port, 10)}`,
    );
  if (view.ports.get(port)) return problem(`${title} is exposed but not published`, hint);
  const others = view.publishedPorts;
  return others.length > 0
    ? problem(`${title} is not published, only ${others.join(', ')}`, `check --port, or ${hint}`)
    : problem(
        `container ${view.title} publishes no port`,
        `${hint}. A port on an internal network is not published`,
      );
}

/** Podman's wildcard passes on only the families that the container itself has; Docker's proxy translates. */
function hasFamilyOf(ip: string, { networks, networkMode }: ContainerView): boolean {
  if (forwarderOf(networkMode) !== null) return !isIPv6(ip);
  return [...networks.values()].some(its => (isIPv6(ip) ? its.ipv6 : its.ipv4) !== '');
}

/** Whether --ip is the container's own address, and the port is published by routing to it. */
function isRoutedTo(view: ContainerView, question: AddressQuestion): boolean {
  const { localPort, protocol, hostIp, registered } = question;
  return routedAddress(view, `${localPort}/${protocol}`, localPort, hostIp, registered)?.ok === true;
}
