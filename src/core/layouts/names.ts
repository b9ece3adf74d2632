/**
 * The one name of each service of a process, for its status, log, metrics and commands: the name that the user gave, or
 * else the one that its keys in etcd have. A name that only Docker knows is found once Docker has answered.
 */
import { formats, type Layout } from './formats.ts';
import { isName, serviceNameOf, type ContainerFacts, type InstanceSource } from './instance.ts';
import type { LayoutFormat } from './layout.ts';
import type { Publication } from './records.ts';

export interface NamedService extends Pick<InstanceSource, 'localPort' | 'protocol' | 'spec'> {
  readonly publication: Publication;
  /** What the user calls it in the configuration. */
  readonly label: string;
}

export interface Naming {
  /** No other service of the process has it. */
  readonly name: string;
  /** What `dockreg ls` calls the instances, one for each layout. It may be the same for several services. */
  readonly listed: readonly string[];
  /** Other words that people use for the service, such as its port. Several services may share one. */
  readonly others: readonly string[];
}

/** @param container undefined while it is not known */
export function namesOf(
  services: readonly NamedService[],
  container: ContainerFacts | undefined,
): readonly Naming[] {
  const found = services.map(service => findNames(service, container));
  const taken = new Set<string>();
  return services.map((service, index) => {
    const { base, listed } = found[index] ?? { base: service.label, listed: [] };
    const isShared = found.filter(other => other.base === base).length > 1;
    const name = firstFree(isShared ? numbered(base, service, services) : base, taken);
    taken.add(name);
    const { label, localPort } = service;
    const others = [base, label, ...listed, String(localPort), `${base}:${localPort}`];
    return { name, listed, others: [...new Set(others)].filter(other => other !== name) };
  });
}

/** A name that several services have gets the port of each: `web:8000`. */
function numbered(
  base: string,
  { localPort, protocol }: NamedService,
  services: readonly NamedService[],
): string {
  const isPortShared = services.some(other => other.localPort === localPort && other.protocol !== protocol);
  return `${base}:${localPort}${isPortShared ? `/${protocol}` : ''}`;
}

function firstFree(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  let number = 2;
  while (taken.has(`${name}#${number}`)) number++;
  return `${name}#${number}`;
}

interface FoundNames extends Pick<Naming, 'listed'> {
  readonly base: string;
}

function findNames(service: NamedService, container: ContainerFacts | undefined): FoundNames {
  const { label, spec, publication } = service;
  const instance = { ...service, container };
  const needsName = publication.own.length > 0 || publication.layouts.some(tellsName);
  // What is not used is not read: Docker may give an odd value for it.
  const known = needsName ? serviceNameOf(instance) : undefined;
  const name = known && isName(known.text) ? known : undefined;
  const named = publication.layouts.flatMap(layout => {
    const format: LayoutFormat = formats[layout.name];
    const text = format.nameIn(layout.root, name, instance);
    return text === undefined ? [] : [{ text, tells: tellsName(layout) }];
  });
  const ofName = named.find(({ tells }) => tells)?.text;
  const base = spec.name ?? ofName ?? named[0]?.text ?? name?.text ?? label;
  return { base, listed: [...new Set(named.map(({ text }) => text))] };
}

/** Whether the keys of the layout have the name of the service, and not only that of their parent. */
function tellsName({ name, root }: Layout): boolean {
  const format: LayoutFormat = formats[name];
  return format.nameIn(root, { text: 'a', from: '--name' }, { localPort: 1, container: undefined }) === 'a';
}
