/**
 * From the records of a layout back to instances, for `dockreg ls` and the programs that follow it. Anybody may have
 * written the records, so what does not look like an address is skipped.
 */
import { formatLayout, formats, type Layout } from './formats.ts';

/** An instance as its record describes it. */
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

/** What all keys of the layout begin with. */
export function prefixOf({ name, root }: Layout, service: string | undefined): string {
  return formats[name].prefix(root, service);
}

/** The instance of a record under the layout's prefix; null when the record is not of that layout. */
export function readInstance(
  layout: Layout,
  service: string | undefined,
  key: string,
  value: string,
): ListedInstance | null {
  const { name, root } = layout;
  const rest = key.slice(prefixOf(layout, service).length);
  const parsed = formats[name].read({ root, service, rest, value });
  if (parsed === null || typeof parsed.address !== 'string') return null;
  const host = hostOf(parsed.address);
  if (host === undefined) return null;
  return {
    service: parsed.service,
    address: parsed.address,
    host: parsed.host ?? host,
    weight: readWeight(parsed.weight),
    layout: formatLayout(layout),
    key,
  };
}

/** Captures an IPv6 address, or another host, and the port. */
const hostAndPort = /^(?:\[([\da-f]{0,4}:[\da-f:.]{1,45}(?:%[\w.]{1,15})?)\]|([\w.-]{1,253})):(\d{1,5})$/i;

/** The IP or host name of an address with a port; undefined when the text is not one. */
function hostOf(address: string): string | undefined {
  const [, ipv6, other, port] = hostAndPort.exec(address) ?? [];
  return Number(port) >= 1 && Number(port) <= 65_535 ? (ipv6 ?? other) : undefined;
}

/** Some formats carry numbers as texts. */
function readWeight(weight: unknown): number | null {
  const number = typeof weight === 'string' || typeof weight === 'number' ? Number(weight) : 0;
  return Number.isInteger(number) && number >= 1 && number <= 65_535 ? number : null;
}
