/**
 * registrator's etcd backend: `/services/web/10.0.0.5:web-1:8000` = `10.0.0.5:49155`. The port in the key is the one
 * inside the container.
 */
import { formatAddress } from '../address/ip.ts';
import { quote } from '../text.ts';
import {
  LayoutProblem,
  requireContainer,
  requireName,
  type InstanceSource,
  type ServiceName,
} from './instance.ts';
import type { LayoutFormat } from './layout.ts';

export const registrator: LayoutFormat = {
  root: { kind: 'required', example: 'services' },
  prefix: root => `/${root}/`,

  nameIn: (_root, name, source) => name && groupOf(name, source),

  write(root, instance) {
    const { address, host, id, localPort, protocol } = instance;
    const service = requireName(instance, 'layout registrator');
    const group = groupOf({ from: '', ...instance.name, text: service }, instance);
    const suffix = protocol === 'udp' ? ':udp' : '';
    const instanceId =
      id ?? `${host}:${requireContainer(instance, 'layout registrator').name}:${localPort}${suffix}`;
    if (!/^[^\s/\p{Cc}]+$/u.test(instanceId))
      throw new LayoutProblem(`SERVICE_ID ${quote(instanceId)} must have no slash and no space`);
    return { key: `/${root}/${group}/${instanceId}`, value: formatAddress(address) };
  },

  read({ rest, value }) {
    const [service = '', instanceId = ''] = rest.split('/');
    const host = /^(.+?):[A-Za-z0-9][\w.-]+:\d+(?::udp)?$/.exec(instanceId)?.[1];
    return { service, address: value, ...(host !== undefined && { host }) };
  },
};

/** Each port of a container with several is a service of its own, unless the user named this very port. */
function groupOf(
  { text, from }: ServiceName,
  { localPort, container }: Pick<InstanceSource, 'localPort' | 'container'>,
): string {
  const isOneOfMany = (container?.publishedPorts ?? 1) > 1;
  const namesThePort = from === '--name' || from === `SERVICE_${localPort}_NAME`;
  return isOneOfMany && !namesThePort ? `${text}-${localPort}` : text;
}
