/** What clients of the HTTP endpoint and the control socket may send, and what the commands accept as an answer. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAllowance } from '../../src/admin/allowance.ts';
import { controlProtocol } from '../../src/admin/control-protocol.ts';
import { mostHead, readHead, writeResponse } from '../../src/admin/http-request.ts';
import { systemClock } from '../../src/clock.ts';
import { readProcessStatus } from '../../src/core/registration/read-status.ts';
import { createLog } from '../../src/log.ts';

describe('an allowance', () => {
  it('gives so many at once, then so many a second, and saves up no more than that', () => {
    const take = createAllowance({ perSecond: 100, atOnce: 3 });
    assert.deepEqual(
      [0, 0, 0, 0, 0, 5].map(now => take(now)),
      [0, 0, 0, 10, 20, 25],
    );
    assert.deepEqual(
      [10_000, 10_000, 10_000, 10_000].map(now => take(now)),
      [0, 0, 0, 10],
    );
  });
});

const request = (method: string, path: string) => ({ kind: 'request', method, path });

describe('the head of a request', () => {
  const host = '\r\nHost: x\r\n\r\n';
  const cases: [text: string, expected: object | number | 'incomplete'][] = [
    [`GET /metrics HTTP/1.1${host}`, request('GET', '/metrics')],
    [`GET /metrics?a=b?c HTTP/1.1${host}`, request('GET', '/metrics')],
    [`\r\nHEAD / HTTP/1.1${host}`, request('HEAD', '/')],
    ['GET / HTTP/1.0\r\n\r\n', request('GET', '/')],
    ['GET /a HTTP/1.1\nhost:x\n\n', request('GET', '/a')],
    [`GET http://10.0.0.1:9142/status HTTP/1.1${host}`, request('GET', '/status')],
    [`OPTIONS * HTTP/1.1${host}`, request('OPTIONS', '*')],
    [`CONNECT x:443 HTTP/1.1${host}`, request('CONNECT', 'x:443')],
    [`GET /metrics HTTP/1.1${host}GET /status HTTP/1.1${host}`, request('GET', '/metrics')],
    ['', 'incomplete'],
    ['\r\n', 'incomplete'],
    ['GET /metrics HTTP/1.1\r\nHost: x\r\n', 'incomplete'],
    ['GET /metrics HTTP/1.1\r\n\r\n', 400],
    [`GET /a b HTTP/1.1${host}`, 400],
    [`GET  HTTP/1.1${host}`, 400],
    [`GET /\xff HTTP/1.1${host}`, 400],
    [`GET /metrics${host}`, 400],
    ['\x16\x03\x01\x02\x00', 400],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    [`GET /${'x'.repeat(mostHead)}`, 431],
  ];
  for (const [text, expected] of cases)
    it(`${JSON.stringify(text.slice(0, 60))} is ${JSON.stringify(expected)}`, () => {
      const read = readHead(text, false);
      if (typeof expected === 'object') assert.deepEqual(read, expected);
      else if (expected === 'incomplete') assert.equal(read.kind, expected);
      else assert.equal(read.kind === 'invalid' && read.status, expected);
    });

  it('that ends too early is not complete', () => {
    assert.equal(readHead('GET / HT', true).kind, 'invalid');
  });
});

it('a response to HEAD has the length of the body and no body', () => {
  const { whole, head } = writeResponse({ status: 200, type: 'text/plain', body: 'ä\n' }, 0);
  assert.match(head.toString(), /^HTTP\/1\.1 200 OK\r\n.*content-length: 3\r\n.*connection: close\r\n\r\n$/s);
  assert.equal(whole.toString(), `${head.toString()}ä\n`);
});

describe('the control socket of a dockreg without services', () => {
  const log = createLog('logfmt', systemClock, () => undefined);
  const api = { version: '1', startedAt: 0, services: [], clock: systemClock, random: Math.random, log };
  const { answer } = controlProtocol(api);
  const rows: [request: string, expected: object][] = [
    ['status', { version: '1', startedAt: '1970-01-01T00:00:00.000Z', services: [] }],
    ['drain', { version: '1', startedAt: '1970-01-01T00:00:00.000Z', services: [] }],
    ['status web', { error: 'there is no service web' }],
    ['status web api', { error: 'the request must be drain, resume or status, and optionally a service' }],
    ['', { error: 'the request must be drain, resume or status, and optionally a service' }],
  ];
  for (const [line, expected] of rows)
    it(`answers "${line}"`, () => {
      const answered = answer(`${line}\n`, false);
      assert.ok(typeof answered === 'string');
      assert.deepEqual(JSON.parse(answered), expected);
      assert.equal(answer(line, false), null);
    });
});

describe('the status that a command reads', () => {
  const service = {
    name: 'web',
    health: 'up',
    why: null,
    since: '2026-01-01T00:00:00.000Z',
    drained: false,
    address: '10.1.0.101:49155',
    addressCause: null,
    registration: 'registered',
    registeredSince: '2026-01-01T00:00:01.000Z',
    records: [{ key: 'k', value: 'v' }],
    addressWarning: null,
    lease: { id: 'ff', remainingSeconds: 18.5 },
    etcdError: null,
    etcdErrors: 0,
    isLate: false,
    uncheckedSince: null,
    etcdAnsweredAt: '2026-01-01T00:00:02.000Z',
    lastCheck: { at: '2026-01-01T00:00:02.000Z', seconds: 0.01, verdict: 'pass', detail: 'HTTP 200' },
  };
  const status = { version: '1', startedAt: '2026-01-01T00:00:00.000Z', services: [service] };

  it('is read, without what it does not know', () => {
    assert.deepEqual(readProcessStatus(status), status);
    const more = { ...status, other: 1, services: [{ ...service, other: [] }] };
    assert.deepEqual(readProcessStatus(more), status);
  });

  it('is refused when a field is missing or has another type', () => {
    const wrong: readonly unknown[] = [undefined, 1, {}, [], 'purple', true];
    for (const field of Object.keys(service))
      for (const value of wrong) {
        // These fields may hold such a value.
        if (typeof value === 'boolean' && ['drained', 'isLate'].includes(field)) continue;
        const texts = ['name', 'why', 'address', 'addressCause', 'addressWarning', 'etcdError'];
        if (value === 'purple' && texts.includes(field)) continue;
        if (value === 1 && field === 'etcdErrors') continue;
        if (Array.isArray(value) && field === 'records') continue;
        const changed = { ...status, services: [{ ...service, [field]: value }] };
        assert.equal(readProcessStatus(changed), null, `${field}: ${JSON.stringify(value)}`);
      }
    for (const value of [null, 1, 'text', [], {}, { ...status, services: {} }, { ...status, startedAt: 'x' }])
      assert.equal(readProcessStatus(value), null, JSON.stringify(value));
  });
});
