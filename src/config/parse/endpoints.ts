/** How dockreg reaches etcd and Docker: endpoints, users, containers and files. */
import { isIP } from 'node:net';
import type { EngineEndpoint } from '../../core/settings/process.ts';
import { quote } from '../../core/text.ts';
import { limits } from './limits.ts';
import { parsePort } from './numbers.ts';
import { showUrls } from './secrets.ts';
import { requireAtMost, ValueError } from './value.ts';

/** Comma-separated endpoints of etcd, each `http://host:port`, all http or all https. Returns each one once. */
export function parseEndpoints(text: string): string[] {
  const items = text.split(',');
  requireAtMost(limits.endpoints, items.length, 'endpoints');
  const endpoints = items.map(item => parseEndpoint(item.trim()));
  if (new Set(endpoints.map(endpoint => endpoint.split(':')[0])).size > 1)
    throw new ValueError('mixes http and https', 'use one of them for all endpoints');
  return [...new Set(endpoints)];
}

function parseEndpoint(item: string): string {
  const shown = quote(showUrls(item));
  if (item === '')
    throw new ValueError(
      'has an empty item',
      'separate endpoints by single commas: http://h1:2379,http://h2:2379',
    );
  const [, scheme = '', authority = '', rest = ''] = /^(?:([a-z]+):\/\/)?([^/?#]*)(.*)$/i.exec(item) ?? [];
  const [, host = '', port] = /^(\[[0-9a-f:.]+\]|[^:[\]@\s]+)(?::(.*))?$/i.exec(authority) ?? [];
  const protocol = scheme.toLowerCase();
  // A port that is no number may be a password.
  const isPort = port === undefined || /^\d{1,5}$/.test(port);
  const corrected = isPort && host !== '' ? `${host}:${port ?? 2379}` : 'h1:2379';
  if (item.includes('@'))
    throw new ValueError(
      `${shown} must not carry a user or password, because everybody can read the process list`,
      'use --etcd-user and --etcd-password-file',
    );
  if (protocol !== 'http' && protocol !== 'https')
    throw new ValueError(`${shown} must begin with http:// or https://, such as http://${corrected}`);
  if (host === '') throw new ValueError(`${shown} has no host`, 'write it as http://h1:2379');
  requireHost(host);
  if (rest !== '' && rest !== '/')
    throw new ValueError(`${shown} must not have a path`, `write it as ${protocol}://${corrected}`);
  if (port === undefined)
    throw new ValueError(`${shown} must name the port`, `etcd's is 2379: ${protocol}://${corrected}`);
  return `${protocol}://${host.toLowerCase()}:${parsePort(port)}`;
}

/** @throws ValueError unless it may be the name or the address of a host */
function requireHost(host: string): void {
  const ip = /^\[(.*)\]$/.exec(host)?.[1];
  const isHost = ip === undefined ? /^[\w.-]+$/.test(host) : isIP(ip) === 6;
  if (!isHost || host.length > limits.hostLength)
    throw new ValueError(
      `must name hosts of letters, digits, "_", "." and "-", of ${limits.hostLength} characters at most, or IPv6 addresses in brackets`,
    );
}

/** The name of a user of etcd, without the password. */
export function parseUser(text: string): string {
  if (text.includes(':'))
    throw new ValueError(
      'must be a name alone',
      'everybody can read a command line, so give the password in --etcd-password-file or DOCKREG_ETCD_PASSWORD',
    );
  if (/\p{C}/u.test(text)) throw new ValueError('must be a name without control characters');
  return text;
}

/** The path of a socket, `unix:///path`, or `tcp://host:port`. */
export function parseEngineEndpoint(text: string): EngineEndpoint {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (/^\/[^\s\p{Cc}]+$/u.test(path) && Buffer.byteLength(path) <= limits.socketPathBytes)
    return { kind: 'unix', path };
  const [, bracketed, plain, port = ''] =
    /^tcp:\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]@\s]+)):(\d+)\/?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined)
    throw new ValueError(
      'must be a socket such as /var/run/docker.sock or unix:///var/run/docker.sock, or tcp://host:2375',
    );
  requireHost(bracketed === undefined ? host : `[${host}]`);
  return { kind: 'tcp', host, port: parsePort(port) };
}

export function parseContainerId(text: string): string {
  if (!/^[0-9a-f]{12,64}$/.test(text))
    throw new ValueError('must be a container id, 12 to 64 hexadecimal digits as docker ps shows them');
  return text;
}

/** The path of a file. */
export function parsePath(text: string): string {
  if (text.includes('\0')) throw new ValueError('must be the path of a file');
  return text;
}

/** The absolute path of a Unix socket. */
export function parseSocketPath(text: string): string {
  if (!/^\/[^\0]+$/.test(text) || Buffer.byteLength(text) > limits.socketPathBytes)
    throw new ValueError(
      `must be the absolute path of a Unix socket, of ${limits.socketPathBytes} bytes at most, such as /run/app.sock`,
    );
  return text;
}

/** The path of a Unix socket; null for `off`. */
export function parseControl(text: string): string | null {
  return text === 'off' ? null : parseSocketPath(text);
}

/** A host name as a certificate bears it. */
export function parseServerName(text: string): string {
  if (isIP(text) !== 0 || !/^[\w-]+(\.[\w-]+)*$/.test(text) || text.length > limits.hostLength)
    throw new ValueError('must be a host name as it stands in the certificate, such as web.example');
  return text;
}
