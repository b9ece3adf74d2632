/**
 * go-zero's discov: `web.rpc/<id of the lease>` = `10.0.0.5:49155`. A root is the whole key of the service.
 */
import { formatAddress } from '../address/ip.ts';
import { requireName } from './instance.ts';
import type { LayoutFormat } from './layout.ts';

export const goZero: LayoutFormat = {
  root: { kind: 'optional', default: '' },
  prefix,
  nameIn: (root, name) => (root === '' ? name?.text : root),

  write(root, instance) {
    const key = prefix(root, root === '' ? requireName(instance, 'layout go-zero') : undefined);
    return { key, value: formatAddress(instance.address), underLease: true };
  },

  read: ({ root, service = root, value }) => ({ service, address: value }),
};

function prefix(root: string, service = ''): string {
  return `${root === '' ? `${service}.rpc` : root}/`;
}
