/**
 * SkyDNS 2 and the etcd plugin of CoreDNS: the labels of the domain in reverse, then one label for the instance. They
 * look names up in lower case and find no others. The TTL is for CoreDNS, which otherwise answers with at least 30 s.
 */
import { formatAddress } from '../address/ip.ts';
import { quote } from '../text.ts';
import { LayoutProblem, requireName, type Metadata } from './instance.ts';
import { metadataFields, parseFields, type LayoutFormat } from './layout.ts';

export const skydns: LayoutFormat = {
  root: { kind: 'required', example: 'cluster.local' },
  rootIsDomain: true,
  prefix,
  nameIn: (_root, name) => name?.text,

  write(root, instance) {
    const labels = requireName(instance, 'layout skydns').split('.');
    const bad = labels.find(label => !isDnsLabel(label));
    if (bad !== undefined)
      throw new LayoutProblem({
        message: `layout skydns: ${quote(bad)} is not a DNS label (1 to 63 of a-z, 0-9 and -, no - at its ends)`,
        hint: 'set a name that consists of DNS labels with --name',
      });
    const { ip: host, port } = instance.address;
    const { weight = 100 } = instance.metadata;
    const own = `i-${host.toLowerCase().replaceAll(/[^0-9a-z]/g, '-')}-${port}`;
    const text = describeMetadata(instance.metadata);
    const value = { host, port, priority: 10, weight, ttl: 5, ...(text !== '' && { text }) };
    const key = `${prefix(root)}${[...labels.toReversed(), own].join('/')}`;
    return { key, value: JSON.stringify(value) };
  },

  read({ rest, value }) {
    const { host, port, weight } = parseFields(value);
    if (typeof host !== 'string' || typeof port !== 'number') return null;
    const service = rest.split('/').slice(0, -1).toReversed().join('.');
    return { service, address: formatAddress({ ip: host, port }), weight };
  },
};

/** Whether DNS takes it as a part of a name (RFC 1035 §2.3.1, RFC 1123 §2.1), in lower case. */
export function isDnsLabel(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

function prefix(root: string): string {
  return `/skydns/${root.split('.').toReversed().join('/')}/`;
}

/** As in a TXT record (RFC 1464): `version=2 zone=eu-1`. The weight is in the SRV record. */
function describeMetadata(metadata: Metadata): string {
  return Object.entries(metadataFields({ ...metadata, weight: undefined }))
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}
