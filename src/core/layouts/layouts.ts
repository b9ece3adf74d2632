/**
 * Which keys and values a healthy instance becomes, for each consumer that reads etcd. What breaks a consumer is
 * refused here: an illegal name, two records under one key, and another format under a path that a consumer lists.
 */
import { formatAddress, isIPv6, type Address } from '../address/ip.ts';
import {
  isName,
  LayoutProblem,
  requireContainer,
  requireName,
  valueOf,
  type Instance,
  type Metadata,
} from './instance.ts';
import type { ServiceRecord } from '../lease/writes.ts';
import { expand, type Template } from './template.ts';

export interface Layout {
  readonly name: LayoutName;
  /** A path without slashes at its ends; a domain for skydns. */
  readonly root: string;
}

export const layoutNames = [
  'service',
  'named',
  'registrator',
  'skydns',
  'traefik',
  'grpc',
  'go-zero',
  'kratos',
] as const;
export type LayoutName = (typeof layoutNames)[number];

/** A record in the user's own words. */
export interface OwnRecord {
  readonly key: Template;
  readonly value: Template;
  /** As it was given. */
  readonly text: string;
}

/** What a service is written as. */
export interface Publication {
  readonly layouts: readonly Layout[];
  readonly own: readonly OwnRecord[];
}

export type RecordsAnswer =
  | { readonly kind: 'records'; readonly records: readonly ServiceRecord[] }
  /** What is missing or in the way, and the way out. */
  | { readonly kind: 'problem'; readonly problem: string };

/** A record, and what its consumer reads in one go: every key that begins so. */
interface Entry extends ServiceRecord {
  readonly reads: string;
}

/** All records of an instance, written and removed together. */
export function recordsOf(publication: Publication, makeInstance: () => Instance): RecordsAnswer {
  return answered(() => {
    const entries = entriesOf(publication, makeInstance());
    refuseCollisions(entries);
    refuseMixtures(entries);
    return entries.map(({ key, value, underLease }) =>
      underLease ? { key, value, underLease } : { key, value },
    );
  });
}

/** An instance next to others of the same process, each with a lease of its own. */
export interface Neighbour {
  /** What it is called, for the problem. */
  readonly title: string;
  readonly publication: Publication;
  readonly makeInstance: () => Instance;
}

/** What they would do to each other: write one key, or a format where another is read; undefined for nothing. */
export function conflictAmong(neighbours: readonly Neighbour[]): string | undefined {
  const answer = answered(() => {
    const entries = neighbours.flatMap(({ title, publication, makeInstance }) =>
      entriesOf(publication, makeInstance(), ` of ${title}`),
    );
    // The lease in such a key tells them apart.
    refuseCollisions(entries.filter(({ underLease }) => !underLease));
    refuseMixtures(entries);
    return [];
  });
  return answer.kind === 'problem' ? answer.problem : undefined;
}

function answered(make: () => readonly ServiceRecord[]): RecordsAnswer {
  try {
    return { kind: 'records', records: make() };
  } catch (error) {
    if (error instanceof LayoutProblem) return { kind: 'problem', problem: error.message };
    throw error;
  }
}

/** @param owner ends the spelling of each */
function entriesOf({ layouts, own }: Publication, instance: Instance, owner = ''): Spelled[] {
  return [
    ...layouts.map(layout => ({
      spelling: `--layout ${spell(layout)}${owner}`,
      layout,
      ...shapes[layout.name](layout.root, instance),
    })),
    ...own.map(record => ({
      spelling: `--record ${record.text}${owner}`,
      ...fill(record, instance),
    })),
  ];
}

export function spell({ name, root }: Layout): string {
  return `${name}:${root}`;
}

type Shape = (root: string, instance: Instance) => Entry;

const shapes: Readonly<Record<LayoutName, Shape>> = {
  /** adetante/dockreg, hadiscover: `/service/10.0.0.5:49155` = `running`. */
  service: (root, { address }) => under(`/${root}/`, formatAddress(address), 'running'),

  /** HAProxy behind confd: the last part of the key becomes the server's name, for which any container name will do. */
  named(root, instance) {
    const { name } = requireContainer(instance, 'layout named');
    if (!isName(name)) throw new LayoutProblem(`layout named: ${name} is no server name for HAProxy`);
    return under(`/${root}/`, name, formatAddress(instance.address));
  },

  /** registrator, etcd backend: the port in the key is the container's own. */
  registrator(root, instance) {
    const { address, container, host, id, localPort, name, protocol } = instance;
    const service = requireName(instance, 'layout registrator');
    // Of a container with several ports each is a service, unless the person who named it named the port.
    const isOneOfMany = (container?.publishedPorts ?? 1) > 1;
    const namesThePort = name?.from === '--name' || name?.from === `SERVICE_${localPort}_NAME`;
    const group = isOneOfMany && !namesThePort ? `${service}-${localPort}` : service;
    const suffix = protocol === 'udp' ? ':udp' : '';
    const instanceId =
      id ?? `${host}:${requireContainer(instance, 'layout registrator').name}:${localPort}${suffix}`;
    if (!/^[^\s/]+$/.test(instanceId))
      throw new LayoutProblem(`SERVICE_ID ${JSON.stringify(instanceId)} must have no slash and no space`);
    return under(`/${root}/`, `${group}/${instanceId}`, formatAddress(address));
  },

  /**
   * SkyDNS 2 and the etcd plugin of CoreDNS: the labels in reverse, then one for the instance. Names are looked up in
   * lower case, so no other is found. The small TTL is for CoreDNS, which else answers at least 30 s.
   */
  skydns(root, instance) {
    const labels = requireName(instance, 'layout skydns').split('.');
    const bad = labels.find(label => !isDnsLabel(label));
    if (bad !== undefined)
      throw new LayoutProblem(
        `layout skydns: ${JSON.stringify(bad)} is no DNS label (at most 63 of a-z, 0-9 and -, no - at its ends); ` +
          `say a name of such labels with --name`,
      );
    const { address, metadata } = instance;
    const own = `i-${address.ip.toLowerCase().replaceAll(/[^0-9a-z]/g, '-')}-${address.port}`;
    const text = describeMetadata(metadata);
    const value = {
      host: address.ip,
      port: address.port,
      priority: 10,
      weight: metadata.weight ?? 100,
      ttl: 5,
      ...(text !== '' && { text }),
    };
    const domain = root.split('.').toReversed().join('/');
    return under(`/skydns/${domain}/`, [...labels.toReversed(), own].join('/'), JSON.stringify(value));
  },

  /**
   * Traefik: without a leading slash, which its client would look for in vain. What is all digits is an index to it; the
   * index of a server may be any number, so the address itself is one, and no two servers share it. Everything that
   * begins with the root is decoded, and one key too many breaks the whole.
   */
  traefik(root, instance) {
    const name = requireName(instance, 'layout traefik');
    if (/^\d+$/.test(name))
      throw new LayoutProblem(
        `layout traefik: Traefik reads the name ${name} as a number; say one with a letter with --name`,
      );
    const { address, protocol, scheme } = instance;
    const kind = protocol === 'udp' ? 'udp' : scheme === 'tcp' ? 'tcp' : 'http';
    const server = `${root}/${kind}/services/${name}/loadbalancer/servers/${addressNumber(address)}`;
    const text = formatAddress(address);
    return kind === 'http'
      ? { reads: root, key: `${server}/url`, value: `${httpScheme(scheme)}://${text}` }
      : { reads: root, key: `${server}/address`, value: text };
  },

  /** etcd's naming and endpoints packages for gRPC; the target is the service's name. */
  grpc(root, instance) {
    const parent = root === '' ? '' : `${root}/`;
    const target = `${parent}${requireName(instance, 'layout grpc')}/`;
    const address = formatAddress(instance.address);
    // Only a text: clients in Go compare it with ==, which ends them when it is an object (etcd #19700).
    const metadata = isBare(instance.metadata) ? null : JSON.stringify(metadataFields(instance.metadata));
    return under(target, address, JSON.stringify({ Op: 0, Addr: address, Metadata: metadata }));
  },

  /** go-zero's discov: under the key of the service, each instance under the id of its lease. */
  'go-zero'(root, instance) {
    const key = root === '' ? `${requireName(instance, 'layout go-zero')}.rpc` : root;
    return { ...under(`${key}/`, '', formatAddress(instance.address)), underLease: true };
  },

  /** kratos' etcd registry: the name must be that of the key. */
  kratos(root, instance) {
    const name = requireName(instance, 'layout kratos');
    const { version = '', ...metadata } = metadataFields(instance.metadata);
    const id = formatAddress(instance.address);
    const isSecure = instance.scheme === 'https' || instance.scheme === 'grpcs';
    const endpoints = [`${instance.scheme}://${id}?isSecure=${isSecure}`];
    return under(`/${root}/`, `${name}/${id}`, JSON.stringify({ id, name, version, metadata, endpoints }));
  },
};

function under(reads: string, rest: string, value: string): Entry {
  return { reads, key: `${reads}${rest}`, value };
}

function fill({ key, value, text }: OwnRecord, instance: Instance): ServiceRecord {
  const filled = expand(key, placeholder => {
    const part = valueOf(placeholder, instance);
    if (part === '' || /[\s/\p{Cc}]/u.test(part))
      throw new LayoutProblem(
        `--record ${text}: ${JSON.stringify(part)} cannot be part of a key; it must have no slash and no space`,
      );
    return part;
  });
  const content = expand(value, placeholder => valueOf(placeholder, instance));
  if (content === '')
    throw new LayoutProblem(`--record ${text}: the value is empty, which consumers stumble over`);
  return { key: filled, value: content };
}

/** A record with what asks for it. */
interface Spelled extends ServiceRecord {
  readonly spelling: string;
  /** Those of a layout have one, and what its consumer reads. */
  readonly layout?: Layout;
  readonly reads?: string;
}

function refuseCollisions(entries: readonly Spelled[]): void {
  const writers = new Map<string, string>();
  for (const { key, spelling } of entries) {
    const other = writers.get(key);
    if (other !== undefined)
      throw new LayoutProblem(`${other} and ${spelling} both write ${key}; leave one out`);
    writers.set(key, spelling);
  }
}

/** A consumer that lists a path takes everything there for its own, and most stumble over what is not. */
function refuseMixtures(entries: readonly Spelled[]): void {
  for (const entry of entries) for (const other of entries) if (other !== entry) refuseMixture(entry, other);
}

function refuseMixture({ layout, reads, spelling }: Spelled, other: Spelled): void {
  if (layout === undefined || reads === undefined || !other.key.startsWith(reads)) return;
  const { name, root } = layout;
  const isSame = other.layout?.name === name && (other.layout.root === root || name === 'skydns');
  if (isSame) return;
  // Routers and the like are Traefik's too, and nobody's but the user's.
  if (name === 'traefik' && other.layout === undefined && other.key.startsWith(`${root}/`)) return;
  throw new LayoutProblem(
    `${other.spelling} writes ${other.key} where ${spelling} is read (${reads}…), in another format; ` +
      `give one of them another root`,
  );
}

/** RFC 1035 §2.3.1 and RFC 1123 §2.1, in lower case. */
export function isDnsLabel(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

/** The bits of address and port as one number, in decimal: as unique as they are. */
function addressNumber({ ip, port }: Address): string {
  return String((ipBits(ip) << 16n) | BigInt(port));
}

function ipBits(ip: string): bigint {
  if (!isIPv6(ip)) return joinBits(ip.split('.').map(BigInt), 8n);
  const halves = ip.split('::').map(half => half.split(':').filter(group => group !== ''));
  const [head = [], tail = []] = halves;
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return joinBits(
    [...head, ...zeros, ...tail].map(group => BigInt(`0x${group}`)),
    16n,
  );
}

function joinBits(parts: readonly bigint[], width: bigint): bigint {
  return parts.reduce((bits, part) => (bits << width) | part, 0n);
}

function httpScheme(scheme: Instance['scheme']): string {
  if (scheme === 'grpc') return 'h2c';
  return scheme === 'grpcs' ? 'https' : scheme;
}

function isBare(metadata: Metadata): boolean {
  return Object.keys(metadataFields(metadata)).length === 0;
}

function metadataFields({ tags, weight, zone, meta }: Metadata): Record<string, string> {
  return {
    ...Object.fromEntries(meta),
    ...(tags.length > 0 && { tags: tags.join(',') }),
    ...(weight !== undefined && { weight: String(weight) }),
    ...(zone !== undefined && { zone }),
  };
}

/** As a TXT record has it (RFC 1464): `version=2 zone=eu-1`. The weight stands in the SRV record. */
function describeMetadata({ tags, zone, meta }: Metadata): string {
  const fields = metadataFields({ tags, zone, meta, weight: undefined });
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}
