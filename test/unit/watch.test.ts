/** What the kernel's tables show, what to read next, and which readings lead to an event. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isLoopback } from '../../src/core/address/ip.ts';
import { byReach, readTable, type ListeningSocket } from '../../src/core/watch/proc-net.ts';
import {
  isUnsettled,
  mainSocket,
  readingGapMs,
  nextReading,
  observe,
  startWatch,
  type Owner,
  type Observation,
  type Survey,
  type Watch,
  type WatchEvent,
} from '../../src/core/watch/watch.ts';

const header =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
/** Recorded from Linux; only the addresses and numbers that matter differ. */
const line = (local: string, state: string, queues: string, uid: number, inode: number): string =>
  `   0: ${local} 00000000:0000 ${state} ${queues} 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 1 0000000064a23b2f 100 0 0 10 0`;
const idle = '00000000:00000000';
const table = (...lines: string[]): string => [header, ...lines, ''].join('\n');

const socket = (inode: string, waiting = 0, ip = '0.0.0.0'): ListeningSocket => ({
  ip,
  port: 8000,
  uid: 0,
  inode,
  waiting,
});

describe('the table of sockets', () => {
  const addresses: [hex: string, ip: string][] = [
    ['00000000', '0.0.0.0'],
    ['0100007F', '127.0.0.1'],
    ['6500010A', '10.1.0.101'],
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000001000000', '::1'],
    ['0000000000000000FFFF00000100007F', '::ffff:127.0.0.1'],
    ['B80D0120000000000000000001000000', '2001:db8::1'],
    ['B80D0120010000000000000001000000', '2001:db8:0:1::1'],
    ['000080FE00000000FF005450FEFF0312', 'fe80::5054:ff:1203:fffe'],
  ];
  for (const [hex, ip] of addresses) {
    it(`reads ${hex} as ${ip}`, () => {
      const [first] = readTable(table(line(`${hex}:1F40`, '0A', idle, 33, 212_697)), 8000).sockets;
      assert.deepEqual(first, { ip, port: 8000, uid: 33, inode: '212697', waiting: 0 });
    });
  }

  it('finds only the sockets that listen on the port', () => {
    const text = table(
      line('0100007F:1F41', '0A', idle, 0, 1),
      line('0100007F:1F40', '0A', '00000000:00000003', 0, 2),
      line('00000000:1F40', '0A', '00000001:0000000A', 0, 3),
    );
    const { sockets, complete } = readTable(text, 8000);
    assert.deepEqual(
      sockets.map(({ inode, waiting }) => [inode, waiting]),
      [
        ['2', 3],
        ['3', 10],
      ],
    );
    assert.equal(complete, false);
  });

  it('is complete at the first socket that does not listen', () => {
    for (const state of ['01', '02', '06', '08']) {
      const text = table(
        line('0100007F:1F40', '0A', idle, 0, 1),
        line('0100007F:1F40', state, idle, 0, 2),
        line('0100007F:1F40', '0A', idle, 0, 3),
      );
      const { sockets, complete } = readTable(text, 8000);
      assert.deepEqual([sockets.map(({ inode }) => inode), complete], [['1'], true]);
    }
  });

  it('ignores a line that is not complete', () => {
    const text = table(line('0100007F:1F40', '0A', idle, 0, 1));
    assert.equal(readTable(text.slice(0, -20), 8000).sockets.length, 0);
    assert.equal(readTable(header, 8000).sockets.length, 0);
    assert.equal(readTable('', 8000).sockets.length, 0);
  });

  it('puts the socket first that a connect reaches', () => {
    const all = ['10.1.0.101', '::', '0.0.0.0', '127.0.0.1'].map(ip => socket(ip, 0, ip));
    const sequence = (host: string): string[] => byReach(all, host).map(({ ip }) => ip);
    assert.deepEqual(sequence('127.0.0.1').slice(0, 3), ['127.0.0.1', '0.0.0.0', '::']);
    assert.deepEqual(sequence('::1')[0], '::');
  });

  it('knows the addresses that only this machine reaches', () => {
    for (const ip of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(ip), ip);
    for (const ip of ['0.0.0.0', '::', '10.1.0.101', '2001:db8::1']) assert.ok(!isLoopback(ip), ip);
  });
});

const node = (pid: number, certain = true): Owner => ({ pid, name: 'node', certain });
const found = (owner: Owner | null, ...inodes: string[]): Observation => ({
  kind: 'surveyed',
  survey: { sockets: inodes.map(inode => socket(inode)), owner, hidden: owner ? '' : 'of user 33' },
  tookMs: 4,
});
const home = (...ips: string[]): Observation => ({
  kind: 'surveyed',
  survey: { sockets: ips.map(ip => socket(ip, 0, ip)), owner: node(17), hidden: '' },
  tookMs: 4,
});
const unreadable: Observation = {
  kind: 'surveyed',
  survey: { sockets: null, owner: null, hidden: 'EACCES' },
  tookMs: 0,
};
const lacking = {
  kind: 'surveyed',
  survey: { sockets: null, owner: null, hidden: 'EMFILE', isPassing: true },
  tookMs: 0,
} as const;
const read = (...sockets: ListeningSocket[]): Observation => ({ kind: 'table', sockets, tookMs: 2 });
const refused: Observation = { kind: 'refused' };
const accepted: Observation = { kind: 'accepted' };
const inconclusive: Observation = { kind: 'inconclusive' };
const running: Observation = { kind: 'running' };
const stopped: Observation = { kind: 'stopped' };
const passed: Observation = { kind: 'checked', passed: true };
const failed: Observation = { kind: 'checked', passed: false };
const gone: Observation = { kind: 'released', how: 'is gone' };

/** The events of each observation in short, and the watch at the end. */
function play(...observations: Observation[]): { events: string[]; watch: Watch } {
  let watch = startWatch(0);
  const each = observations.map((observation, index) => {
    const { watch: after, events } = observe(watch, observation, 100 * index);
    watch = after;
    return events.map(short).join();
  });
  return { events: each, watch };
}

function short(event: WatchEvent): string {
  if (event.kind === 'app-gone') return `gone: ${event.reason}`;
  if (event.kind !== 'replaced') return event.kind;
  return `${event.handover ? 'handover' : 'restart'} ${pidOf(event.before)}→${pidOf(event.now)}`;
}

function pidOf({ owner }: Survey): string {
  return String(owner?.pid ?? '?');
}

/** Up, and the owner known. */
const up = [passed, found(node(17), 'a')];

const both = (...ips: string[]): Observation => ({
  kind: 'table',
  sockets: ips.map(ip => socket(ip, 0, ip)),
  tookMs: 2,
});
const follow = (...observations: Observation[]): { events: string[]; watch: Watch } => {
  let watch = startWatch(0, true);
  const events = observations.map((observation, index) => {
    const next = observe(watch, observation, 100 * index);
    ({ watch } = next);
    return next.events.map(short).join();
  });
  return { events, watch };
};

describe('the app watch', () => {
  const appGone = 'gone: nothing listens any more: process 17 (node) is gone';
  const cases: [what: string, observations: Observation[], events: string[]][] = [
    ['finds the owner of an app that is up', up, ['', 'watching']],
    [
      'reports once that nothing listens at first, and when something begins to listen',
      [failed, refused, refused, accepted],
      ['', 'absent', '', 'listening'],
    ],
    [
      'emits nothing in the steady state',
      [...up, running, running, read(socket('a'))],
      ['', 'watching', '', '', ''],
    ],
    ['reports the app gone when a connect is refused', [...up, gone, refused], ['', 'watching', '', appGone]],
    [
      'does not, while connects are inconclusive',
      [...up, gone, inconclusive, inconclusive],
      ['', 'watching', '', '', ''],
    ],
    [
      'reports the app gone when no connect is possible and the table shows it no more',
      [...up, gone, read()],
      ['', 'watching', '', appGone],
    ],
    [
      'does not, where the table never showed the app',
      [passed, unreadable, failed, read(), read()],
      ['', 'watching', '', '', ''],
    ],
    [
      'sees the owner later when a resource ran out in between, which is no restart',
      [passed, lacking, found(node(17), 'a')],
      ['', 'watching', 'watching'],
    ],
    [
      'notices another socket in the meantime',
      [passed, { ...lacking, survey: { ...lacking.survey, sockets: [socket('a')] } }, found(node(18), 'b')],
      ['', 'watching', 'restart ?→18,watching'],
    ],
    [
      'notices a restart between two readings',
      [...up, gone, accepted, found(node(18), 'b')],
      ['', 'watching', '', '', 'restart 17→18'],
    ],
    [
      'notices a socket that was handed over',
      [...up, gone, accepted, found(node(18), 'a')],
      ['', 'watching', '', '', 'handover 17→18'],
    ],
    [
      'notices a new socket of the same process',
      [...up, read(socket('b')), found(node(17), 'b')],
      ['', 'watching', '', 'restart 17→17'],
    ],
    [
      'knows the other sockets of a shared port',
      [passed, found(node(17), 'a', 'b'), gone, accepted, found(node(18), 'b')],
      ['', 'watching', '', '', 'handover 17→18'],
    ],
    [
      'is not misled by a process that is about to end',
      [...up, gone, accepted, found(null, 'a'), refused],
      ['', 'watching', '', '', '', appGone],
    ],
    [
      'names the process that is gone although its socket was still there',
      [...up, gone, accepted, found(null), refused],
      ['', 'watching', '', '', '', appGone],
    ],
    [
      'accepts in the end that the new owner is not visible',
      [...up, gone, accepted, found(null, 'a'), accepted, found(null, 'a'), accepted, found(null, 'a')],
      ['', 'watching', '', '', '', '', '', '', 'handover 17→?,watching'],
    ],
    [
      'reports a stop and its end once',
      [...up, stopped, stopped, running, running],
      ['', 'watching', 'stopped', '', 'resumed', ''],
    ],
    ['reports clients that wait', [...up, read(socket('a', 3))], ['', 'watching', 'waiting']],
    [
      'reports the app gone when the table is empty and a connect is refused',
      [passed, found(null, 'a'), read(), refused],
      ['', 'watching', '', 'gone: nothing listens any more: its listening socket is gone'],
    ],
    [
      'connects after a failed check where no owner is visible',
      [passed, found(null, 'a'), failed, refused, accepted],
      ['', 'watching', '', 'gone: nothing listens any more', 'listening'],
    ],
    [
      'watches the same as before when that connect is accepted',
      [passed, found(null, 'a'), failed, accepted, read(socket('a'))],
      ['', 'watching', '', '', ''],
    ],
    [
      'relies on the checks where the table is not readable',
      [passed, unreadable, passed],
      ['', 'watching', ''],
    ],
    [
      'does not search forever for a socket of another namespace',
      [passed, found(null), accepted, found(null), accepted, found(null), failed, accepted],
      ['', '', '', '', '', 'watching', '', ''],
    ],
    [
      'reports once what it watches, and again when it sees less',
      [...up, gone, refused, accepted, found(node(18), 'b'), gone, refused, accepted, found(null, 'c')],
      [
        '',
        'watching',
        '',
        appGone,
        'listening',
        '',
        '',
        appGone.replace('17', '18'),
        'listening',
        'watching',
      ],
    ],
  ];
  for (const [what, observations, events] of cases)
    it(what, () => assert.deepEqual(play(...observations).events, events));

  it('reports once that the app listens on a loopback address only', () => {
    assert.deepEqual(play(passed, home('127.0.0.1'), gone, refused, accepted, home('127.0.0.1')).events, [
      '',
      'watching,loopback',
      '',
      appGone,
      'listening',
      '',
    ]);
    assert.deepEqual(play(passed, home('127.0.0.1', '10.1.0.101')).events, ['', 'watching']);
    assert.deepEqual(play(passed, home('127.0.0.1', '::1')).events, ['', 'watching,loopback']);
  });

  describe('whose addresses are followed', () => {
    it('is reported when it listens where others reach it, and when it does not any more', () => {
      const news = [passed, home('127.0.0.1'), both('127.0.0.1'), both('127.0.0.1', '10.1.0.101')];
      const { events, watch } = follow(...news, home('10.1.0.101', '127.0.0.1'));
      assert.deepEqual(events, ['', 'watching,loopback', '', 'reachable', '']);
      assert.deepEqual(observe(watch, both('10.1.0.101', '127.0.0.1'), 1000).events, []);
      const last = [gone, accepted, home('127.0.0.1')];
      assert.deepEqual(follow(...news, home('10.1.0.101', '127.0.0.1'), ...last).events.slice(5), [
        '',
        '',
        'loopback',
      ]);
    });

    it('is read in both tables only while it has more than one socket, or one on loopback', () => {
      assert.equal(mainSocket(follow(passed, home('0.0.0.0')).watch)?.ip, '0.0.0.0');
      assert.equal(mainSocket(follow(passed, home('127.0.0.1')).watch), undefined);
      assert.equal(mainSocket(follow(passed, home('10.1.0.101', '127.0.0.1')).watch), undefined);
      assert.equal(mainSocket(play(passed, home('127.0.0.1')).watch)?.ip, '127.0.0.1');
    });

    it('is read more often while it is awaited where others reach it', () => {
      const { watch } = follow(passed, home('127.0.0.1'));
      assert.equal(nextReading(watch, 1099), 'owner');
      assert.equal(nextReading(watch, 1100), 'table');
    });
  });

  it('says nothing new of the addresses while a resource is lacking', () => {
    const { events } = play(
      passed,
      home('127.0.0.1'),
      gone,
      accepted,
      lacking,
      accepted,
      lacking,
      accepted,
      lacking,
    );
    assert.ok(events.join().includes('loopback') && !events.join().includes('reachable'), events.join());
  });

  it('reads the owner, and the table only as often as its cost allows', () => {
    const { watch } = play(...up);
    const due = 100 + 4 / 0.0002;
    assert.equal(nextReading(watch, due - 1), 'owner');
    assert.equal(nextReading(watch, due), 'table');
    assert.equal(readingGapMs(watch, 150), 250);
    const { watch: cheap } = observe(watch, { kind: 'table', sockets: [socket('a')], tookMs: 0.1 }, due);
    assert.equal(nextReading(cheap, due + 999), 'owner');
    assert.equal(nextReading(cheap, due + 1000), 'table');
  });

  it('reads only the table where no owner is visible, and nothing where there is no table', () => {
    const { watch } = play(passed, found(null, 'a'));
    assert.equal(readingGapMs(watch, 100), 4000);
    assert.equal(nextReading(watch, 4100), 'table');
    assert.equal(readingGapMs(play(passed, unreadable).watch, 100), Infinity);
  });

  it('searches again, once in a while, where a resource had run out', () => {
    const { watch } = play(passed, lacking);
    assert.equal(nextReading(watch, 5099), 'table');
    assert.equal(nextReading(watch, 5100), 'survey');
    assert.equal(readingGapMs(watch, 100), 5000);
    assert.equal(readingGapMs(play(passed, unreadable).watch, 100), Infinity);
  });

  it('connects quickly at first while nothing listens, then more slowly', () => {
    const { watch } = play(failed);
    assert.deepEqual(
      [0, 2500, 5000, 12_500, 3_600_000].map(now => readingGapMs(watch, now)),
      [50, 50, 100, 250, 250],
    );
  });

  it('finds out at once what a change means, but never spins', () => {
    assert.ok(isUnsettled(play(...up, gone).watch));
    assert.ok(isUnsettled(play(...up, gone, accepted).watch));
    assert.ok(!isUnsettled(play(...up, gone, accepted, found(null, 'a')).watch));
    assert.ok(!isUnsettled(play(...up, gone, refused).watch));
    for (const { watch } of [play(...up, gone, accepted, found(null, 'a')), play(...up, gone)])
      assert.ok(readingGapMs(watch, 1000) >= 50);
  });
});
