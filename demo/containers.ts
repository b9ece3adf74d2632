/**
 * The stage of containers: one host with a Docker engine of its own and etcd beside it, all within the bed.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadImages } from '../test/support/images.ts';
import { startHost, type Host } from '../test/support/lan.ts';
import { eventually } from '../test/support/wait.ts';
import type { Instance, Stage } from './stage.ts';

export async function openContainers(): Promise<Stage> {
  const host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  const endpoint = `http://${host.ip}:2379`;
  const data = await mkdtemp(join(tmpdir(), 'dockreg-demo-'));
  const etcd = await host.spawn('etcd', [
    ...['--data-dir', data, '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', `http://${host.ip}:2380`, '--log-level', 'error'],
  ]);
  await eventually('etcd serves', async () => (await fetch(`${endpoint}/health`)).ok, { timeoutMs: 20_000 });

  return {
    description: `containers under supervisord on a Docker engine of their own, host ${host.ip}, etcd at ${endpoint}`,
    endpoint,
    start: name => startContainer(host, endpoint, name),
    lookAround: () => [
      "sh test/support/bed.sh --enter   # a shell on the demo's network, in another terminal; then:",
      `export DOCKER_HOST=unix://${host.dockerSocket} ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${endpoint}`,
      'docker ps',
      'etcdctl get --prefix /service',
      'docker exec web-1 supervisorctl status',
      'docker logs -f web-1',
    ],
    async close() {
      etcd.signal('SIGTERM');
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
    async listeningSince() {
      const log = await host.docker(['logs', '--timestamps', name]);
      const line = log.split('\n').find(text => text.includes('example: listening'));
      return line === undefined ? undefined : Date.parse(line.split(' ')[0] ?? '');
    },
    async stop() {
      await host.docker(['stop', name]);
    },
    async kill() {
      await host.docker(['kill', name]);
    },
  };
}
