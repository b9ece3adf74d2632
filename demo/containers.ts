/**
 * The stage of containers: a host with a Docker engine of its own, and etcd, all within the bed.
 */
import { startEtcd } from '../test/support/etcd.ts';
import { loadImages } from '../test/support/images.ts';
import { lanAddress, startHost, type Host } from '../test/support/lan.ts';
import { listeningIn, type Instance, type Stage } from './stage.ts';

export async function openContainers(): Promise<Stage> {
  const host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  const etcd = await startEtcd({ alsoListenOn: lanAddress });
  const endpoint = `http://${lanAddress}:${etcd.members[0]?.port}`;

  return {
    description: `containers under supervisord, host ${host.ip} with a Docker engine of its own, etcd at ${endpoint}`,
    etcd,
    start: name => startContainer(host, endpoint, name),
    lookAround: () => [
      "sh test/support/bed.sh --enter   # in another terminal: a shell on the demo's network; in it:",
      `export DOCKER_HOST=unix://${host.dockerSocket} ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${endpoint}`,
      'docker ps',
      'etcdctl get --prefix /service',
      'docker exec web-1 supervisorctl status',
      'docker logs -f web-1',
    ],
    async close() {
      await etcd.stop();
      await host.stop();
    },
  };
}

async function startContainer(host: Host, endpoint: string, name: string): Promise<Instance> {
  await host.docker(['rm', '--force', name]).catch(() => undefined);
  await host.docker([
    ...['run', '--detach', '--name', name, '--publish', '8000'],
    ...['--volume', `${host.dockerSocket}:/var/run/docker.sock`],
    ...['--env', `DOCKREG_IP=${host.ip}`, '--env', `DOCKREG_ETCD=${endpoint}`, 'dockreg:example'],
  ]);
  const port = (await host.docker(['port', name, '8000/tcp'])).split('\n')[0]?.split(':').at(-1);
  return {
    name,
    address: `${host.ip}:${port}`,
    listeningSince: async () => listeningIn(await host.docker(['logs', name])),
    async stop() {
      await host.docker(['stop', name]);
    },
    async kill() {
      await host.docker(['kill', name]);
    },
  };
}
