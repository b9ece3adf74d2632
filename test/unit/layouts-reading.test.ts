/** The way back: each layout reads what it wrote, and nothing that anybody else wrote harms it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatTable } from '../../src/commands/ls/ls.ts';
import { parseMeta, parseTags } from '../../src/config/parse/records.ts';
import { formatAddress, type Address } from '../../src/core/address/ip.ts';
import { formats, type LayoutName } from '../../src/core/layouts/formats.ts';
import { schemes, type ServiceSpec } from '../../src/core/layouts/instance.ts';
import { prefixOf, readInstance } from '../../src/core/layouts/listing.ts';
import { ipv4, ipv6, layoutOf, recordsFor, rich, type Changes } from '../support/layouts.ts';
import { Random, seedOfRun } from '../support/random.ts';

const addresses: Address[] = [ipv4, ipv6, { ip: 'fd00::1:2:3', port: 1 }, { ip: '255.1.2.3', port: 65_535 }];
const dnsNames = ['web', 'api.shop', 'a-1.b-2.c3'];
const names = [...dnsNames, 'Web_1.x-'];
const metadata: Partial<ServiceSpec>[] = [
  {},
  rich,
  { weight: 1 },
  { weight: 65_535, tags: parseTags('"a"\\,{id}'), meta: parseMeta('k=é: {"weight":7} = \\') },
];

/** Every combination, those at UDP with a name of the host. */
const instances: (Changes & { readonly spec: { readonly name: string } })[] = addresses.flatMap(address =>
  names.flatMap(name =>
    metadata.flatMap(fields =>
      schemes.flatMap(scheme => [
        { address, protocol: 'tcp' as const, spec: { ...fields, name, scheme } },
        { address, protocol: 'udp' as const, spec: { ...fields, name, scheme, host: 'host-7' } },
      ]),
    ),
  ),
);

interface RoundTrip {
  /** As in --layout, with roots of one and more levels. */
  readonly texts: readonly string[];
  /** Whether the records name the root or the service. */
  readonly tells: 'root' | 'service';
  /** The weight of a record for that of the service. */
  readonly weight: (weight: number | undefined) => number | null;
}

const none = (): null => null;
const roundTrips: Readonly<Record<LayoutName, RoundTrip>> = {
  service: { texts: ['service:web', 'service:prod/eu/web'], tells: 'root', weight: none },
  named: { texts: ['named:a', 'named:app/eu/servers'], tells: 'root', weight: none },
  registrator: { texts: ['registrator:b', 'registrator:a/b/services'], tells: 'service', weight: none },
  skydns: {
    texts: ['skydns:c', 'skydns:eu.cluster.local'],
    tells: 'service',
    weight: (weight = 100) => weight,
  },
  traefik: { texts: ['traefik', 'traefik:edge/v3'], tells: 'service', weight: none },
  grpc: { texts: ['grpc', 'grpc:prod/eu'], tells: 'service', weight: (weight = 0) => weight || null },
  'go-zero': { texts: ['go-zero', 'go-zero:user.api'], tells: 'root', weight: none },
  kratos: { texts: ['kratos', 'kratos:a/b'], tells: 'service', weight: (weight = 0) => weight || null },
};

describe('round trip', () => {
  it('has a line for each layout', () => assert.deepEqual(Object.keys(roundTrips), Object.keys(formats)));

  for (const [format, { texts, tells, weight }] of Object.entries(roundTrips)) {
    for (const text of texts) {
      it(text, () => {
        const layout = layoutOf(text);
        for (const instance of instances) {
          const { spec, address = ipv4 } = instance;
          if (format === 'skydns' && !dnsNames.includes(spec.name)) continue;
          const result = recordsFor([text], instance);
          assert.ok(result.ok);
          // Without a root, only the records of a service can be listed.
          for (const service of layout.root === '' ? [spec.name] : [spec.name, undefined]) {
            const prefix = prefixOf(layout, service);
            for (const { key, value } of result.value) {
              assert.ok(key.startsWith(prefix), key);
              assert.deepEqual(readInstance(layout, service, key, value), {
                service:
                  tells === 'service'
                    ? spec.name
                    : format === 'go-zero'
                      ? (service ?? layout.root)
                      : layout.root,
                address: formatAddress(address),
                host: (format === 'registrator' && spec.host) || address.ip,
                weight: weight(spec.weight),
                layout: `${layout.name}:${layout.root}`,
                key,
              });
            }
            assert.equal(readInstance(layout, service, `${prefix}x/y`, '{"garbage'), null);
          }
        }
      });
    }
  }
});

describe('dockreg ls reads', () => {
  const [service, skydns, grpc, kratos] = ['service', 'skydns:c', 'grpc', 'kratos'].map(layoutOf);

  it('the weight of the layouts that carry one', () => {
    for (const [text, weight] of [
      ['skydns:c.d', 50],
      ['grpc', 50],
      ['kratos', 50],
      ['registrator:b', null],
    ] as const) {
      const layout = layoutOf(text);
      const result = recordsFor([text], { spec: rich });
      assert.ok(result.ok);
      const [{ key, value } = { key: '', value: '' }] = result.value;
      assert.equal(readInstance(layout, 'web', key, value)?.weight, weight, text);
    }
  });

  const weights: [value: string, weight: number | null][] = [
    ['{"host":"10.0.0.5","port":1,"weight":1}', 1],
    ['{"host":"10.0.0.5","port":1,"weight":65535}', 65_535],
    ['{"host":"10.0.0.5","port":1,"weight":65536}', null],
    ['{"host":"10.0.0.5","port":1,"weight":0}', null],
    ['{"host":"10.0.0.5","port":1,"weight":-1}', null],
    ['{"host":"10.0.0.5","port":1,"weight":1.5}', null],
    ['{"host":"10.0.0.5","port":1,"weight":1e999}', null],
    ['{"host":"10.0.0.5","port":1,"weight":true}', null],
    ['{"host":"10.0.0.5","port":1,"weight":[5]}', null],
    ['{"host":"10.0.0.5","port":1,"weight":"1; drop"}', null],
    ['{"host":"10.0.0.5","port":1,"weight":{}}', null],
    ['{"host":"10.0.0.5","port":1,"weight":{"valueOf":1,"toString":1}}', null],
    ['{"host":"10.0.0.5","port":1}', null],
  ];
  for (const [value, weight] of weights) {
    it(`${value}: ${weight}`, () => {
      const instance = readInstance(skydns!, undefined, '/skydns/c/web/i', value);
      assert.deepEqual([instance?.address, instance?.weight], ['10.0.0.5:1', weight]);
    });
  }

  it('no weight where the metadata is not an object', () => {
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

  it('names that would steer a terminal, and shows them harmless', () => {
    const value = '{"id":"a","endpoints":["http://10.0.0.5:1"]}';
    const row = readInstance(kratos!, undefined, '/microservices/\u001b]0;x\u0007\u202e/a', value);
    const shown = formatTable(
      [{ ...row!, ttlSeconds: null, grantedSeconds: null, createRevision: 1, ageSeconds: null }],
      false,
    );
    assert.match(shown, /^SERVICE.*\n\\x1b\]0;x\\x07\\u202e +10\.0\.0\.5:1 .*\n$/);
  });

  const notAddresses = [
    '10.0.0.5',
    '10.0.0.5:',
    ':80',
    'a b:80',
    'a;b:80',
    'a\nb:80',
    '10.0.0.5:80\n',
    '\u001b[2J:80',
    '[x]:80:80',
    '[x]:80',
    '[10.0.0.5]:80',
    '2001:db8::1:80',
    '10.0.0.5:0',
    '10.0.0.5:65536',
    '10.0.0.5:-1',
    '10.0.0.5:8e1',
    'null',
    '',
    '\0',
    `${'a'.repeat(1_000_000)}:80`,
    ':'.repeat(1_000_000),
    'http://'.repeat(100_000),
  ];
  for (const text of notAddresses) {
    it(`no address in ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.equal(readInstance(service!, undefined, `/service/${text}`, 'running'), null);
      const server = 'traefik/http/services/web/loadbalancer/servers/1/url';
      assert.equal(readInstance(layoutOf('traefik'), undefined, server, `http://${text}`), null);
      assert.equal(readInstance(layoutOf('named:a'), undefined, '/a/web-1', text), null);
      assert.equal(readInstance(layoutOf('registrator:a'), undefined, '/a/web/h:web-1:80', text), null);
      assert.equal(readInstance(layoutOf('go-zero'), 'web', 'web.rpc/1', text), null);
      assert.equal(readInstance(grpc!, 'web', 'web/a', JSON.stringify({ Addr: text })), null);
      const value = JSON.stringify({ endpoints: [`http://${text}`] });
      assert.equal(readInstance(kratos!, undefined, '/microservices/web/a', value), null);
    });
  }

  const notInstances = [
    '',
    'null',
    'true',
    '7',
    '"10.0.0.5:80"',
    '[]',
    '[null]',
    '{}',
    '{',
    '{"__proto__":{"host":"10.0.0.5","port":80,"Addr":"10.0.0.5:80"}}',
    '{"host":null,"port":80,"Addr":null,"endpoints":null}',
    '{"host":7,"port":80,"Addr":7,"endpoints":7}',
    '{"host":["10.0.0.5"],"port":80,"Addr":["10.0.0.5:80"],"endpoints":"http://10.0.0.5:80"}',
    '{"host":{"toString":1},"port":80,"Addr":{"toString":1},"endpoints":[{"toString":1}]}',
    '{"host":"10.0.0.5","port":"80","endpoints":{"0":"http://10.0.0.5:80"}}',
    '{"host":"10.0.0.5","port":[80],"endpoints":[["http://10.0.0.5:80"]]}',
    '{"host":"10.0.0.5","port":80.5,"endpoints":[]}',
    '{"host":"10.0.0.5","port":1e400,"endpoints":[null]}',
    '{"host":"10.0.0.5","port":-80,"endpoints":["10.0.0.5:80"]}',
    '{"host":"10.0.0.5","port":true,"endpoints":["://10.0.0.5:80"]}',
    '{"host":"10.0.0.5:80","port":80,"Addr":"10.0.0.5:80:80","endpoints":["http://a@10.0.0.5:80"]}',
    '['.repeat(500_000),
    `{"Addr":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
    `{"host":"${'a'.repeat(1_000_000)}","port":80,"Addr":"${'a'.repeat(1_000_000)}:80"}`,
    '\uFFFD\0\u0001',
  ];
  for (const value of notInstances) {
    it(`no instance in ${value.slice(0, 90)}`, () => {
      assert.equal(readInstance(skydns!, undefined, '/skydns/c/web/i', value), null);
      assert.equal(readInstance(grpc!, 'web', 'web/a', value), null);
      assert.equal(readInstance(kratos!, undefined, '/microservices/web/a', value), null);
    });
  }

  it('no instance under a key that Traefik does not know', () => {
    for (const key of [
      '',
      'http',
      'http/services/web/loadbalancer/servers/1/weight',
      'http/routers/web/rule',
    ])
      assert.equal(readInstance(layoutOf('traefik'), undefined, `traefik/${key}`, '10.0.0.5:80'), null);
  });
});

/** Text of any characters, also halves of surrogate pairs. */
function randomText(random: Random): string {
  const limit = random.pick([128, 256, 65_536]);
  return String.fromCharCode(...random.list(random.below(40), () => random.below(limit)));
}

const fieldNames = [
  'host',
  'port',
  'weight',
  'Addr',
  'Metadata',
  'metadata',
  'endpoints',
  '__proto__',
  'toString',
];

function randomJson(random: Random, depth = 3): unknown {
  const leaves = [
    null,
    true,
    random.next(),
    random.below(70_000),
    randomText(random),
    '10.0.0.5:80',
    '[::1]:80',
  ];
  if (depth === 0 || random.below(3) === 0) return random.pick(leaves);
  if (random.below(4) === 0) return random.list(random.below(4), () => randomJson(random, depth - 1));
  const fields = random.list(random.below(6), () => [random.pick(fieldNames), randomJson(random, depth - 1)]);
  return Object.fromEntries(fields) as unknown;
}

/** The text with a few of its characters replaced, left out or doubled. */
function damaged(random: Random, text: string): string {
  let result = text;
  for (let count = random.below(4); count >= 0; count--) {
    const at = random.below(result.length + 1);
    const [before, after] = [result.slice(0, at), result.slice(at + random.below(3))];
    result = `${before}${random.pick(['', randomText(random), '/', ':', '"', '}', before.slice(-5)])}${after}`;
  }
  return result;
}

describe('any record in etcd', () => {
  const seed = seedOfRun();
  it(`is read as an instance with a valid address, or as none (DOCKREG_SEED=${seed})`, () => {
    const random = new Random(seed);
    let read = 0;
    for (let count = 0; count < 10_000; count++) {
      const { texts } = random.pick(Object.values(roundTrips));
      const layout = layoutOf(random.pick(texts));
      const { spec, ...changes } = random.pick(instances);
      const name = random.pick(dnsNames);
      const result = recordsFor([`${layout.name}${layout.root && `:${layout.root}`}`], {
        ...changes,
        spec: { ...spec, name },
      });
      assert.ok(result.ok);
      const [{ key, value } = { key: '', value: '' }] = result.value;
      const prefix = prefixOf(layout, name);
      const rest = random.pick([key.slice(prefix.length), damaged(random, key.slice(prefix.length))]);
      const content = random.pick([
        () => value,
        () => damaged(random, value),
        () => JSON.stringify(randomJson(random)),
        () => randomText(random),
      ])();
      const instance = readInstance(layout, random.pick([name, undefined]), `${prefix}${rest}`, content);
      if (instance === null) continue;
      read++;
      const what = JSON.stringify({ layout, rest, content, instance });
      const [, port = '', ...others] =
        /^(?:\[[\da-f:.]+(?:%[\w.]+)?\]|[\w.-]+):(\d+)$/i.exec(instance.address) ?? [];
      assert.ok(Number(port) >= 1 && Number(port) <= 65_535 && others.length === 0, what);
      assert.ok(instance.weight === null || (instance.weight >= 1 && instance.weight <= 65_535), what);
      assert.deepEqual([typeof instance.service, typeof instance.host], ['string', 'string'], what);
      assert.notEqual(instance.host, '', what);
    }
    assert.ok(read > 1000 && read < 9000, `${read} instances: too few or too many to tell`);
  });
});
