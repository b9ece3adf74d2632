/**
 * The way back from the records of a layout to instances, for people who look at what stands in etcd and for programs
 * that follow it. Anybody may have written there, so nothing is taken that does not look like an address.
 */
import type { Layout } from './layouts.ts';
import { spell } from './layouts.ts';

/** An instance as its record tells it. */
export interface ListedInstance {
  readonly service: string;
  /** `10.0.0.5:49155`, `[2001:db8::1]:49155`. */
  readonly address: string;
  /** The host's name where the record has one, or its IP. */
  readonly host: string;
  /** The share of requests, 1 to 65535; null where the record has none. */
  readonly weight: number | null;
  readonly layout: string;
  readonly key: string;
}

/** What all records of the layout begin with; for some only when the service is known. */
export function prefixOf({ name, root }: Layout, service: string | undefined): string {
  switch (name) {
    case 'skydns':
      return `/skydns/${root.split('.').toReversed().join('/')}/`;
    case 'traefik':
      return `${root}/`;
    case 'grpc':
      return [root, service]
        .filter(Boolean)
        .map(part => `${part}/`)
        .join('');
    case 'go-zero':
      return `${root || `${service}.rpc`}/`;
    case 'service':
    case 'named':
    case 'registrator':
    case 'kratos':
      return `/${root}/`;
  }
}

/** The instance of a record under the layout's prefix; null when the record is not of that layout. */
export function readInstance(
  layout: Layout,
  service: string | undefined,
  key: string,
  value: string,
): ListedInstance | null {
  const read = reading(layout, service, key.slice(prefixOf(layout, service).length), value);
  const [, six, four] = /^(?:\[([0-9a-f:.%\w]+)\]|([\w.-]+)):\d{1,5}$/i.exec(read?.address ?? '') ?? [];
  const ip = six ?? four;
  if (!read || ip === undefined) return null;
  return {
    service: read.service,
    address: read.address,
    host: read.host ?? ip,
    weight: readWeight(read.weight),
    layout: spell(layout),
    key,
  };
}

interface Reading {
  readonly service: string;
  readonly address: string;
  readonly host?: string;
  /** As the record has it, a number or a text. */
  readonly weight?: unknown;
}

function reading(
  { name, root }: Layout,
  service: string | undefined,
  rest: string,
  value: string,
): Reading | null {
  const names = rest.split('/');
  const [first = '', second = ''] = names;
  switch (name) {
    case 'service':
      return { service: root, address: rest };
    case 'named':
      return { service: root, address: value };
    case 'registrator': {
      const host = /^(.+?):[A-Za-z0-9][\w.-]+:\d+(?::udp)?$/.exec(second)?.[1];
      return { service: first, address: value, ...(host !== undefined && { host }) };
    }
    case 'skydns': {
      const { host, port, weight } = parseObject(value);
      const address = String(host).includes(':') ? `[${String(host)}]` : String(host);
      const domain = names.slice(0, -1).toReversed().join('.');
      return { service: domain, address: `${address}:${String(port)}`, weight };
    }
    case 'traefik': {
      const [, found = ''] =
        /^(?:http|tcp|udp)\/services\/([^/]+)\/loadbalancer\/servers\/\d+\/(?:url|address)$/i.exec(rest) ??
        [];
      return found === '' ? null : { service: found, address: value.replace(/^[a-z0-9]+:\/\//, '') };
    }
    case 'grpc': {
      const path = names.slice(0, -1).join('/');
      const { Addr, Metadata } = parseObject(value);
      return { service: service ?? path, address: String(Addr), weight: parseObject(Metadata)['weight'] };
    }
    case 'go-zero':
      return { service: service ?? root, address: value };
    case 'kratos': {
      const { endpoints, metadata } = parseObject(value);
      const endpoint: unknown = Array.isArray(endpoints) ? endpoints[0] : undefined;
      const address = /^[a-z0-9]+:\/\/([^/?]+)/.exec(String(endpoint))?.[1];
      return address === undefined ? null : { service: first, address, weight: Object(metadata)['weight'] };
    }
  }
}

function readWeight(weight: unknown): number | null {
  const number = Number(weight);
  return Number.isInteger(number) && number >= 1 && number <= 65_535 ? number : null;
}

function parseObject(text: unknown): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(String(text));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
