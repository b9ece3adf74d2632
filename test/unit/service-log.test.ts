/** The log lines of a service. Those of the checks are in health.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { logEvent } from '../../src/agent/log.ts';
import type { ServiceEvent } from '../../src/core/registration/events.ts';
import type { Owner, Survey } from '../../src/core/watch/watch.ts';
import { createLog } from '../../src/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

const address = { ip: '10.1.0.101', port: 49155 };
const resolved = { address, records: [], how: 'published' };
const key = '/service/10.1.0.101:49155';
const endpoint = 'http://h1:2379';
const lease = '255';
const owner: Owner = { pid: 17, name: 'node', certain: true };
const socket = { ip: '0.0.0.0', port: 8000, uid: 0, inode: '1', waiting: 0 };
const survey: Survey = { sockets: [socket], owner, hidden: '' };
const hidden = { ...survey, hidden: 'no rights' };

const rows: [event: ServiceEvent, line: string][] = [
  [
    {
      kind: 'checked',
      verdict: { kind: 'unknown', reason: 'EMFILE' },
      tookMs: 1,
      before: { status: 'unknown' },
      after: { status: 'unknown' },
    },
    '',
  ],
  [{ kind: 'not-checked', cause: 'EMFILE' }, 'warn msg="app could not be checked: EMFILE"'],
  [{ kind: 'health-changed', health: 'up' }, ''],
  [{ kind: 'admin', admin: 'stop' }, ''],
  [{ kind: 'closed', confirmed: true }, ''],
  [
    { kind: 'fruitless', endpoint, cause: 'it grants and denies', tries: 3, forMs: 2500 },
    'warn msg="etcd answers, but nothing lasts: it grants and denies; trying again less often" endpoint=http://h1:2379 tries=3 for=2.5s',
  ],
  [{ kind: 'lost', lease, endpoint, cause: 'not found', isRepeated: true }, ''],
  [{ kind: 'restored', keys: [key], endpoint, isRepeated: true }, ''],

  [
    { kind: 'address-found', resolved, previous: null },
    'info msg="address 10.1.0.101:49155" found=published',
  ],
  [{ kind: 'records-changed', resolved }, ''],
  [
    { kind: 'address-unconfirmed', address: null, cause: 'no Docker socket' },
    'warn msg="waiting for the address: no Docker socket"',
  ],
  [{ kind: 'address-unresolvable', problems: [] }, ''],

  [{ kind: 'watching', survey }, 'info msg="app is watched: process 17 (node) listens on 0.0.0.0:8000"'],
  [
    { kind: 'watching', survey: { ...hidden, owner: { ...owner, certain: false } } },
    'info msg="app is watched: process 17 (node) listens on 0.0.0.0:8000, of which only its end is visible (no rights)"',
  ],
  [
    { kind: 'watching', survey: { ...hidden, owner: null } },
    'info msg="app is watched: only the socket on 0.0.0.0:8000, every few seconds (no rights)"',
  ],
  [
    { kind: 'watching', survey: { ...hidden, sockets: null } },
    'info msg="app is watched: only by its checks and by connects (no rights)"',
  ],
  [
    { kind: 'replaced', before: survey, now: survey, handover: true },
    'info msg="app is served by another process: process 17 (node) listens on 0.0.0.0:8000" before="process 17 (node)"',
  ],
  [
    { kind: 'replaced', before: survey, now: survey, handover: false },
    'warn msg="app was restarted: process 17 (node) listens on 0.0.0.0:8000" before="process 17 (node)"',
  ],
  [{ kind: 'listening' }, ''],
  [{ kind: 'waiting', clients: 1 }, ''],

  [
    { kind: 'restored', keys: [key], endpoint },
    `warn msg="restored ${key}: another client had deleted or overwritten it" endpoint=${endpoint}`,
  ],
  [{ kind: 'updated', keys: [key, '/b'], endpoint }, `info msg="updated ${key} /b" endpoint=${endpoint}`],
  [
    { kind: 'moved', keys: ['/b'], removed: [key], endpoint },
    `info msg="moved to /b" from=${key} endpoint=${endpoint}`,
  ],
  [
    { kind: 'withdrawn', lease, endpoint, reason: 'HTTP 503' },
    `info msg="withdrawn: HTTP 503" endpoint=${endpoint} lease=00000000000000ff`,
  ],
  [
    { kind: 'contested', keys: [key], endpoint },
    `warn msg="${key} is held by another lease too: do two services claim one address?" endpoint=${endpoint}`,
  ],
  [
    { kind: 'failing', endpoint, cause: 'ECONNREFUSED', tries: 4, forMs: 61_234 },
    `warn msg="etcd still fails: ECONNREFUSED" endpoint=${endpoint} tries=4 for=61.2s`,
  ],
];

describe('the log of a service', () => {
  for (const [event, expected] of rows) {
    it(`${event.kind}: ${expected || 'no line'}`, () => {
      const lines: string[] = [];
      const log = createLog('logfmt', new FakeClock(), line => lines.push(line));
      logEvent(log, event, { rise: 1, fall: 1, ttlSeconds: 20 });
      assert.equal(lines.map(line => line.replace(/^time=\S+ level=/, '').trim()).join('\n'), expected);
    });
  }
});
