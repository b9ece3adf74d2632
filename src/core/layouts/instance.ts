/**
 * One instance of a service as the layouts need it: its address, names and metadata, from what the user configured and
 * what Docker knows of the container. What is not known is undefined; code that needs it throws a LayoutProblem.
 */
import { ProblemError, type Problem } from '../../errors.ts';
import { formatAddress, type Address, type Protocol } from '../address/ip.ts';
import type { ContainerView } from '../address/container.ts';
import { brief, quote } from '../text.ts';
import type { PlaceholderName, Template } from './template.ts';

/** The names and metadata that the user configured. */
export interface ServiceSpec {
  readonly name: string | undefined;
  /** The host's name, where a layout carries one; undefined stands for the registered IP. */
  readonly host: string | undefined;
  /** The protocol that clients speak to the app. */
  readonly scheme: Scheme;
  readonly tags: readonly Template[] | undefined;
  readonly weight: number | undefined;
  readonly zone: Template | undefined;
  readonly meta: ReadonlyMap<string, Template>;
  /** The environment's variables of registrator, by name: `SERVICE_NAME`, `SERVICE_8000_TAGS`. */
  readonly variables: TextLookup;
}

export const schemes = ['http', 'https', 'h2c', 'grpc', 'grpcs', 'tcp'] as const;
export type Scheme = (typeof schemes)[number];

type TextLookup = Pick<ReadonlyMap<string, string>, 'get'>;

/** What Docker knows of our container. */
export interface ContainerFacts extends Pick<ContainerView, 'id' | 'name' | 'image'> {
  readonly labels: TextLookup;
  /** How many ports it publishes. */
  readonly publishedPorts: number;
}

/** What an instance is made of. */
export interface InstanceSource {
  readonly spec: ServiceSpec;
  /** The registered address. */
  readonly address: Address;
  /** Where the app listens in its container. */
  readonly localPort: number;
  readonly protocol: Protocol;
  /** Undefined when Docker is not asked. */
  readonly container: ContainerFacts | undefined;
}

export interface Instance extends InstanceSource {
  readonly host: string;
  /** Undefined when nothing names the service. */
  readonly name: ServiceName | undefined;
  /** registrator's SERVICE_ID. */
  readonly id: string | undefined;
  readonly metadata: Metadata;
}

/** What the name of a service is found from. */
type NameSource = Pick<InstanceSource, 'spec' | 'localPort' | 'container'>;

export interface ServiceName {
  readonly text: string;
  /** Its source, for an error: `--name`, `SERVICE_NAME`, `the image`. */
  readonly from: string;
}

export interface Metadata {
  readonly tags: readonly string[];
  readonly weight: number | undefined;
  readonly zone: string | undefined;
  readonly meta: ReadonlyMap<string, string>;
}

/** The records cannot be written as configured: what is missing or wrong. */
export class LayoutProblem extends ProblemError {
  override readonly name = 'LayoutProblem';
}

/** At most 255 letters, digits and `_.-`: what Docker, HAProxy and Traefik accept in a name, and what never splits a path. */
export function isName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/.test(text);
}

/** @param network the container that owns our network, in most cases the same one */
export function factsOf(container: ContainerView, network: ContainerView): ContainerFacts {
  const { id, labels } = container;
  // An odd name or image matters only where it is needed.
  return {
    id,
    labels,
    get name() {
      return container.name;
    },
    get image() {
      return container.image;
    },
    publishedPorts: network.publishedPorts.length,
  };
}

/** @throws LayoutProblem when the metadata needs what is not known */
export function instanceOf(source: InstanceSource): Instance {
  const { spec, address } = source;
  const base: Instance = {
    ...source,
    host: spec.host ?? address.ip,
    name: serviceNameOf(source),
    id: registratorSetting(source, 'ID')?.text,
    metadata: { tags: [], weight: undefined, zone: undefined, meta: new Map() },
  };
  const fillIn = (template: Template): string => fill(template, base);
  return {
    ...base,
    metadata: {
      tags: spec.tags?.map(fillIn) ?? splitTags(registratorSetting(source, 'TAGS')?.text ?? ''),
      weight: spec.weight,
      zone: spec.zone && fillIn(spec.zone),
      meta: new Map([...spec.meta].map(([key, template]) => [key, fillIn(template)])),
    },
  };
}

/**
 * The text of a template, with the values of the instance in place of the placeholders.
 * @param check throws when it does not accept a value
 * @throws LayoutProblem when a value is not known
 */
export function fill(template: Template, instance: Instance, check?: (value: string) => void): string {
  const pieces = template.map(piece => {
    if (typeof piece === 'string') return piece;
    const { name, argument = '' } = piece;
    const what = `the placeholder {${name}${argument && `:${brief(argument)}`}}`;
    const value = placeholderValues[name](instance, what, argument);
    check?.(value);
    return value;
  });
  return pieces.join('');
}

/** `what` is the placeholder, for a problem. */
type ValueReader = (instance: Instance, what: string, argument: string) => string;

const placeholderValues: Readonly<Record<PlaceholderName, ValueReader>> = {
  ip: ({ address }) => address.ip,
  port: ({ address }) => String(address.port),
  address: ({ address }) => formatAddress(address),
  service: requireName,
  container: (instance, what) => requireContainer(instance, what).name,
  id: (instance, what) => requireContainer(instance, what).id.slice(0, 12),
  localPort: ({ localPort }) => String(localPort),
  proto: ({ protocol }) => protocol,
  host: ({ host }) => host,
  label: (instance, what, label) =>
    required(requireContainer(instance, what).labels.get(label), {
      message: `the container has no label ${brief(label)}`,
      hint: `start it with -l ${brief(label)}=…`,
    }),
  tags: ({ metadata }) => metadata.tags.join(','),
  weight: ({ metadata }, what) => required(metadata.weight?.toString(), `${what} needs --weight`),
  zone: ({ metadata }, what) => required(metadata.zone, `${what} needs --zone`),
  meta: ({ metadata }, what, key) => required(metadata.meta.get(key), `${what} needs --meta ${brief(key)}=…`),
};

function required(text: string | undefined, problem: string | Problem): string {
  if (text === undefined) throw new LayoutProblem(problem);
  return text;
}

/** @throws LayoutProblem when there is no valid name, which `what` needs */
export function requireName({ name, container }: Instance, what: string): string {
  if (name === undefined)
    throw new LayoutProblem({
      message: `${what} needs the service's name, which ${container ? 'no label or image gives' : 'is not known without Docker'}`,
      hint: 'set it with --name',
    });
  if (!isName(name.text))
    throw new LayoutProblem({
      message: `${name.from} names the service ${quote(name.text)}, but a name has at most 255 letters, digits and _.- only and begins with a letter or digit`,
      hint: 'set another with --name',
    });
  return name.text;
}

/** @throws LayoutProblem when Docker is not asked about our container, which `what` needs */
export function requireContainer({ container }: Instance, what: string): ContainerFacts {
  if (container === undefined)
    throw new LayoutProblem({
      message: `${what} needs our container, about which nothing is known without Docker`,
      hint: `leave out --advertise IP:PORT or ${what}`,
    });
  return container;
}

/** --name, registrator's settings, the labels of compose and swarm, the image. */
export function serviceNameOf(source: NameSource): ServiceName | undefined {
  const { spec, container } = source;
  if (spec.name !== undefined) return { text: spec.name, from: '--name' };
  const setting = registratorSetting(source, 'NAME');
  if (setting) return setting;
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
function registratorSetting(
  { spec, localPort, container }: NameSource,
  what: 'NAME' | 'TAGS' | 'ID',
): ServiceName | undefined {
  return [`SERVICE_${localPort}_${what}`, `SERVICE_${what}`]
    .map(from => ({ from, text: spec.variables.get(from) || container?.labels.get(from) || '' }))
    .find(({ text }) => text !== '');
}

/** `a,b`; a comma after a backslash belongs to the tag. */
function splitTags(text: string): string[] {
  return text
    .split(/(?<!\\),/)
    .map(tag => tag.replaceAll('\\,', ',').trim())
    .filter(tag => tag !== '');
}
