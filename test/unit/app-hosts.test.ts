/** Where an app is asked, and whether others reach it, by the sockets that listen on its port. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostsOf, loopbackOnly, reachNews } from '../../src/core/watch/hosts.ts';
import type { ListeningSocket } from '../../src/core/watch/proc-net.ts';
import { loopbackRole } from '../../src/core/settings/service.ts';
import { enough, serviceOf } from '../support/config.ts';

const at = (...ips: string[]): ListeningSocket[] =>
  ips.map(ip => ({ ip, port: 8000, uid: 0, inode: ip, waiting: 0 }));

describe('an app that listens on', () => {
  const rows: [ips: string[], hosts: string[], isUnreachable?: true][] = [
    [[], ['127.0.0.1', '::1']],
    [['0.0.0.0'], ['127.0.0.1']],
    [['::'], ['127.0.0.1', '::1']],
    [['::ffff:0.0.0.0'], ['127.0.0.1']],
    [['127.0.0.1'], ['127.0.0.1'], true],
    [['::ffff:127.0.0.1'], ['127.0.0.1'], true],
    [['127.0.0.2'], ['127.0.0.2'], true],
    [['::1'], ['::1'], true],
    [['::1', '127.0.0.1'], ['127.0.0.1', '::1'], true],
    [['172.17.0.2'], ['172.17.0.2']],
    [['::ffff:172.17.0.2'], ['172.17.0.2']],
    [['fd00::2'], ['fd00::2']],
    [
      ['fe80::1', 'fd00::2'],
      ['fd00::2', 'fe80::1'],
    ],
    [
      ['172.17.0.2', '127.0.0.1'],
      ['127.0.0.1', '172.17.0.2'],
    ],
    [
      ['172.17.0.2', '::'],
      ['127.0.0.1', '::1', '172.17.0.2'],
    ],
    [
      ['0.0.0.0', '::'],
      ['127.0.0.1', '::1'],
    ],
  ];
  for (const [ips, hosts, isUnreachable = false] of rows) {
    const reach = isUnreachable ? 'is reached by nobody else' : 'may be reached';
    it(`${ips.join(', ') || 'nothing'} is asked at ${hosts.join(', ')} and ${reach}`, () => {
      assert.deepEqual(hostsOf(at(...ips)), hosts);
      assert.equal(loopbackOnly(at(...ips))?.ip, isUnreachable ? ips[0] : undefined);
    });
  }

  it('sockets that the kernel does not show is asked as usual, and nothing is known of others', () => {
    assert.deepEqual(hostsOf(null), ['127.0.0.1', '::1']);
    assert.equal(loopbackOnly(null), null);
    for (const before of [true, false])
      for (const sockets of [null, []]) assert.equal(reachNews(before, sockets), null);
  });

  it('another address than before is reported once', () => {
    assert.equal(reachNews(false, at('127.0.0.1'))?.kind, 'loopback');
    assert.equal(reachNews(true, at('127.0.0.1')), null);
    assert.deepEqual(reachNews(true, at('127.0.0.1', '172.17.0.2')), {
      kind: 'reachable',
      socket: at('172.17.0.2')[0],
    });
    assert.equal(reachNews(false, at('0.0.0.0')), null);
  });
});

describe('an app on loopback', () => {
  const rows: [argv: string[], role: ReturnType<typeof loopbackRole>][] = [
    [[], 'withhold'],
    [['--advertise', 'published', '--ip', '10.1.0.101'], 'withhold'],
    [['--advertise', 'host'], 'withhold'],
    [['--advertise', 'container'], 'withhold'],
    [['--advertise', 'swarm'], 'withhold'],
    [['--advertise', '10.1.0.101:49155'], 'warn'],
    [['--advertise', '10.1.0.101:49155', '--allow-unreachable'], 'allow'],
    [['--allow-unreachable'], 'allow'],
    [['--allow-unreachable', 'off'], 'withhold'],
    [['--allow-loopback'], 'allow'],
    [['--allow-loopback', '--allow-unreachable', 'off'], 'allow'],
    [['--allow-loopback', 'off'], 'withhold'],
  ];
  for (const [argv, role] of rows)
    it(`with ${argv.join(' ') || 'no option'}: ${role}`, async () =>
      assert.equal(loopbackRole(await serviceOf([...enough, ...argv])), role));
});
