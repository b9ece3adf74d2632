/**
 * HAProxy behind confd: `/app/servers/web-1` = `10.0.0.5:49155`. The last part of the key becomes the name of a server,
 * and HAProxy accepts every container name as one.
 */
import { formatAddress } from '../address/ip.ts';
import { quote } from '../text.ts';
import { isName, LayoutProblem, requireContainer } from './instance.ts';
import type { LayoutFormat } from './layout.ts';

export const named: LayoutFormat = {
  root: { kind: 'required', example: 'app/servers' },
  prefix: root => `/${root}/`,
  nameIn: root => root,

  write(root, instance) {
    const { name } = requireContainer(instance, 'layout named');
    if (!isName(name))
      throw new LayoutProblem(`layout named: HAProxy accepts no server name such as ${quote(name)}`);
    return { key: `/${root}/${name}`, value: formatAddress(instance.address) };
  },

  read: ({ root, value }) => ({ service: root, address: value }),
};
