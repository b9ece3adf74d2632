/**
 * Sets up the demo of one host on containers: a host with its own Docker engine, and etcd, all within the test bed.
 */
import { startEtcd } from '../../test/support/etcd.ts';
import { startExample } from '../../test/support/example.ts';
import { loadImages } from '../../test/support/images.ts';
import { lanAddress, startHost } from '../../test/support/lan.ts';
import { parent } from '../instance.ts';
import { names, type OneHost } from './stage.ts';

export async function openContainers(): Promise<OneHost> {
  const host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  const etcd = await startEtcd({ alsoListenOn: lanAddress });
  const endpoint = `http://${lanAddress}:${etcd.members[0]?.port}`;
  const start: OneHost['start'] = name =>
    startExample(host, name, { DOCKREG_ETCD: endpoint, DOCKREG_KEY: parent });

  return {
    description: `containers under supervisord, host ${host.ip} with its own Docker engine, etcd at ${endpoint}`,
    start,
    watch: () => etcd.watch(`/${parent}/`),
    async refill() {
      const running = (await host.docker(['ps', '--format', '{{.Names}}'])).split('\n');
      await Promise.all(names.filter(name => !running.includes(name)).map(start));
    },
    lookAround: () => [
      "sh test/support/bed.sh --enter   # in another terminal: a shell on the demo's network; in it:",
      `export DOCKER_HOST=unix://${host.dockerSocket} ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${endpoint}`,
      'docker ps',
      `etcdctl get --prefix /${parent}`,
      'docker exec web-1 supervisorctl status',
      'docker logs -f web-1',
    ],
    async close() {
      await etcd.stop();
      await host.stop();
    },
  };
}
