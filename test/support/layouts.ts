/** An instance, and what it is written as, for the tests of the layouts. */
import { parseLayouts, parseMeta, parseOwnRecords, parseTags } from '../../src/config/parse/records.ts';
import type { Address } from '../../src/core/address/ip.ts';
import type { Layout } from '../../src/core/layouts/formats.ts';
import type { ContainerFacts, ServiceSpec } from '../../src/core/layouts/instance.ts';
import { recordsOf, type Publication } from '../../src/core/layouts/records.ts';
import { recordsUnder, type ServiceRecord } from '../../src/core/lease/writes.ts';
import type { Result } from '../../src/errors.ts';

export const ipv4: Address = { ip: '10.0.0.5', port: 49155 };
export const ipv6: Address = { ip: '2001:db8::1', port: 49155 };
export const lease = '7587862094604521984';

export const container: ContainerFacts = {
  id: 'c0ffee00'.repeat(8),
  name: 'web-1',
  image: 'registry.example:5000/team/web:1.2',
  labels: new Map([['com.example.role', 'edge']]),
  publishedPorts: 1,
};

export const plain: ServiceSpec = {
  name: undefined,
  host: undefined,
  scheme: 'http',
  tags: undefined,
  weight: undefined,
  zone: undefined,
  meta: new Map(),
  variables: new Map(),
};

/** Metadata of every kind. */
export const rich: Partial<ServiceSpec> = {
  tags: parseTags('blue,{label:com.example.role}'),
  weight: 50,
  zone: ['eu-1'],
  meta: parseMeta('version=2.1,owner={container}'),
};

/** What differs from the plain instance at the IPv4 address. */
export interface Changes {
  readonly spec?: Partial<ServiceSpec>;
  readonly address?: Address;
  readonly protocol?: 'tcp' | 'udp';
  /** null is none. */
  readonly container?: Partial<ContainerFacts> | null;
}

/** From texts as in --layout, and as in --record where they have a `=`. */
export function publicationOf(...texts: string[]): Publication {
  return {
    layouts: texts
      .filter(text => !text.includes('='))
      .flatMap(parseLayouts)
      .map(({ name, root = 'service' }) => ({ name, root })),
    own: texts.filter(text => text.includes('=')).flatMap(parseOwnRecords),
  };
}

export function layoutOf(text: string): Layout {
  return publicationOf(text).layouts[0]!;
}

/** The records of an instance under the lease. */
export function recordsFor(texts: string[], changes: Changes = {}): Result<readonly ServiceRecord[]> {
  const { spec, address = ipv4, protocol = 'tcp', container: others = {} } = changes;
  const result = recordsOf({
    publication: publicationOf(...texts),
    spec: { ...plain, ...spec },
    address,
    localPort: 8000,
    protocol,
    container: others === null ? undefined : { ...container, ...others },
  });
  return result.ok ? { ok: true, value: recordsUnder(lease, result.value) } : result;
}

/** `key = value` lines; throws when there is a problem. */
export function write(texts: string[], changes?: Changes): string[] {
  const result = recordsFor(texts, changes);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value.map(({ key, value }) => `${key} = ${value}`);
}
