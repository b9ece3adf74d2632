/**
 * The demo of two hosts: every member of etcd shows the instances of both, and they reach each other. Then one instance
 * is stopped, and its host is cut off, returns, and is switched off. The keys of the other host must never change.
 */
import type { Example } from '../../test/support/example.ts';
import { memberNames } from '../../test/support/two-hosts.ts';
import { keyOf, parent } from '../instance.ts';
import type { Keys } from '../keys.ts';
import type { Screen } from '../screen.ts';
import type { TwoHostsStage } from './stage.ts';

/** The TTL and a margin: etcd checks leases twice a second, and a new leader renews every lease to its full TTL. */
const lostWithinMs = 40_000;

export async function play(stage: TwoHostsStage, keys: Keys, screen: Screen): Promise<void> {
  const { hosts } = stage;
  screen.say('a third member of etcd is the witness');

  screen.chapter('web-1 starts on host-1, on a port that Docker chose');
  let since = performance.now();
  const first = await stage.start('web-1');
  await keys.registered(first, since);
  await shownByAll(stage, screen, [first]);

  screen.chapter('web-2 and web-3 start on host-2, from the same image');
  since = performance.now();
  const second = await stage.start('web-2');
  let third = await stage.start('web-3');
  await keys.registered(second, since);
  await keys.registered(third, since);
  await shownByAll(stage, screen, [first, second, third]);

  screen.chapter('Each address answers in a container on the other host');
  await answerAcross(screen, [first, second, third]);

  screen.chapter('docker stop web-3');
  since = performance.now();
  await third.stop();
  await keys.gone('stop', third, since, 15_000);
  keys.untouched(first, since);
  keys.untouched(second, since);

  screen.chapter('docker run: a new web-3 on another port');
  since = performance.now();
  third = await stage.start('web-3');
  await keys.registered(third, since);

  screen.chapter('host-2 is cut off from the network');
  const cut = performance.now();
  await hosts.host('host-2').disconnect();
  for (const lost of [second, third]) await keys.gone(`cut, ${lost.name}`, lost, cut, lostWithinMs);
  keys.untouched(first, cut);
  screen.say('web-1 was registered all the time');

  screen.chapter('host-2 is connected again');
  since = performance.now();
  await hosts.host('host-2').connect();
  for (const lost of [second, third]) await keys.back(`healed, ${lost.name}`, lost, since, 15_000);
  await shownByAll(stage, screen, [first, second, third]);

  screen.chapter('host-2 is switched off: engine, containers and member of etcd');
  screen.say(`${await hosts.leader()} leads etcd`);
  since = performance.now();
  await hosts.powerOff('host-2');
  for (const lost of [second, third]) await keys.gone(`off, ${lost.name}`, lost, since, lostWithinMs);
  await shownByAll(stage, screen, [first]);
  keys.untouched(first, cut);
  screen.say(`web-1 was registered all the time; ${await hosts.leader()} leads etcd`);
}

/** Waits until every running member of etcd shows the keys of these instances and no others. */
async function shownByAll(
  { hosts }: TwoHostsStage,
  screen: Screen,
  instances: readonly Example[],
): Promise<void> {
  const members = memberNames.filter(name => hosts.isOn(name));
  await hosts.showAt(members, `/${parent}/`, instances.map(keyOf));
  screen.say(`etcd on ${members.join(', ')}: ${instances.map(({ name }) => name).join(', ')}`);
}

/** Requests a page from each address, from a container on the other host. */
async function answerAcross(screen: Screen, instances: readonly Example[]): Promise<void> {
  for (const { host, name, address } of instances) {
    const asker = instances.find(other => other.host !== host);
    if (asker === undefined) throw new Error(`no instance runs on another host than ${name}`);
    const asked = performance.now();
    const text = await asker.get(`http://${address}/`);
    if (!text.startsWith('Hello from ')) throw new Error(`${address} answered ${JSON.stringify(text)}`);
    screen.measured(`${asker.name}: http://${address}/ → ${text}`, performance.now() - asked);
  }
}
