/**
 * The checker on histories written by hand: a good one for each excuse, and for each invariant bad ones that break it
 * and nothing else.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { check, type Invariant } from './checker.ts';
import type { Fact, History, LinkMode } from './history.ts';

const ours = '000000000000000a';
const next = '000000000000000b';
const theirs = '00000000000000ff';

/** From and to, in seconds. */
type Seconds = readonly [number, number];

interface Story {
  /** Length in seconds. 60 when left out. */
  readonly length?: number;
  readonly members?: number;
  /** When the app did not answer. */
  readonly down?: readonly Seconds[];
  /** When no member served. */
  readonly unserved?: readonly Seconds[];
  /** When one member did not serve. */
  readonly memberDown?: readonly { readonly member: number; readonly when: Seconds }[];
  /** When the raft term rose. */
  readonly elections?: readonly number[];
  /** When the app received no request. */
  readonly unchecked?: readonly Seconds[];
  /** Default: the program ends with the story. */
  readonly program?: readonly Fact[];
  readonly facts?: readonly Fact[];
}

const at = (seconds: number): { at: number } => ({ at: seconds * 1000 });
const put = (seconds: number, lease = ours, value = 'running'): Fact => ({
  ...at(seconds),
  kind: 'put',
  slot: 0,
  lease,
  value,
  revision: Math.round(seconds * 10),
});
const gone = (seconds: number, lease = ours): Fact => ({
  ...at(seconds),
  kind: 'delete',
  slot: 0,
  lease,
  value: '',
  revision: Math.round(seconds * 10),
});
const line = (seconds: number, message: string, lease: string | null = null, instance = '0.1'): Fact => ({
  ...at(seconds),
  kind: 'line',
  slot: 0,
  instance,
  stream: 'log',
  text: message,
  message,
  lease,
});
const did = (
  seconds: number,
  what: 'started' | 'paused' | 'resumed' | 'stopping' | 'killed',
  instance = '0.1',
): Fact => ({ ...at(seconds), kind: 'program', slot: 0, instance, what });
const ended = (seconds: number, code: number | null = 0, instance = '0.1'): Fact => ({
  ...at(seconds),
  kind: 'ended',
  slot: 0,
  instance,
  code,
  signal: code === null ? 'SIGKILL' : null,
});
const link = (seconds: number, mode: LinkMode, member = 0): Fact => ({
  ...at(seconds),
  kind: 'link',
  instance: '0.1',
  member,
  mode,
});
const byOthers = (
  seconds: number,
  how: 'revoke' | 'delete' | 'overwrite' | 'take' | 'leave',
  lease: string | null = null,
): Fact => ({ ...at(seconds), kind: 'others', slot: 0, how, until: seconds * 1000 + 50, lease });

const registered = (seconds: number, lease = ours, instance = '0.1'): Fact[] => [
  line(seconds, 'registered /service/10.9.0.1:8000', lease, instance),
  put(seconds, lease),
];
const withdrawn = (seconds: number, lease = ours, instance = '0.1'): Fact[] => [
  line(seconds, 'withdrawn', lease, instance),
  gone(seconds, lease),
];

const within = (spans: readonly Seconds[], from: number, to = from): boolean =>
  spans.some(span => span[0] <= to && from < span[1]);

function history(story: Story): History {
  const {
    length = 60,
    members = 1,
    down = [],
    unserved = [],
    memberDown = [],
    elections = [],
    unchecked = [],
  } = story;
  const seconds = Array.from({ length }, (_, second) => second);
  const asked = seconds
    .filter(second => !within(unchecked, second))
    .map((second): Fact => ({ at: second * 1000, kind: 'asked', slot: 0, able: !within(down, second) }));
  const pulses = Array.from({ length: members }, (_, member) => member).flatMap(member =>
    Array.from({ length: length * 4 }, (_, quarter): Fact => {
      const from = quarter / 4;
      const own = memberDown.filter(each => each.member === member).map(({ when }) => when);
      const ok = !within([...unserved, ...own], from, from + 0.01);
      const term = ok ? 1 + elections.filter(election => election <= from).length : null;
      return { ...at(from), kind: 'pulse', member, until: from * 1000 + 10, ok, term };
    }),
  );
  const app = [
    { ...at(0), kind: 'app' as const, slot: 0, able: true },
    ...down.flatMap(([from, to]): Fact[] => [
      { ...at(from), kind: 'app', slot: 0, able: false },
      { ...at(to), kind: 'app', slot: 0, able: true },
    ]),
  ];
  const program = story.program ?? [did(0, 'started'), did(length - 1, 'stopping'), ended(length - 0.8)];
  const facts = [...asked, ...pulses, ...app, ...program, ...(story.facts ?? [])];
  return {
    facts: facts.toSorted((a, b) => a.at - b.at),
    members,
    slots: 1,
    startedAt: 0,
    endedAt: length * 1000,
  };
}

const good: Record<string, Story> = {
  'a quiet life': { facts: [...registered(0.5), ...withdrawn(59.1)] },
  'an app that fails and comes back': {
    down: [[10, 20]],
    facts: [
      ...registered(0.5),
      line(11, 'app down 1/1: HTTP 500'),
      ...withdrawn(11.1),
      ...registered(20.4, next),
      ...withdrawn(59.1, next),
    ],
  },
  'a withdrawal that reaches etcd when the app answers again': {
    down: [[10, 14]],
    facts: [
      ...registered(0.5),
      link(9, 'silent'),
      line(11, 'app down 1/1: HTTP 500'),
      line(14, 'app up 1/1: HTTP 200'),
      link(14.6, 'pass'),
      ...withdrawn(14.7),
      ...registered(14.8, next),
      ...withdrawn(59.1, next),
    ],
  },
  'a program that is killed: the key goes with its lease': {
    program: [did(0, 'started'), did(10, 'killed'), ended(10.1, null)],
    facts: [...registered(0.5), gone(15.8)],
  },
  'a key that outlives its app while nobody can remove it': {
    down: [[10, 60]],
    unserved: [[9, 30]],
    facts: [...registered(0.5), line(11, 'app down 1/1: HTTP 500'), ...withdrawn(34)],
  },
  'a lease that a new leader renewed': {
    program: [did(0, 'started'), did(10, 'killed'), ended(10.1, null)],
    elections: [14],
    facts: [...registered(0.5), gone(20.5)],
  },
  'a renewal that was held on its way and arrived late': {
    program: [did(0, 'started'), did(12, 'killed'), ended(12.1, null)],
    facts: [...registered(0.5), link(9, 'silent-up'), link(13, 'pass'), gone(18.5)],
  },
  'an app whose program cannot reach etcd': {
    facts: [
      ...registered(0.5),
      link(10, 'silent'),
      gone(15.5),
      link(40, 'pass'),
      ...registered(43, next),
    ].concat(withdrawn(59.1, next)),
  },
  'a member that serves among two that hang': {
    members: 3,
    memberDown: [
      { member: 1, when: [10, 60] },
      { member: 2, when: [10, 60] },
    ],
    program: [did(0, 'started'), did(59, 'killed'), ended(59.1, null)],
    facts: [...registered(0.5), gone(15.5), ...registered(26, next)],
  },
  'a program that is stopped for longer than a TTL': {
    facts: [
      ...registered(0.5),
      did(10, 'paused'),
      gone(15.5),
      did(20, 'resumed'),
      ...registered(21.5, next),
      ...withdrawn(59.1, next),
    ],
  },
  'a lease that another client revoked': {
    facts: [...registered(0.5), byOthers(10, 'revoke', ours), gone(10), ...registered(11.5, next)].concat(
      withdrawn(59.1, next),
    ),
  },
  'a key that another client deleted, back under its lease': {
    facts: [...registered(0.5), byOthers(10.4, 'delete'), gone(10.4), put(10.45), ...withdrawn(59.1)],
  },
  'a key that another client took for a while': {
    facts: [
      ...registered(0.5),
      byOthers(10, 'take', theirs),
      put(10, theirs, 'theirs'),
      byOthers(40, 'leave', theirs),
      gone(40, theirs),
      put(41.2),
      ...withdrawn(59.1),
    ],
  },
  'a successor at the same address': {
    program: [
      did(0, 'started'),
      did(20, 'started', '0.2'),
      did(21, 'stopping'),
      ended(21.2),
      did(59, 'stopping', '0.2'),
      ended(59.2, 0, '0.2'),
    ],
    facts: [
      ...registered(0.5),
      ...registered(20.5, next, '0.2'),
      line(21.1, 'withdrawn', ours),
      ...withdrawn(59.1, next, '0.2'),
    ],
  },
  'data that is lost': {
    facts: [
      ...registered(0.5),
      { ...at(10), kind: 'wiped' },
      ...registered(12, next),
      ...withdrawn(59.1, next),
    ],
  },
  'a slow stop while etcd hangs': {
    program: [did(0, 'started'), did(40, 'stopping'), ended(41.8)],
    facts: [...registered(0.5), link(39, 'silent'), gone(45)],
  },
  'a key of another client for an app that is down': {
    down: [[10, 50]],
    facts: [
      ...registered(0.5),
      line(11, 'app down 1/1: HTTP 500'),
      ...withdrawn(11.1),
      byOthers(15, 'overwrite'),
      put(15, '0', 'theirs'),
      ...registered(50.5, next),
      ...withdrawn(59.1, next),
    ],
  },
};

const bad: Record<string, { readonly breaks: Invariant; readonly story: Story }> = {
  'a key that stays with an app that is down': {
    breaks: 'stale-key',
    story: {
      down: [[10, 60]],
      // The program does not reach etcd, so it cannot withdraw the key.
      facts: [...registered(0.5), link(9, 'refuse')],
    },
  },
  'a key that stays when its program is gone': {
    breaks: 'stale-key',
    story: { program: [did(0, 'started'), did(10, 'killed'), ended(10.1, null)], facts: registered(0.5) },
  },
  'a key that is left to its lease while etcd is there': {
    breaks: 'late-withdrawal',
    story: {
      down: [[10, 60]],
      elections: [14, 19],
      facts: [...registered(0.5), line(11, 'app down 1/1: HTTP 500'), gone(25)],
    },
  },
  'an app that is never registered': { breaks: 'missing-key', story: {} },
  'a key that another client deleted and that does not come back': {
    breaks: 'missing-key',
    story: { facts: [...registered(0.5), byOthers(10, 'delete'), gone(10)] },
  },
  'a key that another client overwrote and that does not come back': {
    breaks: 'missing-key',
    story: { facts: [...registered(0.5), byOthers(10, 'overwrite'), put(10, '0', 'theirs')] },
  },
  'one good member of three that is not used': {
    breaks: 'missing-key',
    story: {
      members: 3,
      memberDown: [{ member: 1, when: [10, 60] }],
      facts: [
        ...registered(0.5),
        link(10, 'silent', 0),
        link(10, 'silent', 1),
        gone(16),
        ...registered(40, next),
        ...withdrawn(59.1, next),
      ],
    },
  },
  'a program that stays with a member that hangs': {
    breaks: 'missing-key',
    story: {
      members: 3,
      memberDown: [{ member: 1, when: [10, 28] }],
      facts: [...registered(0.5), gone(15.5), ...registered(28.5, next), ...withdrawn(59.1, next)],
    },
  },
  'a key of another client that is deleted': {
    breaks: 'foreign-delete',
    story: {
      facts: [
        ...registered(0.5),
        byOthers(10, 'take', theirs),
        put(10, theirs, 'theirs'),
        gone(20, theirs),
        put(20.5),
        ...withdrawn(59.1),
      ],
    },
  },
  "a successor's key that its predecessor deletes": {
    breaks: 'foreign-delete',
    story: {
      program: [
        did(0, 'started'),
        did(10, 'started', '0.2'),
        did(20, 'stopping'),
        ended(20.2),
        did(59, 'stopping', '0.2'),
        ended(59.2, 0, '0.2'),
      ],
      facts: [
        ...registered(0.5),
        ...registered(10.5, next, '0.2'),
        gone(20.1, next),
        put(21, next),
        ...withdrawn(59.1, next, '0.2'),
      ],
    },
  },
  'a lease that a healthy program lets expire': {
    breaks: 'foreign-delete',
    story: { facts: [...registered(0.5), gone(20), ...registered(21.5, next), ...withdrawn(59.1, next)] },
  },
  'a write that arrives after the withdrawal': {
    breaks: 'unchecked-put',
    story: {
      down: [[10, 18]],
      facts: [
        ...registered(0.5),
        line(11, 'app down 1/1: HTTP 500'),
        ...withdrawn(11.1),
        put(11.3),
        ...withdrawn(12),
        ...registered(18.5, next),
        ...withdrawn(59.1, next),
      ],
    },
  },
  'a registration that trusts an old check': {
    breaks: 'unchecked-put',
    story: {
      unchecked: [[10, 30]],
      facts: [
        ...registered(0.5),
        did(10.2, 'paused'),
        gone(15.5),
        did(29, 'resumed'),
        ...registered(29.1, next),
        ...withdrawn(59.1, next),
      ],
    },
  },
  'a program that ends by itself': {
    breaks: 'bad-end',
    story: { program: [did(0, 'started'), ended(10, 0)], facts: [...registered(0.5), ...withdrawn(10)] },
  },
  'a program that fails at SIGTERM': {
    breaks: 'bad-end',
    story: {
      program: [did(0, 'started'), did(59, 'stopping'), ended(59.5, 1)],
      facts: [...registered(0.5), ...withdrawn(59.1)],
    },
  },
  'a program that stops too slowly': {
    breaks: 'bad-end',
    story: {
      program: [did(0, 'started'), did(40, 'stopping'), ended(50)],
      facts: [...registered(0.5), ...withdrawn(40.5)],
    },
  },
  'a program that leaves its key behind in quiet times': {
    breaks: 'left-behind',
    story: {
      program: [did(0, 'started'), did(40, 'stopping'), ended(40.2)],
      facts: [...registered(0.5), gone(45)],
    },
  },
  'a healthy app that is reported as down': {
    breaks: 'false-verdict',
    story: {
      facts: [
        ...registered(0.5),
        line(20, 'app down 1/1: no answer within 500 ms'),
        ...withdrawn(20.1),
        ...registered(21.1, next),
        ...withdrawn(59.1, next),
      ],
    },
  },
  'an unhandled rejection in the log': {
    breaks: 'crash',
    story: {
      facts: [...registered(0.5), line(20, 'Unhandled promise rejection'), ...withdrawn(59.1)],
    },
  },
};

describe('the checker', () => {
  for (const [name, story] of Object.entries(good)) {
    it(`accepts ${name}`, () => assert.deepEqual(check(history(story)), []));
  }
  for (const [name, { breaks, story }] of Object.entries(bad)) {
    it(`finds ${name}`, () => {
      const found = new Set(check(history(story)).map(({ invariant }) => invariant));
      assert.deepEqual([...found], [breaks]);
    });
  }
});
