/** The demo of one host: three instances start, fail in every way and stop. Each time their keys in etcd follow. */
import type { Keys } from '../keys.ts';
import type { Screen } from '../screen.ts';
import { names, type OneHost } from './stage.ts';

export async function play(stage: OneHost, keys: Keys, screen: Screen): Promise<void> {
  screen.chapter('Three instances start, each on a port that Docker or the demo has chosen');
  let since = performance.now();
  const [first, second, third] = await Promise.all([
    stage.start(names[0]),
    stage.start(names[1]),
    stage.start(names[2]),
  ]);
  const instances = [first, second, third];
  for (const instance of instances) await keys.registered(instance, since);

  screen.chapter('Each registered address answers');
  for (const { address } of instances) {
    const asked = performance.now();
    const text = await get(`http://${address}/`);
    if (!text.startsWith('Hello from ')) throw new Error(`${address} answered ${JSON.stringify(text)}`);
    screen.measured(`http://${address}/ → ${text.trim()}`, performance.now() - asked);
  }

  screen.chapter(`${second.name} crashes; supervisord restarts it, and it needs 8 s to be ready`);
  since = performance.now();
  await get(`http://${second.address}/play/crash?seconds=8`);
  await keys.gone('crash', second, since, 15_000);
  await keys.back('crash', second, since, 30_000);

  screen.chapter(`${third.name} hangs: it accepts connections and never answers`);
  await get(`http://${third.address}/play/hang`);
  since = performance.now();
  await keys.gone('hang', third, since, 15_000);
  await get(`http://${third.address}/play/heal`);
  since = performance.now();
  await keys.back('healed', third, since, 15_000);

  screen.chapter(`${first.name} is stopped cleanly`);
  const sinceStop = performance.now();
  await first.stop();
  await keys.gone('stop', first, sinceStop, 15_000);
  screen.say(`it ended ${Math.round(performance.now() - sinceStop)} ms after the stop`);

  screen.chapter(`${third.name} is killed, so its key stays until the lease expires`);
  since = performance.now();
  await third.kill();
  await keys.gone('kill', third, since, 40_000);

  keys.untouched(second, sinceStop);
  screen.chapter(`${second.name} was registered all the time and still is`);
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  return response.text();
}
