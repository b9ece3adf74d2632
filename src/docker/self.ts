/**
 * Finds the container that we live in and where others reach its port.
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import {
  addressOf,
  serviceIdLabel,
  type AddressAnswer,
  type AddressQuestion,
  type SwarmFacts,
} from '../core/address/advertise.ts';
import type { ContainerView } from '../core/address/container.ts';
import { candidates, type Candidate, type IdentitySources } from '../core/address/identity.ts';
import { UnavailableError } from '../errors.ts';
import type { Engine } from './engine.ts';

export interface Self {
  /** The container that we live in. */
  readonly container: ContainerView;
  /** How its id was found. */
  readonly source: Candidate['source'];
  /** The container whose network we are in: ours, but with `--network container:X` it is X. */
  readonly network: ContainerView;
}

/**
 * Asks the engine about each candidate and takes the first that it confirms; `ownId` is what the user said, if anything.
 * @throws UnavailableError when the engine does not answer or confirms none
 */
export async function findSelf(engine: Engine, ownId: string | undefined): Promise<Self> {
  const tried: string[] = [];
  for (const { id, source } of candidates(await readIdentitySources(ownId))) {
    const container = await engine.inspect(id);
    if (container?.running) return { container, source, network: await networkOwner(engine, container) };
    tried.push(`${id.slice(0, 12)} (${source})`);
  }
  throw new UnavailableError(
    tried.length > 0
      ? `Docker knows no running container ${tried.join(', ')}; is the mounted socket that of the engine which runs this container?`
      : 'found no container id in mountinfo, cgroup or hostname; outside of a container say the address with --advertise IP:PORT',
  );
}

/**
 * Where others reach the port of the container that owns our network; asks what only a swarm knows when it is needed.
 * @throws UnavailableError when the engine does not answer
 */
export async function resolveAddress(
  engine: Engine,
  network: ContainerView,
  question: AddressQuestion,
): Promise<Exclude<AddressAnswer, { kind: 'needs' }>> {
  let facts: SwarmFacts = {};
  for (;;) {
    const answer = addressOf(network, question, facts);
    if (answer.kind !== 'needs') return answer;
    facts =
      answer.fact === 'nodeIp'
        ? { ...facts, nodeIp: await engine.nodeIp() }
        : { ...facts, ingress: await engine.ingressPorts(network.labels.get(serviceIdLabel) ?? '') };
  }
}

/** With `--network container:X` the ports are X's. */
async function networkOwner(engine: Engine, container: ContainerView): Promise<ContainerView> {
  const id = /^container:([0-9a-f]{64})$/.exec(container.networkMode)?.[1];
  return id === undefined ? container : ((await engine.inspect(id)) ?? container);
}

async function readIdentitySources(container: string | undefined): Promise<IdentitySources> {
  const files = ['/proc/self/mountinfo', '/proc/self/cgroup', '/run/.containerenv'];
  const [mountinfo, cgroup, containerenv] = await Promise.all(
    files.map(path => readFile(path, 'utf8').catch(() => '')),
  );
  return {
    container,
    mountinfo: mountinfo ?? '',
    cgroup: cgroup ?? '',
    containerenv: containerenv ?? '',
    hostname: hostname(),
  };
}
