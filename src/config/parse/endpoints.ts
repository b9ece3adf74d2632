/** How dockreg reaches etcd and Docker: endpoints, users, containers and files. */
import { isIP } from 'node:net';
import type { EngineEndpoint } from '../../core/settings/process.ts';
import { parsePort } from './numbers.ts';
import { ValueError } from './value.ts';

/** Comma-separated endpoints of etcd, each `http://host:port`, all http or all https. Returns each one once. */
export function parseEndpoints(text: string): string[] {
  const endpoints = text.split(',').map(item => parseEndpoint(item.trim()));
  if (new Set(endpoints.map(endpoint => endpoint.split(':')[0])).size > 1)
    throw new ValueError('mixes http and https', 'use one of them for all endpoints');
  return [...new Set(endpoints)];
}

function parseEndpoint(item: string): string {
  if (item === '')
    throw new ValueError(
      'has an empty item',
      'separate endpoints by single commas: http://h1:2379,http://h2:2379',
    );
  const [, scheme = '', authority = '', rest = ''] = /^(?:([a-z]+):\/\/)?([^/?#]*)(.*)$/i.exec(item) ?? [];
  const [, host = '', port] = /^(\[[0-9a-f:.]+\]|[^:[\]@\s]+)(?::(.*))?$/i.exec(authority) ?? [];
  const protocol = scheme.toLowerCase();
  if (protocol !== 'http' && protocol !== 'https')
    throw new ValueError(
      `"${item}" must begin with http:// or https://, such as http://${host || 'h1'}:${port ?? 2379}`,
    );
  if (authority.includes('@'))
    throw new ValueError(
      `"${item}" must not carry a user or password, because everybody can read the process list`,
      'use --etcd-user and --etcd-password-file',
    );
  if (host === '') throw new ValueError(`"${item}" has no host`, 'write it as http://h1:2379');
  const corrected = `${protocol}://${host}:${port ?? 2379}`;
  if (rest !== '' && rest !== '/')
    throw new ValueError(`"${item}" must not have a path`, `write it as ${corrected}`);
  if (port === undefined)
    throw new ValueError(`"${item}" must name the port`, `etcd's is 2379: ${corrected}`);
  return `${protocol}://${host.toLowerCase()}:${parsePort(port)}`;
}

/** The name of a user of etcd, without the password. */
export function parseUser(text: string): string {
  if (text.includes(':'))
    throw new ValueError(
      'must be a name alone',
      'everybody can read a command line, so give the password in --etcd-password-file or DOCKREG_ETCD_PASSWORD',
    );
  return text;
}

/** The path of a socket, `unix:///path`, or `tcp://host:port`. */
export function parseEngineEndpoint(text: string): EngineEndpoint {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (/^\/[^\s]+$/.test(path)) return { kind: 'unix', path };
  const [, bracketed, plain, port = ''] =
    /^tcp:\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]@\s]+)):(\d+)\/?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined)
    throw new ValueError(
      'must be a socket such as /var/run/docker.sock or unix:///var/run/docker.sock, or tcp://host:2375',
    );
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

/** The absolute path of a Unix socket: at most 107 bytes, by unix(7). */
export function parseSocketPath(text: string): string {
  if (!/^\/[^\0]+$/.test(text) || Buffer.byteLength(text) > 107)
    throw new ValueError(
      'must be the absolute path of a Unix socket, of 107 bytes at most, such as /run/app.sock',
    );
  return text;
}

/** The path of a Unix socket; null for `off`. */
export function parseControl(text: string): string | null {
  return text === 'off' ? null : parseSocketPath(text);
}

/** A host name as a certificate bears it. */
export function parseServerName(text: string): string {
  if (isIP(text) !== 0 || !/^[\w-]+(\.[\w-]+)*$/.test(text))
    throw new ValueError('must be a host name as it stands in the certificate, such as web.example');
  return text;
}
