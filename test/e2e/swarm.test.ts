/** Tasks of services in a swarm of a manager and a worker, on a real Docker Engine. Runs in the bed (bed.sh). */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { WatchEvent, Watcher } from '../support/etcd-watcher.ts';
import { exampleOptions, logsOf } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, startHost, type Host } from '../support/lan.ts';
import { createService, joinSwarm, startSwarm, stopSwarm, taskContainers } from '../support/swarm.ts';
import { eventually } from '../support/wait.ts';

const ttlMs = 5_000;
/** The last renewal may have happened just before; etcd looks for expired leases twice a second. */
const lostWithinMs = ttlMs + 3_000;
const startsWithinMs = 60_000;

const ingress = ['--env', 'DOCKREG_ADVERTISE=swarm', '--publish'];
/** All services run at once, on the manager. None has --ip: Docker knows the node's address in the swarm. */
const services = {
  'mode=host': ['--publish', 'mode=host,target=8000', '--restart-delay', '1s'],
  // Started again only after the lease of its predecessor, because it would take over the key.
  ingress: [...ingress, 'target=8000,published=8090', '--restart-delay', '10s'],
  'two tasks': [...ingress, 'target=8000,published=8091', '--replicas', '2', '--restart-condition', 'none'],
  'without --advertise swarm': ['--publish', 'target=8000,published=8092'],
};
/** These run on the worker. */
const workersServices = {
  'mode=host on the worker': ['--publish', 'mode=host,target=8000'],
  'ingress on the worker': [...ingress, 'target=8000,published=8093'],
};
type Service = keyof (typeof services & typeof workersServices);

/** The manager. */
let host: Host;
let worker: Host;
let etcd: EtcdCluster;
let watcher: Watcher;
const ids = new Map<Service, string>();

before(async () => {
  [host, worker] = await Promise.all([
    startHost({ name: 'host-1', ip: '10.1.0.101' }),
    startHost({ name: 'host-2', ip: '10.1.0.102' }),
  ]);
  await Promise.all([host, worker].map(loadImages));
  await startSwarm(host);
  await joinSwarm(host, worker);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/service/');
  await startServices(services, host, 'manager');
  await startServices(workersServices, worker, 'worker');
});
after(async () => {
  watcher.close();
  await etcd.stop();
  for (const node of [worker, host]) {
    await stopSwarm(node);
    await node.stop();
  }
});

async function startServices(
  table: Readonly<Record<string, readonly string[]>>,
  node: Host,
  role: string,
): Promise<void> {
  const common = exampleOptions(node, {
    DOCKREG_ETCD: `http://${lanAddress}:${etcd.members[0]!.port}`,
    DOCKREG_INTERVAL: '1s',
    DOCKREG_TIMEOUT: '1s',
    DOCKREG_TTL: `${ttlMs / 1000}s`,
  });
  for (const [name, options] of Object.entries(table)) {
    const words = [...common, '--constraint', `node.role==${role}`, ...options];
    const id = await createService(host, name.replace(/\W+/g, '-'), words, images.example);
    ids.set(name as Service, id);
  }
}

function nodeOf(service: Service): Host {
  return service in services ? host : worker;
}

async function tasksOf(service: Service, count = 1, except: readonly string[] = []): Promise<string[]> {
  return taskContainers(nodeOf(service), ids.get(service)!, count, except);
}

async function put(key: string, since = 0): Promise<WatchEvent> {
  const matches = (event: WatchEvent): boolean => event.type === 'put' && event.key === key;
  return watcher.first(matches, { since, timeoutMs: startsWithinMs });
}

async function deleted(key: string, since: number): Promise<WatchEvent> {
  const matches = (event: WatchEvent): boolean => event.type === 'delete' && event.key === key;
  return watcher.first(matches, { since, timeoutMs: lostWithinMs });
}

/** The key of a task at its mapped port. */
async function mappedKey(container: string, node = host): Promise<string> {
  const [first = ''] = (await node.docker(['port', container, '8000/tcp'])).split('\n');
  return `/service/${node.ip}:${first.split(':').at(-1)}`;
}

async function answerAt(key: string): Promise<string> {
  const url = key.replace('/service/', 'http://');
  return (await fetch(url, { signal: AbortSignal.timeout(5000) })).text();
}

describe('a task of a service', { concurrency: true }, () => {
  it('that publishes on its own node is registered there; when it is killed, its key goes with its lease, and its successor has a key', async () => {
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

  it('that publishes on its own node, a worker, is registered there', async () => {
    const [task = ''] = await tasksOf('mode=host on the worker');
    const key = await mappedKey(task, worker);
    await put(key);
    assert.equal(await answerAt(key), `Hello from ${task.slice(0, 12)}\n`);
  });

  it("that is reached through the swarm's mesh is registered at the node's address and the service's port; killed, its key goes, and its successor has it", async () => {
    const key = `/service/${host.ip}:8090`;
    const [task = ''] = await tasksOf('ingress');
    await put(key);

    const since = watcher.events.length;
    await host.docker(['kill', task]);
    const gone = await deleted(key, since);
    await tasksOf('ingress', 1, [task]);
    await put(key, watcher.events.indexOf(gone));
  });

  // Without the kernel's load balancer the mesh carries no traffic.
  const skip = existsSync('/proc/net/ip_vs') ? false : 'this kernel has no IPVS';
  it("answers at the node's address and the service's port", { skip }, async () => {
    await tasksOf('without --advertise swarm');
    const answer = await eventually('an answer', () => answerAt(`/service/${host.ip}:8092`));
    assert.match(answer, /^Hello from /);
  });

  it('shares its key with the other tasks on its node; when the task that holds it stops, another puts it back', async () => {
    const key = `/service/${host.ip}:8091`;
    const tasks = await tasksOf('two tasks', 2);
    const holder = await eventually(
      'the one without the key to say so',
      async () => {
        const logs = await Promise.all(tasks.map(task => logsOf(host, task)));
        if (!logs.some(log => log.includes(`${key} is held by another lease too`))) return undefined;
        const lease = (await etcd.keys(key)).get(key)?.lease;
        return tasks[logs.findIndex(log => log.includes(`lease=${lease}`))];
      },
      { timeoutMs: startsWithinMs },
    );

    const since = watcher.events.length;
    await host.docker(['stop', holder]);
    const gone = await deleted(key, since);
    const back = await put(key, since);
    assert.ok(back.at - gone.at < 3_000, 'at its next look, an interval later');
  });

  const refused: [service: Service, text: RegExp][] = [
    ['without --advertise swarm', /not published on its node.*use --advertise swarm/],
    [
      'ingress on the worker',
      /only a manager tells it; publish it on each task's node \(--publish mode=host/,
    ],
  ];
  for (const [service, text] of refused) {
    it(`says what to do: ${service}`, async () => {
      const [task = ''] = await tasksOf(service);
      const isLogged = async (): Promise<boolean> => text.test(await logsOf(nodeOf(service), task));
      await eventually('the message', isLogged, { timeoutMs: startsWithinMs });
    });
  }
});
