/** How names are looked up without DNS. What DNS answers is in test/integration/stop.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressesIn, resolveName } from '../../src/network/resolve.ts';

const hosts = `
127.0.0.1\tlocalhost loopback # the usual one
::1 localhost
10.1.0.101   Host-1.example.org host-1
# 10.1.0.102 host-2
10.1.0.103 host-3#host-4
nonsense host-5
10.1.0.106
`;

describe('a file of hosts', () => {
  const rows: [name: string, addresses: readonly string[]][] = [
    ['localhost', ['127.0.0.1', '::1']],
    ['loopback', ['127.0.0.1']],
    ['host-1', ['10.1.0.101']],
    ['HOST-1.example.ORG', ['10.1.0.101']],
    ['host', []],
    ['host-2', []],
    ['host-3', ['10.1.0.103']],
    ['host-4', []],
    ['host-5', []],
    ['10.1.0.106', []],
    ['the', []],
  ];
  for (const [name, addresses] of rows)
    it(`has ${addresses.join(' and ') || 'nothing'} for ${name}`, () => {
      assert.deepEqual(
        addressesIn(hosts, name).map(({ address }) => address),
        addresses,
      );
    });
});

describe('an address', () => {
  it('needs no look-up', async () => {
    assert.deepEqual(await resolveName('10.1.0.101', 0), [{ address: '10.1.0.101', family: 4 }]);
    assert.deepEqual(await resolveName('::1', 0), [{ address: '::1', family: 6 }]);
  });
});
