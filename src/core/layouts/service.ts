/**
 * The layout of the dockreg of 2014, a plain list: `/service/10.0.0.5:49155` = `running`.
 */
import { formatAddress } from '../address/ip.ts';
import type { LayoutFormat } from './layout.ts';

export const service: LayoutFormat = {
  root: { kind: 'key' },
  prefix: root => `/${root}/`,
  nameIn: root => root,
  write: (root, { address }) => ({ key: `/${root}/${formatAddress(address)}`, value: 'running' }),
  read: ({ root, rest }) => ({ service: root, address: rest }),
};
