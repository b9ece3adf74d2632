/** The metrics: their names, and what they show before and after something happened. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetrics } from '../../src/admin/metrics.ts';
import type { AdminService, ServiceStatus } from '../../src/core/registration/status.ts';

const status: ServiceStatus = {
  name: 'web',
  health: 'unknown',
  why: null,
  since: '1970-01-01T00:00:40.000Z',
  drained: false,
  address: null,
  addressCause: null,
  registration: 'absent',
  registeredSince: null,
  records: [],
  addressWarning: null,
  lease: null,
  etcdAnsweredAt: null,
  etcdError: null,
  etcdErrors: 0,
  isLate: false,
  uncheckedSince: null,
  lastCheck: null,
};
const web = (changed: Partial<ServiceStatus> = {}): AdminService => ({
  name: 'web',
  otherNames: [],
  drain: () => undefined,
  resume: () => undefined,
  status: () => ({ ...status, ...changed }),
});

/** The samples by name and labels, without the buckets of histograms. */
function samplesIn(text: string): Map<string, number> {
  const lines = text
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#') && !line.includes('_bucket{'));
  return new Map(lines.map(line => [line.replace(/ \S+$/, ''), Number(line.replace(/^.* /, ''))]));
}

const sample = (name: string, labels = ''): string => `dockreg_service_${name}{service="web"${labels}}`;

describe('the metrics', () => {
  it('show every counter of a service as 0 before anything has happened', async () => {
    const metrics = createMetrics('1', 3000);
    metrics.countersOf(() => 'web');
    const samples = samplesIn(await metrics.text([web()]));
    const checks = [
      ...[
        ['pass', 'none'],
        ['unknown', 'none'],
        ['impossible', 'none'],
      ],
      ...['refused', 'connection', 'tls', 'timeout', 'answer'].map(reason => ['fail', reason]),
    ].map(([verdict, reason]) => sample('checks_total', `,verdict="${verdict}",reason="${reason}"`));
    const events = [
      'registered',
      'withdrawn',
      'lost',
      'restored',
      'moved',
      'updated',
      'contested',
      'uncertain',
    ];
    const zeros = [
      ...checks,
      ...events.map(event => sample('registration_events_total', `,event="${event}"`)),
      ...['starting', 'up', 'down'].map(health => sample('health_transitions_total', `,health="${health}"`)),
      ...['etcd_errors_total', 'check_duration_seconds_sum', 'check_duration_seconds_count'].map(name =>
        sample(name),
      ),
      ...['up', 'drained', 'registered', 'unconfirmed', 'address_warning'].map(name => sample(name)),
    ];
    assert.deepEqual(
      samples,
      new Map([
        ...zeros.map(name => [name, 0] as const),
        [sample('health_since_timestamp_seconds'), 40],
        ['dockreg_build_info{version="1"}', 1],
        ['process_start_time_seconds', 3],
      ]),
    );
  });

  it('count the events of a service', async () => {
    const metrics = createMetrics('1', 0);
    const count = metrics.countersOf(() => 'web');
    const health = { before: { status: 'unknown' }, after: { status: 'unknown' }, tookMs: 500 } as const;
    count({ kind: 'checked', verdict: { kind: 'fail', reason: '', trouble: 'tls' }, ...health });
    count({ kind: 'checked', verdict: { kind: 'impossible', problem: { message: '' } }, ...health });
    count({ kind: 'health-changed', health: 'down' });
    count({ kind: 'withdrawn', lease: '255', endpoint: '', reason: '' });
    count({ kind: 'failing', endpoint: '', cause: '', tries: 1, forMs: 0 });
    const samples = samplesIn(await metrics.text([web({ etcdErrors: 3 })]));
    const expected: [name: string, labels: string, value: number][] = [
      ['checks_total', ',verdict="fail",reason="tls"', 1],
      ['checks_total', ',verdict="impossible",reason="none"', 1],
      ['checks_total', ',verdict="pass",reason="none"', 0],
      ['check_duration_seconds_sum', '', 1],
      ['health_transitions_total', ',health="down"', 1],
      ['registration_events_total', ',event="withdrawn"', 1],
      ['registration_events_total', ',event="registered"', 0],
      ['etcd_errors_total', '', 3],
    ];
    for (const [name, labels, value] of expected)
      assert.equal(samples.get(sample(name, labels)), value, name + labels);
    assert.ok(![...samples.keys()].some(name => name.includes('failing')));
  });

  it('show what the status says, and nothing for what it does not know', async () => {
    const metrics = createMetrics('1', 0);
    metrics.countersOf(() => 'web');
    const registered = web({
      health: 'up',
      drained: true,
      registration: 'registered',
      addressWarning: '10.1.0.101:80 is one of several',
      registeredSince: '1970-01-01T00:00:41.000Z',
      etcdAnsweredAt: '1970-01-01T00:00:43.000Z',
      lease: { id: 'ff', remainingSeconds: 18.5 },
      lastCheck: { at: '1970-01-01T00:00:42.000Z', seconds: 0.1, verdict: 'pass', detail: '' },
    });
    const samples = samplesIn(await metrics.text([registered]));
    const expected: Readonly<Record<string, number>> = {
      up: 1,
      drained: 1,
      registered: 1,
      unconfirmed: 0,
      address_warning: 1,
      etcd_answered_timestamp_seconds: 43,
      registered_since_timestamp_seconds: 41,
      lease_remaining_seconds: 18.5,
      last_check_timestamp_seconds: 42,
    };
    for (const [name, value] of Object.entries(expected))
      assert.equal(samples.get(sample(name)), value, name);
    const away = samplesIn(await metrics.text([web({ registration: 'unconfirmed' })]));
    assert.deepEqual([away.get(sample('registered')), away.get(sample('unconfirmed'))], [1, 1]);
    const gone = samplesIn(await metrics.text([web({ registration: 'uncertain' })]));
    assert.deepEqual([gone.get(sample('registered')), gone.get(sample('unconfirmed'))], [0, 1]);
    const after = samplesIn(await metrics.text([web()]));
    assert.equal(after.has(sample('lease_remaining_seconds')), false);
  });

  it('have names as Prometheus wants them', async () => {
    const metrics = createMetrics('1', 0);
    metrics.countersOf(() => 'web');
    const families = [...(await metrics.text([web()])).matchAll(/^# TYPE (\S+) (\S+)$/gm)];
    assert.ok(families.length > 10);
    for (const [, name = '', type] of families) {
      assert.match(name, /^(dockreg_service_[a-z_]+|dockreg_build_info|process_start_time_seconds)$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      assert.ok(!/_(ms|milliseconds|minutes)/.test(name), name);
      if (/duration|remaining|timestamp/.test(name)) assert.ok(name.endsWith('_seconds'), name);
    }
  });
});
