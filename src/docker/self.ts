/**
 * Finds the container that this process runs in, and where others reach its port.
 */
import { hostname } from 'node:os';
import {
  addressOf,
  serviceIdLabel,
  type AddressQuestion,
  type AdvertisedAddress,
  type SwarmFacts,
} from '../core/address/advertise.ts';
import type { ContainerView } from '../core/address/container.ts';
import { candidates, type Candidate, type IdentitySources } from '../core/address/identity.ts';
import { isShortage } from '../core/shortage.ts';
import { codeOf, messageOf, UnavailableError, type Result } from '../errors.ts';
import { readRegularFile } from '../files.ts';
import type { Engine } from './engine.ts';

/** This container. */
export interface Self {
  readonly container: ContainerView;
  /** Where its id was read. */
  readonly source: Candidate['source'];
  /** The container that owns our network: this one, or X with `--network container:X`. */
  readonly network: ContainerView;
}

/**
 * Inspects each candidate and takes the first that runs.
 * @param ownId the id that the user gives, if any
 * @throws UnavailableError when the engine does not answer or knows none of them
 */
export async function findSelf(engine: Engine, ownId: string | undefined): Promise<Self> {
  const tried: string[] = [];
  for (const { id, source } of candidates(await readIdentitySources(ownId))) {
    const container = await engine.inspect(id);
    if (container?.running) return { container, source, network: await networkOwner(engine, container) };
    tried.push(`${id.slice(0, 12)} (${source})`);
  }
  if (tried.length === 0)
    throw new UnavailableError({
      message: 'found no container id in mountinfo, cgroup or hostname',
      hint: 'outside of a container give the address with --advertise IP:PORT',
    });
  throw new UnavailableError({
    message: `Docker knows no running container ${tried.join(', ')}`,
    hint: 'mount the socket of the engine that runs this container',
  });
}

/**
 * Where others reach the port of the container that owns our network. Asks the swarm only for the facts that are needed.
 * @throws UnavailableError when the engine does not answer
 */
export async function resolveAddress(
  engine: Engine,
  network: ContainerView,
  question: AddressQuestion,
): Promise<Result<AdvertisedAddress>> {
  let facts: SwarmFacts = {};
  for (;;) {
    const answer = addressOf(network, question, facts);
    if (!('needs' in answer)) return answer;
    facts =
      answer.needs === 'nodeIp'
        ? { ...facts, nodeIp: await engine.nodeIp() }
        : { ...facts, ingress: await engine.ingressPorts(network.labels.get(serviceIdLabel) ?? '') };
  }
}

async function networkOwner(engine: Engine, container: ContainerView): Promise<ContainerView> {
  const id = /^container:([0-9a-f]{64})$/.exec(container.networkMode)?.[1];
  return id === undefined ? container : ((await engine.inspect(id)) ?? container);
}

async function readIdentitySources(container: string | undefined): Promise<IdentitySources> {
  const [mountinfo, cgroup, containerenv] = await Promise.all([
    read('/proc/self/mountinfo'),
    read('/proc/self/cgroup'),
    read('/run/.containerenv'),
  ]);
  return { container, mountinfo, cgroup, containerenv, hostname: hostname() };
}

/**
 * The text of a file, or none where it cannot be read: an image may have a named pipe there.
 * @throws UnavailableError when a resource has run out: the file may name our container
 */
async function read(path: string): Promise<string> {
  try {
    return (await readRegularFile(path)).toString();
  } catch (cause) {
    if (isShortage(codeOf(cause))) throw new UnavailableError(messageOf(cause), { cause });
    return '';
  }
}
