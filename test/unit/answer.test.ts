/** What an engine answers, read into our own types: which values are accepted, and what is said of the others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readContainer, readIngress, readNodeIp } from '../../src/core/address/answer.ts';
import { addressOf, serviceIdLabel, type AddressQuestion } from '../../src/core/address/advertise.ts';
import type { ContainerView } from '../../src/core/address/container.ts';
import { formatAddress } from '../../src/core/address/ip.ts';
import { factsOf } from '../../src/core/layouts/instance.ts';
import { UnavailableError } from '../../src/errors.ts';

const id = 'c0ffee00'.repeat(8);
const place = 'Docker at unix:///run/docker.sock';

interface Tree {
  [key: string]: unknown;
}

/** A container that publishes port 8000, with one field set to a value of JSON; undefined removes it. */
function view(path: string, json: string | undefined): ContainerView {
  const answer = JSON.parse(`{
    "Id": "${id}", "Name": "/web", "State": {"Running": true}, "Config": {"Image": "app:1", "Labels": {"a": "b"}},
    "HostConfig": {"NetworkMode": "bridge"},
    "NetworkSettings": {
      "Ports": {"8000/tcp": [{"HostIp": "10.1.0.101", "HostPort": "49155"}], "9000/tcp": null},
      "Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}
    }}`) as Tree;
  const keys = path.split(' ');
  const last = keys.pop()!;
  const parent = keys.reduce((value, key) => value[key] as Tree, answer);
  if (json === undefined) delete parent[last];
  else parent[last] = JSON.parse(json);
  return readContainer(answer, place, id);
}

const question: AddressQuestion = {
  localPort: 8000,
  protocol: 'tcp',
  advertise: { kind: 'published' },
  hostIp: undefined,
  allowLoopback: false,
};

/** The address, the problem, or the message of the UnavailableError without the place. */
function outcome(path: string, json: string | undefined, more: Partial<AddressQuestion> = {}): string {
  return messageOf(() => {
    const answer = addressOf(view(path, json), { ...question, ...more }, { nodeIp: null, ingress: null });
    assert.ok('ok' in answer);
    return answer.ok ? formatAddress(answer.value.address) : `problem: ${answer.problems[0]?.message}`;
  });
}

function messageOf(read: () => unknown): string {
  try {
    return String(read());
  } catch (error) {
    assert.ok(error instanceof UnavailableError, String(error));
    const { message = '' } = error.problems[0] ?? {};
    assert.ok(message.startsWith(`${place}: `), message);
    return message.slice(place.length + 2);
  }
}

const good = '10.1.0.101:49155';
const ports = 'NetworkSettings.Ports["8000/tcp"]';
const portRule = 'but must be a whole number from 1 to 65535';

describe('a binding of our port', () => {
  const path = 'NetworkSettings Ports 8000/tcp 0';
  const hostPorts: [json: string | undefined, outcome: string][] = [
    ['"49155"', good],
    ['49155', good],
    ['"1"', '10.1.0.101:1'],
    ['"65535"', '10.1.0.101:65535'],
    ...[
      '""',
      '"0"',
      '"00"',
      '"080"',
      '" 80"',
      '"80 "',
      '"+80"',
      '"-1"',
      '"1e3"',
      '"8000abc"',
      '"99999"',
      '"65536"',
    ].map((json): [string, string] => [json, `${ports}[0].HostPort is ${json}, ${portRule}`]),
    ...['0', '-1', '1.5', '65536', 'null', 'true'].map((json): [string, string] => [
      json,
      `${ports}[0].HostPort is ${json}, ${portRule}`,
    ]),
    ['1e400', `${ports}[0].HostPort is Infinity, ${portRule}`],
    ['["80"]', `${ports}[0].HostPort is a list, ${portRule}`],
    ['{"a": 1}', `${ports}[0].HostPort is an object, ${portRule}`],
    [undefined, `${ports}[0].HostPort is missing, ${portRule}`],
  ];
  for (const [json, expected] of hostPorts)
    it(`HostPort ${json}: ${expected}`, () => assert.equal(outcome(`${path} HostPort`, json), expected));

  const anIp = 'but must be an IP address';
  const hostIps: [json: string | undefined, outcome: string][] = [
    ['"10.1.0.102"', '10.1.0.102:49155'],
    ['"2001:0DB8::1"', '[2001:db8::1]:49155'],
    ...[
      '"../../x"',
      '"10.0.0.5\\n/evil"',
      '"a:b"',
      '"localhost"',
      '"256.1.1.1"',
      '"10.1.0.101/24"',
      '" 10.1.0.101"',
    ].map((json): [string, string] => [json, `${ports}[0].HostIp is ${json}, ${anIp}`]),
    ['42', `${ports}[0].HostIp is 42, ${anIp}`],
  ];
  for (const [json, expected] of hostIps)
    it(`HostIp ${json}: ${expected}`, () => assert.equal(outcome(`${path} HostIp`, json), expected));
  for (const json of ['""', 'null', undefined])
    it(`HostIp ${json} is the wildcard, as of podman`, () =>
      assert.match(
        outcome(`${path} HostIp`, json),
        /^problem: port 8000\/tcp .* on every address of the host/,
      ));

  it('that has no port yet does not hide one that has', () => {
    const json =
      '[{"HostIp": "", "HostPort": "0"}, {"HostIp": "", "HostPort": ""}, {"HostIp": "10.1.0.101", "HostPort": "49155"}]';
    assert.equal(outcome('NetworkSettings Ports 8000/tcp', json), good);
  });

  it('without a port, on the wildcard of one family, is routed to the container', () => {
    const json = '[{"HostIp": "0.0.0.0", "HostPort": ""}, {"HostIp": "::", "HostPort": "32799"}]';
    const { ports: list, routed } = view('NetworkSettings Ports 8000/tcp', json);
    assert.deepEqual(list.get('8000/tcp'), [{ hostIp: '::', hostPort: 32_799 }]);
    assert.deepEqual([routed.get('8000/tcp'), routed.get('9000/tcp')], [['0.0.0.0'], []]);
  });

  it('says with a hint that the engine may assign the port later', () => {
    const { ports: list } = view(`${path} HostPort`, '"0"');
    assert.throws(() => list.get('8000/tcp'), /HostPort is "0".*; the engine has not assigned one yet/);
  });
});

describe('an odd value where a list or an object belongs', () => {
  const rows: [path: string, json: string, outcome: string][] = [
    ['NetworkSettings', '42', 'NetworkSettings is 42, but must be an object'],
    ['NetworkSettings', '[]', 'NetworkSettings is a list, but must be an object'],
    ['NetworkSettings Networks', '"x"', 'NetworkSettings.Networks is "x", but must be an object'],
    ['NetworkSettings Ports', '[1]', 'NetworkSettings.Ports is a list, but must be an object'],
    ['NetworkSettings Ports 8000/tcp', '{"0": 1}', `${ports} is an object, but must be a list`],
    ['NetworkSettings Ports 8000/tcp', '"80"', `${ports} is "80", but must be a list`],
    ['NetworkSettings Ports 8000/tcp', '[null]', `${ports}[0].HostPort is missing, ${portRule}`],
    ['NetworkSettings Ports 8000/tcp', '[80]', `${ports}[0] is 80, but must be an object`],
    ['HostConfig', 'true', 'HostConfig is true, but must be an object'],
    ['HostConfig NetworkMode', '{}', 'HostConfig.NetworkMode is an object, but must be text'],
    ['State', '[]', 'State is a list, but must be an object'],
    ['State Running', '"yes"', 'State.Running is "yes", but must be true or false'],
    ['State Running', 'null', 'State.Running is null, but must be true or false'],
    ['Id', '"../../x"', 'Id is "../../x", but must be an id'],
    ['Id', '42', 'Id is 42, but must be an id'],
    [
      'NetworkSettings Ports',
      '{"8000abc/tcp": [{"HostPort": "1"}]}',
      'NetworkSettings.Ports has "8000abc/tcp", but must have a port such as 8000/tcp',
    ],
    [
      'NetworkSettings Ports',
      '{"__proto__": []}',
      'NetworkSettings.Ports has "__proto__", but must have a port such as 8000/tcp',
    ],
  ];
  for (const [path, json, expected] of rows)
    it(`${path} ${json}: ${expected}`, () => assert.equal(outcome(path, json), expected));

  it('is repeated in part', () => {
    const text = outcome('NetworkSettings Ports 8000/tcp 0 HostPort', JSON.stringify('8'.repeat(1e6)));
    assert.equal(text, `${ports}[0].HostPort is "${'8'.repeat(60)}"…, ${portRule}`);
  });

  it('and every JSON that is not an object is not of Docker', () => {
    for (const answer of [null, 42, 'x', true, [], [{ Id: id }], {}])
      assert.match(
        messageOf(() => readContainer(answer, place, id)),
        /^the answer is not of a Docker API/,
      );
  });
});

describe('an odd value that nobody needs', () => {
  const rows: [path: string, json: string][] = [
    ['NetworkSettings Ports 9000/tcp', '[{"HostIp": "a:b", "HostPort": "8000abc"}]'],
    ['NetworkSettings Ports 9000/tcp', '42'],
    ['NetworkSettings Ports 99999/tcp', '[]'],
    ['NetworkSettings Networks bridge', '42'],
    ['NetworkSettings Networks bridge IPAddress', '"../../x"'],
    ['Name', '42'],
    ['Name', '"../../x"'],
    ['Config', '42'],
    ['Config Image', '[]'],
    ['Config Labels', '"x"'],
    ['Config Labels a', '42'],
    ['State Health', '[1]'],
    ['Mounts', '"x"'],
  ];
  for (const [path, json] of rows) it(`${path} ${json}`, () => assert.equal(outcome(path, json), good));

  it('of a published port still counts as published', () =>
    assert.equal(factsOf(view('x', '1'), view('NetworkSettings Ports 9000/tcp', '[1]')).publishedPorts, 2));
});

const healthIn = (json: string): unknown => view('State Health', json).health;

describe('a name, an image, a label, a health', () => {
  it('is refused when it is needed', () => {
    const rows: [read: (view: ContainerView) => unknown, path: string, json: string, text: string][] = [
      [({ name }) => name, 'Name', '"/../x"', 'Name is "/../x", but must be letters, digits and _.- only'],
      [({ image }) => image, 'Config Image', '42', 'Config.Image is 42, but must be text'],
      [
        ({ image }) => image,
        'Config Image',
        JSON.stringify('x'.repeat(5000)),
        `Config.Image is "${'x'.repeat(60)}"…, but must be at most 4096 characters long`,
      ],
      [
        ({ labels }) => labels.get('a'),
        'Config Labels a',
        '{}',
        'Config.Labels.a is an object, but must be text of at most 65536 characters',
      ],
      [
        ({ labels }) => labels.get('a'),
        'Config Labels',
        '[]',
        'Config.Labels is a list, but must be an object',
      ],
      [
        ({ labels }) => labels.has(serviceIdLabel),
        'Config Labels',
        '7',
        'Config.Labels is 7, but must be an object',
      ],
      [
        ({ labels }) => [...labels],
        'Config Labels dockreg.port',
        '8000',
        'Config.Labels["dockreg.port"] is 8000, but must be text of at most 65536 characters',
      ],
      [
        ({ health }) => health,
        'State Health',
        '{"Status": "fine"}',
        'State.Health.Status is "fine", but must be starting, healthy, unhealthy or none',
      ],
      [({ health }) => health, 'State Health', '7', 'State.Health is 7, but must be an object'],
    ];
    for (const [read, path, json, text] of rows)
      assert.equal(
        messageOf(() => read(view(path, json))),
        text,
      );
  });

  it('of a label is read beside odd ones', () => {
    const { labels } = view('Config Labels other', JSON.stringify('x'.repeat(65_537)));
    assert.equal(labels.get('a'), 'b');
    assert.deepEqual([...labels], [['a', 'b']]);
    assert.ok(labels.has('other'));
    assert.throws(() => labels.get('other'), /at most 65536 characters/);
  });

  it('__proto__ is a label like others', () =>
    assert.equal(view('Config Labels', '{"__proto__": "x"}').labels.get('__proto__'), 'x'));

  it('keeps what is known of the last health check, and no odd part of it', () => {
    assert.deepEqual(healthIn('{"Status": "healthy", "Log": [{"ExitCode": 0, "Output": "a\\nfine\\n"}]}'), {
      status: 'healthy',
      output: 'exit 0: fine',
    });
    assert.deepEqual(healthIn('{"Status": "unhealthy", "Log": [{"ExitCode": "x", "Output": 42}]}'), {
      status: 'unhealthy',
      output: '',
    });
    assert.deepEqual(healthIn('{"Status": "starting", "Log": {"length": 1}}'), {
      status: 'starting',
      output: '',
    });
    for (const none of ['null', '{}', '{"Status": ""}', '{"Status": "none"}'])
      assert.equal(healthIn(none), undefined);
  });
});

describe('an answer about another container', () => {
  it('is refused', () =>
    assert.throws(
      () => readContainer({ Id: 'ab'.repeat(32) }, place, id),
      /asked about c0ffee.*, it answers about abab/,
    ));
  it('is recognized by the whole id of one that was asked for by its beginning', () =>
    assert.equal(
      readContainer({ Id: id, State: { Running: true } }, place, id.slice(0, 12)).title,
      id.slice(0, 12),
    ));
});

describe('the address of a swarm node', () => {
  const rows: [answer: unknown, expected: string][] = [
    [{ Swarm: { NodeAddr: '10.1.0.101' } }, '10.1.0.101'],
    [{ Swarm: { NodeAddr: '' } }, 'null'],
    [{ Swarm: null }, 'null'],
    [{}, 'null'],
    [{ Swarm: { NodeAddr: 'a:b' } }, 'Swarm.NodeAddr is "a:b", but must be an IP address'],
    [{ Swarm: [] }, 'Swarm is a list, but must be an object'],
    [[], 'the answer is not of a Docker API: is this the right socket?'],
  ];
  for (const [answer, expected] of rows)
    it(`${JSON.stringify(answer)}: ${expected}`, () =>
      assert.equal(
        messageOf(() => readNodeIp(answer, place)),
        expected,
      ));
});

describe('a port of a swarm service', () => {
  const serviceId = 'p2q4xjz0c3h1w8m5n6b7v9k2r';
  const ours = { Protocol: 'tcp', TargetPort: 8000, PublishedPort: 8090, PublishMode: 'ingress' };
  const read = (...list: unknown[]): string =>
    messageOf(() => {
      const answer = { ID: serviceId, Endpoint: { Ports: list } };
      return readIngress(answer, place, serviceId).find(({ target }) => target === '8000/tcp')?.publishedPort;
    });
  const rows: [list: unknown[], expected: string][] = [
    [[ours], '8090'],
    [[], 'undefined'],
    [[{ ...ours, PublishMode: 'host' }], 'undefined'],
    [[{ ...ours, PublishedPort: 0 }], `Endpoint.Ports[0].PublishedPort is 0, ${portRule}`],
    [[{ ...ours, PublishedPort: '8090x' }], `Endpoint.Ports[0].PublishedPort is "8090x", ${portRule}`],
    [[{ ...ours, PublishMode: 42 }], 'Endpoint.Ports[0].PublishMode is 42, but must be ingress or host'],
    [[{ ...ours, TargetPort: '8000abc' }], `Endpoint.Ports[0].TargetPort is "8000abc", ${portRule}`],
    [[{ ...ours, TargetPort: '8000abc' }, null, 42, ours], '8090'],
    [[{ ...ours, TargetPort: 9000, PublishedPort: 'x' }, ours], '8090'],
    [[42], 'Endpoint.Ports[0] is 42, but must be an object'],
  ];
  for (const [list, expected] of rows)
    it(`${JSON.stringify(list)}: ${expected}`, () => assert.equal(read(...list), expected));
  it('of another service is refused', () =>
    assert.throws(
      () => readIngress({ ID: 'a'.repeat(25) }, place, serviceId),
      /asked about p2q4.*, it answers about aaaa/,
    ));
});
