/** The name of a service, and the records that are refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServiceSpec } from '../../src/core/layouts/instance.ts';
import { formatProblem } from '../../src/errors.ts';
import { recordsFor, write, type Changes } from '../support/layouts.ts';

describe('the name of the service', () => {
  const compose = new Map([['com.docker.compose.service', 'shop']]);
  const names: [what: string, changes: Changes, name: string][] = [
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
  for (const [what, changes, name] of names) {
    it(what, () => assert.deepEqual(write(['grpc:t'], changes)[0]?.split('/')[1], name));
  }

  it('ends with the port in the layout of registrator where a container has several ports and none has a name', () => {
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
  const refused: [texts: string[], text: RegExp, changes?: Changes][] = [
    [['skydns:a'], /"web_1" is not a DNS label.*--name/, { spec: { name: 'web_1' } }],
    [['skydns:a'], /"" is not a DNS label/, { spec: { name: 'web..x' } }],
    [['skydns:a'], /"Web" is not a DNS label/, { spec: { name: 'Web' } }],
    [['skydns:a'], /is not a DNS label/, { spec: { name: 'x'.repeat(64) } }],
    [['traefik'], /reads the name 42 as a number/, { spec: { name: '42' } }],
    [
      ['grpc'],
      /SERVICE_NAME names the service "a\/b".*--name/,
      { spec: { variables: new Map([['SERVICE_NAME', 'a/b']]) } },
    ],
    [['kratos'], /no label or image gives; set it with --name/, { container: { image: 'sha256:0a1b' } }],
    [['kratos'], /no label or image gives/, { container: { image: 'c0ffee00c0ff' } }],
    [['grpc'], /which is not known without Docker; set it with --name/, { container: null }],
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
  for (const [texts, text, changes] of refused) {
    it(`${texts.join(' ')}: ${text.source}`, () => {
      const result = recordsFor(texts, changes);
      assert.ok(!result.ok);
      assert.equal(result.problems.length, 1);
      assert.match(result.problems.map(formatProblem).join(), text);
      assert.doesNotMatch(JSON.stringify(result.problems), /; /, 'the hint is a field');
    });
  }

  it('except for two domains of one DNS, and a key of Traefik in its own tree', () => {
    assert.equal(write(['skydns:a.b', 'skydns:b']).length, 2);
    assert.equal(write(['traefik', 'traefik/http/routers/{container}/rule=Host(`x`)']).length, 2);
    assert.equal(write(['service:a', 'service:ab', 'grpc:a'], { spec: { name: 'web' } }).length, 3);
  });

  it('except for the default layout, which needs nothing', () => {
    assert.deepEqual(write(['service'], { container: null }), ['/service/10.0.0.5:49155 = running']);
  });
});
