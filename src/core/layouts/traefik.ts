/**
 * Traefik's etcd provider: the servers of a service, no routers. The root has no leading slash, because Traefik removes
 * it from its own. Traefik decodes every key that begins with the root, and one unknown key makes it reject all of them.
 */
import { formatAddress, isIPv6, type Address } from '../address/ip.ts';
import { LayoutProblem, requireName, type Scheme } from './instance.ts';
import type { LayoutFormat } from './layout.ts';

export const traefik: LayoutFormat = {
  root: { kind: 'optional', default: 'traefik' },
  allowsOwnRecords: true,
  prefix: root => `${root}/`,
  listed: root => root,
  nameIn: (_root, name) => name?.text,

  write(root, instance) {
    const name = requireName(instance, 'layout traefik');
    if (/^\d+$/.test(name))
      throw new LayoutProblem({
        message: `layout traefik: Traefik reads the name ${name} as a number`,
        hint: 'set a name that has a letter with --name',
      });
    const { address, protocol } = instance;
    const { scheme } = instance.spec;
    const kind = protocol === 'udp' ? 'udp' : scheme === 'tcp' ? 'tcp' : 'http';
    const server = `${root}/${kind}/services/${name}/loadbalancer/servers/${serverIndex(address)}`;
    const text = formatAddress(address);
    return kind === 'http'
      ? { key: `${server}/url`, value: `${urlSchemes[scheme] ?? scheme}://${text}` }
      : { key: `${server}/address`, value: text };
  },

  read({ rest, value }) {
    const [, service] = serverKey.exec(rest) ?? [];
    return service === undefined ? null : { service, address: value.replace(/^[a-z0-9]+:\/\//, '') };
  },
};

const serverKey = /^(?:http|tcp|udp)\/services\/([^/]+)\/loadbalancer\/servers\/\d+\/(?:url|address)$/i;

/** The schemes that have another name in Traefik. */
const urlSchemes: Readonly<Partial<Record<Scheme, string>>> = { grpc: 'h2c', grpcs: 'https' };

/** The bits of address and port as one decimal number: an index may be any number, and no two servers share one. */
function serverIndex({ ip, port }: Address): string {
  return String((ipBits(ip) << 16n) | BigInt(port));
}

function ipBits(ip: string): bigint {
  if (!isIPv6(ip)) return ip.split('.').reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
  const [head = [], tail = []] = ip.split('::').map(half => half.split(':').filter(group => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}
