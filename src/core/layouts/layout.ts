/**
 * What a layout is: a format of keys and values in etcd that a certain consumer reads. Each format has a file of its own
 * with both directions, and a line in formats.ts.
 */
import type { ServiceRecord } from '../lease/writes.ts';
import type { Instance, InstanceSource, Metadata, ServiceName } from './instance.ts';

export interface LayoutFormat {
  readonly root: RootRule;
  /** Whether the root is a domain, such as `cluster.local`, and not a path. A subdomain may share the tree. */
  readonly rootIsDomain?: true;
  /** Whether the user's own records may stand below the prefix. */
  readonly allowsOwnRecords?: true;
  /** What all keys begin with. The service matters only where the root is empty or a parent of services. */
  prefix(root: string, service: string | undefined): string;
  /** What the consumer lists, where that is more than what begins with the prefix. */
  listed?(root: string): string;
  /**
   * What the keys call the service, and so `dockreg ls`: its name or the parent.
   * @param name undefined when nothing names the service
   */
  nameIn(
    root: string,
    name: ServiceName | undefined,
    source: Pick<InstanceSource, 'localPort' | 'container'>,
  ): string | undefined;
  /** @throws LayoutProblem when the instance lacks what the format needs, or the consumer would reject it */
  write(root: string, instance: Instance): ServiceRecord;
  /** Never throws: anybody may have written the record. Null when it is not of this format. */
  read(record: RawRecord): ParsedRecord | null;
}

/** Where the root comes from. */
export type RootRule =
  /** The user or this default. Where it is empty, the keys begin with the name of the service. */
  | { readonly kind: 'optional'; readonly default: string }
  | { readonly kind: 'required'; readonly example: string }
  /** The user or the parent in --key. */
  | { readonly kind: 'key' };

/** A record from etcd, and what was asked for. */
export interface RawRecord {
  readonly root: string;
  /** The service that was asked for; undefined for all. */
  readonly service: string | undefined;
  /** The key without the prefix. */
  readonly rest: string;
  readonly value: string;
}

/** What a record claims; nothing of it is checked. */
export interface ParsedRecord {
  readonly service: string;
  /** `10.0.0.5:49155`, `[2001:db8::1]:49155`. */
  readonly address: unknown;
  readonly host?: string;
  readonly weight?: unknown;
}

/** Metadata as one flat object of texts. */
export function metadataFields({ tags, weight, zone, meta }: Metadata): Record<string, string> {
  return {
    ...Object.fromEntries(meta),
    ...(tags.length > 0 && { tags: tags.join(',') }),
    ...(weight !== undefined && { weight: String(weight) }),
    ...(zone !== undefined && { zone }),
  };
}

/** The fields of a JSON object; none for any other text or value. */
export function parseFields(json: unknown): Readonly<Record<string, unknown>> {
  if (typeof json !== 'string') return {};
  try {
    return fieldsOf(JSON.parse(json));
  } catch {
    return {};
  }
}

/** The fields of an object; none for any other value. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
