/**
 * The way back from the records of a layout to instances, for people who look at what stands in etcd.
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
  const [, six, four] = /^(?:\[([0-9a-f:.%\w]+)\]|([^:[\]]+)):\d{1,5}$/i.exec(read?.address ?? '') ?? [];
  const ip = six ?? four;
  if (!read || ip === undefined) return null;
  return {
    service: read.service,
    address: read.address,
    host: read.host ?? ip,
    layout: spell(layout),
    key,
  };
}

interface Reading {
  readonly service: string;
  readonly address: string;
  readonly host?: string;
}

function reading(
  { name, root }: Layout,
  service: string | undefined,
  rest: string,
  value: string,
): Reading | null {
  const parts = rest.split('/');
  const [first = '', second = ''] = parts;
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
      const { host, port } = parseObject(value);
      const address = String(host).includes(':') ? `[${String(host)}]` : String(host);
      return { service: parts.slice(0, -1).toReversed().join('.'), address: `${address}:${String(port)}` };
    }
    case 'traefik': {
      const [, found = ''] =
        /^(?:http|tcp|udp)\/services\/([^/]+)\/loadbalancer\/servers\/\d+\/(?:url|address)$/i.exec(rest) ??
        [];
      return found === '' ? null : { service: found, address: value.replace(/^[a-z0-9]+:\/\//, '') };
    }
    case 'grpc': {
      const path = parts.slice(0, -1).join('/');
      return { service: service ?? path, address: String(parseObject(value)['Addr']) };
    }
    case 'go-zero':
      return { service: service ?? root, address: value };
    case 'kratos': {
      const { endpoints } = parseObject(value);
      const endpoint: unknown = Array.isArray(endpoints) ? endpoints[0] : undefined;
      const address = /^[a-z0-9]+:\/\/([^/?]+)/.exec(String(endpoint))?.[1];
      return address === undefined ? null : { service: first, address };
    }
  }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
