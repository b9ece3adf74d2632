/** The app's port, addresses, hosts, and which address is registered. */
import { isIP } from 'node:net';
import type { Advertise } from '../../core/address/advertise.ts';
import { canonicalIp, reservedRange, type Address } from '../../core/address/ip.ts';
import type { HostName, ServiceConfig } from '../../core/settings/service.ts';
import { parsePort } from './numbers.ts';
import { ValueError } from './value.ts';

/** The port of the app in its container: `8000`, `8000/tcp`, `53/udp`. */
export function parseLocalPort(text: string): Pick<ServiceConfig, 'localPort' | 'protocol'> {
  const [, port = '', protocol = 'tcp'] = /^([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  if (/^[a-z]+:\/\//.test(text))
    throw new ValueError(
      'must be a port, such as 8000 or 53/udp',
      'links of Docker and services of Kubernetes with the name dockreg set DOCKREG_PORT to such a text; give --port, which wins',
    );
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw new ValueError('must end in /tcp or /udp, or in the number for tcp, such as 8000 or 53/udp');
  return { localPort: parsePort(port), protocol };
}

/** `10.1.0.101`, `2001:db8::1`, `eth0`, `host-1.example.org`. */
export function parseHost(text: string): HostName {
  if (isIP(text) !== 0) return { kind: 'ip', ip: canonicalIp(text) };
  // A mistyped IP address is refused, because DNS would be asked for it forever.
  if (!/^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/i.test(text) || /^[\d.]+$/.test(text))
    throw new ValueError(
      'must be an IPv4 or IPv6 address of the host, such as 10.1.0.101, or the name of a host or an interface',
    );
  return { kind: 'name', name: text };
}

/** An address of this container: `127.0.0.1`, `::1`, `172.17.0.2`, `fe80::1%eth0`. */
export function parseCheckHost(text: string): string {
  if (isIP(text) === 0)
    throw new ValueError('must be an IP address of this container, such as 127.0.0.1, ::1 or 172.17.0.2');
  const ip = canonicalIp(text);
  const range = reservedRange(ip);
  if (range === 'unspecified' || range === 'multicast' || range === 'broadcast')
    throw new ValueError(
      `is a ${range === 'unspecified' ? 'wildcard' : range} address, which cannot be asked`,
      'give one address, such as 127.0.0.1, or leave it out',
    );
  const zone = /%.*$/.exec(text)?.[0] ?? '';
  return range === 'link-local' ? `${ip}${zone}` : ip;
}

/** `published`, `host`, `container`, `container:NETWORK`, `swarm`, `10.1.0.101:49155` or `[2001:db8::1]:49155`. */
export function parseAdvertise(text: string): Advertise {
  const container = /^container(?::(\w[\w.-]*))?$/.exec(text);
  if (container) return { kind: 'container', network: container[1] };
  const mode = (['published', 'host', 'swarm'] as const).find(name => name === text);
  if (mode !== undefined) return { kind: mode };
  const address = parseAddress(
    text,
    'must be published, host, container, container:NETWORK, swarm, or IP:PORT such as 10.1.0.101:49155 or [2001:db8::1]:49155',
  );
  return { kind: 'literal', address };
}

/** Where an HTTP server listens: `127.0.0.1:9142`, `[::1]:9142`. */
export function parseListen(text: string): Address {
  return parseAddress(
    text,
    'must be an address of this container and a port, such as 127.0.0.1:9142 or 0.0.0.0:9142',
  );
}

function parseAddress(text: string, rule: string): Address {
  const [, bracketed, plain, port = ''] = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text) ?? [];
  const ip = bracketed ?? plain;
  if (ip === undefined || isIP(ip) !== (bracketed === undefined ? 4 : 6)) throw new ValueError(rule);
  return { ip: canonicalIp(ip), port: parsePort(port) };
}
