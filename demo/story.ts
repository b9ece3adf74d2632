/**
 * The story: three instances come, fail in every way and go, and each time the key in etcd says so. Every step has a
 * deadline; the first that is not seen ends the story.
 */
import type { WatchEvent, Watcher } from '../test/support/etcd-watcher.ts';
import { eventually } from '../test/support/wait.ts';
import type { Screen } from './screen.ts';
import type { Instance, Stage } from './stage.ts';

export async function play(stage: Stage, screen: Screen): Promise<void> {
  const watcher = await stage.etcd.watch('/service/');
  const over = new AbortController();
  const showing = show(watcher, screen, over.signal);
  try {
    /** When the key changed so, at or after `since`; fails after `timeoutMs`. */
    const changed = async (
      type: WatchEvent['type'],
      instance: Instance,
      since: number,
      timeoutMs: number,
    ): Promise<number> => {
      const key = keyOf(instance);
      const matches = (event: WatchEvent): boolean =>
        event.at >= since && event.type === type && event.key === key;
      return (await watcher.first(matches, { timeoutMs })).at;
    };
    const gone = async (why: string, instance: Instance, since: number, timeoutMs: number): Promise<void> =>
      screen.seen(`${why} → key gone`, (await changed('delete', instance, since, timeoutMs)) - since);
    const back = async (why: string, instance: Instance, since: number, timeoutMs: number): Promise<void> =>
      screen.seen(`${why} → key back`, (await changed('put', instance, since, timeoutMs)) - since);

    screen.chapter('Three instances start, each on a port that Docker or chance chose');
    const begun = performance.now();
    const instances = await Promise.all(['web-1', 'web-2', 'web-3'].map(name => stage.start(name)));
    for (const instance of instances) {
      const visible = await changed('put', instance, begun, 30_000);
      const listening = await eventually('the app listens', () => instance.listeningSince());
      screen.seen(
        `${instance.name} listens → ${keyOf(instance)}`,
        performance.timeOrigin + visible - listening,
      );
    }

    screen.chapter('Each registered address answers');
    for (const { address } of instances) {
      const asked = performance.now();
      const text = await get(`http://${address}/`);
      if (!text.startsWith('Hello from ')) throw new Error(`${address} answered ${JSON.stringify(text)}`);
      screen.seen(`http://${address}/ → ${text.trim()}`, performance.now() - asked);
    }
    const [first, second, third] = instances as [Instance, Instance, Instance];

    screen.chapter(`${second.name} crashes; supervisord starts it again, and it needs 8 s to be ready`);
    let since = performance.now();
    await get(`http://${second.address}/play/crash?seconds=8`);
    await gone('crash', second, since, 15_000);
    await back('crash', second, since, 30_000);

    screen.chapter(`${third.name} hangs: it takes connections and never answers`);
    await get(`http://${third.address}/play/hang`);
    since = performance.now();
    await gone('hang', third, since, 15_000);
    await get(`http://${third.address}/play/heal`);
    since = performance.now();
    await back('healed', third, since, 15_000);

    screen.chapter(`${first.name} is stopped in good order`);
    since = performance.now();
    await first.stop();
    await gone('stop', first, since, 15_000);
    screen.say(`and it ended ${Math.round(performance.now() - since)} ms after the stop`);

    screen.chapter(`${third.name} is lost without a word: only the lease can tell`);
    since = performance.now();
    await third.kill();
    await gone('kill', third, since, 40_000);

    const left = watcher.events.findLast(({ key }) => key === keyOf(second));
    if (left?.type !== 'put') throw new Error(`${second.name} should still be registered`);
    screen.chapter(`${second.name} was there all the time since, and is there now`);
  } finally {
    over.abort();
    await showing;
    watcher.close();
  }
}

function keyOf({ address }: Instance): string {
  return `/service/${address}`;
}

/** Shows every change of a key as it comes. */
async function show(watcher: Watcher, screen: Screen, signal: AbortSignal): Promise<void> {
  const longest = { timeoutMs: 3_600_000, signal };
  for (let since = 0; ; since++) {
    const event = await watcher.first(() => true, { ...longest, since }).catch(() => undefined);
    if (event === undefined) return;
    if (event.type === 'put') screen.put(event);
    else screen.removed(event.key);
  }
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  return response.text();
}
