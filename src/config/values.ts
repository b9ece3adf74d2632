/**
 * From the text of a flag or variable to its value. Each parser either gives the value or throws a ValueProblem that
 * says the rule and the way out; who calls knows the flag.
 */
import { isIP } from 'node:net';
import { canonicalIp, type Address, type Protocol } from '../core/address/ip.ts';
import type { Advertise } from '../core/address/advertise.ts';
import type { EngineEndpoint } from '../core/settings/engine.ts';
import type { HostName } from '../core/settings/service.ts';

/** The value breaks a rule. The message continues "<flag> <value>: …". */
export class ValueProblem extends Error {
  override readonly name = 'ValueProblem';
}

const units: Readonly<Record<string, number>> = { '': 1000, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `5s`, `250ms`, `1m`, or plain seconds; in milliseconds, more than zero. */
export function parseDuration(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = number === '' ? 0 : Number(number) * (units[unit] ?? 0);
  if (!(ms >= 1 && ms <= 86_400_000)) {
    throw new ValueProblem('must be a duration from 1ms to 24h, such as 5s, 250ms, 1m or plain seconds');
  }
  return Math.round(ms);
}

/** A duration, or 0 for none; in milliseconds. */
export function parsePause(text: string): number {
  return text === '0' ? 0 : parseDuration(text);
}

export function parseCount(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 100) throw new ValueProblem('must be a whole number from 1 to 100');
  return count;
}

/** A duration in whole seconds, as etcd counts its leases; in seconds. */
export function parseTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms % 1000 !== 0)
    throw new ValueProblem('must be whole seconds, because etcd counts leases in seconds; try 20s');
  return ms / 1000;
}

export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw new ValueProblem('must be a port number from 1 to 65535, such as 8000');
  return port;
}

export interface LocalPort {
  readonly port: number;
  readonly protocol: Protocol;
}

/** `8000`, `8000/tcp`, `53/udp`. */
export function parseLocalPort(text: string): LocalPort {
  const [, port = '', protocol = 'tcp'] = /^([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw new ValueProblem('must end in /tcp or /udp, or in nothing for tcp, such as 8000 or 53/udp');
  return { port: parsePort(port), protocol };
}

export function parseHost(text: string): HostName {
  if (isIP(text) !== 0) return { kind: 'ip', ip: canonicalIp(text) };
  // What looks like an address and is none would be asked of DNS for ever.
  if (!/^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/i.test(text) || /^[\d.]+$/.test(text)) {
    throw new ValueProblem(
      'must be an IPv4 or IPv6 address of this host, such as 10.1.0.101, or the name of a host or an interface',
    );
  }
  return { kind: 'name', name: text };
}

const modes = ['published', 'host', 'container', 'swarm'] as const;

/** `published`, `host`, `container`, `container:<network>`, `swarm`, `10.1.0.101:49155` or `[2001:db8::1]:49155`. */
export function parseAdvertise(text: string): Advertise {
  const [, network] = /^container:([\w][\w.-]*)$/.exec(text) ?? [];
  if (network !== undefined) return { kind: 'container', network };
  const mode = modes.find(name => name === text);
  if (mode === 'container') return { kind: 'container', network: undefined };
  if (mode !== undefined) return { kind: mode };
  const address = readAddress(text);
  if (address === null) {
    throw new ValueProblem(
      'must be published, host, container, container:NETWORK, swarm, or IP:PORT such as 10.1.0.101:49155 or [2001:db8::1]:49155',
    );
  }
  return { kind: 'literal', address };
}

/** Null when it is none. @throws ValueProblem when only the port is not */
function readAddress(text: string): Address | null {
  const [, six, four, port = ''] = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text) ?? [];
  const ip = six ?? four;
  if (ip === undefined || isIP(ip) !== (six === undefined ? 4 : 6)) return null;
  return { ip: canonicalIp(ip), port: parsePort(port) };
}

/** Comma separated endpoints, all http or all https, each `http://host:port`. */
export function parseEndpoints(text: string): string[] {
  const endpoints = text.split(',').map(item => parseEndpoint(item.trim()));
  if (new Set(endpoints.map(endpoint => endpoint.split(':')[0])).size > 1) {
    throw new ValueProblem('mixes http and https; use one of them for all endpoints');
  }
  return [...new Set(endpoints)];
}

function parseEndpoint(item: string): string {
  if (item === '')
    throw new ValueProblem(
      'has an empty item; separate endpoints by single commas: http://h1:2379,http://h2:2379',
    );
  const [, scheme = '', authority = '', rest = ''] = /^(?:([a-z]+):\/\/)?([^/?#]*)(.*)$/i.exec(item) ?? [];
  const [, host = '', port] = /^(\[[0-9a-f:.]+\]|[^:[\]@\s]+)(?::(.*))?$/i.exec(authority) ?? [];
  const protocol = scheme.toLowerCase();
  if (protocol !== 'http' && protocol !== 'https') {
    throw new ValueProblem(
      `"${item}" must begin with http:// or https://, such as http://${host || 'h1'}:${port ?? 2379}`,
    );
  }
  if (authority.includes('@')) {
    throw new ValueProblem(
      `"${item}" must not carry a user or password, which everybody could read in the process list`,
    );
  }
  if (host === '') throw new ValueProblem(`"${item}" has no host; write it as http://h1:2379`);
  if (rest !== '' && rest !== '/') {
    throw new ValueProblem(
      `"${item}" must not have a path; write it as ${protocol}://${host}:${port ?? 2379}`,
    );
  }
  if (port === undefined)
    throw new ValueProblem(`"${item}" must name the port; etcd's is 2379: ${protocol}://${host}:2379`);
  return `${protocol}://${host.toLowerCase()}:${parsePort(port)}`;
}

/** The parent of the keys, with or without one leading slash; returned without. */
export function parseKey(text: string): string {
  const names = text.replace(/^\//, '').split('/');
  if (names.some(part => part === '' || part === '.' || part === '..' || /[\s\p{Cc}]/u.test(part))) {
    throw new ValueProblem(
      'must be names separated by single slashes, without spaces and without "." or "..", such as service or prod/service',
    );
  }
  return names.join('/');
}

export function parseContainerId(text: string): string {
  if (!/^[0-9a-f]{12,64}$/.test(text)) {
    throw new ValueProblem('must be a container id, 12 to 64 hexadecimal digits as docker ps shows them');
  }
  return text;
}

export function parsePath(text: string): string {
  if (text.includes('\0')) throw new ValueProblem('must be the path of a file');
  return text;
}

/** Unix sockets have paths of 107 bytes at most: unix(7). */
export function parseSocketPath(text: string): string {
  if (!/^\/[^\0]+$/.test(text) || Buffer.byteLength(text) > 107)
    throw new ValueProblem(
      'must be the whole path of a Unix socket, of 107 bytes at most, such as /run/app.sock',
    );
  return text;
}

/** The path of a Unix socket, or `off`: null. */
export function parseControl(text: string): string | null {
  return text === 'off' ? null : parseSocketPath(text);
}

/** `127.0.0.1:9142`, `[::1]:9142` */
export function parseListen(text: string): Address {
  const address = readAddress(text);
  if (address === null) {
    throw new ValueProblem(
      'must be an address of this container and a port, such as 127.0.0.1:9142 or 0.0.0.0:9142',
    );
  }
  return address;
}

export function parseServerName(text: string): string {
  if (isIP(text) !== 0 || !/^[\w-]+(\.[\w-]+)*$/.test(text))
    throw new ValueProblem('must be a host name as it stands in the certificate, such as web.example');
  return text;
}

export function parseUser(text: string): string {
  if (text.includes(':')) {
    throw new ValueProblem(
      `must be a name alone; everybody can read a command line, so give the password in --etcd-password-file or DOCKREG_ETCD_PASSWORD`,
    );
  }
  return text;
}

/** A socket's path, `unix:///path`, or `tcp://host:port`. */
export function parseEngineEndpoint(text: string): EngineEndpoint {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (/^\/[^\s]+$/.test(path)) return { kind: 'unix', path };
  const [, bracketed, plain, port = ''] =
    /^tcp:\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]@\s]+)):(\d+)\/?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) {
    throw new ValueProblem(
      'must be a socket such as /var/run/docker.sock or unix:///var/run/docker.sock, or tcp://host:2375',
    );
  }
  return { kind: 'tcp', host, port: parsePort(port) };
}

export function parseSwitch(text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new ValueProblem('must be on or off');
  return text === 'on';
}

export function parseLogFormat(text: string): 'logfmt' | 'json' {
  if (text !== 'logfmt' && text !== 'json') throw new ValueProblem('must be logfmt or json');
  return text;
}
