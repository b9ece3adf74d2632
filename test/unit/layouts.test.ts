/** The exact records of each layout, and what each consumer makes of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Address } from '../../src/core/address/ip.ts';
import { recordsOf } from '../../src/core/layouts/records.ts';
import { isUpdate, planWrite, type Stored } from '../../src/core/lease/writes.ts';
import {
  container,
  ipv4,
  ipv6,
  lease,
  plain,
  publicationOf,
  rich,
  write,
  type Changes,
} from '../support/layouts.ts';

describe('golden records', () => {
  const golden: [layout: string, record: string, changes?: Changes][] = [
    ['service', '/service/10.0.0.5:49155 = running'],
    ['service:prod/web', '/prod/web/[2001:db8::1]:49155 = running', { address: ipv6 }],
    ['named:app/servers', '/app/servers/web-1 = 10.0.0.5:49155'],
    ['named:app/servers', '/app/servers/web-1 = [2001:db8::1]:49155', { address: ipv6 }],
    ['registrator:services', '/services/web/10.0.0.5:web-1:8000 = 10.0.0.5:49155'],
    ['registrator:services', '/services/web/10.0.0.5:web-1:8000:udp = 10.0.0.5:49155', { protocol: 'udp' }],
    [
      'registrator:services',
      '/services/web/host-7:web-1:8000 = 10.0.0.5:49155',
      { spec: { host: 'host-7' } },
    ],
    [
      'skydns:cluster.local',
      '/skydns/local/cluster/web/i-10-0-0-5-49155 = {"host":"10.0.0.5","port":49155,"priority":10,"weight":100,"ttl":5}',
    ],
    [
      'skydns:cluster.local',
      '/skydns/local/cluster/prod/web/i-2001-db8--1-49155 = {"host":"2001:db8::1","port":49155,"priority":10,"weight":100,"ttl":5}',
      { address: ipv6, spec: { name: 'web.prod' } },
    ],
    [
      'skydns:cluster.local',
      '/skydns/local/cluster/web/i-10-0-0-5-49155 = {"host":"10.0.0.5","port":49155,"priority":10,"weight":50,"ttl":5,' +
        '"text":"version=2.1 owner=web-1 tags=blue,edge zone=eu-1"}',
      { spec: rich },
    ],
    ['traefik', 'traefik/http/services/web/loadbalancer/servers/10995116654595/url = http://10.0.0.5:49155'],
    [
      'traefik:edge/v3',
      'edge/v3/http/services/web/loadbalancer/servers/10995116654595/url = h2c://10.0.0.5:49155',
      { spec: { scheme: 'grpc' } },
    ],
    [
      'traefik',
      'traefik/tcp/services/web/loadbalancer/servers/10995116654595/address = 10.0.0.5:49155',
      { spec: { scheme: 'tcp' } },
    ],
    [
      'traefik',
      'traefik/udp/services/web/loadbalancer/servers/10995116654595/address = 10.0.0.5:49155',
      { protocol: 'udp' },
    ],
    ['grpc', 'web/10.0.0.5:49155 = {"Op":0,"Addr":"10.0.0.5:49155","Metadata":null}'],
    [
      'grpc:prod',
      'prod/web/[2001:db8::1]:49155 = {"Op":0,"Addr":"[2001:db8::1]:49155","Metadata":null}',
      { address: ipv6 },
    ],
    ['go-zero', `web.rpc/${lease} = 10.0.0.5:49155`],
    ['go-zero:user.api', `user.api/${lease} = 10.0.0.5:49155`],
    [
      'kratos',
      '/microservices/web/10.0.0.5:49155 = {"id":"10.0.0.5:49155","name":"web","version":"","metadata":{},' +
        '"endpoints":["http://10.0.0.5:49155?isSecure=false"]}',
    ],
    [
      'kratos:prod',
      '/prod/web/10.0.0.5:49155 = {"id":"10.0.0.5:49155","name":"web","version":"2.1",' +
        '"metadata":{"owner":"web-1","tags":"blue,edge","weight":"50","zone":"eu-1"},' +
        '"endpoints":["grpcs://10.0.0.5:49155?isSecure=true"]}',
      { spec: { ...rich, scheme: 'grpcs' } },
    ],
    [
      '/x/{service}/{host}:{container}:{localPort}:{proto}={address}',
      '/x/web/10.0.0.5:web-1:8000:tcp = 10.0.0.5:49155',
    ],
    [
      '/x/{id}/{label:com.example.role}={"ip":"{ip}","port":{port},"w":{weight},"z":"{zone}","t":"{tags}","v":"{meta:version}"}',
      '/x/c0ffee00c0ff/edge = {"ip":"10.0.0.5","port":49155,"w":50,"z":"eu-1","t":"blue,edge","v":"2.1"}',
      { spec: rich },
    ],
  ];
  for (const [layout, record, changes] of golden) {
    it(`${layout} → ${record}`, () => assert.deepEqual(write([layout], changes), [record]));
  }

  it('all layouts at once', () => {
    const all = ['service', 'named:app/servers', 'registrator:services', 'skydns:cluster.local', 'traefik'];
    assert.equal(write([...all, 'grpc', 'go-zero', 'kratos', '/x/{id}=1']).length, 9);
  });
});

function jsonOf(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line?.replace(/^.*? = /, '') ?? '') as Record<string, unknown>;
}

function stored(value: string, holder: string): Stored {
  return { value, lease: holder, modRevision: '9' };
}

/**
 * The records that CoreDNS's etcd plugin finds for a name, each with its name in SRV: everything below the path of the
 * name, or else the record at the path. One value that is not JSON fails the whole lookup.
 */
function lookUp(lines: readonly string[], name: string): ({ target: string } & Record<string, unknown>)[] {
  const path = `/skydns/${name.split('.').toReversed().join('/')}`;
  const below = lines.filter(line => line.startsWith(`${path}/`));
  const records = below.length > 0 ? below : lines.filter(line => line.startsWith(`${path} = `));
  return records.map(line => {
    const labels = line
      .replace(/ = .*$/, '')
      .split('/')
      .slice(2);
    return Object.assign(jsonOf(line), { target: labels.toReversed().join('.') });
  });
}

/**
 * What Traefik's decoder of key-value stores makes of keys: the values of each slice or field. A number in a path is an
 * index, names that differ in case only are one name, and a key that is not a field fails all.
 */
function decodeTraefik(lines: readonly string[], root: string): Record<string, string[]> {
  const decoded: Record<string, string[]> = {};
  const sections = ['http', 'tcp', 'udp', 'tls'].map(section => `${root}/${section}`);
  for (const line of lines) {
    const [key = '', value = ''] = line.toLowerCase().split(' = ');
    // The decoder skips all other keys.
    if (!sections.some(section => key.startsWith(section))) continue;
    const path = key.slice(root.length + 1);
    const [, field] =
      /^(http\/services\/(?!\d+\/)[^/]+\/loadbalancer\/servers)\/\d+\/url$/.exec(path) ??
      /^((?:tcp|udp)\/services\/(?!\d+\/)[^/]+\/loadbalancer\/servers)\/\d+\/address$/.exec(path) ??
      /^((?:http|tcp)\/routers\/(?!\d+\/)[^/]+\/(?:rule|service))$/.exec(path) ??
      [];
    if (field === undefined) throw new Error(`field not found: ${path}`);
    (decoded[field] ??= []).push(value);
  }
  return decoded;
}

describe('what consumers read', () => {
  it('gRPC: the keys under target and slash are JSON with Addr, and Metadata is no object', () => {
    // A reader after etcd's page on gRPC naming: every key with the prefix, bad JSON is skipped.
    const [simple = '', full = ''] = [write(['grpc']), write(['grpc'], { spec: rich })].map(([line]) => line);
    for (const line of [simple, full]) {
      assert.ok(line.startsWith('web/'));
      assert.deepEqual([jsonOf(line)['Op'], jsonOf(line)['Addr']], [0, '10.0.0.5:49155']);
    }
    assert.equal(jsonOf(simple)['Metadata'], null);
    const { Metadata } = jsonOf(full);
    assert.equal(typeof Metadata, 'string');
    assert.deepEqual(JSON.parse(Metadata as string), {
      version: '2.1',
      owner: 'web-1',
      tags: 'blue,edge',
      weight: '50',
      zone: 'eu-1',
    });
  });

  it('CoreDNS: a name leads to its instances, and the SRV name of each to that one only', () => {
    const instances: [name: string, address: Address][] = [
      ['web', ipv4],
      ['web', ipv6],
      ['web', { ip: 'fd00::1:2:3', port: 1 }],
      ['web2', ipv4],
      ['api.shop', ipv4],
      ['shop', ipv6],
    ];
    const lines = instances.flatMap(([name, address]) =>
      write(['skydns:cluster.local'], { address, spec: { name } }),
    );
    const hosts = (name: string): unknown[] => lookUp(lines, name).map(({ host }) => host);
    assert.deepEqual(hosts('web.cluster.local'), ['10.0.0.5', '2001:db8::1', 'fd00::1:2:3']);
    assert.deepEqual(hosts('web2.cluster.local'), ['10.0.0.5']);
    assert.deepEqual(hosts('api.shop.cluster.local'), ['10.0.0.5']);
    assert.deepEqual(
      hosts('shop.cluster.local'),
      ['10.0.0.5', '2001:db8::1'],
      'with those of its subdomains',
    );
    assert.deepEqual(hosts('we.cluster.local'), []);
    assert.equal(lookUp(lines, 'cluster.local').length, 6);
    for (const answer of lookUp(lines, 'cluster.local')) {
      assert.deepEqual(lookUp(lines, answer.target), [answer]);
      for (const label of answer.target.split('.'))
        assert.match(label, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
      assert.ok((answer['ttl'] as number) < 30);
    }
    assert.throws(() => lookUp([...lines, '/skydns/local/cluster/web/x = running'], 'web.cluster.local'));
  });

  it('HAProxy: the last part of the key has only what a server name may have', () => {
    // The rule of invalid_char() in HAProxy's tools.c; the names are those that Docker allows.
    for (const name of ['web', 'web_1', 'stack_web.2.x7k', 'A-b.c'])
      assert.match(write(['named:a'], { container: { name } })[0] ?? '', /^\/a\/[A-Za-z0-9_:.-]+ = /);
  });

  it('Traefik: no slash before the root, and a number for each server that no other has', () => {
    const numbers = [
      ...['10.0.0.5', '10.0.0.6', '255.255.255.255', '2001:db8::1', '::1', '1::', '2001:db8:0:0:1::'].flatMap(
        ip => [1, 49155, 65_535].map(port => ({ ip, port })),
      ),
    ].map(address => /^traefik\/.*\/servers\/(\d+)\/url/.exec(write(['traefik'], { address })[0] ?? '')?.[1]);
    assert.ok(numbers.every(number => number !== undefined));
    assert.equal(new Set(numbers).size, 21);
  });

  it('Traefik: the tree has each server under its service, beside the routers of the user', () => {
    const lines = [
      write(['traefik', 'traefik/http/routers/{container}/rule=Host(`{service}.example`)']),
      write(['traefik'], { address: ipv6 }),
      write(['traefik'], { spec: { name: 'shop.eu', scheme: 'https' } }),
      write(['traefik'], { spec: { scheme: 'tcp' } }),
      write(['traefik'], { protocol: 'udp' }),
    ].flat();
    assert.deepEqual(decodeTraefik(lines, 'traefik'), {
      'http/services/web/loadbalancer/servers': ['http://10.0.0.5:49155', 'http://[2001:db8::1]:49155'],
      'http/services/shop.eu/loadbalancer/servers': ['https://10.0.0.5:49155'],
      'http/routers/web-1/rule': ['host(`web.example`)'],
      'tcp/services/web/loadbalancer/servers': ['10.0.0.5:49155'],
      'udp/services/web/loadbalancer/servers': ['10.0.0.5:49155'],
    });
    for (const stranger of ['traefik/http/services/42/loadbalancer/servers/1/url = x', 'traefik/httpd = x'])
      assert.throws(() => decodeTraefik([...lines, stranger], 'traefik'), /field not found/);
    assert.deepEqual(decodeTraefik([`/${lines[0]}`], 'traefik'), {}, 'a slash before the root');
  });

  it('kratos: the name and the id of the value are those of the key', () => {
    const [line = ''] = write(['kratos'], { spec: { name: 'shop' } });
    assert.equal(
      line.replace(/ = .*$/, ''),
      `/microservices/${String(jsonOf(line)['name'])}/${String(jsonOf(line)['id'])}`,
    );
  });

  it('go-zero: the key follows the lease, and the key of an old lease is not ours any more', () => {
    const answer = recordsOf({
      publication: publicationOf('go-zero'),
      spec: plain,
      address: ipv4,
      localPort: 8000,
      protocol: 'tcp',
      container,
    });
    assert.ok(answer.ok);
    const stale = new Map([['web.rpc/1', { value: '10.0.0.5:49155', lease: '1', modRevision: '3' }]]);
    assert.deepEqual(planWrite(answer.value, stale, '2', 'claiming'), {
      expect: [{ key: 'web.rpc/2', modRevision: '0' }],
      puts: [{ key: 'web.rpc/2', value: '10.0.0.5:49155' }],
      removes: [],
    });
  });

  it('a watcher: only the changed value is written, as an update and not as a key taken back', () => {
    const wanted = [
      { key: 'a', value: '1' },
      { key: 'b', value: '2' },
    ];
    const written = (observed: Map<string, Stored>): [string[], boolean] | null => {
      const plan = planWrite(wanted, observed, '7', 'holding');
      return plan && [plan.puts.map(({ key }) => key), isUpdate(plan, observed, '7')];
    };
    const ours = ['a', stored('1', '7')] as const;
    assert.deepEqual(written(new Map([ours, ['b', stored('old', '7')]])), [['b'], true]);
    assert.deepEqual(written(new Map([ours, ['b', stored('old', '8')]])), [['b'], false]);
    assert.deepEqual(written(new Map([ours])), [['b'], false]);
    assert.equal(written(new Map([ours, ['b', stored('2', '7')]])), null);
  });
});
