/** IP addresses: the one form of each, and which of them may be registered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isIP } from 'node:net';
import {
  canonicalIp,
  formatAddress,
  isIp,
  reservedRange,
  type ReservedRange,
} from '../../src/core/address/ip.ts';
import { Random, seedOfRun } from '../support/random.ts';

describe('an address', () => {
  it('is written with brackets when it is IPv6', () => {
    assert.equal(formatAddress({ ip: '10.1.0.101', port: 49155 }), '10.1.0.101:49155');
    assert.equal(formatAddress({ ip: '2001:db8::1', port: 49155 }), '[2001:db8::1]:49155');
  });

  const canonical: [ip: string, short: string][] = [
    ['10.1.0.101', '10.1.0.101'],
    ['2001:0DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::ffff:10.1.0.101', '10.1.0.101'],
    ['::ffff:0a01:0065', '10.1.0.101'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['fe80::1%eth0', 'fe80::1'],
  ];
  for (const [ip, short] of canonical) {
    it(`${ip} is ${short}`, () => assert.equal(canonicalIp(ip), short));
  }

  const ranges: [ip: string, range: ReservedRange | null][] = [
    ['10.1.0.101', null],
    ['169.253.1.1', null],
    ['223.255.255.255', null],
    ['2001:db8::1', null],
    ['fd00::1', null],
    ['', 'unspecified'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['::', 'unspecified'],
    ['127.0.0.1', 'loopback'],
    ['127.9.9.9', 'loopback'],
    ['::1', 'loopback'],
    ['169.254.1.1', 'link-local'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['224.0.0.1', 'multicast'],
    ['239.1.1.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
  ];
  for (const [ip, range] of ranges) {
    it(`${ip || 'the empty string'}: ${range ?? 'may be registered'}`, () =>
      assert.equal(reservedRange(ip), range));
  }

  it('is recognized as by Node, whatever the text', () => {
    const seed = seedOfRun();
    const random = new Random(seed);
    const pieces = [
      '0',
      '1',
      '10',
      '01',
      '255',
      '256',
      '.',
      '.',
      '.',
      ':',
      ':',
      '::',
      'a',
      'ffff',
      'g',
      ' ',
      '\n',
      '/',
      '10.1.0.101',
      '::1',
      '2001:db8::',
    ];
    let addresses = 0;
    for (let count = 0; count < 20_000; count++) {
      const text = random.list(1 + random.below(8), () => random.pick(pieces)).join('');
      assert.equal(isIp(text), isIP(text) !== 0, `${JSON.stringify(text)}, DOCKREG_SEED=${seed}`);
      if (isIp(text)) addresses++;
    }
    assert.ok(addresses > 100, `${addresses} addresses`);
    for (const text of ['fe80::1%eth0', '::ffff:10.1.0.101']) assert.ok(isIp(text), text);
  });
});
