/**
 * The story of two hosts: instances on both are seen by every member of etcd and reach each other; then one is stopped,
 * and its whole host is cut off, comes back, and is switched off, which nobody else's key may feel.
 */
import type { Example } from '../../test/support/example.ts';
import { memberNames } from '../../test/support/two-hosts.ts';
import { keyOf } from '../instance.ts';
import type { Keys } from '../keys.ts';
import type { Screen } from '../screen.ts';
import type { TwoHostsStage } from './stage.ts';

/** The TTL and some more: etcd looks at leases twice a second, and a new leader gives every lease its full time anew. */
const lostWithinMs = 40_000;

export async function play(stage: TwoHostsStage, keys: Keys, screen: Screen): Promise<void> {
  const { hosts } = stage;
  screen.say(`a third member of etcd is the witness`);

  screen.chapter('web-1 starts on host-1, on a port that Docker chose');
  let since = performance.now();
  const first = await stage.start('web-1');
  await keys.registered(first, since);
  await seenByAll(stage, screen, [first]);

  screen.chapter('host-2 joins in with web-2 and web-3, of the same image');
  since = performance.now();
  const second = await stage.start('web-2');
  let third = await stage.start('web-3');
  await keys.registered(second, since);
  await keys.registered(third, since);
  await seenByAll(stage, screen, [first, second, third]);

  screen.chapter('Each address answers in a container on the other host');
  await answerAcross(screen, [first, second, third]);

  screen.chapter('docker stop web-3');
  since = performance.now();
  await third.stop();
  await keys.gone('stop', third, since, 15_000);
  keys.untouched(first, since);
  keys.untouched(second, since);

  screen.chapter('docker run: another web-3, on another port');
  since = performance.now();
  third = await stage.start('web-3');
  await keys.registered(third, since);

  screen.chapter('host-2 is cut off the network');
  const cut = performance.now();
  await hosts.host('host-2').disconnect();
  for (const lost of [second, third]) await keys.gone(`cut, ${lost.name}`, lost, cut, lostWithinMs);
  keys.untouched(first, cut);
  screen.say('web-1 was there all the time');

  screen.chapter('The cable is back');
  since = performance.now();
  await hosts.host('host-2').connect();
  for (const lost of [second, third]) await keys.back(`healed, ${lost.name}`, lost, since, 15_000);
  await seenByAll(stage, screen, [first, second, third]);

  screen.chapter('host-2 is switched off: engine, containers and member of etcd');
  screen.say(`${await hosts.leader()} leads etcd`);
  since = performance.now();
  await hosts.powerOff('host-2');
  for (const lost of [second, third]) await keys.gone(`off, ${lost.name}`, lost, since, lostWithinMs);
  await seenByAll(stage, screen, [first]);
  keys.untouched(first, cut);
  screen.say(`web-1 was there all the time; ${await hosts.leader()} leads etcd`);
}

/** Every member that is up shows the keys of these instances, and no others. */
async function seenByAll(
  { hosts }: TwoHostsStage,
  screen: Screen,
  instances: readonly Example[],
): Promise<void> {
  const members = memberNames.filter(name => hosts.isOn(name));
  await hosts.showAt(members, '/service/', instances.map(keyOf));
  screen.say(`etcd on ${members.join(', ')}: ${instances.map(({ name }) => name).join(', ')}`);
}

/** Each address is asked by a container on the other host. */
async function answerAcross(screen: Screen, instances: readonly Example[]): Promise<void> {
  for (const { host, name, address } of instances) {
    const asker = instances.find(other => other.host !== host);
    if (asker === undefined) throw new Error(`nobody on another host than ${name}`);
    const asked = performance.now();
    const text = await asker.get(`http://${address}/`);
    if (!text.startsWith('Hello from ')) throw new Error(`${address} answered ${JSON.stringify(text)}`);
    screen.measured(`${asker.name}: http://${address}/ → ${text}`, performance.now() - asked);
  }
}
