/**
 * Sets up the demo of two hosts and starts its instances.
 */
import { type Example, startExample } from '../../test/support/example.ts';
import { endpoints, hostNames, startTwoHosts, type TwoHosts } from '../../test/support/two-hosts.ts';
import { parent } from '../instance.ts';
import type { Stage } from '../show.ts';

/** The host of each instance. */
export const cast = { 'web-1': 'host-1', 'web-2': 'host-2', 'web-3': 'host-2' } as const;

export interface TwoHostsStage extends Stage {
  readonly hosts: TwoHosts;
  start(name: keyof typeof cast): Promise<Example>;
}

export async function openTwoHosts(): Promise<TwoHostsStage> {
  const hosts = await startTwoHosts();
  const start: TwoHostsStage['start'] = name =>
    startExample(hosts.host(cast[name]), name, { DOCKREG_ETCD: endpoints, DOCKREG_KEY: parent });

  return {
    description:
      'host-1 (10.1.0.101) and host-2 (10.1.0.102), each with a Docker engine and a member of etcd',
    hosts,
    start,
    watch: () => hosts.watch(`/${parent}/`),
    async refill() {
      if (!hosts.isOn('host-2')) await hosts.powerOn('host-2');
      for (const name of Object.keys(cast) as (keyof typeof cast)[]) {
        const running = (await hosts.host(cast[name]).docker(['ps', '--format', '{{.Names}}'])).split('\n');
        if (!running.includes(name)) await start(name);
      }
    },
    lookAround: () => [
      'sh test/support/bed.sh --enter    # in another terminal: a shell at the switch between the hosts; in it:',
      `export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${endpoints}`,
      `etcdctl get --prefix /${parent}`,
      'etcdctl endpoint status --write-out table',
      ...hostNames.map(name => `alias ${name}='docker --host unix://${hosts.host(name).dockerSocket}'`),
      'host-1 ps',
      'host-2 stop web-2',
      `ip link set ${hosts.host('host-2').switchPort} down    # cuts host-2 off; up puts the cable back`,
    ],
    close: () => hosts.stop(),
  };
}
