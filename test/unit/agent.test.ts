/**
 * The life of one service on a clock that the test moves: the agent with the real reducer and the real address loop, and
 * with a probe, an app watch, a session and Docker that do what the test says.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddressSource } from '../../src/agent/address-loop.ts';
import { startAgent, type Agent, type AgentOptions } from '../../src/agent/agent.ts';
import { logEvent } from '../../src/agent/log.ts';
import { createMetrics } from '../../src/admin/metrics.ts';
import type { AddressResult } from '../../src/core/address/location.ts';
import { noLease, type Lease } from '../../src/core/lease/lease.ts';
import type { ServiceEvent } from '../../src/core/registration/events.ts';
import type { Verdict } from '../../src/core/registration/health.ts';
import type { WatchEvent } from '../../src/core/watch/watch.ts';
import { failure, SetupError, success, UnavailableError } from '../../src/errors.ts';
import type { Session, SessionView } from '../../src/etcd/session.ts';
import type { AppWatch } from '../../src/kernel/app-watch.ts';
import { createLog } from '../../src/log.ts';
import { Wakeup } from '../../src/retry.ts';
import type { ServiceConfig } from '../../src/core/settings/service.ts';
import { enough, serviceOf } from '../support/config.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const passed: Verdict = { kind: 'pass', detail: 'HTTP 200' };
const refused: Verdict = { kind: 'fail', reason: 'ECONNREFUSED', trouble: 'refused' };
const stalled: Verdict = { kind: 'fail', reason: 'no answer within 3000 ms', trouble: 'timeout' };
const unmade: Verdict = { kind: 'unknown', reason: 'EMFILE' };
const impossible: Verdict = {
  kind: 'impossible',
  problem: { message: 'no HEALTHCHECK', hint: 'add one' },
};
const key = '/service/10.1.0.101:49155';
const at = (port: number): AddressResult =>
  success({
    address: { ip: '10.1.0.101', port },
    records: [{ key: `/service/10.1.0.101:${port}`, value: 'running' }],
    how: 'published',
  });
const none = failure({ message: 'not published', hint: 'publish it' });
const away = new UnavailableError('no Docker socket');

type Silent = 'the address' | 'the check' | 'the opening of the watch' | 'the poll of the watch';

interface Options {
  readonly argv?: readonly string[];
  readonly watched?: boolean;
  readonly onUnresolvable?: AgentOptions['onUnresolvable'];
  readonly address?: AddressResult | UnavailableError;
  readonly fixed?: boolean;
  readonly verdict?: Verdict;
  /** Silent from the start. */
  readonly silent?: Silent | null;
  /** Whether etcd confirms at a stop that nothing is left. */
  readonly confirmed?: boolean;
}

/** An agent and everything around it. */
class Bed {
  readonly clock = new FakeClock();
  readonly startedAt = this.clock.now();
  readonly stop = new AbortController();
  readonly events: ServiceEvent[] = [];
  readonly lines: string[] = [];
  readonly metrics = createMetrics('1', 0);
  readonly agent: Agent;

  /** What the agent did to etcd and to the watch, with seconds since the start. */
  readonly deeds: string[] = [];
  /** When each check began, in ms since the start. */
  readonly checks: number[] = [];
  /** What each check answers, and how long it takes, in ms. */
  verdict: Verdict;
  checkMs = 0;
  address: AddressResult | UnavailableError;
  networkChanged = false;
  attempts = 0;
  view: SessionView = { lease: noLease, outage: null, failures: 0, answeredAt: null, isUnconfirmed: false };
  polls = 0;
  hooks: Parameters<AgentOptions['openSession']>[0] | undefined;

  /** This one does not answer, and ignores every signal. */
  silent: Silent | null;
  /** Makes it answer, or fail. */
  speak: ((error?: Error) => void) | undefined;

  /** What the watch finds out about the listening socket when a check has passed. */
  listener: WatchEvent[] = [];
  readonly #wakeWatch = new Wakeup();
  #news: WatchEvent[] = [];

  static async start({ argv = [], ...options }: Options = {}): Promise<Bed> {
    return new Bed(await serviceOf([...enough, ...argv]), options);
  }

  /** Use it where the test acts before the agent does anything; `start` elsewhere. */
  constructor(
    config: ServiceConfig,
    {
      watched = false,
      onUnresolvable = 'end',
      address = at(49155),
      fixed = false,
      verdict = passed,
      silent = null,
      confirmed = true,
    }: Omit<Options, 'argv'>,
  ) {
    this.silent = silent;
    this.verdict = verdict;
    this.address = address;
    const log = createLog('logfmt', this.clock, line =>
      this.lines.push(line.replace(/^time=\S+ level=/, '').trim()),
    );
    const count = this.metrics.countersOf(() => config.label);
    const source: AddressSource = {
      resolve: () => {
        this.attempts += 1;
        const { address: answer } = this;
        return answer instanceof Error ? Promise.reject(answer) : this.#answer('the address', answer);
      },
      networkChanged: fixed ? null : () => this.networkChanged,
    };
    this.agent = startAgent(
      {
        config,
        naming: () => ({ name: config.label, others: [] }),
        clock: this.clock,
        random: () => 0.5,
        onUnresolvable,
        source,
        probe: async signal => {
          this.checks.push(this.clock.now() - this.startedAt);
          if (this.silent === 'the check') return this.#answer('the check', this.verdict);
          if (this.checkMs > 0) await this.clock.sleep(this.checkMs, signal);
          return signal.aborted ? { kind: 'unknown', reason: 'the check was abandoned' } : this.verdict;
        },
        openWatch: () => this.#answer('the opening of the watch', watched ? this.#watch : null),
        openSession: hooks => {
          this.hooks = hooks;
          return this.#session(confirmed);
        },
        emit: event => {
          this.events.push(event);
          logEvent(log, event, config);
          count(event);
        },
      },
      this.stop.signal,
    );
    this.agent.ended.catch(() => undefined);
  }

  /** Resolves with the answer. The one that is silent waits for `speak`. */
  #answer<T>(who: Silent, answer: T): Promise<T> {
    if (this.silent !== who) return Promise.resolve(answer);
    return new Promise((resolve, reject) => {
      this.speak = error => (error === undefined ? resolve(answer) : reject(error));
    });
  }

  #did(deed: string): void {
    this.deeds.push(`${(this.clock.now() - this.startedAt) / 1000} ${deed}`);
  }

  #session(confirmed: boolean): Session {
    return {
      keep: () => this.#did('keep'),
      publish: records => this.#did(`publish ${records.map(record => record.key).join()}`),
      withdraw: reason => this.#did(`withdraw: ${reason}`),
      snapshot: () => this.view,
      close: async withinMs => {
        this.#did('close session');
        if (!confirmed) await this.clock.sleep(withinMs);
        return confirmed;
      },
    };
  }

  readonly #watch: AppWatch = {
    wait: async (until, signal) => {
      signal.addEventListener('abort', () => this.#wakeWatch.wake(), { once: true });
      if (!signal.aborted) await this.#wakeWatch.sleep(this.clock, Math.max(0, until - this.clock.now()));
    },
    poll: () => {
      this.polls += 1;
      const news = this.#news;
      this.#news = [];
      return this.#answer('the poll of the watch', news);
    },
    identify: async () => {
      const found = this.listener;
      this.listener = [];
      return found;
    },
    checked: isPass => this.#did(`inform the watch: ${isPass ? 'pass' : 'fail'}`),
    close: () => this.#did('close watch'),
  };

  /** Lets the watch observe something. */
  async observe(...news: readonly WatchEvent[]): Promise<void> {
    this.#news = [...this.#news, ...news];
    this.#wakeWatch.wake();
    await settle();
  }

  /** Lets this many seconds pass. */
  pass(seconds: number): Promise<void> {
    return this.clock.advance(seconds * 1000);
  }

  /** Lets time pass until the next check has ended, on a grid of 50 ms. */
  async nextCheck(): Promise<void> {
    const { length } = this.checks;
    for (let steps = 0; this.checks.length === length; steps++) {
      assert.ok(steps < 1000, 'there is a next check');
      await this.pass(0.05);
    }
  }

  /** Stops the agent and returns what `ended` gives, in seconds since the start. */
  async end(): Promise<number> {
    this.stop.abort(new Error('SIGTERM'));
    await this.pass(2);
    return ((await this.agent.ended) - this.startedAt) / 1000;
  }

  get kinds(): readonly string[] {
    return this.events.map(({ kind }) => kind);
  }

  /** What was done since the last call. */
  take(): readonly string[] {
    return this.deeds.splice(0);
  }
}

/** An agent that has registered. */
async function started(options: Options = {}): Promise<Bed> {
  const bed = await Bed.start(options);
  await settle();
  assert.deepEqual(
    bed.take().filter(deed => deed.includes('publish')),
    [`0 publish ${key}`],
  );
  return bed;
}

const held: Lease = {
  kind: 'held',
  id: '255',
  acknowledgedAt: 1_000_000,
  observed: new Map(),
  ownership: 'holding',
  contest: { times: 0, yieldUntil: -Infinity },
};
const owner = { pid: 17, name: 'node', certain: true };
const survey = { sockets: null, owner, hidden: '' };

describe('an agent that starts', () => {
  it('checks at once, and publishes when the address is known and the app passes', async () => {
    const bed = await Bed.start();
    await settle();
    assert.deepEqual(bed.checks, [0]);
    assert.deepEqual(bed.deeds, [`0 publish ${key}`]);
    assert.deepEqual(bed.kinds.toSorted(), ['address-found', 'checked', 'health-changed']);
    assert.deepEqual(bed.lines.toSorted(), [
      'info msg="address 10.1.0.101:49155" found=published',
      'info msg="app up 1/1: HTTP 200"',
    ]);
    await bed.end();
  });

  it('publishes when the address comes after the first pass', async () => {
    const bed = await Bed.start({ address: away });
    await settle();
    assert.deepEqual(bed.deeds, []);
    assert.equal(bed.agent.status().health, 'up');
    assert.equal(bed.agent.status().address, null);
    bed.address = at(49155);
    await bed.pass(0.45);
    assert.deepEqual(bed.take(), [`0.45 publish ${key}`]);
    assert.equal(bed.agent.status().address, '10.1.0.101:49155');
    await bed.end();
  });

  it('publishes when the first pass comes after the address', async () => {
    const bed = await Bed.start({ verdict: refused });
    await settle();
    assert.deepEqual(bed.deeds, []);
    bed.verdict = passed;
    await bed.pass(1);
    assert.deepEqual(bed.take(), [`1 publish ${key}`]);
    await bed.end();
  });

  it('takes fails within the start period as no failures', async () => {
    const bed = await Bed.start({ verdict: refused, argv: ['--start-period', '2s'] });
    await bed.pass(1);
    assert.equal(bed.agent.status().health, 'starting');
    await bed.pass(1);
    assert.equal(bed.agent.status().health, 'down');
    assert.deepEqual(
      bed.lines.filter(line => line.includes('app ')),
      [
        'info msg="app starting: ECONNREFUSED"',
        'warn msg="app down, and its start period is over: ECONNREFUSED"',
      ],
    );
    await bed.end();
  });
});

/** How long after its last pass an app that stalls for so many checks loses its key, in seconds; null if it keeps it. */
async function lossOf(argv: readonly string[], stalls: number, checkMs = 0): Promise<number | null> {
  const bed = await started({ argv });
  await bed.pass(30);
  bed.take();
  await bed.nextCheck();
  const passedAt = bed.checks.at(-1)!;
  bed.verdict = stalled;
  bed.checkMs = checkMs;
  for (let count = 0; count < stalls; count++) await bed.nextCheck();
  // The clock stands at most 50 ms after the begin of the last check that stalls.
  await bed.pass(checkMs / 1000);
  bed.verdict = passed;
  bed.checkMs = 0;
  await bed.pass(60);
  const withdrawal = bed.take().find(deed => deed.includes('withdraw'));
  await bed.end();
  return withdrawal === undefined ? null : Math.round(Number.parseFloat(withdrawal) * 1000 - passedAt) / 1000;
}

describe('an agent that checks', () => {
  it('keeps the interval while the app passes, and confirms the records each time', async () => {
    const bed = await started({ argv: ['--interval', '10s'] });
    // The second gap is random, so that a fleet does not check in step.
    await bed.pass(30);
    assert.deepEqual(bed.checks, [0, 5500, 15_500, 25_500]);
    assert.deepEqual(
      bed.take(),
      [5.5, 15.5, 25.5].map(second => `${second} publish ${key}`),
    );
    await bed.end();
  });

  it('withdraws with the reason when the app fails, and publishes when it passes again', async () => {
    const bed = await started();
    bed.verdict = refused;
    await bed.pass(2.75);
    assert.deepEqual(bed.take(), ['2.75 withdraw: ECONNREFUSED']);
    bed.verdict = passed;
    await bed.pass(1);
    assert.deepEqual(bed.take(), [`3.75 publish ${key}`]);
    assert.equal(bed.lines.at(-2), 'warn msg="app down 1/1: ECONNREFUSED"');
    await bed.end();
  });

  it('lets a service that flaps within fall stand', async () => {
    const bed = await started({ argv: ['--fall', '3'] });
    for (const verdict of [stalled, stalled, passed, stalled, stalled, passed]) {
      bed.verdict = verdict;
      await bed.nextCheck();
    }
    assert.deepEqual(
      bed.take().map(deed => deed.split(' ')[1]),
      ['keep', 'keep', 'publish', 'keep', 'keep', 'publish'],
    );
    assert.equal(bed.agent.status().health, 'up');
    bed.verdict = stalled;
    await bed.pass(20);
    assert.match(bed.deeds.at(-1) ?? '', /withdraw: no answer within 3000 ms$/);
    await bed.end();
  });

  const interval = ['--interval', '4s'];
  const stalls: [argv: readonly string[], stalls: number, loss: number | null, checkMs?: number][] = [
    [[], 1, 4],
    [['--fall', '3'], 2, null],
    [['--fall', '3'], 3, 12],
    // Each check takes its timeout of 3 s: two intervals from the first fail to the begin of the last, and its timeout.
    [['--fall', '3'], 2, null, 3000],
    [['--fall', '3'], 3, 15, 3000],
    // Each check takes the whole interval, and the last is no later for that.
    [['--fall', '3', '--timeout', '4s'], 3, 16, 4000],
    [['--fall', '5'], 4, null],
    [['--fall', '5'], 5, 20],
    [['--fall', '5', '--fast-interval', '500ms'], 4, null],
    [['--fall', '5', '--fast-interval', '500ms'], 5, 6],
  ];
  for (const [argv, count, loss, checkMs] of stalls)
    it(`${loss === null ? 'keeps' : 'loses'} a key whose app stalls for ${count} checks of ${checkMs ?? 0} ms with ${argv.join(' ') || 'fall 1'}`, async () => {
      assert.equal(await lossOf([...interval, ...argv], count, checkMs), loss);
    });

  it('counts no failure of a check that something else asks for between two intervals', async () => {
    const bed = await started({ watched: true, argv: ['--fall', '3', '--watch', 'on'] });
    bed.verdict = stalled;
    for (let count = 0; count < 20; count++) {
      await bed.observe({ kind: 'waiting', clients: 2 });
      await bed.pass(0.45);
    }
    // 20 checks, all of which failed, in 9 s.
    assert.ok(bed.checks.length > 20);
    assert.equal(bed.agent.status().health, 'up');
    await bed.pass(1.5);
    const withdrawal = bed.take().find(deed => deed.includes('withdraw')) ?? '';
    assert.equal(withdrawal, '10 withdraw: no answer within 3000 ms');
    await bed.end();
  });

  it('withdraws at once when a check is refused, whatever --fall says', async () => {
    const bed = await started({ argv: ['--fall', '5'] });
    bed.verdict = refused;
    await bed.pass(2.75);
    assert.deepEqual(bed.take(), ['2.75 withdraw: ECONNREFUSED']);
    assert.equal(bed.lines.at(-1), 'warn msg="app down: ECONNREFUSED"');
    await bed.end();
  });

  it('keeps the lease of an app that is gone for less than --tolerate', async () => {
    const bed = await started({ argv: ['--tolerate', '12s'] });
    bed.verdict = refused;
    await bed.pass(14);
    bed.verdict = passed;
    await bed.pass(1);
    assert.deepEqual(bed.take(), ['2.75 keep', '7.75 keep', '12.75 keep', `14.75 publish ${key}`]);
    assert.deepEqual(bed.lines.slice(-2), [
      'warn msg="app gone, and tolerated: ECONNREFUSED" for=12.0s',
      'info msg="app answers again" after=12.0s',
    ]);
    await bed.end();
  });

  it('withdraws an app that is gone when --tolerate is over, and not before', async () => {
    const bed = await started({ argv: ['--tolerate', '12s', '--fall', '9'] });
    bed.verdict = refused;
    await bed.pass(30);
    assert.deepEqual(bed.take(), ['2.75 keep', '7.75 keep', '12.75 keep', '14.75 withdraw: ECONNREFUSED']);
    await bed.end();
  });

  it('checks at once when something listens again, and keeps the key when it passes', async () => {
    const bed = await started({ watched: true, argv: ['--tolerate', '12s'] });
    await bed.pass(1);
    bed.verdict = refused;
    await bed.observe({ kind: 'app-gone', reason: 'nothing listens any more' });
    assert.deepEqual(bed.take(), []);
    assert.equal(bed.agent.status().why, 'nothing listens any more');
    await bed.pass(1.5);
    bed.verdict = passed;
    await bed.observe({ kind: 'listening' });
    assert.deepEqual(bed.checks, [0, 2500]);
    assert.deepEqual(bed.take(), [`2.5 publish ${key}`, '2.5 inform the watch: pass']);
    assert.equal(bed.agent.status().health, 'up');
    await bed.end();
  });

  it('is never late while it fails or is gone, as status sees it', async () => {
    for (const [verdict, checkMs] of [
      [stalled, 3000],
      [refused, 0],
    ] as const) {
      const bed = await started({ argv: ['--fall', '9', '--tolerate', '20s'] });
      bed.verdict = verdict;
      bed.checkMs = checkMs;
      for (let count = 0; count < 60; count++) {
        await bed.pass(0.3);
        assert.equal(bed.agent.status().isLate, false);
      }
      await bed.end();
    }
  });

  it('takes as long as the probe does, and never makes two checks at once', async () => {
    const bed = await started();
    bed.verdict = { kind: 'fail', reason: 'no answer within 3000 ms', trouble: 'timeout' };
    bed.checkMs = 3000;
    await bed.pass(2.75);
    assert.equal(bed.checks.length, 2);
    bed.hooks?.requestCheck();
    await bed.pass(2.9);
    assert.equal(bed.checks.length, 2);
    assert.deepEqual(bed.take(), []);
    await bed.pass(0.1);
    assert.deepEqual(bed.take(), ['5.75 withdraw: no answer within 3000 ms']);
    assert.equal(bed.agent.status().lastCheck?.seconds, 3);
    // The check that was requested meanwhile.
    assert.deepEqual(bed.checks, [0, 2750, 5750]);
    await bed.end();
  });

  it('does not take its own pause for a fault of the app', async () => {
    const bed = await started();
    bed.verdict = refused;
    bed.checkMs = 100;
    await bed.pass(2.8);
    bed.clock.suspend(60_000);
    await bed.pass(0);
    assert.deepEqual(bed.take(), []);
    assert.equal(
      bed.lines.at(-1),
      'warn msg="app could not be checked: dockreg itself did not run for 60050 ms"',
    );
    bed.verdict = passed;
    assert.equal(bed.agent.status().health, 'up');
    await bed.pass(1.1);
    assert.deepEqual(bed.take(), [`63.9 publish ${key}`]);
    await bed.end();
  });

  it('changes nothing while checks cannot be made, and logs that once', async () => {
    const bed = await started();
    bed.verdict = unmade;
    await bed.pass(10);
    assert.deepEqual(bed.take(), []);
    assert.deepEqual(
      bed.lines.filter(line => line.includes('could not be checked')),
      ['warn msg="app could not be checked: EMFILE"'],
    );
    const { health, why, lastCheck } = bed.agent.status();
    assert.deepEqual([health, why, lastCheck?.verdict], ['up', 'HTTP 200', 'unknown']);
    await bed.end();
  });

  it('ends with the problem when its only check can never be made', async () => {
    const bed = await Bed.start({ verdict: impossible });
    await bed.pass(2);
    await assert.rejects(bed.agent.ended, error => {
      assert.ok(error instanceof SetupError);
      assert.deepEqual(error.problems, [{ message: 'no HEALTHCHECK', hint: 'add one' }]);
      return true;
    });
    assert.deepEqual(bed.take(), ['0 close session']);
    assert.deepEqual(bed.clock.due, []);
  });

  it('goes on beside other services when its check can never be made', async () => {
    const bed = await Bed.start({ verdict: impossible, onUnresolvable: 'wait' });
    await bed.pass(2);
    assert.deepEqual(
      bed.lines.filter(line => line.startsWith('warn')),
      ['warn msg="app could not be checked: no HEALTHCHECK; add one"'],
    );
    assert.equal(bed.agent.status().lastCheck?.verdict, 'impossible');
    bed.verdict = passed;
    await bed.pass(1);
    assert.deepEqual(bed.take(), [`3 publish ${key}`]);
    await bed.end();
  });

  it('fails as the probe does, and ends everything first', async () => {
    const bed = await started({ watched: true });
    bed.verdict = new Proxy(passed, {
      get: () => {
        throw new TypeError('a bug');
      },
    });
    await bed.pass(5);
    await assert.rejects(bed.agent.ended, new TypeError('a bug'));
    assert.deepEqual(bed.take(), ['2.75 withdraw: stopping', '2.75 close watch', '2.75 close session']);
    assert.deepEqual(bed.clock.due, []);
  });
});

describe('an agent whose session', () => {
  it('loses etcd and finds it again, logs and counts that and shows it', async () => {
    const bed = await started();
    bed.hooks?.emit({ kind: 'registered', keys: [key], lease: '255', endpoint: 'http://h1:2379' });
    const answeredAt = bed.clock.now();
    bed.view = { lease: held, outage: null, failures: 0, answeredAt, isUnconfirmed: false };
    assert.equal(bed.agent.status().registration, 'registered');
    await bed.pass(1);
    const outage = { since: 0, attempts: 2, causes: ['ETIMEDOUT', 'ECONNREFUSED'], reportedAt: 0 };
    bed.view = { lease: held, outage, failures: 2, answeredAt, isUnconfirmed: true };
    const facts = { endpoint: 'http://h1:2379', tries: 1, forMs: 0 };
    bed.hooks?.emit({ kind: 'failing', cause: 'ECONNREFUSED', ...facts });
    const { registration, etcdAnsweredAt, etcdError, etcdErrors, registeredSince } = bed.agent.status();
    assert.deepEqual([registration, etcdError, etcdErrors], ['unconfirmed', 'ECONNREFUSED', 2]);
    assert.equal(etcdAnsweredAt, new Date(answeredAt).toISOString());
    assert.equal(registeredSince, new Date(bed.startedAt).toISOString());
    await bed.pass(20);
    assert.equal(bed.agent.status().registration, 'uncertain');
    bed.hooks?.emit({ kind: 'uncertain', lease: '255', forMs: 21_000 });
    bed.hooks?.emit({ kind: 'recovered', ...facts, tries: 9, forMs: 20_000 });
    const lease = { ...held, acknowledgedAt: bed.clock.now() };
    bed.view = { lease, outage: null, failures: 9, answeredAt: bed.clock.now(), isUnconfirmed: false };
    assert.equal(bed.agent.status().registration, 'registered');
    assert.equal(bed.agent.status().etcdError, null);
    assert.deepEqual(bed.lines.slice(2), [
      `info msg="registered ${key}" endpoint=http://h1:2379 lease=00000000000000ff`,
      'warn msg="etcd: ECONNREFUSED; retrying" endpoint=http://h1:2379 tries=1 for=0.0s',
      'warn msg="etcd has not answered for a TTL: the key may be gone" lease=00000000000000ff for=21.0s',
      'info msg="etcd answers again" endpoint=http://h1:2379 tries=9 after=20.0s',
    ]);
    const text = await bed.metrics.text([bed.agent]);
    for (const line of [
      `registration_events_total{service="${bed.agent.name}",event="registered"} 1`,
      `registration_events_total{service="${bed.agent.name}",event="uncertain"} 1`,
      `registration_events_total{service="${bed.agent.name}",event="lost"} 0`,
      `etcd_errors_total{service="${bed.agent.name}"} 9`,
    ])
      assert.ok(text.includes(`dockreg_service_${line}`), line);
    await bed.end();
  });

  it('loses the lease checks the app at once, and publishes for that check', async () => {
    const bed = await started();
    await bed.pass(1);
    bed.hooks?.emit({ kind: 'lost', lease: '255', endpoint: 'http://h1:2379', cause: 'not found' });
    bed.hooks?.requestCheck();
    await settle();
    assert.deepEqual(bed.checks, [0, 1000]);
    assert.deepEqual(bed.take(), [`1 publish ${key}`]);
    assert.match(bed.lines.at(-1) ?? '', /^warn msg="etcd lost our lease: not found; checking the app/);
    await bed.pass(1.75);
    assert.deepEqual(bed.checks, [0, 1000, 2750], 'the regular check stays where it was');
    await bed.end();
  });
});

describe('an agent with an app watch', () => {
  it('passes the outcome of each check on', async () => {
    const bed = await Bed.start({ watched: true });
    await settle();
    bed.verdict = refused;
    await bed.pass(2.75);
    bed.verdict = unmade;
    await bed.pass(1);
    assert.deepEqual(
      bed.take().filter(deed => deed.includes('inform')),
      ['0 inform the watch: pass', '2.75 inform the watch: fail'],
    );
    await bed.end();
  });

  it('keeps to itself the outcome of a check that goes another way', async () => {
    const bed = await Bed.start({ watched: true, argv: ['--check', 'exec:true'] });
    await bed.pass(20);
    assert.ok(bed.take().every(deed => !deed.includes('inform')));
    await bed.end();
  });

  it('withdraws at once when nothing listens any more, without a check', async () => {
    const bed = await started({ watched: true, argv: ['--fall', '3'] });
    await bed.pass(1);
    await bed.observe({ kind: 'app-gone', reason: 'nothing listens any more' });
    assert.deepEqual(bed.take(), ['1 withdraw: nothing listens any more']);
    assert.deepEqual(bed.checks, [0]);
    assert.equal(bed.lines.at(-1), 'warn msg="app down: nothing listens any more"');
    const { health, why, since } = bed.agent.status();
    assert.deepEqual([health, why], ['down', 'nothing listens any more']);
    assert.equal(since, new Date(bed.startedAt + 1000).toISOString());
    await bed.end();
  });

  it('reports nothing of what the watch finds after the stop', async () => {
    const bed = await started({ watched: true });
    await bed.pass(1);
    bed.silent = 'the poll of the watch';
    await bed.observe({ kind: 'watching', survey });
    await bed.end();
    bed.speak?.();
    await settle();
    assert.ok(!bed.kinds.includes('watching'));
  });

  it('never publishes an app on loopback: it is known before the first check counts', async () => {
    const bed = new Bed(await serviceOf(enough), { watched: true });
    const socket = { ip: '127.0.0.1', port: 8000, uid: 0, inode: '1', waiting: 0 };
    bed.listener = [{ kind: 'loopback', socket }];
    await settle();
    await bed.pass(20);
    assert.ok(bed.take().every(deed => !deed.includes('publish')));
    const { health, registration, why } = bed.agent.status();
    assert.deepEqual([health, registration], ['up', 'absent']);
    assert.match(
      why ?? '',
      /^HTTP 200; not registered: the app listens on 127\.0\.0\.1:8000 only, .*; let it listen/,
    );
    await bed.observe({ kind: 'reachable', socket: { ...socket, ip: '0.0.0.0' } });
    assert.ok(bed.take().some(deed => deed.includes('publish')));
    await bed.end();
  });

  it('never publishes an app whose health has a port of its own before it listens', async () => {
    const bed = new Bed(await serviceOf([...enough, '--check-port', '9000']), { watched: true });
    bed.listener = [{ kind: 'absent' }];
    await settle();
    await bed.pass(2);
    assert.ok(bed.take().every(deed => !deed.includes('publish') && !deed.includes('inform')));
    assert.equal(bed.agent.status().why, "nothing listens on the app's port");
    await bed.observe({ kind: 'listening' });
    assert.ok(bed.take().some(deed => deed.includes('publish')));
    await bed.end();
  });

  it('only checks when nothing listens any more and the check goes another way', async () => {
    const bed = await started({ watched: true, argv: ['--check', 'exec:true'] });
    await bed.pass(1);
    await bed.observe({ kind: 'app-gone', reason: 'nothing listens any more' });
    assert.deepEqual(bed.checks, [0, 1000]);
    assert.deepEqual(bed.take(), [`1 publish ${key}`]);
    await bed.end();
  });

  const rows: [news: WatchEvent, checksAtOnce: boolean, line: string | null][] = [
    [{ kind: 'listening' }, true, null],
    [
      { kind: 'replaced', before: survey, now: survey, handover: false },
      true,
      'warn msg="app was restarted: only by its checks and by connects ()" before="process 17 (node)"',
    ],
    [{ kind: 'stopped', owner }, true, 'warn msg="app was stopped by a signal: process 17 (node)"'],
    [{ kind: 'resumed', owner }, false, 'info msg="app was resumed by a signal: process 17 (node)"'],
    [{ kind: 'waiting', clients: 2 }, true, null],
    [{ kind: 'watching', survey }, false, 'info msg="app is watched: only by its checks and by connects ()"'],
    [
      { kind: 'loopback', socket: { ip: '127.0.0.1', port: 8000, uid: 0, inode: '1', waiting: 0 } },
      false,
      'warn msg="app is not registered: it listens on 127.0.0.1:8000 only, where no other host or container reaches ' +
        'it, not even through a published port; let it listen on 0.0.0.0, or set --allow-unreachable if something ' +
        'here passes connections on to it"',
    ],
    [
      { kind: 'reachable', socket: { ip: '::', port: 8000, uid: 0, inode: '1', waiting: 0 } },
      false,
      'info msg="app listens on [::]:8000 now, where others reach it"',
    ],
  ];
  for (const [news, checksAtOnce, line] of rows) {
    it(`${checksAtOnce ? 'checks at once' : 'waits for the next check'} at ${news.kind}`, async () => {
      const bed = await started({ watched: true });
      await bed.pass(1);
      const before = bed.lines.length;
      await bed.observe(news);
      assert.deepEqual(bed.checks, checksAtOnce ? [0, 1000] : [0]);
      assert.deepEqual(bed.lines.slice(before), line === null ? [] : [line]);
      await bed.end();
    });
  }

  it('checks at once when the app is resumed while it is down', async () => {
    const bed = await Bed.start({ watched: true, verdict: refused });
    await bed.pass(0.5);
    await bed.observe({ kind: 'resumed', owner });
    assert.deepEqual(bed.checks, [0, 500]);
    await bed.end();
  });

  it('takes all news of one poll, and checks once', async () => {
    const bed = await started({ watched: true });
    await bed.pass(1);
    await bed.observe({ kind: 'stopped', owner }, { kind: 'waiting', clients: 1 }, { kind: 'listening' });
    assert.deepEqual(bed.checks, [0, 1000]);
    await bed.end();
  });
});

describe('an agent that is drained', () => {
  it('withdraws, checks on, and publishes when it is resumed', async () => {
    const bed = await started();
    await bed.pass(1);
    bed.agent.drain();
    bed.agent.drain();
    assert.deepEqual(bed.take(), ['1 withdraw: drained']);
    assert.equal(bed.agent.status().drained, true);
    await bed.pass(5);
    assert.equal(bed.checks.length, 2);
    assert.deepEqual(bed.take(), []);
    bed.agent.resume();
    bed.agent.resume();
    assert.deepEqual(bed.take(), []);
    await bed.pass(0);
    assert.equal(bed.checks.length, 3);
    assert.deepEqual(bed.take(), [`6 publish ${key}`]);
    assert.equal(bed.agent.status().drained, false);
    assert.deepEqual(bed.lines.slice(2), [
      'info msg="app drained: not registered, whatever its health, until it is resumed"',
      'info msg="app resumed: registered while it is up"',
    ]);
    await bed.end();
  });

  it('is not resumed after a stop', async () => {
    const bed = await started();
    bed.agent.drain();
    await bed.end();
    bed.agent.resume();
    assert.deepEqual(
      bed.take().filter(deed => deed.includes('publish')),
      [],
    );
  });
});

describe('an agent whose address', () => {
  it('moves publishes the new one, and looks at its own network after each check', async () => {
    const bed = await started();
    await bed.pass(1);
    bed.address = at(49156);
    bed.networkChanged = true;
    assert.equal(bed.attempts, 1);
    await bed.pass(1.75);
    bed.networkChanged = false;
    assert.equal(bed.attempts, 2);
    assert.deepEqual(bed.take(), [`2.75 publish ${key}`, '2.75 publish /service/10.1.0.101:49156']);
    assert.equal(
      bed.lines.at(-1),
      'info msg="address 10.1.0.101:49156" found=published was=10.1.0.101:49155',
    );
    await bed.end();
  });

  it('is lost withdraws, and publishes when it is back', async () => {
    const bed = await started();
    bed.address = none;
    await bed.pass(30);
    assert.equal(bed.agent.status().address, '10.1.0.101:49155');
    bed.take();
    await bed.pass(0.45);
    assert.deepEqual(bed.take(), ['30.45 withdraw: no address']);
    assert.equal(bed.lines.at(-1), 'warn msg="address 10.1.0.101:49155 is gone: not published; publish it"');
    assert.equal(bed.agent.status().address, null);
    bed.address = at(49155);
    await bed.pass(1);
    assert.deepEqual(bed.take()[0], `31.35 publish ${key}`);
    await bed.end();
  });

  it('cannot be confirmed for a while keeps it', async () => {
    const bed = await started();
    bed.address = away;
    await bed.pass(300);
    assert.ok(bed.take().every(deed => deed.includes(`publish ${key}`)));
    await bed.end();
  });

  it('cannot exist ends with the problem, if it is the only service', async () => {
    const bed = await Bed.start({ address: none });
    await bed.pass(2);
    await assert.rejects(bed.agent.ended, error => {
      assert.ok(error instanceof SetupError);
      assert.deepEqual(error.problems, [{ message: 'not published', hint: 'publish it' }]);
      return true;
    });
    assert.deepEqual(bed.clock.due, []);
  });

  it('cannot exist waits, if it is one of several services', async () => {
    const bed = await Bed.start({ address: none, onUnresolvable: 'wait' });
    await bed.pass(29);
    assert.deepEqual(bed.take(), []);
    assert.equal(bed.attempts, 1);
    bed.address = at(49155);
    await bed.pass(2);
    assert.deepEqual(bed.take()[0], `30 publish ${key}`);
    await bed.end();
  });

  it('is fixed asks for it once', async () => {
    const bed = await started({ fixed: true });
    bed.networkChanged = true;
    await bed.pass(100);
    assert.equal(bed.attempts, 1);
    await bed.end();
  });
});

describe('an agent that is stopped', () => {
  it('before it began makes no check', async () => {
    const bed = new Bed(await serviceOf(enough), {});
    bed.stop.abort(new Error('SIGTERM'));
    assert.equal(await bed.end(), -Infinity);
    assert.deepEqual([bed.checks, bed.take()], [[], ['0 close session']]);
  });

  it('during its first check drops the verdict', async () => {
    const bed = new Bed(await serviceOf(enough), { watched: true });
    bed.checkMs = 1000;
    await bed.pass(0.5);
    assert.equal(await bed.end(), -Infinity);
    assert.deepEqual(bed.take(), ['0.5 close watch', '0.5 close session']);
    assert.deepEqual(bed.kinds, ['address-found', 'admin', 'closed']);
  });

  it('during a later check withdraws at once', async () => {
    const bed = await started();
    bed.checkMs = 3000;
    await bed.pass(3);
    await bed.end();
    assert.deepEqual(bed.take(), ['3 withdraw: stopping', '3 close session']);
    assert.equal(bed.kinds.filter(kind => kind === 'checked').length, 1);
  });

  it('while it is up withdraws first, and says since when nothing is left', async () => {
    const bed = await started({ watched: true });
    await bed.pass(1);
    const polls = bed.polls;
    bed.stop.abort(new Error('SIGTERM'));
    await settle();
    assert.deepEqual(bed.take(), ['1 withdraw: stopping', '1 close watch', '1 close session']);
    assert.equal(bed.polls, polls, 'the watch is not polled any more');
    assert.equal(bed.kinds.at(-1), 'closed');
    assert.equal(await bed.end(), -Infinity);
  });

  it('gives the moment at which etcd confirmed that the key is gone', async () => {
    const bed = await started();
    await bed.pass(1);
    bed.agent.drain();
    await bed.pass(1);
    bed.hooks?.emit({ kind: 'withdrawn', lease: '255', endpoint: 'http://h1:2379', reason: 'drained' });
    await bed.pass(1);
    assert.equal(await bed.end(), 2);
    assert.equal(
      bed.lines.at(-1),
      'info msg="withdrawn: drained" endpoint=http://h1:2379 lease=00000000000000ff',
    );
  });

  it('while it is down or drained has nothing to withdraw', async () => {
    const down = await Bed.start({ verdict: refused });
    await down.pass(1.5);
    assert.equal(await down.end(), -Infinity);
    assert.deepEqual(down.take(), ['1.5 close session']);
    const drained = await started();
    drained.agent.drain();
    await drained.end();
    assert.deepEqual(drained.take(), ['0 withdraw: drained', '0 close session']);
  });

  it('without an answer of etcd gives up after 1.5 s, and says so', async () => {
    const bed = await started({ confirmed: false });
    await bed.pass(1);
    assert.equal(await bed.end(), 2.5);
    assert.equal(
      bed.lines.at(-1),
      'warn msg="stopped without an answer from etcd: the key stays until its lease ends, up to about 20 s after etcd answers again"',
    );
  });

  for (const silent of ['the address', 'the check', 'the poll of the watch'] as const) {
    for (const end of ['never ends', 'ends later', 'fails later'] as const) {
      it(`while ${silent} is silent withdraws at once, also where that ${end}`, async () => {
        const bed = await started({ watched: true });
        await bed.pass(1);
        bed.silent = silent;
        bed.networkChanged = true;
        await bed.observe();
        await bed.pass(3);
        assert.ok(bed.speak, 'it was asked');
        bed.take();
        bed.stop.abort(new Error('SIGTERM'));
        await settle();
        assert.deepEqual(bed.take(), ['4 withdraw: stopping', '4 close watch', '4 close session']);
        await bed.agent.ended;
        const { length } = bed.events;
        if (end === 'ends later') bed.speak();
        if (end === 'fails later') bed.speak(new TypeError('a bug'));
        await bed.pass(60);
        assert.deepEqual([bed.take(), bed.events.length, bed.clock.due], [[], length, []]);
      });
    }
  }

  it('while the watch is being opened ends at once, and closes a watch that comes late', async () => {
    const bed = new Bed(await serviceOf(enough), { watched: true, silent: 'the opening of the watch' });
    await settle();
    bed.stop.abort(new Error('SIGTERM'));
    await settle();
    assert.deepEqual(bed.take(), ['0 close session']);
    await bed.agent.ended;
    bed.speak?.();
    await settle();
    assert.deepEqual([bed.take(), bed.checks], [['0 close watch'], []]);
  });

  it('fails with the problem that it had before, although Docker is silent', async () => {
    const bed = new Bed(await serviceOf(enough), { verdict: impossible });
    bed.silent = 'the address';
    await bed.pass(2);
    await assert.rejects(bed.agent.ended, SetupError);
  });

  it('leaves no timer behind', async () => {
    for (const watched of [true, false]) {
      const bed = await started({ watched });
      await bed.pass(1);
      await bed.end();
      assert.deepEqual(bed.clock.due, []);
    }
  });
});
