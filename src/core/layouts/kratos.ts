/**
 * kratos' etcd registry: `/microservices/web/10.0.0.5:49155` and a JSON object with the same name. Clients take the
 * endpoints of the scheme that they speak.
 */
import { formatAddress } from '../address/ip.ts';
import { requireName } from './instance.ts';
import { fieldsOf, metadataFields, parseFields, type LayoutFormat } from './layout.ts';

export const kratos: LayoutFormat = {
  root: { kind: 'optional', default: 'microservices' },
  prefix: root => `/${root}/`,
  nameIn: (_root, name) => name?.text,

  write(root, instance) {
    const name = requireName(instance, 'layout kratos');
    const { version = '', ...metadata } = metadataFields(instance.metadata);
    const id = formatAddress(instance.address);
    const { scheme } = instance.spec;
    const endpoints = [`${scheme}://${id}?isSecure=${scheme === 'https' || scheme === 'grpcs'}`];
    return {
      key: `/${root}/${name}/${id}`,
      value: JSON.stringify({ id, name, version, metadata, endpoints }),
    };
  },

  read({ rest, value }) {
    const [service = ''] = rest.split('/');
    const { endpoints, metadata } = parseFields(value);
    const endpoint: unknown = Array.isArray(endpoints) ? endpoints[0] : undefined;
    if (typeof endpoint !== 'string') return null;
    const address = /^[a-z0-9]+:\/\/([^/?]+)/.exec(endpoint)?.[1];
    return { service, address, weight: fieldsOf(metadata)['weight'] };
  },
};
