/** From what Docker says of a container to the address, or to the reason why there is none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatAddress, publishedAddress, type Binding, type ContainerView } from '../../src/core/address.ts';

function container(ports: Record<string, Binding[]>, networkMode = 'default'): ContainerView {
  return {
    id: 'ab'.repeat(32),
    name: 'web',
    running: true,
    networkMode,
    ports: new Map(Object.entries(ports)),
  };
}

const on = (hostIp: string, hostPort: number): Binding => ({ hostIp, hostPort });
const both = [on('0.0.0.0', 32776), on('::', 32775)];

describe('published address', () => {
  const found: [name: string, bindings: Binding[], ip: string | undefined, address: string][] = [
    ['wildcard with --ip', [on('0.0.0.0', 32769)], '10.1.0.101', '10.1.0.101:32769'],
    ['IPv4 and IPv6 with different ports, IPv4 --ip', both, '10.1.0.101', '10.1.0.101:32776'],
    ['the same, IPv6 --ip', both, '2001:db8::1', '[2001:db8::1]:32775'],
    ['the same in the other order', both.toReversed(), '10.1.0.101', '10.1.0.101:32776'],
    ['a specific HostIp needs no --ip', [on('10.1.0.7', 49155)], undefined, '10.1.0.7:49155'],
    ['specific before wildcard', [on('0.0.0.0', 1), on('10.1.0.7', 2)], undefined, '10.1.0.7:2'],
    [
      'specific IPv4 before specific IPv6',
      [on('2001:db8::7', 1), on('10.1.0.7', 2)],
      undefined,
      '10.1.0.7:2',
    ],
    [
      'the binding of --ip before all',
      [on('10.1.0.7', 1), on('0.0.0.0', 2), on('10.1.0.8', 3)],
      '10.1.0.8',
      '10.1.0.8:3',
    ],
    ['a specific IPv6 HostIp', [on('2001:db8::7', 5)], undefined, '[2001:db8::7]:5'],
    ["podman's empty HostIp", [on('', 45607)], '10.1.0.101', '10.1.0.101:45607'],
  ];
  for (const [name, bindings, ip, expected] of found) {
    it(name, () => {
      const answer = publishedAddress(container({ '8000/tcp': bindings }), {
        localPort: 8000,
        protocol: 'tcp',
        ip,
      });
      assert.equal(answer.kind === 'address' && formatAddress(answer.address), expected);
    });
  }

  it('takes the local port on the host network', () => {
    const answer = publishedAddress(container({}, 'host'), {
      localPort: 8000,
      protocol: 'tcp',
      ip: '10.1.0.101',
    });
    assert.deepEqual(answer, { kind: 'address', address: { ip: '10.1.0.101', port: 8000 } });
  });

  const refused: [name: string, view: ContainerView, ip: string | undefined, text: RegExp][] = [
    [
      'a wildcard without --ip',
      container({ '8000/tcp': both }),
      undefined,
      /every address.*0\.0\.0\.0:32776.*--ip/,
    ],
    [
      'an empty HostIp without --ip',
      container({ '8000/tcp': [on('', 1)] }),
      undefined,
      /every address.*--ip/,
    ],
    [
      'exposed but not published',
      container({ '8000/tcp': [] }),
      '10.1.0.1',
      /exposed but not published.*-p 8000/,
    ],
    [
      'another port published',
      container({ '9000/tcp': both }),
      '10.1.0.1',
      /not published, only 9000\/tcp.*--port/,
    ],
    ['the same number, other protocol', container({ '8000/udp': both }), '10.1.0.1', /only 8000\/udp/],
    ['nothing published', container({}), '10.1.0.1', /publishes no port.*-p 8000.*--advertise/],
    ['no network', container({}, 'none'), '10.1.0.1', /no network/],
    ['host network without --ip', container({}, 'host'), undefined, /host's network.*--ip/],
    [
      'IPv6 --ip, published on IPv4 only',
      container({ '8000/tcp': [on('0.0.0.0', 1)] }),
      '2001:db8::1',
      /other family/,
    ],
    [
      'IPv4 --ip, published on IPv6 only',
      container({ '8000/tcp': [on('::', 1)] }),
      '10.1.0.1',
      /other family/,
    ],
  ];
  for (const [name, view, ip, text] of refused) {
    it(`has none: ${name}`, () => {
      const answer = publishedAddress(view, { localPort: 8000, protocol: 'tcp', ip });
      assert.match(answer.kind === 'problem' ? answer.problem : `address ${JSON.stringify(answer)}`, text);
    });
  }
});
