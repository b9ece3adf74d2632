/** The images on podman, which offers the Docker API: in containers and in a pod. Runs in the bed (bed.sh). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { WatchEvent, Watcher } from '../support/etcd-watcher.ts';
import { exampleOptions, logsOf } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, startHost, type Host } from '../support/lan.ts';

const ttlMs = 5_000;
const port8001 = ['--env', 'DOCKREG_PORT=8001'];

/** All run at once, so that one that mistakes itself for another would be registered as that one. */
const containers: Readonly<Record<string, readonly string[]>> = {
  plain: ['--publish', '8000'],
  'like-an-id': ['--publish', '8000', '--hostname', 'deadbeefdead'],
  private: ['--publish', '8000', '--cgroupns', 'private', '--hostname', 'web'],
  moving: ['--publish', '8000', '--network', 'backend'],
  'on-host': ['--network', 'host', ...port8001],
  'first-of-pod': ['--pod', 'pod'],
  'second-of-pod': ['--pod', 'pod', ...port8001],
};

let host: Host;
let etcd: EtcdCluster;
let watcher: Watcher;

before(async () => {
  host = await startHost({ name: 'host-3', ip: '10.1.0.103', engine: 'podman' });
  await loadImages(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/service/');
  await host.docker(['network', 'create', 'backend']);
  const ports = ['--publish', '8000', '--publish', '8001'];
  await host.docker(['pod', 'create', '--name', 'pod', '--infra-name', 'infra', ...ports]);
  const common = exampleOptions(host, {
    DOCKREG_IP: host.ip,
    DOCKREG_ETCD: `http://${lanAddress}:${etcd.members[0]!.port}`,
    DOCKREG_INTERVAL: '1s',
    DOCKREG_TIMEOUT: '1s',
    DOCKREG_TTL: `${ttlMs / 1000}s`,
  });
  await Promise.all(
    Object.entries(containers).map(([name, options]) =>
      host.docker(['run', '--detach', '--name', name, ...common, ...options, images.example]),
    ),
  );
});
after(async () => {
  watcher.close();
  await etcd.stop();
  await host.stop();
});

async function first(type: WatchEvent['type'], key: string, since = 0): Promise<WatchEvent> {
  const matches = (event: WatchEvent): boolean => event.type === type && event.key === key;
  return watcher.first(matches, { since, timeoutMs: 40_000 });
}

/** The key of a container at its mapped port. */
async function keyOf(name: string, port = '8000/tcp'): Promise<string> {
  const mapped = (await host.docker(['port', name, port])).replace('0.0.0.0', host.ip);
  return `/service/${mapped}`;
}

/** Waits for a container's key and sends a request there. The app must answer with its own hostname. */
async function registered(name: string, key: string, hostname?: string): Promise<void> {
  await first('put', key);
  const id = await host.docker(['inspect', '--format', '{{.Id}}', name]);
  assert.ok((await logsOf(host, name)).includes(`container ${id.slice(0, 12)} by mountinfo`));
  const url = key.replace('/service/', 'http://');
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
  assert.equal(await answer.text(), `Hello from ${hostname ?? id.slice(0, 12)}\n`);
}

describe('a container of podman is registered at its own mapped port', () => {
  it('by default', async () => registered('plain', await keyOf('plain')));

  it('under a hostname that looks like an id', async () =>
    registered('like-an-id', await keyOf('like-an-id'), 'deadbeefdead'));

  it('in a private cgroup namespace', async () => registered('private', await keyOf('private'), 'web'));

  it('on a network of the user', async () => registered('moving', await keyOf('moving')));
});

describe('a member of a pod is registered', () => {
  it("at the pod's mapped port", async () => registered('first-of-pod', await keyOf('infra'), 'pod'));

  it('at its own one, when there are several members', async () =>
    registered('second-of-pod', await keyOf('infra', '8001/tcp'), 'pod'));
});

describe('a container of podman', () => {
  it("on the host's network is registered at the host's address and its own port", async () => {
    const hostname = await host.docker(['exec', 'on-host', 'cat', '/proc/sys/kernel/hostname']);
    await registered('on-host', `/service/${host.ip}:8001`, hostname);
  });

  it('is nowhere else', async () => {
    const keys = new Set(watcher.events.map(({ key }) => key));
    assert.equal(keys.size, Object.keys(containers).length);
  });

  it('loses its key at once when it is stopped', async () => {
    const key = await keyOf('plain');
    const since = watcher.events.length;
    const stopping = host.docker(['stop', 'plain']);
    await first('delete', key, since);
    await stopping;
    assert.match(await logsOf(host, 'plain'), /msg="withdrawn: stopping"/);
  });

  it('loses its key with its network, and gets it back with the network', async () => {
    const key = await keyOf('moving');
    const since = watcher.events.length;
    await host.docker(['network', 'disconnect', 'backend', 'moving']);
    await first('delete', key, since);
    await host.docker(['network', 'connect', 'backend', 'moving']);
    await first('put', await keyOf('moving'), since);
  });
});
