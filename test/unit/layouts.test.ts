/** The records of each layout, and what each consumer makes of them or stumbles over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatTable } from '../../src/commands/ls/table.ts';
import { parseLayouts, parseOwnRecords } from '../../src/config/parse/layouts.ts';
import { parseMeta, parseTags } from '../../src/config/parse/metadata.ts';
import type { Address } from '../../src/core/address/ip.ts';
import { instanceOf, type ContainerFacts, type ServiceSpec } from '../../src/core/layouts/instance.ts';
import { recordsOf, type Publication } from '../../src/core/layouts/layouts.ts';
import { prefixOf, readInstance } from '../../src/core/layouts/listing.ts';
import { isUpdate, planWrite, recordsUnder, type Stored } from '../../src/core/lease/writes.ts';

const four: Address = { ip: '10.0.0.5', port: 49155 };
const six: Address = { ip: '2001:db8::1', port: 49155 };
const lease = '7587862094604521984';

const container: ContainerFacts = {
  id: 'c0ffee00'.repeat(8),
  name: 'web-1',
  image: 'registry.example:5000/team/web:1.2',
  labels: new Map([['com.example.role', 'edge']]),
  publishedPorts: 1,
};

const plain: ServiceSpec = {
  name: undefined,
  host: undefined,
  scheme: 'http',
  tags: undefined,
  weight: undefined,
  zone: undefined,
  meta: new Map(),
  variables: new Map(),
};

const rich: Partial<ServiceSpec> = {
  tags: parseTags('blue,{label:com.example.role}'),
  weight: 50,
  zone: ['eu-1'],
  meta: parseMeta('version=2.1,owner={container}'),
};

interface RawOption {
  readonly spec?: Partial<ServiceSpec>;
  readonly address?: Address;
  readonly protocol?: 'tcp' | 'udp';
  /** null is none. */
  readonly container?: Partial<ContainerFacts> | null;
}

/** `skydns:cluster.local`, or a record when it has a `=`. */
function publicationOf(...texts: string[]): Publication {
  return {
    layouts: texts
      .filter(text => !text.includes('='))
      .flatMap(parseLayouts)
      .map(({ name, root = 'service' }) => ({ name, root })),
    own: texts.filter(text => text.includes('=')).flatMap(parseOwnRecords),
  };
}

/** `key = value` lines, or the problem. */
function write(texts: string[], given: RawOption = {}): string[] | string {
  const { spec, address = four, protocol = 'tcp', container: changes = {} } = given;
  const facts = changes === null ? undefined : { ...container, ...changes };
  const answer = recordsOf(publicationOf(...texts), () =>
    instanceOf({ ...plain, ...spec }, { address, localPort: 8000, protocol }, facts),
  );
  if (answer.kind === 'problem') return answer.problem;
  return recordsUnder(lease, answer.records).map(({ key, value }) => `${key} = ${value}`);
}

function valueOf(text: string | undefined): Record<string, unknown> {
  return JSON.parse(text?.replace(/^.*? = /, '') ?? '') as Record<string, unknown>;
}

describe('golden records', () => {
  const golden: [layout: string, record: string, given?: RawOption][] = [
    ['service', '/service/10.0.0.5:49155 = running'],
    ['service:prod/web', '/prod/web/[2001:db8::1]:49155 = running', { address: six }],
    ['named:app/servers', '/app/servers/web-1 = 10.0.0.5:49155'],
    ['named:app/servers', '/app/servers/web-1 = [2001:db8::1]:49155', { address: six }],
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
      { address: six, spec: { name: 'web.prod' } },
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
      { address: six },
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
  for (const [layout, record, given] of golden) {
    it(`${layout} → ${record}`, () => assert.deepEqual(write([layout], given), [record]));
  }

  it('all layouts at once', () => {
    const all = ['service', 'named:app/servers', 'registrator:services', 'skydns:cluster.local', 'traefik'];
    assert.equal(write([...all, 'grpc', 'go-zero', 'kratos', '/x/{id}=1']).length, 9);
  });
});

function stored(value: string, holder: string): Stored {
  return { value, lease: holder, modRevision: '9' };
}

/**
 * What CoreDNS's etcd plugin finds for a name, with the name that it gives each in SRV: everything below the path of the
 * name, or else what stands at it. One value that is no JSON fails the whole.
 */
function lookUp(lines: readonly string[], name: string): ({ target: string } & Record<string, unknown>)[] {
  const path = `/skydns/${name.split('.').toReversed().join('/')}`;
  const below = lines.filter(line => line.startsWith(`${path}/`));
  const found = below.length > 0 ? below : lines.filter(line => line.startsWith(`${path} = `));
  return found.map(line => {
    const labels = line
      .replace(/ = .*$/, '')
      .split('/')
      .slice(2);
    return Object.assign(valueOf(line), { target: labels.toReversed().join('.') });
  });
}

/**
 * What Traefik's decoder of key-value stores makes of keys: the values of each slice or field. A part of digits is an
 * index, names that differ in case alone are one, and what is none of its fields fails the whole.
 */
function decodeTraefik(lines: readonly string[], root: string): Record<string, string[]> {
  const decoded: Record<string, string[]> = {};
  const sections = ['http', 'tcp', 'udp', 'tls'].map(section => `${root}/${section}`);
  for (const line of lines) {
    const [key = '', value = ''] = line.toLowerCase().split(' = ');
    // All other keys are passed over.
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
    const [bare = '', full = ''] = [write(['grpc']), write(['grpc'], { spec: rich })].map(([line]) => line);
    for (const line of [bare, full]) {
      assert.ok(line.startsWith('web/'));
      assert.deepEqual([valueOf(line)['Op'], valueOf(line)['Addr']], [0, '10.0.0.5:49155']);
    }
    assert.equal(valueOf(bare)['Metadata'], null);
    const { Metadata } = valueOf(full);
    assert.equal(typeof Metadata, 'string');
    assert.deepEqual(JSON.parse(Metadata as string), {
      version: '2.1',
      owner: 'web-1',
      tags: 'blue,edge',
      weight: '50',
      zone: 'eu-1',
    });
  });

  it('CoreDNS: a name leads to its instances, and the name of each, as SRV has it, to that one alone', () => {
    const instances: [name: string, address: Address][] = [
      ['web', four],
      ['web', six],
      ['web', { ip: 'fd00::1:2:3', port: 1 }],
      ['web2', four],
      ['api.shop', four],
      ['shop', six],
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
      write(['traefik'], { address: six }),
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
      `/microservices/${String(valueOf(line)['name'])}/${String(valueOf(line)['id'])}`,
    );
  });

  it('go-zero: the key follows the lease, and what stood under the old one is not ours any more', () => {
    const answer = recordsOf(publicationOf('go-zero'), () =>
      instanceOf(plain, { address: four, localPort: 8000, protocol: 'tcp' }, container),
    );
    assert.ok(answer.kind === 'records');
    const stale = new Map([['web.rpc/1', { value: '10.0.0.5:49155', lease: '1', modRevision: '3' }]]);
    assert.deepEqual(planWrite(answer.records, stale, '2', 'claiming'), {
      expect: [{ key: 'web.rpc/2', modRevision: '0' }],
      puts: [{ key: 'web.rpc/2', value: '10.0.0.5:49155' }],
      removes: [],
    });
  });

  it('whoever watches: a new value is written alone, and is told from a key that others took', () => {
    const wanted = [
      { key: 'a', value: '1' },
      { key: 'b', value: '2' },
    ];
    const told = (seen: Map<string, Stored>): [string[], boolean] | null => {
      const plan = planWrite(wanted, seen, '7', 'holding');
      return plan && [plan.puts.map(({ key }) => key), isUpdate(plan, seen, '7')];
    };
    const ours = ['a', stored('1', '7')] as const;
    assert.deepEqual(told(new Map([ours, ['b', stored('old', '7')]])), [['b'], true]);
    assert.deepEqual(told(new Map([ours, ['b', stored('old', '8')]])), [['b'], false]);
    assert.deepEqual(told(new Map([ours])), [['b'], false]);
    assert.equal(told(new Map([ours, ['b', stored('2', '7')]])), null);
  });

  it('dockreg ls: each layout leads back to the instance', () => {
    const texts = [
      'service',
      'named:a',
      'registrator:b',
      'skydns:c.d',
      'traefik',
      'grpc',
      'go-zero',
      'kratos',
    ];
    for (const address of [four, six]) {
      for (const text of texts) {
        const [layout] = publicationOf(text).layouts;
        const [key = '', content = ''] = (
          write([text], { address, spec: { host: 'host-7' } })[0] ?? ''
        ).split(' = ');
        assert.ok(key.startsWith(prefixOf(layout!, 'web')), key);
        assert.deepEqual(readInstance(layout!, 'web', key, content), {
          service: ['service', 'a'].includes(layout!.root) ? layout!.root : 'web',
          address: address === six ? '[2001:db8::1]:49155' : '10.0.0.5:49155',
          host: text === 'registrator:b' ? 'host-7' : address.ip,
          weight: text === 'skydns:c.d' ? 100 : null,
          layout: text.includes(':') ? text : `${layout!.name}:${layout!.root}`,
          key,
        });
        assert.equal(readInstance(layout!, 'web', `${prefixOf(layout!, 'web')}x/y`, '{"garbage'), null);
      }
    }
  });
});

describe('dockreg ls reads', () => {
  const [service, skydns, grpc, kratos] = publicationOf('service', 'skydns:c', 'grpc', 'kratos').layouts;

  it('the weight of the layouts that carry one', () => {
    for (const [text, weight] of [
      ['skydns:c.d', 50],
      ['grpc', 50],
      ['kratos', 50],
      ['registrator:b', null],
    ] as const) {
      const [layout] = publicationOf(text).layouts;
      const [key = '', content = ''] = (write([text], { spec: rich })[0] ?? '').split(' = ');
      assert.equal(readInstance(layout!, 'web', key, content)?.weight, weight, text);
    }
  });

  const weights: [value: string, weight: number | null][] = [
    ['{"host":"10.0.0.5","port":1,"weight":1}', 1],
    ['{"host":"10.0.0.5","port":1,"weight":65535}', 65_535],
    ['{"host":"10.0.0.5","port":1,"weight":65536}', null],
    ['{"host":"10.0.0.5","port":1,"weight":0}', null],
    ['{"host":"10.0.0.5","port":1,"weight":-1}', null],
    ['{"host":"10.0.0.5","port":1,"weight":1.5}', null],
    ['{"host":"10.0.0.5","port":1,"weight":"1; drop"}', null],
    ['{"host":"10.0.0.5","port":1,"weight":{}}', null],
    ['{"host":"10.0.0.5","port":1}', null],
  ];
  for (const [value, weight] of weights) {
    it(`${value}: ${weight}`, () =>
      assert.equal(readInstance(skydns!, undefined, '/skydns/c/web/i', value)?.weight, weight));
  }

  it('no weight of what is no metadata', () => {
    const instance = '{"id":"a","endpoints":["http://10.0.0.5:1"]';
    for (const rest of ['', ',"metadata":null', ',"metadata":7', ',"metadata":[]', ',"metadata":"x"'])
      assert.equal(
        readInstance(kratos!, undefined, '/microservices/web/a', `${instance}${rest}}`)?.weight,
        null,
      );
    for (const Metadata of [null, '{', 'null', { weight: 5 }])
      assert.equal(
        readInstance(grpc!, 'web', 'web/a', JSON.stringify({ Addr: '10.0.0.5:1', Metadata }))?.weight,
        null,
      );
  });

  const strangers = [
    '10.0.0.5',
    '10.0.0.5:',
    ':80',
    'a b:80',
    'a;b:80',
    'a\nb:80',
    '\u001b[2J:80',
    '[x]:80:80',
  ];
  for (const stranger of strangers) {
    it(`nothing of ${JSON.stringify(stranger)}`, () =>
      assert.equal(readInstance(service!, undefined, `/service/${stranger}`, 'running'), null));
  }

  it('names that would steer a terminal, and shows them harmless', () => {
    const value = '{"id":"a","endpoints":["http://10.0.0.5:1"]}';
    const row = readInstance(kratos!, undefined, '/microservices/\u001b]0;x\u0007\u202e/a', value);
    const shown = formatTable(
      [{ ...row!, ttlSeconds: null, grantedSeconds: null, createRevision: 1, ageSeconds: null }],
      false,
    );
    assert.match(shown, /^SERVICE.*\n\uFFFD\]0;x\uFFFD\uFFFD +10\.0\.0\.5:1 .*\n$/);
  });
});

describe('the name of the service', () => {
  const compose = new Map([['com.docker.compose.service', 'shop']]);
  const names: [what: string, given: RawOption, name: string][] = [
    ['--name before all', { spec: { name: 'a', variables: new Map([['SERVICE_NAME', 'b']]) } }, 'a'],
    [
      'the variable of the port before the general',
      {
        spec: {
          variables: new Map([
            ['SERVICE_NAME', 'b'],
            ['SERVICE_8000_NAME', 'c'],
            ['SERVICE_9000_NAME', 'd'],
          ]),
        },
      },
      'c',
    ],
    [
      'a label of the port before the general variable',
      {
        spec: { variables: new Map([['SERVICE_NAME', 'b']]) },
        container: { labels: new Map([['SERVICE_8000_NAME', 'c']]) },
      },
      'c',
    ],
    ['the label of compose', { container: { labels: compose } }, 'shop'],
    [
      'the label of swarm',
      { container: { labels: new Map([['com.docker.swarm.service.name', 'st_web']]) } },
      'st_web',
    ],
    [
      'the image without registry, tag and digest',
      { container: { image: 'h:5000/x/web:1@sha256:ab' } },
      'web',
    ],
    ['the image', { container: { image: 'nginx' } }, 'nginx'],
  ];
  for (const [what, given, name] of names) {
    it(what, () => assert.deepEqual(write(['grpc:t'], given)[0]?.split('/')[1], name));
  }

  it('is that of registrator, with the port, where a container has several and nobody named this one', () => {
    const many = { publishedPorts: 2 };
    const key = (spec: Partial<ServiceSpec>): string =>
      write(['registrator:s'], { container: many, spec })[0]?.split(' = ')[0] ?? '';
    assert.equal(key({}), '/s/web-8000/10.0.0.5:web-1:8000');
    assert.equal(key({ variables: new Map([['SERVICE_NAME', 'b']]) }), '/s/b-8000/10.0.0.5:web-1:8000');
    assert.equal(key({ variables: new Map([['SERVICE_8000_NAME', 'b']]) }), '/s/b/10.0.0.5:web-1:8000');
    assert.equal(key({ name: 'b' }), '/s/b/10.0.0.5:web-1:8000');
    assert.equal(key({ name: 'b', variables: new Map([['SERVICE_ID', 'x:1']]) }), '/s/b/x:1');
  });

  it('comes with the tags of registrator when there are no others', () => {
    const variables = new Map([['SERVICE_TAGS', 'a\\,b,c,']]);
    assert.deepEqual(write(['/x/{id}={tags}'], { spec: { variables } }), ['/x/c0ffee00c0ff = a,b,c']);
    assert.deepEqual(write(['/x/{id}={tags}'], { spec: { variables, tags: [['d']] } }), [
      '/x/c0ffee00c0ff = d',
    ]);
  });
});

describe('what is refused', () => {
  const refused: [texts: string[], text: RegExp, given?: RawOption][] = [
    [['skydns:a'], /"web_1" is no DNS label.*--name/, { spec: { name: 'web_1' } }],
    [['skydns:a'], /"" is no DNS label/, { spec: { name: 'web..x' } }],
    [['skydns:a'], /"Web" is no DNS label/, { spec: { name: 'Web' } }],
    [['skydns:a'], /is no DNS label/, { spec: { name: 'x'.repeat(64) } }],
    [['traefik'], /reads the name 42 as a number/, { spec: { name: '42' } }],
    [
      ['grpc'],
      /SERVICE_NAME names the service "a\/b".*--name/,
      { spec: { variables: new Map([['SERVICE_NAME', 'a/b']]) } },
    ],
    [
      ['kratos'],
      /neither a label nor the image tells; say it with --name/,
      { container: { image: 'sha256:0a1b' } },
    ],
    [['kratos'], /neither a label/, { container: { image: 'c0ffee00c0ff' } }],
    [['grpc'], /nothing tells without Docker; say it with --name/, { container: null }],
    [['named:a'], /layout named needs our container.*--advertise/, { container: null, spec: { name: 'a' } }],
    [
      ['registrator:a'],
      /SERVICE_ID "a\/b" must have no slash/,
      { spec: { variables: new Map([['SERVICE_ID', 'a/b']]) } },
    ],
    [['/x/{id}=1'], /placeholder {id} needs our container/, { container: null }],
    [['/x/{id}={label:no}'], /the container has no label no/],
    [['/x/{id}={weight}'], /{weight} needs --weight/],
    [['/x/{id}={zone}'], /{zone} needs --zone/],
    [['/x/{id}={meta:a}'], /{meta:a} needs --meta a=/],
    [['/x/{id}={tags}'], /the value is empty/],
    [
      ['/x/{label:l}=1'],
      /"a\/b" cannot be part of a key/,
      { container: { labels: new Map([['l', 'a/b']]) } },
    ],
    [['service', 'service'], /--layout service:service and --layout service:service both write/],
    [['/x/{ip}=1', '/x/{ip}=2'], /--record \/x\/{ip}=1 and --record \/x\/{ip}=2 both write \/x\/10\.0\.0\.5/],
    [['service:a', 'named:a'], /--layout named:a writes \/a\/web-1 where --layout service:a is read/],
    [
      ['service:a', 'registrator:a/b'],
      /--layout registrator:a\/b writes .* where --layout service:a is read/,
    ],
    [['named:a/b', 'service:a'], /--layout named:a\/b writes \/a\/b\/web-1 where --layout service:a is read/],
    [
      ['skydns:a.b', '/skydns/b/a/web/{id}=running'],
      /--record .* writes .* where --layout skydns:a\.b is read/,
    ],
    [
      ['traefik', '/traefik/{id}=1', 'traefikfoo/{id}=1'],
      /traefikfoo\/{id}=1 writes .* where --layout traefik/,
    ],
    [['traefik', 'grpc:traefik'], /--layout grpc:traefik writes .* where --layout traefik/],
  ];
  for (const [texts, text, given] of refused) {
    it(`${texts.join(' ')}: ${text.source}`, () => assert.match(String(write(texts, given)), text));
  }

  it('but not neighbours: two domains of one DNS, and a key of Traefik in its own tree', () => {
    assert.equal(write(['skydns:a.b', 'skydns:b']).length, 2);
    assert.equal(write(['traefik', 'traefik/http/routers/{container}/rule=Host(`x`)']).length, 2);
    assert.equal(write(['service:a', 'service:ab', 'grpc:a'], { spec: { name: 'web' } }).length, 3);
  });

  it('nothing of the default layout, whatever is not known', () => {
    assert.deepEqual(write(['service'], { container: null }), ['/service/10.0.0.5:49155 = running']);
  });
});
