/**
 * One instance of a service as the layouts need it: its address, its names and its metadata, out of what the user said
 * and what the engine knows of our container. What is not known is undefined; who needs it says so.
 */
import { formatAddress, type Address, type Protocol } from '../address/ip.ts';
import type { ContainerView } from '../address/container.ts';
import { expand, type Placeholder, type Template } from './template.ts';

/** What the user says of a service. */
export interface ServiceSpec {
  readonly name: string | undefined;
  /** The host's name, where a layout carries one; left out, it is the registered IP. */
  readonly host: string | undefined;
  /** How the app is spoken to. */
  readonly scheme: Scheme;
  readonly tags: readonly Template[] | undefined;
  readonly weight: number | undefined;
  readonly zone: Template | undefined;
  readonly meta: ReadonlyMap<string, Template>;
  /** The registrator variables of our environment, by name: `SERVICE_NAME`, `SERVICE_8000_TAGS`. */
  readonly variables: Texts;
}

export const schemes = ['http', 'https', 'h2c', 'grpc', 'grpcs', 'tcp'] as const;
export type Scheme = (typeof schemes)[number];

export type Texts = Pick<ReadonlyMap<string, string>, 'get'>;

/** What the engine knows of our container. */
export interface ContainerFacts {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly labels: Texts;
  /** How many ports it publishes. */
  readonly publishedPorts: number;
}

export interface InstancePlace {
  /** Where others reach it. */
  readonly address: Address;
  /** Where it listens. */
  readonly localPort: number;
  readonly protocol: Protocol;
}

export interface Instance extends InstancePlace {
  readonly scheme: Scheme;
  readonly host: string;
  /** undefined when nobody names the service. */
  readonly name: ServiceName | undefined;
  /** What registrator would have as SERVICE_ID. */
  readonly id: string | undefined;
  /** undefined when no engine was asked. */
  readonly container: ContainerFacts | undefined;
  readonly metadata: Metadata;
}

export interface ServiceName {
  readonly text: string;
  /** Who says it, for an error: `--name`, `SERVICE_NAME`, `the image`. */
  readonly from: string;
}

export interface Metadata {
  readonly tags: readonly string[];
  readonly weight: number | undefined;
  readonly zone: string | undefined;
  readonly meta: ReadonlyMap<string, string>;
}

/** Nothing can be written as the user wants it: what is missing or wrong, and the way out. */
export class LayoutProblem extends Error {
  override readonly name = 'LayoutProblem';
}

/** Letters, digits and `_.-`: what Docker, HAProxy and Traefik take in a name, and what is no part of a path. */
export function isName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text);
}

/** Of the container that we live in, and of the one that owns our network. */
export function factsOf({ id, name, image, labels }: ContainerView, network: ContainerView): ContainerFacts {
  const published = [...network.ports.values()].filter(bindings => bindings.length > 0);
  return { id, name, image, labels, publishedPorts: published.length };
}

/** @throws LayoutProblem when the metadata asks for what is not known */
export function instanceOf(
  spec: ServiceSpec,
  place: InstancePlace,
  container: ContainerFacts | undefined,
): Instance {
  const { scheme, host = place.address.ip, weight } = spec;
  const conventions = conventionsOf(spec, place, container);
  const name = nameOf(spec, conventions('NAME'), container);
  const id = conventions('ID')?.text;
  const none: Metadata = { tags: [], weight: undefined, zone: undefined, meta: new Map() };
  const base = { ...place, scheme, host, name, id, container, metadata: none };
  const fill = (template: Template): string => expand(template, placeholder => valueOf(placeholder, base));
  return {
    ...base,
    metadata: {
      tags: spec.tags?.map(fill) ?? tagsOf(conventions('TAGS')?.text ?? ''),
      weight,
      zone: spec.zone && fill(spec.zone),
      meta: new Map([...spec.meta].map(([key, template]) => [key, fill(template)])),
    },
  };
}

/** What stands for a placeholder. @throws LayoutProblem when it is not known */
export function valueOf({ name, argument = '' }: Placeholder, instance: Instance): string {
  const { address, metadata } = instance;
  switch (name) {
    case 'ip':
      return address.ip;
    case 'port':
      return String(address.port);
    case 'address':
      return formatAddress(address);
    case 'service':
      return requireName(instance, 'the placeholder {service}');
    case 'container':
      return requireContainer(instance, 'the placeholder {container}').name;
    case 'id':
      return requireContainer(instance, 'the placeholder {id}').id.slice(0, 12);
    case 'localPort':
      return String(instance.localPort);
    case 'proto':
      return instance.protocol;
    case 'host':
      return instance.host;
    case 'label': {
      const { labels } = requireContainer(instance, `the placeholder {label:${argument}}`);
      return given(labels.get(argument), `the container has no label ${argument}; start it with -l`);
    }
    case 'tags':
      return metadata.tags.join(',');
    case 'weight':
      return given(metadata.weight?.toString(), 'the placeholder {weight} needs --weight');
    case 'zone':
      return given(metadata.zone, 'the placeholder {zone} needs --zone');
    case 'meta':
      return given(
        metadata.meta.get(argument),
        `the placeholder {meta:${argument}} needs --meta ${argument}=…`,
      );
  }
}

/** @throws LayoutProblem for `what`, which cannot do without it */
export function requireName({ name, container }: Instance, what: string): string {
  if (name === undefined)
    throw new LayoutProblem(
      `${what} needs the service's name, which ${container ? 'neither a label nor the image tells' : 'nothing tells without Docker'}; say it with --name`,
    );
  if (!isName(name.text))
    throw new LayoutProblem(
      `${name.from} names the service ${JSON.stringify(name.text)}; a name has letters, digits and _.- only; say another with --name`,
    );
  return name.text;
}

/** @throws LayoutProblem for `what`, which cannot do without it */
export function requireContainer({ container }: Instance, what: string): ContainerFacts {
  if (container === undefined)
    throw new LayoutProblem(
      `${what} needs our container, of which nothing is known when Docker is not asked; leave out --advertise IP:PORT, or use another`,
    );
  return container;
}

function given(text: string | undefined, problem: string): string {
  if (text === undefined) throw new LayoutProblem(problem);
  return text;
}

/** --name, registrator's variables, the labels of compose and swarm, the image. */
function nameOf(
  spec: ServiceSpec,
  convention: ServiceName | undefined,
  container: ContainerFacts | undefined,
): ServiceName | undefined {
  if (spec.name !== undefined) return { text: spec.name, from: '--name' };
  if (convention) return convention;
  for (const label of ['com.docker.compose.service', 'com.docker.swarm.service.name']) {
    const text = container?.labels.get(label);
    if (text) return { text, from: `the label ${label}` };
  }
  const image = imageName(container?.image ?? '');
  return image === undefined ? undefined : { text: image, from: 'the image' };
}

/** `registry:5000/team/web:1.2@sha256:…` → `web`. An image that was started by its id has no name. */
function imageName(image: string): string | undefined {
  const last = image.replace(/@.*$/, '').split('/').at(-1) ?? '';
  const name = last.split(':')[0] ?? '';
  return name === '' || name === 'sha256' || /^[0-9a-f]{12,64}$/.test(name) ? undefined : name;
}

/**
 * What registrator reads of a container: SERVICE_<port>_NAME before SERVICE_NAME, and of each the variable before the
 * label (bridge/util.go).
 */
function conventionsOf(
  { variables }: ServiceSpec,
  { localPort }: InstancePlace,
  container: ContainerFacts | undefined,
): (what: 'NAME' | 'TAGS' | 'ID') => ServiceName | undefined {
  return what => {
    for (const from of [`SERVICE_${localPort}_${what}`, `SERVICE_${what}`]) {
      const text = variables.get(from) || container?.labels.get(from);
      if (text) return { text, from };
    }
    return undefined;
  };
}

/** `a,b`; a comma after a backslash belongs to the tag. */
function tagsOf(text: string): string[] {
  return text
    .split(/(?<!\\),/)
    .map(tag => tag.replaceAll('\\,', ',').trim())
    .filter(tag => tag !== '');
}
