/**
 * Two hosts, a network that can fail between them, and hosts that can be lost: what happens to the keys of one host,
 * and that nothing happens to those of the other. Runs in the bed (bed.sh).
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import type { WatchEvent, Watcher } from '../support/etcd-watcher.ts';
import { type Example, logsOf, startExample } from '../support/example.ts';
import { buildEnvironment, imageArchive, images, importBase } from '../support/images.ts';
import { run } from '../support/lan.ts';
import {
  addresses,
  endpoints,
  hostNames,
  memberNames,
  type HostName,
  startTwoHosts,
  type TwoHosts,
} from '../support/two-hosts.ts';
import { pause } from '../support/wait.ts';

const project = fileURLToPath(new URL('../../../', import.meta.url));
const ttlMs = 5_000;
/**
 * An election, after which the leader gives every lease its full time again; etcd looks for expired leases twice a
 * second.
 */
const lostWithinMs = 2 * ttlMs + 5_000;
const backWithinMs = 10_000;

let hosts: TwoHosts;
let watcher: Watcher;
let staying: Example;

before(async () => {
  hosts = await startTwoHosts();
  watcher = await hosts.watch('/service/');
  staying = await start('host-1', 'staying');
});
after(async () => {
  await hosts.stop();
});
afterEach(() => {
  assert.deepEqual(watcher.gaps, []);
});

function keyOf({ address }: Example): string {
  return `/service/${address}`;
}

/** Starts an instance. Resolves when it is registered. Its app may be slow for 2 s: this is about hosts, not checks. */
async function start(
  host: HostName,
  name: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<Example> {
  const since = watcher.events.length;
  const example = await startExample(hosts.host(host), name, {
    DOCKREG_ETCD: endpoints,
    DOCKREG_INTERVAL: '1s',
    DOCKREG_TIMEOUT: '1s',
    DOCKREG_FALL: '3',
    DOCKREG_TTL: `${ttlMs / 1000}s`,
    ...variables,
  });
  await put(example, since, 20_000);
  return example;
}

/** Stops an instance. Resolves when its key is gone. */
async function stop(example: Example): Promise<void> {
  const since = watcher.events.length;
  await example.stop();
  await deleted(example, since);
}

async function put(example: Example, since: number, timeoutMs: number): Promise<WatchEvent> {
  const key = keyOf(example);
  return watcher.first(event => event.type === 'put' && event.key === key, { since, timeoutMs });
}

async function deleted(example: Example, since: number): Promise<WatchEvent> {
  const key = keyOf(example);
  const matches = (event: WatchEvent): boolean => event.type === 'delete' && event.key === key;
  return watcher.first(matches, { since, timeoutMs: lostWithinMs });
}

/**
 * Asserts what etcd showed from that event on, as `put KEY` and `delete KEY`, in any order. A failure shows what the
 * instance that stays has logged.
 */
async function assertChanges(since: number, expected: readonly string[]): Promise<void> {
  const changes = watcher.events.slice(since).map(({ type, key }) => `${type} ${key}`);
  const log = isDeepStrictEqual(changes.toSorted(), expected.toSorted())
    ? ''
    : await logsOf(staying.host, staying.name);
  assert.deepEqual(
    changes.toSorted(),
    expected.toSorted(),
    `etcd showed other changes: ${changes.join(', ')}\n${log}`,
  );
}

describe('two hosts', () => {
  it('show the same keys at every member of etcd, and each address answers on the other host', async () => {
    const other = await start('host-2', 'other');
    await hosts.showAt(memberNames, '/service/', [staying, other].map(keyOf));
    assert.match(await staying.get(`http://${other.address}/`), /^Hello from [0-9a-f]{12}$/);
    assert.match(await other.get(`http://${staying.address}/`), /^Hello from [0-9a-f]{12}$/);
    await stop(other);
  });

  it('are made by a script that changes nothing when it runs again', async () => {
    const since = watcher.events.length;
    const pids = await run('pgrep', ['--uid', 'etcd', '--exact', 'etcd']);
    for (const name of hostNames)
      await hosts.provision(name, ['--image', await imageArchive(hosts.host(name))]);
    assert.equal(await run('pgrep', ['--uid', 'etcd', '--exact', 'etcd']), pids);
    await assertChanges(since, []);
  });

  it('have their images built by that script when none is given', async () => {
    const host = hosts.host('host-1');
    await importBase(host);
    await host.docker(['image', 'rm', '--force', images.example]);
    await hosts.provision('host-1', [], buildEnvironment);
    const other = await start('host-1', 'other');
    await stop(other);
  });

  it('are the machines of the Vagrantfile', async () => {
    const text = await readFile(join(project, 'Vagrantfile'), 'utf8');
    const machines = [...text.matchAll(/^ {2}'([a-z0-9-]+)' => '([0-9.]+)',/gm)].map(([, ...pair]) => pair);
    assert.deepEqual(Object.fromEntries(machines), addresses);
  });
});

describe('a host that is cut off', () => {
  it('for less than the TTL loses no key', async () => {
    const other = await start('host-2', 'other', { DOCKREG_TTL: '12s' });
    const since = watcher.events.length;
    await hosts.host('host-2').disconnect();
    await pause(3_000);
    await hosts.host('host-2').connect();
    // Without a renewal its lease would have expired by then.
    await pause(13_000);
    await assertChanges(since, []);
    await stop(other);
  });

  for (const leader of ['host-1', 'host-2'] as const) {
    it(`loses its keys after the TTL, and gets them back when the network heals, when ${leader} leads`, async () => {
      const others = [await start('host-2', 'other-1'), await start('host-2', 'other-2')];
      await hosts.makeLeader(leader);

      const since = watcher.events.length;
      const cut = performance.now();
      await hosts.host('host-2').disconnect();
      for (const other of others) {
        const gone = await deleted(other, since);
        // The last renewal was at most two checks ago.
        assert.ok(gone.at - cut > ttlMs - 2_500, `gone after ${gone.at - cut} ms`);
      }
      await hosts.showAt(['host-1', 'witness'], '/service/', [keyOf(staying)]);
      await assert.rejects(hosts.keysAt('host-2', '/service/'), 'it is cut off');

      const healed = watcher.events.length;
      await hosts.host('host-2').connect();
      for (const other of others) await put(other, healed, backWithinMs);
      const expected = others.flatMap(other => [`delete ${keyOf(other)}`, `put ${keyOf(other)}`]);
      await assertChanges(since, expected);

      for (const other of others) await stop(other);
    });
  }
});

describe('a host that is switched off', () => {
  it('loses its keys with their leases, while the other members of etcd continue, and joins again', async () => {
    const lost = await start('host-2', 'lost');
    await hosts.makeLeader('host-2');

    const since = watcher.events.length;
    await hosts.powerOff('host-2');
    await deleted(lost, since);
    await assertChanges(since, [`delete ${keyOf(lost)}`]);
    assert.notEqual(await hosts.leader(), 'host-2');

    const added = await start('host-1', 'added');
    await hosts.showAt(['host-1', 'witness'], '/service/', [staying, added].map(keyOf));

    await hosts.powerOn('host-2');
    const back = await start('host-2', 'lost');
    await hosts.showAt(memberNames, '/service/', [staying, added, back].map(keyOf));
  });
});

describe('the script that makes a host refuses', () => {
  const good = ['--name', 'host-1', '--address', '10.1.0.101', '--peers', 'host-2=10.1.0.102'];
  const cases: [name: string, args: string[], text: RegExp][] = [
    ['an option that there is not', [...good, '--docker'], /there is no option --docker; there are --name,/],
    ['an option without its value', ['--name'], /--name needs a value/],
    ['no name', good.slice(2), /--name: the name '' must be made of a-z, 0-9 and -, such as host-1/],
    ['a name of other letters', [...good, '--name', 'Host 1'], /--name: the name 'Host 1' must be/],
    ['no address', good.slice(0, 2), /--address: the address '' must be an IPv4 address, such as 10/],
    [
      'an address that is none',
      [...good, '--address', '10.1.0'],
      /--address: the address '10\.1\.0' must be/,
    ],
    ['a peer without address', [...good, '--peers', 'host-2'], /--peers: 'host-2' must be NAME=ADDRESS/],
    ['a peer with a bad one', [...good, '--peers', 'host-2=here'], /--peers: the address 'here' must be/],
    [
      'an archive that is not there',
      [...good, '--image', '/none.tar'],
      /--image: there is no file \/none\.tar/,
    ],
  ];
  for (const [name, args, text] of cases) {
    it(name, async () => {
      await assert.rejects(run('sh', [join(project, 'scripts/host.sh'), ...args]), (error: Error) => {
        assert.match(error.message, /exit code 64/);
        assert.match(error.message, text);
        return true;
      });
    });
  }
});
