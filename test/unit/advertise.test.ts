/** From the engine's view of a container to the address, or to the problem that is in the way. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatAddress } from '../../src/core/address/ip.ts';
import {
  addressOf,
  serviceIdLabel,
  type AddressQuestion,
  type HostIp,
  type SwarmFacts,
} from '../../src/core/address/advertise.ts';
import { formatProblem } from '../../src/errors.ts';
import type { Binding, ContainerView, NetworkView } from '../../src/core/address/container.ts';

type Ports = Record<string, Binding[]>;

function container(ports: Ports, networkMode = 'default', more: Partial<ContainerView> = {}): ContainerView {
  return {
    id: 'ab'.repeat(32),
    title: 'web',
    name: 'web',
    running: true,
    image: 'app:latest',
    labels: new Map(),
    networkMode,
    ports: new Map(Object.entries(ports)),
    publishedPorts: Object.keys(ports).filter(port => ports[port]?.length),
    routed: new Map(),
    networks: new Map([['bridge', { ipv4: '172.17.0.2', ipv6: '' }]]),
    health: undefined,
    ...more,
  };
}

function question(ip: string | undefined, more: Partial<AddressQuestion> = {}): AddressQuestion {
  return {
    localPort: 8000,
    protocol: 'tcp',
    advertise: { kind: 'published' },
    hostIp: ip === undefined ? undefined : givenIp(ip),
    allowLoopback: false,
    ...more,
  };
}

function givenIp(ip: string, more: Partial<HostIp> = {}): HostIp {
  return { ip, source: `--ip ${ip}`, fromInterface: undefined, ours: false, ...more };
}

/** Not in a swarm, or behind a proxy that shows nothing of it. */
const noSwarm: SwarmFacts = { nodeIp: null, ingress: null };

function found(view: ContainerView, asked: AddressQuestion, facts = noSwarm): string {
  const answer = addressOf(view, asked, facts);
  return 'ok' in answer && answer.ok ? formatAddress(answer.value.address) : JSON.stringify(answer);
}

/** `message; hint`. Every problem of an address has a hint. */
function problemOf(view: ContainerView, asked: AddressQuestion, facts = noSwarm): string {
  const answer = addressOf(view, asked, facts);
  if ('needs' in answer || answer.ok) return `no problem: ${JSON.stringify(answer)}`;
  const [problem, ...others] = answer.problems;
  assert.ok(problem?.hint && others.length === 0, JSON.stringify(answer));
  assert.ok(!problem.message.includes('; '), problem.message);
  return formatProblem(problem);
}

const at = (ipv4: string, ipv6 = ''): NetworkView => ({ ipv4, ipv6 });
const onNetworks = (networks: Record<string, NetworkView>, mode = 'default'): ContainerView =>
  container({}, mode, { networks: new Map(Object.entries(networks)) });
const asContainer = (network?: string): AddressQuestion =>
  question(undefined, { advertise: { kind: 'container', network } });
const task = (ports: Ports): ContainerView =>
  container(ports, 'default', { labels: new Map([[serviceIdLabel, 'p2q']]) });
const asTask = (ip?: string): AddressQuestion => question(ip, { advertise: { kind: 'swarm' } });
const on = (hostIp: string, hostPort: number): Binding => ({ hostIp, hostPort });
const both = [on('0.0.0.0', 32776), on('::', 32775)];

describe('the published address', () => {
  const rows: [name: string, bindings: Binding[], ip: string | undefined, address: string][] = [
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
  for (const [name, bindings, ip, address] of rows) {
    it(name, () => assert.equal(found(container({ '8000/tcp': bindings }), question(ip)), address));
  }

  it('distinguishes tcp and udp of the same number', () => {
    const view = container({ '53/tcp': [on('0.0.0.0', 1)], '53/udp': [on('0.0.0.0', 2)] });
    const of = (protocol: 'tcp' | 'udp'): string =>
      found(view, question('10.1.0.101', { localPort: 53, protocol }));
    assert.deepEqual([of('tcp'), of('udp')], ['10.1.0.101:1', '10.1.0.101:2']);
  });

  it("takes the swarm node's address for a wildcard without --ip", () => {
    const view = container({ '8000/tcp': both });
    assert.deepEqual(addressOf(view, question(undefined), {}), { needs: 'nodeIp' });
    assert.equal(found(view, question(undefined), { nodeIp: '10.1.0.9' }), '10.1.0.9:32776');
  });

  it('takes the local port on the host network', () => {
    assert.equal(found(container({}, 'host'), question('10.1.0.101')), '10.1.0.101:8000');
    const byInterface = question(undefined, {
      hostIp: givenIp('10.1.0.101', { fromInterface: 'eth0', ours: true }),
    });
    assert.equal(found(container({}, 'host'), byInterface), '10.1.0.101:8000');
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
      /published on 0\.0\.0\.0 only, and 2001:db8::1 .* is an IPv6 address; give an IPv4 --ip/,
    ],
    [
      'IPv4 --ip, published on IPv6 only',
      container({ '8000/tcp': [on('::', 1)] }),
      '10.1.0.1',
      /published on :: only, and 10\.1\.0\.1 .* is an IPv4 address; give an IPv6 --ip/,
    ],
    [
      'published on loopback',
      container({ '8000/tcp': [on('127.0.0.1', 1)] }),
      undefined,
      /127\.0\.0\.1 \(published\) is a loopback.*--allow-loopback/,
    ],
    ['a link-local --ip', container({ '8000/tcp': both }), '169.254.7.7', /is a link-local address/],
  ];
  for (const [name, view, ip, text] of refused) {
    it(`has none: ${name}`, () => assert.match(problemOf(view, question(ip)), text));
  }

  it('has none: an interface or an address that is the container’s own', () => {
    const view = container({ '8000/tcp': both });
    const byInterface = question(undefined, {
      hostIp: givenIp('172.17.0.2', { fromInterface: 'eth0', ours: true }),
    });
    assert.match(problemOf(view, byInterface), /--ip eth0 is an interface of this container/);
    const byName = question(undefined, { hostIp: givenIp('172.17.0.2', { source: 'name web', ours: true }) });
    assert.match(problemOf(view, byName), /172\.17\.0\.2 \(name web\) is this container's own address/);
  });

  it('registers loopback when that is allowed', () => {
    const view = container({ '8000/tcp': [on('127.0.0.1', 7)] });
    assert.equal(found(view, question(undefined, { allowLoopback: true })), '127.0.0.1:7');
  });
});

const own = (ip: string, fromInterface?: string): AddressQuestion =>
  question(undefined, { hostIp: givenIp(ip, { ours: true, fromInterface }) });

describe('a container of podman without root, on no network that the engine lists', () => {
  const ports = { '8000/tcp': [on('0.0.0.0', 34779)] };
  const rootless = (mode: string, its: Ports = ports): ContainerView =>
    container(its, mode, { networks: new Map() });

  for (const mode of ['pasta', 'pasta:--map-gw', 'slirp4netns', 'slirp4netns:port_handler=slirp4netns'])
    it(`is registered at its published port: ${mode}`, () => {
      assert.equal(found(rootless(mode), question('10.1.0.101')), '10.1.0.101:34779');
      assert.match(problemOf(rootless(mode), question(undefined)), /published on every address.*--ip/);
      const onOne = rootless(mode, { '8000/tcp': [on('10.1.0.101', 43_415)] });
      assert.equal(found(onOne, question(undefined)), '10.1.0.101:43415');
      assert.match(problemOf(rootless(mode, {}), question('10.1.0.101')), /publishes no port.*-p 8000/);
    });

  it("takes the host's address for --ip, which is the container's own one on pasta", () => {
    assert.equal(found(rootless('pasta'), own('10.1.0.101')), '10.1.0.101:34779');
    assert.equal(found(rootless('pasta'), own('10.1.0.101', 'eth0')), '10.1.0.101:34779');
  });

  it("refuses the container's own address on slirp4netns, which no other host has", () => {
    assert.match(problemOf(rootless('slirp4netns'), own('10.0.2.100')), /is this container's own address/);
    assert.match(
      problemOf(rootless('slirp4netns'), own('10.0.2.100', 'tap0')),
      /interface of this container/,
    );
  });

  it('has no address of its own to register', () => {
    const text = /on podman's network pasta, .*leave --advertise out, and publish the port: -p 8000$/;
    assert.match(problemOf(rootless('pasta'), asContainer()), text);
    assert.match(
      problemOf(rootless('pasta'), question('10.1.0.101', { advertise: { kind: 'host' } })),
      /not on the host's network \(its mode is pasta\)/,
    );
  });

  it('is on no network at all after the last one was disconnected', () =>
    assert.match(problemOf(rootless('bridge'), question('10.1.0.101')), /is on no network/));
});

const routed = (
  hostIps: readonly string[],
  mapped: Binding[],
  networks: Record<string, NetworkView>,
): ContainerView =>
  container({ '8000/tcp': mapped }, 'routed', {
    routed: new Map([['8000/tcp', hostIps]]),
    networks: new Map(Object.entries(networks)),
  });

describe('a port that Docker routes to the container instead of mapping it', () => {
  const one = { routed: at('172.30.4.2', 'fd00::2') };
  const both4and6 = ['0.0.0.0', '::'];

  const rows: [name: string, view: ContainerView, ip: string | undefined, address: string][] = [
    ['its own IPv4 address', routed(both4and6, [], one), undefined, '172.30.4.2:8000'],
    ['its IPv6 address, where only that is routed', routed(['::'], [], one), undefined, '[fd00::2]:8000'],
    ['its own address as --ip', routed(both4and6, [], one), '172.30.4.2', '172.30.4.2:8000'],
    ['its own IPv6 address as --ip', routed(both4and6, [], one), 'fd00::2', '[fd00::2]:8000'],
    ['the mapped family for --ip', routed(['::'], [on('0.0.0.0', 7)], one), '10.1.0.101', '10.1.0.101:7'],
    [
      'the binding on one address, where IPv6 is routed',
      routed(['::'], [on('10.1.0.7', 7)], one),
      undefined,
      '10.1.0.7:7',
    ],
    [
      'the address that --ip names, of several',
      routed(['0.0.0.0'], [], { ...one, web: at('10.9.0.4') }),
      '10.9.0.4',
      '10.9.0.4:8000',
    ],
  ];
  for (const [name, view, ip, address] of rows) {
    const ours = ip !== undefined && [...view.networks.values()].some(its => Object.values(its).includes(ip));
    const hostIp = ip === undefined ? undefined : givenIp(ip, { ours });
    it(`is registered at ${name}`, () => assert.equal(found(view, question(undefined, { hostIp })), address));
  }

  const refused: [name: string, view: ContainerView, ip: string | undefined, text: RegExp][] = [
    [
      "the host's address as --ip, where nothing listens",
      routed(both4and6, [], one),
      '10.1.0.101',
      /at 172\.30\.4\.2:8000, the container's own address, and not at 10\.1\.0\.101 .*leave --ip out/,
    ],
    [
      'several networks',
      routed(['0.0.0.0'], [], { ...one, web: at('10.9.0.4') }),
      undefined,
      /several networks \(routed, web\); name one: --advertise container:routed/,
    ],
    [
      'no address of the family',
      routed(['::'], [], { web: at('10.9.0.4') }),
      undefined,
      /has no IPv6 address/,
    ],
    [
      'a mapped wildcard without --ip',
      routed(['::'], [on('0.0.0.0', 7)], one),
      undefined,
      /give .* with --ip/,
    ],
  ];
  for (const [name, view, ip, text] of refused)
    it(`has none: ${name}`, () => assert.match(problemOf(view, question(ip)), text));
});

describe('the host’s address and the app’s own port', () => {
  const host = { advertise: { kind: 'host' } } as const;

  it('on the host network', () =>
    assert.equal(found(container({}, 'host'), question('10.1.0.101', host)), '10.1.0.101:8000'));

  it('is refused elsewhere', () =>
    assert.match(problemOf(container({}), question('10.1.0.101', host)), /not on the host's network/));
});

describe("the container's own address", () => {
  const rows: [
    name: string,
    networks: Record<string, NetworkView>,
    network: string | undefined,
    address: string,
  ][] = [
    ['on its only network', { bridge: at('172.17.0.2') }, undefined, '172.17.0.2:8000'],
    [
      'on the network that is named',
      { bridge: at('172.17.0.2'), web: at('10.9.0.4') },
      'web',
      '10.9.0.4:8000',
    ],
    ['IPv6 where there is no IPv4', { six: at('', 'fd00::2') }, undefined, '[fd00::2]:8000'],
    [
      'beside the ingress network',
      { ingress: at('10.0.0.7'), web: at('10.9.0.4') },
      undefined,
      '10.9.0.4:8000',
    ],
  ];
  for (const [name, networks, network, address] of rows) {
    it(name, () => assert.equal(found(onNetworks(networks), asContainer(network)), address));
  }

  const refused: [name: string, view: ContainerView, network: string | undefined, text: RegExp][] = [
    [
      'several networks, none named',
      onNetworks({ bridge: at('172.17.0.2'), web: at('10.9.0.4') }),
      undefined,
      /several networks \(bridge, web\); name one: --advertise container:bridge/,
    ],
    [
      'a network that it is not on',
      onNetworks({ bridge: at('172.17.0.2') }),
      'web',
      /no address on network web \(networks: bridge\)/,
    ],
    ['the host network', onNetworks({ host: at('') }, 'host'), undefined, /has no address of its own/],
    ['no network', onNetworks({ none: at('') }, 'none'), undefined, /no address on a network/],
  ];
  for (const [name, view, network, text] of refused) {
    it(`has none: ${name}`, () => assert.match(problemOf(view, asContainer(network)), text));
  }
});

describe('the address of a swarm task', () => {
  const ingress = [{ target: '8000/tcp', publishedPort: 8090 }];

  it('published on its own node', () => {
    const view = task({ '8000/tcp': [on('0.0.0.0', 32768)] });
    assert.equal(found(view, asTask(), { nodeIp: '10.1.0.9' }), '10.1.0.9:32768');
  });

  it("the node's address and the service's ingress port", () => {
    assert.deepEqual(addressOf(task({}), asTask(), {}), { needs: 'ingress' });
    assert.deepEqual(addressOf(task({}), asTask(), { ingress }), { needs: 'nodeIp' });
    assert.equal(found(task({}), asTask(), { ingress, nodeIp: '10.1.0.9' }), '10.1.0.9:8090');
    assert.equal(found(task({}), asTask('10.1.0.101'), { ingress }), '10.1.0.101:8090');
  });

  const refused: [name: string, view: ContainerView, facts: SwarmFacts, text: RegExp][] = [
    ['not a task', container({}), noSwarm, /is not a task of a swarm service/],
    [
      'a node that does not show services',
      task({}),
      noSwarm,
      /only a manager.*mode=host.*--advertise IP:PORT/,
    ],
    [
      'another port published',
      task({}),
      { ingress: [{ target: '9000/tcp', publishedPort: 1 }] },
      /9000\/tcp/,
    ],
    ['no address of the node', task({}), { ingress, nodeIp: null }, /--ip/],
  ];
  for (const [name, view, facts, text] of refused) {
    it(`has none: ${name}`, () => assert.match(problemOf(view, asTask(), facts), text));
  }

  it('is hinted at where nothing is published', () =>
    assert.match(problemOf(task({}), question('10.1.0.101')), /ingress.*--advertise swarm/));
});
