/**
 * What a person must do about an error of a request to etcd, by the messages of gRPC, of TLS and of etcd.
 */
import { isLoopback } from '../core/address/ip.ts';
import { pastaHost } from '../core/address/unmapped.ts';
import { isOwn } from '../network/interfaces.ts';
import { tlsHint, type TlsHints } from '../tls/hints.ts';

/** etcd answered and refused. */
const refusals: readonly [pattern: RegExp, hint: string][] = [
  [/authentication failed/, 'check --etcd-user and its password'],
  [/user name is empty|invalid auth token/, 'etcd wants a user: --etcd-user'],
  [/permission denied/, 'give the role of the user readwrite on the prefix of the keys'],
];

/** The hint for a refusal by etcd; undefined for any other error. */
export function refusalHint(message: string): string | undefined {
  return refusals.find(([pattern]) => pattern.test(message))?.[1];
}

export const networkHint = 'check the network of this container, the firewall, and --etcd';

const renewCertificate = 'renew the certificate, or set the clock';
const notTls = 'it does not speak TLS there: write http:// in --etcd';
const tlsHints: TlsHints = {
  'unknown-authority': 'name the authority of its certificate in --etcd-ca',
  'wrong-name': 'name it in --etcd as its certificate does',
  expired: renewCertificate,
  'not-yet-valid': renewCertificate,
  'certificate-refused': 'it refuses our certificate: give one that it takes in --etcd-cert and --etcd-key',
  'not-tls': notTls,
  'handshake-closed': notTls,
};

const noEtcd = 'no etcd 3 listens there: name the port for its clients, 2379 by default, in --etcd';
const hints: readonly [pattern: RegExp, hint: string][] = [
  [
    /ECONNREFUSED/,
    'start etcd there, let it listen on that address (--listen-client-urls), or correct --etcd',
  ],
  [
    /ENOTFOUND|EAI_AGAIN|name resolution/i,
    'correct the name in --etcd, or the name server of this container',
  ],
  [/Protocol error|no application protocol|does not implement|unimplemented|unknown service/i, noEtcd],
  [/space exceeded/, 'compact it, etcdctl defrag, then etcdctl alarm disarm'],
  [/no leader|request timed out|context deadline/, 'bring a majority of the members back'],
  [/UNREACH|ETIMEDOUT/, networkHint],
];

/** The hint for any other error of a request to this endpoint, if there is one. */
export function requestHint(message: string, endpoint: string, hasCertificate: boolean): string | undefined {
  if (/Failed to connect|ECONNRESET|hang up/.test(message) && !/ECONNREFUSED/.test(message))
    return endpoint.startsWith('https:')
      ? 'does it speak TLS there? If not, write http:// in --etcd'
      : 'does it speak TLS? Then write https:// in --etcd';
  if (!hasCertificate && /alert (?:bad certificate|certificate required|handshake failure)/.test(message))
    return 'it wants a certificate of ours: give --etcd-cert and --etcd-key';
  return (
    ownAddressHint(message) ??
    tlsHint(message, tlsHints) ??
    hints.find(([pattern]) => pattern.test(message))?.[1]
  );
}

/** Where an address that others know as the host's refuses us, because it is our own one here. */
function ownAddressHint(message: string): string | undefined {
  const [, ip] = /ECONNREFUSED (\S+):\d+$/.exec(message) ?? [];
  if (ip === undefined || isLoopback(ip) || !isOwn(ip)) return undefined;
  return (
    `start etcd there. But ${ip} is our own address: with podman's network pasta it means this container and not the ` +
    `host, which is reached at ${pastaHost}`
  );
}
