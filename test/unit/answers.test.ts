/** What is read from etcd's answers, and what is said about one that does not fit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  MisfitError,
  readGrant,
  readKeepAlive,
  readKeys,
  readPage,
  readStatus,
  readTimeToLive,
  readToken,
  readTransaction,
} from '../../src/etcd/answers.ts';

const header = { cluster_id: '1', revision: '8' };
const pair = (key: string, more: object = {}): object => ({
  key: Buffer.from(key),
  value: Buffer.from('running'),
  lease: '5',
  mod_revision: '7',
  create_revision: '3',
  ...more,
});
const range = (...kvs: object[]): object => ({ response: 'response_range', response_range: { kvs } });
const page = (answer: unknown): unknown => readPage(answer, Buffer.from('/a/'), Buffer.from('/a0'), 2);

describe('an answer that fits', () => {
  it('is read', () => {
    readGrant({ header, ID: '5', TTL: '20', error: '' }, '5', 20);
    // The least that etcd grants depends on its election timeout.
    readGrant({ header, ID: '5', TTL: '25', error: '' }, '5', 20);
    assert.equal(readKeepAlive({ ID: '5', TTL: '20' }, '5'), true);
    assert.equal(readKeepAlive({ ID: '5', TTL: '9000000000' }, '5'), true);
    for (const TTL of ['0', '-1']) assert.equal(readKeepAlive({ ID: '5', TTL }, '5'), false);
    const observed = new Map([['/a/1', { value: 'running', lease: '5', modRevision: '7' }]]);
    assert.deepEqual(readKeys([range(pair('/a/1')), range()], ['/a/1', '/a/2']), observed);
    assert.deepEqual(readTransaction({ succeeded: true, header, responses: [{}, {}] }, 2, []), {
      kind: 'written',
      modRevision: '8',
    });
    const refused = { succeeded: false, header, responses: [range(pair('/a/1'))] };
    assert.deepEqual(readTransaction(refused, 2, ['/a/1']), { kind: 'refused', observed });
    assert.deepEqual(readTimeToLive({ ID: '5', TTL: '-1', grantedTTL: '0' }, '5'), null);
    assert.deepEqual(readTimeToLive({ ID: '5', TTL: '3', grantedTTL: '20' }, '5'), {
      leftSeconds: 3,
      grantedSeconds: 20,
    });
    assert.equal(readToken({ token: 'abc.17' }), 'abc.17');
    const status = { header, version: '3.4.23', leader: '0', errors: ['memberID:1 alarm:NOSPACE '] };
    assert.deepEqual(readStatus(status), {
      version: '3.4.23',
      clusterId: '1',
      hasLeader: false,
      alarms: ['NOSPACE'],
    });
    assert.deepEqual(
      readPage({ kvs: [pair('/a/1'), pair('/a/2')], more: true }, Buffer.from('/a/'), Buffer.from('/a0'), 2),
      {
        keys: ['/a/1', '/a/2'].map(key => ({ key, value: 'running', lease: '5', createRevision: '3' })),
        next: Buffer.from('/a/2\0'),
        size: 22,
      },
    );
  });
});

describe('an answer that does not fit is refused, with the field and its value', () => {
  const rows: [read: () => unknown, text: string][] = [
    [() => readGrant({ ID: '6', TTL: '20', error: '' }, '5', 20), 'ID is "6", not 5'],
    [() => readGrant({ ID: '5', TTL: '19', error: '' }, '5', 20), 'TTL is "19", not a number of 20 or more'],
    [() => readGrant({ ID: '5', TTL: '0', error: '' }, '5', 20), 'TTL is "0", not a number of 20 or more'],
    [() => readGrant({ ID: '5', TTL: '20', error: 'no' }, '5', 20), 'error is "no", not empty'],
    [() => readGrant(null, '5', 20), 'the answer is null, not a message'],
    [() => readKeepAlive({ ID: '5', TTL: 'NaN' }, '5'), 'TTL is "NaN", not a whole number'],
    [() => readKeepAlive({ ID: '5' }, '5'), 'TTL is missing, not a whole number'],
    [() => readKeepAlive({ ID: '0', TTL: '20' }, '5'), 'ID is "0", not 5'],
    [() => readKeys([], ['/a/1']), 'the number of responses is 0, not 1'],
    [() => readKeys([range(), range()], ['/a/1']), 'the number of responses is 2, not 1'],
    [() => readKeys(null, []), 'responses is null, not a list'],
    [() => readKeys([{ response_put: {} }], ['/a/1']), 'response_range is missing, not a message'],
    [() => readKeys([range(pair('/a/2'))], ['/a/1']), 'key is "/a/2", not "/a/1"'],
    [() => readKeys([range(pair('/a/1'), pair('/a/1'))], ['/a/1']), 'kvs is 2, not at most one key'],
    [
      () => readKeys([range(pair('/a/1', { mod_revision: '0' }))], ['/a/1']),
      'mod_revision is "0", not a number of 1 or more',
    ],
    [() => readKeys([range(pair('/a/1', { value: null }))], ['/a/1']), 'value is null, not bytes'],
    [
      () => readTransaction({ succeeded: true, header: null, responses: [] }, 0, []),
      'header is null, not a message',
    ],
    [
      () => readTransaction({ succeeded: true, header: { revision: '0' }, responses: [] }, 0, []),
      'header.revision is "0", not a number of 1 or more',
    ],
    [
      () => readTransaction({ succeeded: true, header, responses: [] }, 1, []),
      'the number of responses is 0, not 1',
    ],
    [
      () => readStatus({ header: null, version: '', leader: '0', errors: [] }),
      'header is null, not a message',
    ],
    [() => readToken({ token: '' }), 'token is "", not a token'],
    // A token is a secret.
    [() => readToken({ token: 'abc\n' }), 'token is "4 characters", not at most 8192 printable ones'],
    [
      () => readToken({ token: 'x'.repeat(8193) }),
      'token is "8193 characters", not at most 8192 printable ones',
    ],
    [() => page({ kvs: [], more: true }), 'more is true, not false after 0 of 2 keys'],
    [() => page({ kvs: [pair('/a/1')], more: true }), 'more is true, not false after 1 of 2 keys'],
    [
      () => page({ kvs: [pair('/a/1'), pair('/a/1')], more: true }),
      'key is "/a/1", not the next one of the range',
    ],
    [() => page({ kvs: [pair('/b')], more: false }), 'key is "/b", not the next one of the range'],
    [() => page({ kvs: [pair('/a')], more: false }), 'key is "/a", not the next one of the range'],
    [
      () => page({ kvs: ['1', '2', '3'].map(each => pair(`/a/${each}`)), more: false }),
      'the number of keys is 3, not at most 2',
    ],
    [
      () => readTimeToLive({ ID: '5', TTL: '3', grantedTTL: '-1' }, '5'),
      'grantedTTL is "-1", not a number of 0 or more',
    ],
    [
      () => readGrant({ ID: 'x'.repeat(1000), TTL: '20', error: '' }, '5', 20),
      `ID is "${'x'.repeat(59)}, not 5`,
    ],
  ];
  for (const [read, text] of rows) {
    it(text, () => {
      assert.throws(read, (error: unknown) => {
        assert.ok(error instanceof MisfitError);
        assert.equal(error.message, `the answer does not fit: ${text}`);
        return true;
      });
    });
  }
});
