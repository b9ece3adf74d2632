/**
 * Every question about IP addresses: how one is written, and who can reach it.
 */

export type Protocol = 'tcp' | 'udp';

/** The address at which others connect. */
export interface Address {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly ip: string;
  readonly port: number;
}

/** `10.1.0.101:49155`, `[2001:db8::1]:49155`. */
export function formatAddress({ ip, port }: Address): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

export function isIPv6(ip: string): boolean {
  return ip.includes(':');
}

const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Whether the text is an IPv4 or IPv6 address, as `isIP` of node:net decides; an IPv6 address may have a zone. */
export function isIp(text: string): boolean {
  if (!isIPv6(text)) return ipv4.test(text);
  const address = text.replace(/%[\w.-]{1,15}$/, '');
  return /^[\da-f:.]{2,45}$/i.test(address) && URL.canParse(`http://[${address}]`);
}

/** The shortest form of an IP address (RFC 5952), without a zone, so that one address never becomes two keys. */
export function canonicalIp(ip: string): string {
  if (!isIPv6(ip)) return ip;
  const short = new URL(`http://[${ip.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map(shift => (bits >>> shift) & 255).join('.');
}

/** A range of addresses at which other hosts cannot reach this one. */
export type ReservedRange = 'unspecified' | 'loopback' | 'link-local' | 'multicast' | 'broadcast';

/**
 * The reserved range of an address in its canonical form; null for an address that may be registered. The empty string
 * is podman's wildcard.
 * Source: IANA's special-purpose registries (RFC 6890).
 */
export function reservedRange(ip: string): ReservedRange | null {
  if (ip === '' || ip === '::' || ip.startsWith('0.')) return 'unspecified';
  if (ip.startsWith('127.') || ip === '::1') return 'loopback';
  if (ip.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/.test(ip)) return 'link-local';
  if (/^(22[4-9]|23\d)\./.test(ip) || /^ff[0-9a-f]{2}:/.test(ip)) return 'multicast';
  return ip === '255.255.255.255' ? 'broadcast' : null;
}

/** Whether only this machine, or this network namespace, reaches the address; also written as IPv4-mapped IPv6. */
export function isLoopback(ip: string): boolean {
  return reservedRange(canonicalIp(ip)) === 'loopback';
}
