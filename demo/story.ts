/**
 * The story: three instances come, fail in every way and go, and each time the key in etcd says so. Every step has a
 * deadline; the first that is not seen ends the story.
 */
import { Etcd3 } from 'etcd3';
import { eventually } from '../test/support/wait.ts';
import type { Screen } from './screen.ts';
import type { Instance, Stage } from './stage.ts';

interface Change {
  readonly kind: 'put' | 'delete';
  readonly key: string;
  /** ms since 1970 */
  readonly at: number;
}

export async function play(stage: Stage, screen: Screen): Promise<void> {
  const changes: Change[] = [];
  const client = new Etcd3({ hosts: stage.endpoint });
  try {
    await watch(client, changes, screen);
    /** When the key changed so after `since`; fails after `timeoutMs`. */
    const changed = async (
      kind: Change['kind'],
      instance: Instance,
      since: number,
      timeoutMs: number,
    ): Promise<number> => {
      const key = keyOf(instance);
      const change = await eventually(
        `${kind === 'put' ? 'the key' : 'no key'} ${key}`,
        () => changes.find(({ at, ...other }) => at >= since && other.kind === kind && other.key === key),
        { timeoutMs, everyMs: 10 },
      );
      return change.at;
    };
    const gone = async (why: string, instance: Instance, since: number, timeoutMs: number): Promise<void> =>
      screen.seen(`${why} → key gone`, (await changed('delete', instance, since, timeoutMs)) - since);
    const back = async (why: string, instance: Instance, since: number, timeoutMs: number): Promise<void> =>
      screen.seen(`${why} → key back`, (await changed('put', instance, since, timeoutMs)) - since);

    screen.chapter('Three instances start, each on a port that Docker or chance chose');
    const begun = Date.now();
    const instances = await Promise.all(['web-1', 'web-2', 'web-3'].map(name => stage.start(name)));
    for (const instance of instances) {
      const visible = await changed('put', instance, begun, 30_000);
      const listening = await eventually('the app listens', () => instance.listeningSince());
      screen.seen(`${instance.name} listens → ${keyOf(instance)}`, Math.max(0, visible - listening));
    }

    screen.chapter('Each registered address answers');
    for (const { address } of instances) {
      const asked = Date.now();
      const text = await get(`http://${address}/`);
      if (!text.startsWith('Hello from ')) throw new Error(`${address} answered ${JSON.stringify(text)}`);
      screen.seen(`http://${address}/ → ${text.trim()}`, Date.now() - asked);
    }
    const [first, second, third] = instances as [Instance, Instance, Instance];

    screen.chapter(`${second.name} crashes; supervisord starts it again, and it needs 8 s to be ready`);
    let since = Date.now();
    await get(`http://${second.address}/play/crash?seconds=8`);
    await gone('crash', second, since, 15_000);
    await back('crash', second, since, 30_000);

    screen.chapter(`${third.name} hangs: it takes connections and never answers`);
    await get(`http://${third.address}/play/hang`);
    since = Date.now();
    await gone('hang', third, since, 15_000);
    await get(`http://${third.address}/play/heal`);
    since = Date.now();
    await back('healed', third, since, 15_000);

    screen.chapter(`${first.name} is stopped in good order`);
    since = Date.now();
    await first.stop();
    await gone('stop', first, since, 15_000);
    screen.say(`and it ended ${Date.now() - since} ms after the stop`);

    screen.chapter(`${third.name} is lost without a word: only the lease can tell`);
    since = Date.now();
    await third.kill();
    await gone('kill', third, since, 40_000);

    const left = changes.findLast(({ key }) => key === keyOf(second));
    if (left?.kind !== 'put') throw new Error(`${second.name} should still be registered`);
    screen.chapter(`${second.name} was there all the time since, and is there now`);
  } finally {
    client.close();
  }
}

function keyOf({ address }: Instance): string {
  return `/service/${address}`;
}

async function watch(client: Etcd3, changes: Change[], screen: Screen): Promise<void> {
  const watcher = await client.watch().prefix('/service/').create();
  watcher.on('put', ({ key, value, lease }) => {
    changes.push({ kind: 'put', key: key.toString(), at: Date.now() });
    screen.put({ key: key.toString(), value: value.toString(), lease: BigInt(lease).toString(16) });
  });
  watcher.on('delete', ({ key }) => {
    changes.push({ kind: 'delete', key: key.toString(), at: Date.now() });
    screen.removed(key.toString());
  });
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  return response.text();
}
