/**
 * The header of the PROXY protocol with which a check begins, as HAProxy sends it with its own checks
 * (`check-send-proxy`): version 1 names the two ends of the connection, version 2 says LOCAL, which means that the
 * connection is the sender's own. Source: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
 */
import type { Socket } from 'node:net';
import type { ProxyProtocol } from '../core/settings/check.ts';

/** The signature; version 2, LOCAL; no family; no addresses. */
const local = Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), Buffer.from([0x20, 0, 0, 0])]);

/** @param socket is connected */
export function proxyHeader(version: ProxyProtocol, socket: Socket): Buffer {
  if (version === 'v2') return local;
  const { localAddress, localPort, remoteAddress, remotePort, remoteFamily } = socket;
  const family = remoteFamily === 'IPv6' ? 'TCP6' : 'TCP4';
  // A Unix socket has no addresses.
  const ends = remoteAddress && [family, localAddress, remoteAddress, localPort, remotePort].join(' ');
  return Buffer.from(`PROXY ${ends ?? 'UNKNOWN'}\r\n`);
}
