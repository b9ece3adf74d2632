/** One service has one name: what decides it, and what services that would share one are called. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommand } from '../../src/cli.ts';
import type { Config } from '../../src/config/config.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import type { ContainerFacts } from '../../src/core/layouts/instance.ts';
import { prefixOf, readInstance } from '../../src/core/layouts/listing.ts';
import { namesOf } from '../../src/core/layouts/names.ts';
import { recordsOf } from '../../src/core/layouts/records.ts';
import { recordsUnder } from '../../src/core/lease/writes.ts';
import { container, lease } from '../support/layouts.ts';

const etcd = ['--etcd', 'http://h1:2379'];

async function configOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}, yaml = ''): Promise<Config> {
  const command = await readCommand([...etcd, ...argv], env, async path => parseConfigFile(yaml, path, env));
  return (command as { config: Config }).config;
}

async function namesIn(
  argv: readonly string[],
  facts?: Partial<ContainerFacts>,
  env: NodeJS.ProcessEnv = {},
  yaml?: string,
): Promise<readonly string[]> {
  const { services } = await configOf(argv, env, yaml);
  return namesOf(services, facts && { ...container, ...facts }).map(({ name }) => name);
}

const onlyPort = ['--port', '8000'];
const compose = { labels: new Map([['com.docker.compose.service', 'shop']]) };
const two = ['--service', 'port=8000', '--service', 'port=9000'];

const rows: [
  argv: string[],
  names: string[],
  facts?: Partial<ContainerFacts> | undefined,
  env?: NodeJS.ProcessEnv,
][] = [
  [onlyPort, ['service']],
  [[...onlyPort, '--key', '/prod/web'], ['prod/web']],
  [[...onlyPort, '--key', 'web', '--name', 'shop'], ['shop']],
  [[...onlyPort, '--key', 'web'], ['web'], compose],
  [[...onlyPort, '--key', 'web'], ['web'], {}, { SERVICE_NAME: 'shop' }],
  [[...onlyPort, '--layout', 'named:app/servers'], ['app/servers'], {}],
  [[...onlyPort, '--layout', 'go-zero:shop.rpc'], ['shop.rpc'], {}],
  ...['go-zero', 'grpc', 'grpc:prod', 'kratos', 'traefik', 'skydns:x.local', 'registrator:r'].flatMap(
    (layout): typeof rows => [
      [[...onlyPort, '--layout', layout], ['shop'], compose],
      [[...onlyPort, '--layout', layout], ['web'], {}],
      [[...onlyPort, '--layout', layout], ['shop'], {}, { SERVICE_8000_NAME: 'shop' }],
      [[...onlyPort, '--layout', layout, '--name', 'own'], ['own'], compose],
    ],
  ),
  // Docker has not answered yet.
  [[...onlyPort, '--layout', 'kratos'], ['8000']],
  [[...onlyPort, '--layout', 'kratos'], ['shop'], undefined, { SERVICE_NAME: 'shop' }],
  // An image that was started by its id has no name, and this one is none.
  [[...onlyPort, '--layout', 'kratos'], ['8000'], { image: 'sha256:c0ffee' }],
  [[...onlyPort, '--layout', 'kratos'], ['8000'], { labels: new Map([['SERVICE_NAME', 'my shop']]) }],
  [[...onlyPort, '--layout', 'service,kratos', '--key', 'web'], ['shop'], compose],
  [[...onlyPort, '--layout', 'registrator:r'], ['shop-8000'], { ...compose, publishedPorts: 2 }],
  [[...onlyPort, '--record', '/x/{service}/{id}=1'], ['shop'], compose],
  // Services that would share a name.
  [two, ['service:8000', 'service:9000']],
  [
    [...two, '--key', 'web'],
    ['web:8000', 'web:9000'],
  ],
  [
    [...two, '--layout', 'kratos'],
    ['8000', '9000'],
  ],
  [[...two, '--layout', 'kratos'], ['shop:8000', 'shop:9000'], compose],
  [[...two, '--layout', 'registrator:r'], ['shop-8000', 'shop-9000'], { ...compose, publishedPorts: 2 }],
  [
    [...two, '--layout', 'kratos'],
    ['web', 'admin'],
    {
      labels: new Map([
        ['SERVICE_8000_NAME', 'web'],
        ['SERVICE_9000_NAME', 'admin'],
      ]),
    },
  ],
  [
    ['--service', 'name=a,port=53', '--service', 'name=a,port=53/udp,check=exec:x'],
    ['a:53/tcp', 'a:53/udp'],
  ],
  [
    ['--service', 'port=80,key=a', '--service', 'port=81,key=a', '--service', 'port=82,key=a:80'],
    ['a:80', 'a:81', 'a:80#2'],
  ],
];

describe('the name of a service', () => {
  for (const [argv, names, facts, env] of rows)
    it(`is ${names.join(' and ')} for ${argv.join(' ')}${facts ? ', once Docker has answered' : ''}`, async () => {
      assert.deepEqual(await namesIn(argv, facts, env), names);
    });

  it('is that of its labels or of its entry in the file, and that of an option before', async () => {
    const yaml = 'services: {web: {port: 8000}, blue: {port: 9000, name: shop, key: s}}';
    assert.deepEqual(await namesIn(['--config', 'x.yaml'], undefined, {}, yaml), ['web', 'shop']);
  });

  it('is what `dockreg ls` reads in every layout that has a name', async () => {
    for (const [argv, , facts, env = {}] of rows) {
      const { services } = await configOf(argv, env);
      const known = facts && { ...container, ...facts };
      if (known === undefined) continue;
      const names = namesOf(services, known);
      for (const [index, service] of services.entries()) {
        const address = { ip: '10.0.0.5', port: 49155 + index };
        const records = recordsOf({ ...service, address, container: known });
        if (!records.ok) continue;
        const [listed, { name = '' } = {}] = [names[index]?.listed ?? [], names[index]];
        const inKeys = service.publication.layouts.map((layout, at) => {
          const { key, value } = recordsUnder(lease, records.value)[at]!;
          assert.ok(key.startsWith(prefixOf(layout, undefined)) || layout.root === '', key);
          const of = layout.root === '' && layout.name === 'go-zero' ? listed[0] : undefined;
          return readInstance(layout, of, key, value)?.service;
        });
        assert.deepEqual([...new Set(inKeys)], listed, argv.join(' '));
        const shared = names.filter(other => other.name.replace(/:.*/, '') === name.replace(/:.*/, ''));
        if (inKeys.length === 1 && shared.length === 1 && !argv.includes('--name'))
          assert.equal(inKeys[0], name);
      }
    }
  });

  it('has others beside it, which drain and status take too', async () => {
    const { services } = await configOf(['--service', 'name=web,port=8000', '--service', 'name=db,port=1']);
    assert.deepEqual(
      namesOf(services, undefined).map(({ others }) => others),
      [
        ['service', '8000', 'web:8000'],
        ['service', '1', 'db:1'],
      ],
    );
  });

  it('is warned of where services have no key of their own', async () => {
    const shared = ['--service', 'name=web,port=8000', '--service', 'name=db,port=1'];
    assert.match(
      (await configOf(shared)).warnings.join(),
      /^web and db have no --key of their own, so consumers of/,
    );
    assert.deepEqual((await configOf([...shared, '--key', 'prod'])).warnings, []);
    assert.deepEqual((await configOf([...shared, '--layout', 'kratos'])).warnings, []);
    assert.deepEqual((await configOf(onlyPort)).warnings, []);
  });
});
