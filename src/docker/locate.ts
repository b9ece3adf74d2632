/**
 * Finds the container that we live in and where others reach its port.
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import {
  publishedAddress,
  type AddressAnswer,
  type AddressQuestion,
  type ContainerView,
} from '../core/address.ts';
import { candidates, type Candidate, type Surroundings } from '../core/identity.ts';
import { UnavailableError } from '../errors.ts';
import type { Engine } from './engine.ts';

export interface Location {
  readonly container: ContainerView;
  /** How the container's id was found. */
  readonly source: Candidate['source'];
  readonly answer: AddressAnswer;
}

/**
 * Asks the engine about each candidate and takes the first that it confirms; `ownId` is what the user said, if anything.
 * @throws UnavailableError when the engine does not answer or confirms none
 */
export async function locate(
  engine: Engine,
  question: AddressQuestion,
  ownId: string | undefined,
): Promise<Location> {
  const tried: string[] = [];
  for (const { id, source } of candidates(await readSurroundings(ownId))) {
    const container = await engine.inspect(id);
    if (!container?.running) {
      tried.push(`${id.slice(0, 12)} (${source})`);
      continue;
    }
    const owner = await networkOwner(engine, container);
    return { container: owner, source, answer: publishedAddress(owner, question) };
  }
  throw new UnavailableError(
    tried.length > 0
      ? `Docker knows no running container ${tried.join(', ')}; is the mounted socket that of the engine which runs this container?`
      : 'found no container id in mountinfo, cgroup or hostname; outside of a container say the address with --advertise IP:PORT',
  );
}

/** With `--network container:X` the ports are X's. */
async function networkOwner(engine: Engine, container: ContainerView): Promise<ContainerView> {
  const id = /^container:([0-9a-f]{64})$/.exec(container.networkMode)?.[1];
  return id === undefined ? container : ((await engine.inspect(id)) ?? container);
}

async function readSurroundings(container: string | undefined): Promise<Surroundings> {
  const [mountinfo, cgroup] = await Promise.all(
    ['/proc/self/mountinfo', '/proc/self/cgroup'].map(path => readFile(path, 'utf8').catch(() => '')),
  );
  return { container, mountinfo: mountinfo ?? '', cgroup: cgroup ?? '', hostname: hostname() };
}
