/** The state of one service: what each input makes of it, and what must be done about it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { logEvent } from '../../src/agent/log.ts';
import type { ResolvedAddress } from '../../src/core/address/location.ts';
import type { SessionEvent } from '../../src/core/lease/events.ts';
import type { ServiceEvent } from '../../src/core/registration/events.ts';
import {
  initialState,
  reduce,
  wantedRecords,
  type ServiceAction,
  type ServiceInput,
  type ServiceRules,
  type ServiceState,
} from '../../src/core/registration/service.ts';
import type { ListeningSocket } from '../../src/core/watch/proc-net.ts';
import type { Owner, Survey } from '../../src/core/watch/watch.ts';
import { createLog } from '../../src/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

const rules: ServiceRules = {
  rise: 1,
  fall: 2,
  startUntil: 0,
  intervalMs: 5000,
  // The checks of these tests are a millisecond apart, and each counts.
  fastIntervalMs: 0,
  tolerateMs: 0,
  timeoutMs: 3000,
  sharesPort: true,
  needsListener: false,
  loopback: 'withhold',
  onUnresolvable: 'wait',
};
const socket = (ip: string): ListeningSocket => ({ ip, port: 8000, inode: ip, uid: 0, waiting: 0 });
const loopback: ServiceInput = { kind: 'loopback', socket: socket('127.0.0.1') };
const reachable: ServiceInput = { kind: 'reachable', socket: socket('172.17.0.2') };
const pass = (startedAt: number): ServiceInput => ({
  kind: 'check-ended',
  verdict: { kind: 'pass', detail: 'ok' },
  startedAt,
});
const fail = (startedAt: number): ServiceInput => ({
  kind: 'check-ended',
  verdict: { kind: 'fail', reason: 'HTTP 500', trouble: 'answer' },
  startedAt,
});
const refused = (startedAt: number): ServiceInput => ({
  kind: 'check-ended',
  verdict: { kind: 'fail', reason: 'ECONNREFUSED', trouble: 'refused' },
  startedAt,
});
const unknown = (startedAt: number, reason = 'EMFILE'): ServiceInput => ({
  kind: 'check-ended',
  verdict: { kind: 'unknown', reason },
  startedAt,
});
const lacking = (startedAt: number): ServiceInput => ({
  kind: 'check-ended',
  verdict: { kind: 'unknown', reason: 'EMFILE', isOurs: true },
  startedAt,
});
const problem = { message: 'no HEALTHCHECK', hint: 'add one' };
const impossible = (startedAt: number): ServiceInput => ({
  kind: 'check-ended',
  verdict: { kind: 'impossible', problem },
  startedAt,
});
const resolved = (port: number): ResolvedAddress => ({
  address: { ip: '10.1.0.101', port },
  records: [{ key: `/service/10.1.0.101:${port}`, value: 'running' }],
  how: 'published',
});
const at = (port: number): ServiceInput => ({
  kind: 'address-found',
  resolved: resolved(port),
  previous: null,
});
const lost: ServiceInput = {
  kind: 'address-lost',
  address: resolved(49155).address,
  cause: 'not published',
};
const warning = (...messages: readonly string[]): ServiceInput => ({
  kind: 'address-warning',
  address: resolved(49155).address,
  warnings: messages.map(message => ({ message })),
});
const gone: ServiceInput = { kind: 'app-gone', reason: 'nothing listens' };
const drain: ServiceInput = { kind: 'admin', admin: 'drain' };
const resume: ServiceInput = { kind: 'admin', admin: 'register' };
const stop: ServiceInput = { kind: 'admin', admin: 'stop' };

/** The transitions of these inputs, each of which comes when its check began, or in the millisecond after the last. */
function transitions(
  inputs: readonly ServiceInput[],
  changed: Partial<ServiceRules> = {},
): { readonly state: ServiceState; readonly actions: readonly ServiceAction[] }[] {
  let now = 0;
  let state = initialState(now);
  return inputs.map(input => {
    now = 'startedAt' in input ? input.startedAt : now + 1;
    const next = reduce(state, input, { ...rules, ...changed }, { now, random: 0.5 });
    ({ state } = next);
    return next;
  });
}

function eventsOf(actions: readonly ServiceAction[]): ServiceEvent[] {
  return actions.flatMap(action => (action.kind === 'emit' ? [action.event] : []));
}

/** What each input changes in etcd, in short. */
function play(...inputs: ServiceInput[]): string[] {
  return transitions(inputs).map(({ actions }) =>
    actions
      .map(action => {
        if (action.kind === 'publish')
          return `publish ${action.records.map(({ key }) => key).join()} @${action.checkedAt}`;
        return action.kind === 'withdraw' ? `withdraw: ${action.reason}` : '';
      })
      .filter(text => text !== '')
      .join('; '),
  );
}

/** The action of each input that keeps the lease, or null. */
function kept(...inputs: ServiceInput[]): unknown[] {
  return transitions(inputs).map(({ actions }) => actions.find(({ kind }) => kind === 'keep') ?? null);
}

const one = '/service/10.1.0.101:49155';
const two = '/service/10.1.0.101:49156';

describe('registration', () => {
  it('publishes only what passed and has an address, in either order', () => {
    assert.deepEqual(play(at(49155), pass(1)), ['', `publish ${one} @1`]);
    assert.deepEqual(play(pass(1), at(49155)), ['', `publish ${one} @1`]);
    assert.deepEqual(play(at(49155), fail(1)), ['', '']);
  });

  it('confirms with every check that passes, and counts fails', () => {
    assert.deepEqual(play(at(49155), pass(1), fail(2), pass(3)), [
      '',
      `publish ${one} @1`,
      '',
      `publish ${one} @3`,
    ]);
    assert.deepEqual(play(at(49155), pass(1), fail(2), fail(3)).slice(2), ['', 'withdraw: HTTP 500']);
  });

  it('keeps what is registered after a failure that does not bring it down yet', () => {
    const keep = { kind: 'keep', triedAt: 2 };
    assert.deepEqual(kept(at(49155), pass(1), fail(2), fail(3)), [null, null, keep, null]);
  });

  describe('writes nothing new for an app in doubt, before a check passes', () => {
    const failing = [at(49155), pass(1), fail(2)];
    const rows: [name: string, inputs: ServiceInput[], deeds: string[]][] = [
      [
        'whose address changes: what is registered there is wrong',
        [...failing, at(49156), pass(4)],
        ['withdraw: its address changed while it failed', `publish ${two} @4`],
      ],
      ['whose address is found', [pass(1), fail(2), at(49155), pass(4)], ['', `publish ${one} @4`]],
      ['whose address is found again', [...failing, lost, at(49155), pass(5)], ['', `publish ${one} @5`]],
      [
        'whose value changes',
        [...failing, { kind: 'records-changed', resolved: resolved(49156) }, pass(4)],
        ['', `publish ${two} @4`],
      ],
      ['that was drained meanwhile', [...failing, drain, resume, pass(5)], ['', `publish ${one} @5`]],
      ['that fails once more', [...failing, at(49156), fail(4), pass(5)], ['', `publish ${two} @5`]],
    ];
    for (const [name, inputs, deeds] of rows) {
      it(name, () => {
        assert.deepEqual(play(...inputs).slice(-deeds.length), deeds);
      });
    }

    it('which stopped listening, and whose address changes', () => {
      const played = transitions([at(49155), pass(1), refused(2), at(49156), pass(4)], { tolerateMs: 9000 });
      const inEtcd = played.map(({ actions }) =>
        actions.filter(({ kind }) => kind === 'publish' || kind === 'withdraw').map(({ kind }) => kind),
      );
      assert.deepEqual(inEtcd, [[], ['publish'], [], ['withdraw'], ['publish']]);
    });
  });

  it('does nothing on a check that could not be made', () => {
    for (const unmade of [unknown, impossible])
      assert.deepEqual(play(at(49155), unmade(1), pass(2), unmade(3)), ['', '', `publish ${one} @2`, '']);
  });

  it('keeps what is registered while a check cannot be made for a reason of our own, and nothing else', () => {
    assert.deepEqual(kept(at(49155), pass(1), lacking(2)), [null, null, { kind: 'keep', triedAt: 2 }]);
    assert.deepEqual(kept(at(49155), pass(1), unknown(2)), [null, null, null]);
    assert.deepEqual(kept(at(49155), lacking(1)), [null, null]);
    assert.deepEqual(kept(at(49155), fail(1), lacking(2)), [null, null, null]);
  });

  for (const [name, sharesPort] of [
    ['a check of the port', true],
    ['a check of something else', false],
  ] as const)
    it(`withdraws when nothing listens and no check can be made: ${name}`, () => {
      const inputs = [at(49155), pass(1), gone, lacking(5)];
      const each = transitions(inputs, { sharesPort }).map(({ actions }) =>
        actions.some(({ kind }) => kind === 'withdraw'),
      );
      assert.deepEqual(each, sharesPort ? [false, false, true, false] : [false, false, false, true]);
    });

  it('leaves it to the check whether nothing listens matters, and forgets it when something does', () => {
    const listening: ServiceInput = { kind: 'listening' };
    for (const inputs of [
      [at(49155), pass(1), gone, pass(5)],
      [at(49155), pass(1), gone, listening, lacking(5)],
    ])
      for (const { actions } of transitions(inputs, { sharesPort: false }))
        assert.ok(!actions.some(({ kind }) => kind === 'withdraw'));
  });

  it('reports once that checks cannot be made, and once that they can be again', () => {
    const each = transitions([pass(1), lacking(2), lacking(1002), pass(2002), pass(3002)]);
    const kinds = each.map(({ actions }) =>
      eventsOf(actions).flatMap(({ kind }) =>
        kind.includes('checked-') || kind === 'not-checked' ? kind : [],
      ),
    );
    assert.deepEqual(kinds, [[], ['not-checked'], [], ['checked-again'], []]);
  });

  it('follows a changed address, and changed records', () => {
    assert.deepEqual(play(at(49155), pass(1), at(49156)).slice(1), [
      `publish ${one} @1`,
      `publish ${two} @1`,
    ]);
    const renamed = { ...resolved(49155), records: [{ key: '/other', value: 'running' }] };
    assert.deepEqual(play(at(49155), pass(1), { kind: 'records-changed', resolved: renamed }).slice(1), [
      `publish ${one} @1`,
      'publish /other @1',
    ]);
  });

  it('keeps what is registered when there is a warning about its address, and shows it', () => {
    const inputs = [at(49155), pass(1), warning('one of two'), warning(), lost, warning('late')];
    assert.deepEqual(play(...inputs).slice(1), [`publish ${one} @1`, '', '', 'withdraw: no address', '']);
    assert.deepEqual(
      transitions(inputs).map(({ state }) => state.resolved?.warnings?.map(({ message }) => message)),
      [undefined, undefined, ['one of two'], [], undefined, undefined],
    );
  });

  it('withdraws when there is no address any more', () => {
    assert.deepEqual(play(at(49155), pass(1), lost, pass(2), at(49156)).slice(2), [
      'withdraw: no address',
      '',
      `publish ${two} @2`,
    ]);
  });

  it('withdraws at once when nobody can connect any more, without counting, and only then', () => {
    assert.deepEqual(play(at(49155), pass(1), gone, gone, fail(2), pass(3)).slice(2), [
      'withdraw: nothing listens',
      '',
      '',
      `publish ${one} @3`,
    ]);
    assert.deepEqual(play(at(49155), gone, fail(1), gone), ['', '', '', '']);
  });

  it('withdraws before it does anything else', () => {
    for (const input of [fail(3), gone, lost, drain, stop]) {
      const actions = transitions([at(49155), pass(1), fail(2), input]).at(-1)!.actions;
      assert.equal(actions[0]?.kind, 'withdraw', input.kind);
    }
  });

  it('tells a fail within the start period as no failure, and the end of the period as one', () => {
    const lines: string[] = [];
    const log = createLog('logfmt', new FakeClock(), line => lines.push(line.replace(/^time=\S+ /, '')));
    const inputs = [fail(1), fail(2), fail(11), pass(12)];
    for (const { actions } of transitions(inputs, { startUntil: 10 }))
      for (const event of eventsOf(actions)) logEvent(log, event, { ...rules, ttlSeconds: 20 });
    assert.deepEqual(lines, [
      'level=info msg="app starting: HTTP 500"\n',
      'level=warn msg="app down, and its start period is over: HTTP 500"\n',
      'level=info msg="app up 1/1: ok"\n',
    ]);
  });

  it('withdraws once when it stops, and publishes nothing after that', () => {
    assert.deepEqual(play(at(49155), pass(1), stop, pass(2), stop).slice(2), ['withdraw: stopping', '', '']);
    assert.deepEqual(play(stop), ['']);
    assert.deepEqual(play(at(49155), pass(1), stop, drain, resume, pass(2)).slice(3), ['', '', '']);
  });

  it('withdraws when it is drained, and publishes again when a check has passed since it was resumed', () => {
    assert.deepEqual(play(at(49155), pass(1), drain, pass(2), resume, pass(3)).slice(1), [
      `publish ${one} @1`,
      'withdraw: drained',
      '',
      '',
      `publish ${one} @3`,
    ]);
    assert.deepEqual(play(at(49155), pass(1), drain, fail(2), fail(3), resume, pass(4)).slice(3), [
      '',
      '',
      '',
      `publish ${one} @4`,
    ]);
    assert.deepEqual(play(at(49155), pass(1), drain, stop, resume).slice(2), ['withdraw: drained', '', '']);
  });

  const undone: [name: string, ...inputs: ServiceInput[]][] = [
    ['a check', pass(3)],
    ['a change of health', fail(3), fail(4), pass(5)],
    ['what the app watch observes', gone, pass(5)],
    ['a moved address', at(49156)],
    ['an address that is lost and found', lost, at(49156)],
    ['a second drain', drain],
    ['a check that could not be made', unknown(9)],
  ];
  for (const [name, ...inputs] of undone) {
    it(`is not resumed by ${name}`, () => {
      assert.deepEqual(
        play(at(49155), pass(1), drain, ...inputs).slice(3),
        inputs.map(() => ''),
      );
    });
  }

  it('checks at once when it is resumed, and a check that began before does not count', () => {
    const resumed = transitions([at(49155), pass(1), drain, pass(20), resume]).at(-1);
    assert.ok(resumed?.actions.some(({ kind }) => kind === 'check-now'));
    assert.deepEqual(play(at(49155), pass(1), drain, pass(20), resume, pass(20), pass(21)).slice(3), [
      '',
      '',
      '',
      `publish ${one} @21`,
    ]);
  });

  it('publishes what was drained before it was known only when it is resumed', () => {
    assert.deepEqual(play(drain, at(49155), pass(1), resume, pass(3)).slice(3), ['', `publish ${one} @3`]);
    assert.deepEqual(play(drain, resume, at(49155), pass(4)).slice(2), ['', `publish ${one} @4`]);
    assert.deepEqual(play(drain, resume, drain, at(49155), pass(1)).slice(3), ['', '']);
  });

  it('reports a drain, its end and a stop once each', () => {
    const reported = transitions([resume, drain, drain, resume, resume, stop, drain, stop]).flatMap(
      ({ actions }) => eventsOf(actions).map(event => (event.kind === 'admin' ? event.admin : event.kind)),
    );
    assert.deepEqual(reported, ['drain', 'register', 'stop']);
  });
});

/** What each input brings about, in short, with the health and the seconds until the next check. */
function follow(inputs: readonly ServiceInput[], changed: Partial<ServiceRules>): string[] {
  let now = 0;
  return transitions(inputs, { fall: 3, fastIntervalMs: 5000, ...changed }).map(
    ({ state, actions }, index) => {
      const input = inputs[index]!;
      now = 'startedAt' in input ? input.startedAt : now + 1;
      const deeds = actions.flatMap(action => {
        if (action.kind === 'emit')
          return action.event.kind.startsWith('absence') || action.event.kind === 'app-gone'
            ? action.event.kind
            : [];
        return action.kind === 'inform-watch' || action.kind === 'publish' ? [] : action.kind;
      });
      const { health, schedule } = state;
      const fails = health.status === 'up' ? ` ${health.fails}` : '';
      return [`${health.status}${fails}`, (schedule.dueAt - now) / 1000, ...deeds].join(' ');
    },
  );
}

describe('failures that count', () => {
  type Row = [name: string, inputs: ServiceInput[], last: string, rules?: Partial<ServiceRules>];
  const up = [at(49155), pass(1000)];
  const rows: Row[] = [
    ['the first: the next check is an interval later', [...up, fail(6000)], 'up 1 5 keep'],
    ['the second, an interval later', [...up, fail(6000), fail(11_000)], 'up 2 5 keep'],
    ['the last', [...up, fail(6000), fail(11_000), fail(16_000)], 'down 1 withdraw'],
    ['the last, a timer being early', [...up, fail(6000), fail(11_000), fail(15_996)], 'down 1 withdraw'],
    ['not an extra check that fails too soon', [...up, fail(6000), fail(7000)], 'up 1 4 keep'],
    ['none of many of them', [...up, fail(6000), fail(7000), fail(8000), fail(10_994)], 'up 1 0.006 keep'],
    ['from an extra check on, if it is the first that fails', [...up, fail(3000)], 'up 1 5 keep'],
    ['not over a pass of an extra check', [...up, fail(6000), pass(7000), fail(8000)], 'up 1 5 keep'],
    ['at a check that could not be made: soon again', [...up, fail(6000), unknown(11_000)], 'up 1 1'],
    ['not sooner because of it', [...up, fail(6000), unknown(6500), fail(7500)], 'up 1 3.5 keep'],
    ['a fast interval apart', [...up, fail(6000), fail(6500)], 'up 2 0.5 keep', { fastIntervalMs: 500 }],
    ['with fall 1, the first', [...up, fail(6000)], 'down 1 withdraw', { fall: 1 }],
  ];
  for (const [name, inputs, last, changed = {}] of rows)
    it(name, () => assert.equal(follow(inputs, changed).at(-1), last));
});

describe('a port on which nothing listens', () => {
  type Row = [name: string, inputs: ServiceInput[], last: string, rules?: Partial<ServiceRules>];
  const up = [at(49155), pass(1000)];
  const listening: ServiceInput = { kind: 'listening' };
  const tolerant = { tolerateMs: 12_000 };
  const absent = [...up, refused(6000)];
  const rows: Row[] = [
    ['brings down at once, whatever --fall says', [...up, refused(6000)], 'down 1 withdraw'],
    ['is found by a check that goes to the port alone', absent, 'up 1 5 keep', { sharesPort: false }],
    ['counts not while the app is coming up', [at(49155), refused(1000)], 'down 1', tolerant],
    ['is tolerated', absent, 'up 0 5 absence-tolerated keep', tolerant],
    [
      'is tolerated when the watch finds it',
      [...up, gone],
      'up 0 0.499 absence-tolerated',
      { ...tolerant, fastIntervalMs: 499 },
    ],
    [
      'is tolerated when the watch finds it: a check comes in time',
      [...up, gone],
      'up 0 0.3 absence-tolerated',
      { tolerateMs: 300 },
    ],
    ['is reported once: a check after a check', [...absent, refused(11_000)], 'up 0 5 keep', tolerant],
    ['is reported once: the watch after a check', [...absent, gone], 'up 0 4.999', tolerant],
    ['is reported once: a check after the watch', [...up, gone, refused(6000)], 'up 0 5 keep', tolerant],
    ['has its last check at the end of the time', [...absent, refused(14_000)], 'up 0 4 keep', tolerant],
    ['is no longer tolerated then', [...absent, refused(18_000)], 'down 1 withdraw', tolerant],
    ['nor a moment before, a timer being early', [...absent, refused(17_996)], 'down 1 withdraw', tolerant],
    ['but until then', [...absent, refused(17_994)], 'up 0 0.25 keep', tolerant],
    [
      'is tolerated again after a pass, when the watch finds it',
      [...up, refused(6000), pass(7000), gone],
      'up 0 3.999 absence-tolerated',
      tolerant,
    ],
    ['is over when the app answers', [...absent, pass(8000)], 'up 0 3 absence-over', tolerant],
    [
      'may come again after that',
      [...absent, pass(8000), refused(19_000)],
      'up 0 5 absence-tolerated keep',
      tolerant,
    ],
    ['is not over when something listens', [...absent, listening], 'up 0 4.999 check-now', tolerant],
    [
      'is not tolerated for longer because something listened',
      [...absent, listening, fail(8000), refused(18_000)],
      'down 1 withdraw',
      tolerant,
    ],
    ['counts as a failure when it listens and fails', [...absent, fail(8000)], 'up 1 5 keep', tolerant],
    [
      'of which one is enough with fall 1',
      [...absent, fail(8000)],
      'down 1 withdraw',
      { ...tolerant, fall: 1 },
    ],
    ['is not checked in a hurry once something listens', [...absent, fail(18_500)], 'up 1 5 keep', tolerant],
    ['is kept while no check can be made', [...absent, lacking(11_000)], 'up 0 1 keep', tolerant],
    [
      'and no longer than tolerated',
      [...absent, lacking(11_000), lacking(18_000)],
      'down 0.25 withdraw app-gone',
      tolerant,
    ],
    [
      'is not what a check says that could not be made, after something listened',
      [...absent, fail(8000), lacking(18_000)],
      'up 1 1 keep',
      tolerant,
    ],
    [
      'is not checked all the time while no check can be made',
      [...absent, unknown(18_500)],
      'up 0 0.25',
      tolerant,
    ],
    [
      'is tolerated from anew after it was down',
      [...absent, refused(18_000), pass(19_000), refused(20_000)],
      'up 0 5 absence-tolerated keep',
      tolerant,
    ],
  ];
  for (const [name, inputs, last, changed = {}] of rows)
    it(name, () => assert.equal(follow(inputs, changed).at(-1), last));

  it('keeps the lease, and writes nothing for the app', () => {
    const { state, actions } = transitions([...absent, refused(11_000)], tolerant).at(-1)!;
    assert.equal(state.checkedAt, 1000);
    assert.ok(!actions.some(({ kind }) => kind === 'publish'));
    assert.deepEqual(
      actions.find(({ kind }) => kind === 'keep'),
      { kind: 'keep', triedAt: 11_000 },
    );
  });

  it('says for how long, and how long it was', () => {
    const lines: string[] = [];
    const log = createLog('logfmt', new FakeClock(), line => lines.push(line.replace(/^time=\S+ /, '')));
    for (const { actions } of transitions([...absent, pass(8000)], tolerant))
      for (const event of eventsOf(actions)) logEvent(log, event, { ...rules, ttlSeconds: 20 });
    assert.deepEqual(lines.slice(-2), [
      'level=warn msg="app gone, and tolerated: ECONNREFUSED" for=12.0s\n',
      'level=info msg="app answers again" after=2.0s\n',
    ]);
  });
});

const survey: Survey = { sockets: [], owner: null, hidden: '' };
const owner: Owner = { pid: 17, name: 'node', certain: true };
const session: Readonly<Record<SessionEvent['kind'], SessionEvent>> = {
  registered: { kind: 'registered', keys: [one], lease: '255', endpoint: 'http://h1:2379' },
  restored: { kind: 'restored', keys: [one], endpoint: 'http://h1:2379' },
  updated: { kind: 'updated', keys: [one], endpoint: 'http://h1:2379' },
  moved: { kind: 'moved', keys: [two], removed: [one], endpoint: 'http://h1:2379' },
  withdrawn: { kind: 'withdrawn', lease: '255', endpoint: 'http://h1:2379', reason: 'drained' },
  lost: { kind: 'lost', lease: '255', endpoint: 'http://h1:2379', cause: 'not found' },
  contested: { kind: 'contested', keys: [one], endpoint: 'http://h1:2379' },
  failing: { kind: 'failing', endpoint: 'http://h1:2379', cause: 'refused', tries: 1, forMs: 0 },
  fruitless: { kind: 'fruitless', endpoint: 'http://h1:2379', cause: 'refused', tries: 2, forMs: 0 },
  recovered: { kind: 'recovered', endpoint: 'http://h1:2379', tries: 3, forMs: 900 },
  uncertain: { kind: 'uncertain', lease: '255', forMs: 20_000 },
};

/** After each input: `key` if it should be in etcd, and the health if not. */
function statesOf(changed: Partial<ServiceRules>, ...inputs: ServiceInput[]): string[] {
  return transitions(inputs, changed).map(({ state }) =>
    wantedRecords(state) ? 'key' : state.health.status,
  );
}

describe('a check of another port than the app serves', () => {
  const condition = { sharesPort: false, needsListener: true, fall: 2 } as const;
  const absent: ServiceInput = { kind: 'absent' };
  const listening: ServiceInput = { kind: 'listening' };
  const keysAfter = (rule: Partial<ServiceRules>, ...inputs: ServiceInput[]): string[] =>
    statesOf({ ...condition, ...rule }, ...inputs);

  it('does not register an app that does not listen yet', () =>
    assert.deepEqual(keysAfter({}, at(49155), absent, pass(10), pass(20), listening, pass(30)).slice(2), [
      'down',
      'down',
      'down',
      'key',
    ]));

  it('removes the key when nothing listens on the port of the app, and keeps it away until something does', () =>
    assert.deepEqual(
      keysAfter({}, at(49155), pass(10), gone, pass(20), fail(30), pass(40), listening, pass(50)).slice(1),
      ['key', 'down', 'down', 'down', 'down', 'down', 'key'],
    ));

  it('counts a refused check like any other failure: the app itself may be well', () =>
    assert.deepEqual(keysAfter({}, at(49155), pass(10), refused(20), refused(30)).slice(1), [
      'key',
      'key',
      'down',
    ]));

  it('is not ended by a pass while an absence is tolerated, and not prolonged by it', () => {
    const inputs = [at(49155), pass(10), gone, pass(500), pass(900), pass(1011)];
    assert.deepEqual(keysAfter({ tolerateMs: 1000 }, ...inputs).slice(1), [
      'key',
      'key',
      'key',
      'key',
      'down',
    ]);
    const { actions, state } = transitions(inputs, { ...condition, tolerateMs: 1000 })[3]!;
    assert.deepEqual(
      actions.filter(({ kind }) => kind === 'publish' || kind === 'keep'),
      [{ kind: 'keep', triedAt: 500 }],
    );
    assert.equal(state.why, 'nothing listens');
  });

  it('says what is missing as the reason of the failed check', () => {
    const { state } = transitions([absent, pass(10)], condition).at(-1)!;
    assert.deepEqual(state.lastCheck?.verdict, {
      kind: 'fail',
      reason: "nothing listens on the app's port",
      trouble: 'refused',
    });
  });
});

describe('an app that listens on a loopback address only', () => {
  it('has no key while that is so, whatever its checks say', () =>
    assert.deepEqual(
      statesOf(
        { loopback: 'withhold' },
        at(49155),
        loopback,
        pass(10),
        pass(20),
        reachable,
        loopback,
        pass(30),
      ),
      ['unknown', 'unknown', 'up', 'up', 'key', 'up', 'up'],
    ));

  it('has its key where that is allowed, or where a person gives the address', () => {
    for (const role of ['allow', 'warn'] as const)
      assert.deepEqual(statesOf({ loopback: role }, at(49155), loopback, pass(10)).at(-1), 'key');
  });

  it('is withdrawn with the reason', () => {
    const { actions } = transitions([at(49155), pass(10), loopback]).at(-1)!;
    const [withdraw] = actions;
    assert.ok(withdraw?.kind === 'withdraw');
    assert.match(withdraw.reason, /^the app listens on 127\.0\.0\.1:8000 only, where no other host/);
  });
});

describe('every input', () => {
  const up = [at(49155), pass(1)];
  const { address } = resolved(49155);
  const unresolvable: ServiceInput = { kind: 'address-unresolvable', problems: [problem] };
  /** The actions of the last input, in short. */
  type Row = [name: string, inputs: ServiceInput[], actions: string, rules?: Partial<ServiceRules>];
  const rows: Row[] = [
    ['a pass', [pass(1)], 'checked, inform-watch true, health-changed'],
    ['a pass that changes nothing', [pass(1), pass(2)], 'checked, inform-watch true'],
    ['a fail', [fail(1)], 'checked, inform-watch false, health-changed'],
    [
      'a check that goes another way than the watch',
      [pass(1)],
      'checked, health-changed',
      { sharesPort: false },
    ],
    ['a check that could not be made', [unknown(1)], 'checked, not-checked'],
    ['a second one for the same reason', [unknown(1), unknown(2)], 'checked'],
    ['one for another reason', [unknown(1), unknown(2, 'ENFILE')], 'checked, not-checked'],
    ['one after a check that was made', [unknown(1), pass(2), unknown(3)], 'checked, not-checked'],
    ['an impossible check of one service of several', [impossible(1)], 'checked, not-checked'],
    ['an impossible check of the only service', [impossible(1)], 'end', { onUnresolvable: 'end' }],
    [
      'a fail of the only service',
      [fail(1)],
      'checked, inform-watch false, health-changed',
      { onUnresolvable: 'end' },
    ],
    ['a request for a check', [{ kind: 'check-requested' }], 'check-now'],

    ['an address', [at(1)], 'address-found'],
    ['a warning about it', [warning('one of two')], 'address-warning'],
    [
      'an address that is confirmed',
      [{ kind: 'address-confirmed', address, attempts: 2 }],
      'address-confirmed',
    ],
    ['one that is not', [{ kind: 'address-unconfirmed', address, cause: 'away' }], 'address-unconfirmed'],
    ['an address that is lost', [lost], 'address-lost'],
    ['an address that there cannot be', [unresolvable], 'address-unresolvable, end'],

    ['nothing that listens, while it is up', [...up, gone], 'withdraw, app-gone, health-changed'],
    ['nothing that listens, while it is down', [fail(1), gone], ''],
    [
      'nothing that listens, where the check goes another way',
      [...up, gone],
      'check-now',
      { sharesPort: false },
    ],
    ['something that listens', [{ kind: 'listening' }], 'listening, check-now'],
    [
      'another process',
      [{ kind: 'replaced', before: survey, now: survey, handover: false }],
      'replaced, check-now',
    ],
    ['a process that is stopped', [...up, { kind: 'stopped', owner }], 'stopped, check-now'],
    ['one that is resumed, while it is up', [...up, { kind: 'resumed', owner }], 'resumed'],
    ['one that is resumed, while it is down', [fail(1), { kind: 'resumed', owner }], 'resumed, check-now'],
    ['clients that wait', [...up, { kind: 'waiting', clients: 3 }], 'waiting, check-now'],
    ['a watch that begins', [{ kind: 'watching', survey }], 'watching'],
    ['an app on loopback', [loopback], 'unreachable'],
    ['an up app on loopback', [...up, loopback], 'withdraw, unreachable'],
    ['an up app that others reach again', [...up, loopback, reachable], 'publish, reachable'],
    ['an app on loopback with an address of the user', [...up, loopback], 'loopback', { loopback: 'warn' }],
    ['an app on loopback that is allowed', [...up, loopback], '', { loopback: 'allow' }],
    ['its other address', [...up, loopback, reachable], '', { loopback: 'allow' }],
    ['an app that is absent at first', [{ kind: 'absent' }], ''],

    ...Object.values(session).map((event): Row => [`${event.kind} of the session`, [event], event.kind]),
    ['a session that ended', [stop, { kind: 'closed', confirmed: true }], 'closed'],
  ];
  for (const [name, inputs, expected, changed] of rows) {
    it(`${name}: ${expected || 'nothing'}`, () => {
      const { actions } = transitions(inputs, changed).at(-1)!;
      const texts = actions.map(action => {
        if (action.kind === 'inform-watch') return `inform-watch ${action.passed}`;
        return action.kind === 'emit' ? action.event.kind : action.kind;
      });
      assert.equal(texts.join(', '), expected);
    });
  }

  it('names the problem that ends the service', () => {
    for (const input of [impossible(1), unresolvable]) {
      const { actions } = transitions([input], { onUnresolvable: 'end' })[0]!;
      assert.deepEqual(actions.at(-1), { kind: 'end', problems: [problem] });
    }
  });

  it('reports a check with the health before and after it', () => {
    const { actions } = transitions([pass(1), fail(2)])[1]!;
    assert.deepEqual(eventsOf(actions)[0], {
      kind: 'checked',
      verdict: { kind: 'fail', reason: 'HTTP 500', trouble: 'answer' },
      tookMs: 0,
      before: { status: 'up', fails: 0 },
      after: { status: 'up', fails: 1 },
    });
  });
});

describe('a check during which dockreg did not run', () => {
  const rows: [tookMs: number, verdict: string][] = [
    [4000, 'fail'],
    [4001, 'unknown'],
  ];
  for (const [tookMs, verdict] of rows) {
    it(`of ${tookMs} ms, with a timeout of 3000 ms: ${verdict}`, () => {
      const { state } = reduce(initialState(0), fail(0), rules, { now: tookMs, random: 0.5 });
      assert.equal(state.lastCheck?.verdict.kind, verdict);
      assert.equal(state.lastCheck?.tookMs, tookMs);
      assert.equal(state.health.status, verdict === 'fail' ? 'down' : 'unknown');
      if (state.lastCheck?.verdict.kind === 'unknown')
        assert.equal(state.lastCheck.verdict.reason, 'dockreg itself did not run for 4001 ms');
    });
  }
});

/** The state after these inputs. */
function after(...inputs: ServiceInput[]): ServiceState {
  return transitions(inputs).at(-1)!.state;
}

describe('what the state remembers', () => {
  it('is nothing at the start', () => {
    const { schedule, healthSince, goneAt, why, registeredSince } = initialState(7);
    assert.deepEqual(
      [schedule.dueAt, healthSince, goneAt, why, registeredSince],
      [7, 7, -Infinity, null, null],
    );
  });

  it('why: the last verdict about the app, or what the watch observed', () => {
    assert.equal(after(pass(1)).why, 'ok');
    assert.equal(after(pass(1), unknown(2)).why, 'ok');
    assert.equal(after(pass(1), impossible(2)).why, 'ok');
    assert.equal(after(pass(1), fail(2)).why, 'HTTP 500');
    assert.equal(after(pass(1), gone).why, 'nothing listens');
    assert.equal(after(fail(1), gone).why, 'nothing listens');
  });

  it('since when it has its health, which a counter does not change', () => {
    assert.equal(after(pass(3)).healthSince, 3);
    assert.equal(after(pass(3), fail(4)).healthSince, 3);
    assert.equal(after(pass(3), fail(4), fail(5)).healthSince, 5);
    assert.equal(after(pass(3), gone).healthSince, 4);
  });

  it('the last check, also one that could not be made', () => {
    assert.equal(after(pass(1), unknown(2)).lastCheck?.startedAt, 2);
    assert.equal(after(pass(1), unknown(2)).checkedAt, 1);
  });

  it('since when it is registered, and since when nothing is left', () => {
    assert.equal(after(pass(5), session.registered).registeredSince, 6);
    assert.equal(after(pass(5), session.withdrawn).goneAt, 6);
    assert.equal(after(pass(5), session.lost).goneAt, 6);
    assert.equal(after(pass(5), session.moved).goneAt, -Infinity);
    assert.equal(after(pass(5), { kind: 'closed', confirmed: false }).goneAt, 6);
    assert.equal(after(pass(5), session.withdrawn, { kind: 'closed', confirmed: true }).goneAt, 6);
  });

  it('which records it wants', () => {
    assert.deepEqual(wantedRecords(after(at(49155), pass(1))), resolved(49155).records);
    for (const input of [fail(9), gone, lost, drain, stop])
      assert.equal(wantedRecords(after(at(49155), pass(1), fail(2), input)), null, input.kind);
  });

  const changes: [name: string, input: ServiceInput, speedsUp: boolean][] = [
    ['nothing that listens', gone, true],
    ['something that listens', { kind: 'listening' }, true],
    ['another process', { kind: 'replaced', before: survey, now: survey, handover: true }, true],
    ['a process that is stopped', { kind: 'stopped', owner }, true],
    ['a process that is resumed', { kind: 'resumed', owner }, false],
    ['clients that wait', { kind: 'waiting', clients: 1 }, false],
    ['a watch that begins', { kind: 'watching', survey }, false],
  ];
  for (const [name, input, speedsUp] of changes) {
    it(`${name} ${speedsUp ? 'makes' : 'does not make'} the next checks quick`, () => {
      assert.equal(after(pass(1), pass(2)).schedule.steady, true);
      assert.equal(after(pass(1), pass(2), input).schedule.steady, !speedsUp);
      const { state } = transitions([pass(1), pass(2), input], { sharesPort: false }).at(-1)!;
      assert.equal(state.schedule.steady, !speedsUp);
    });
  }
});
