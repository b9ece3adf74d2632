/**
 * etcd's naming and endpoints packages for gRPC: `web/10.0.0.5:49155`; a client's target is the name of the service.
 */
import { formatAddress } from '../address/ip.ts';
import { requireName } from './instance.ts';
import { metadataFields, parseFields, type LayoutFormat } from './layout.ts';

export const grpc: LayoutFormat = {
  root: { kind: 'optional', default: '' },
  prefix,
  nameIn: (_root, name) => name?.text,

  write(root, instance) {
    const address = formatAddress(instance.address);
    const fields = metadataFields(instance.metadata);
    // A text, not an object: Go clients compare it with ==, and an object makes them panic (etcd #19700).
    const metadata = Object.keys(fields).length === 0 ? null : JSON.stringify(fields);
    const key = `${prefix(root, requireName(instance, 'layout grpc'))}${address}`;
    return { key, value: JSON.stringify({ Op: 0, Addr: address, Metadata: metadata }) };
  },

  read({ service, rest, value }) {
    const { Addr: address, Metadata: metadata } = parseFields(value);
    const path = rest.split('/').slice(0, -1).join('/');
    return { service: service ?? path, address, weight: parseFields(metadata)['weight'] };
  },
};

function prefix(root: string, service = ''): string {
  return [root, service]
    .filter(name => name !== '')
    .map(name => `${name}/`)
    .join('');
}
