/** Tasks of services in a swarm of one node, on a real Docker Engine. Runs in the bed (bed.sh). */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { WatchEvent, Watcher } from '../support/etcd-watcher.ts';
import { exampleOptions, logsOf } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, startHost, type Host } from '../support/lan.ts';
import { createService, startSwarm, stopSwarm, taskContainers } from '../support/swarm.ts';
import { eventually } from '../support/wait.ts';

const ttlMs = 5_000;
/** The last renewal may just have been; etcd looks for those that are over twice a second. */
const lostWithinMs = ttlMs + 3_000;
const startsWithinMs = 30_000;

/** All services run at once. None is told --ip: Docker tells the node's address in the swarm. */
const services = {
  'mode=host': ['--publish', 'mode=host,target=8000', '--restart-delay', '1s'],
  ingress: [
    ...['--publish', 'target=8000,published=8090', '--env', 'DOCKREG_ADVERTISE=swarm'],
    // Later than the lease of its predecessor, which it would take the key from.
    ...['--restart-delay', '10s'],
  ],
  'two tasks': [
    ...['--publish', 'target=8000,published=8091', '--env', 'DOCKREG_ADVERTISE=swarm'],
    ...['--replicas', '2', '--restart-condition', 'none'],
  ],
  'without --advertise swarm': ['--publish', 'target=8000,published=8092'],
};
type Service = keyof typeof services;

let host: Host;
let etcd: EtcdCluster;
let watcher: Watcher;
const ids = new Map<Service, string>();

before(async () => {
  host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  await startSwarm(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/service/');
  const common = exampleOptions(host, {
    DOCKREG_ETCD: `http://${lanAddress}:${etcd.members[0]!.port}`,
    DOCKREG_INTERVAL: '1s',
    DOCKREG_TIMEOUT: '500ms',
    DOCKREG_TTL: `${ttlMs / 1000}s`,
  });
  for (const [name, options] of Object.entries(services)) {
    const id = await createService(host, name.replace(/\W+/g, '-'), [...common, ...options], images.example);
    ids.set(name as Service, id);
  }
});
after(async () => {
  watcher.close();
  await etcd.stop();
  await stopSwarm(host);
  await host.stop();
});

async function tasksOf(service: Service, count = 1, except: readonly string[] = []): Promise<string[]> {
  return taskContainers(host, ids.get(service)!, count, except);
}

async function put(key: string, since = 0): Promise<WatchEvent> {
  const matches = (event: WatchEvent): boolean => event.type === 'put' && event.key === key;
  return watcher.first(matches, { since, timeoutMs: startsWithinMs });
}

async function deleted(key: string, since: number): Promise<WatchEvent> {
  const matches = (event: WatchEvent): boolean => event.type === 'delete' && event.key === key;
  return watcher.first(matches, { since, timeoutMs: lostWithinMs });
}

/** The key at the port that is mapped to the task's own. */
async function mappedKey(container: string): Promise<string> {
  const [first = ''] = (await host.docker(['port', container, '8000/tcp'])).split('\n');
  return `/service/${host.ip}:${first.split(':').at(-1)}`;
}

async function answerAt(key: string): Promise<string> {
  const url = key.replace('/service/', 'http://');
  return (await fetch(url, { signal: AbortSignal.timeout(5000) })).text();
}

describe('a task that publishes on its own node', () => {
  it('is registered there; killed, its key goes with its lease, and its successor has one', async () => {
    const [task = ''] = await tasksOf('mode=host');
    const key = await mappedKey(task);
    await put(key);
    assert.equal(await answerAt(key), `Hello from ${task.slice(0, 12)}\n`);

    const since = watcher.events.length;
    await host.docker(['kill', task]);
    await deleted(key, since);
    const [successor = ''] = await tasksOf('mode=host', 1, [task]);
    const next = await mappedKey(successor);
    assert.notEqual(next, key);
    await put(next, since);
    assert.equal(await answerAt(next), `Hello from ${successor.slice(0, 12)}\n`);
  });
});

describe("a task that is reached through the swarm's routing mesh", () => {
  it("is registered at the node's address and the service's port; killed, its key goes, and its successor has it", async () => {
    const key = `/service/${host.ip}:8090`;
    const [task = ''] = await tasksOf('ingress');
    const { lease } = await put(key);

    const since = watcher.events.length;
    await host.docker(['kill', task]);
    const gone = await deleted(key, since);
    assert.equal(gone.lease, lease);
    await tasksOf('ingress', 1, [task]);
    const back = await put(key, since);
    assert.notEqual(back.lease, lease);
  });

  // Without the kernel's load balancer the mesh carries nothing.
  const skip = existsSync('/proc/net/ip_vs') ? false : 'this kernel has no IPVS';
  it('answers there', { skip }, async () => {
    const key = `/service/${host.ip}:8090`;
    await put(key);
    assert.match(await answerAt(key), /^Hello from /);
  });

  it('shares its key with the other tasks on its node; when the one that holds it stops, another puts it back', async () => {
    const key = `/service/${host.ip}:8091`;
    const tasks = await tasksOf('two tasks', 2);
    const logs = await eventually(
      'the one without the key to say so',
      async () => {
        const texts = await Promise.all(tasks.map(task => logsOf(host, task)));
        return texts.some(text => text.includes(`${key} is held by another lease too`)) && texts;
      },
      { timeoutMs: startsWithinMs },
    );
    const { lease } = (await etcd.keys(key)).get(key)!;
    const holder = tasks[logs.findIndex(text => text.includes(`lease=${lease}`))]!;

    const since = watcher.events.length;
    await host.docker(['stop', holder]);
    const gone = await deleted(key, since);
    const back = await put(key, since);
    assert.ok(back.at - gone.at < 3_000, 'at its next look, an interval later');
  });

  it('says what to do, without --advertise swarm', async () => {
    const [task = ''] = await tasksOf('without --advertise swarm');
    const text = /not published on its node.*use --advertise swarm/;
    await eventually('the message', async () => text.test(await logsOf(host, task)), {
      timeoutMs: startsWithinMs,
    });
  });
});
