/** Several addresses for one service: what is chosen, what is kept, what is refused, and what people are told. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  addressOf,
  serviceIdLabel,
  type AddressQuestion,
  type HostIp,
} from '../../src/core/address/advertise.ts';
import type { SwarmFacts } from '../../src/core/address/advertise.ts';
import { stillHolds } from '../../src/core/address/choice.ts';
import type { Binding, ContainerView, NetworkView } from '../../src/core/address/container.ts';
import { everyHostWarning, type OwnNetwork } from '../../src/core/address/every-host.ts';
import { formatAddress, type Address } from '../../src/core/address/ip.ts';
import { formatProblem } from '../../src/errors.ts';
import { ipv4Gateways, ipv6Gateways } from '../../src/network/own-network.ts';

const at = (text: string): Binding => {
  const { ip, port } = addressIn(text);
  return { hostIp: ip === '*' ? '' : ip, hostPort: port };
};

/** `10.1.0.101:80`, `[::]:80`, `*:80` */
function addressIn(text: string): Address {
  const [, six, four, port] = /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(text) ?? [];
  return { ip: six ?? four ?? '', port: Number(port) };
}

const bridge: NetworkView = { ipv4: '172.18.5.2', ipv6: '', gateways: ['172.18.5.1'] };

interface Row {
  /** The bindings of port 8000. */
  readonly on?: readonly string[];
  readonly ip?: string;
  /** More of what is known about --ip. */
  readonly host?: Partial<HostIp>;
  readonly registered?: string;
  readonly advertise?: AddressQuestion['advertise'];
  readonly view?: Partial<ContainerView>;
  readonly facts?: SwarmFacts;
  readonly own?: OwnNetwork;
  readonly allowLoopback?: boolean;
  /** The address, or what its problem says. */
  readonly expected: string | RegExp;
  /** What the warnings say. Default: there are none. */
  readonly warning?: RegExp;
}

function check(row: Row): void {
  const bindings = row.on?.map(at) ?? [];
  const view: ContainerView = {
    id: 'ab'.repeat(32),
    title: 'web',
    name: 'web',
    running: true,
    image: 'app:latest',
    labels: new Map(),
    networkMode: 'default',
    ports: new Map(bindings.length > 0 ? [['8000/tcp', bindings]] : []),
    publishedPorts: [],
    routed: new Map(),
    networks: new Map([['bridge', bridge]]),
    health: undefined,
    ...row.view,
  };
  const hostIp = row.ip && { ip: row.ip, source: `--ip ${row.ip}`, fromInterface: undefined, ours: false };
  const answer = addressOf(
    view,
    {
      localPort: 8000,
      protocol: 'tcp',
      advertise: row.advertise ?? { kind: 'published' },
      hostIp: hostIp ? { ...hostIp, ...row.host } : undefined,
      allowLoopback: row.allowLoopback ?? false,
      registered: row.registered === undefined ? undefined : addressIn(row.registered),
      own: row.own,
    },
    row.facts ?? { nodeIp: null, ingress: null },
  );
  assert.ok('ok' in answer, JSON.stringify(answer));
  const problems = answer.ok ? (answer.value.warnings ?? []) : answer.problems;
  for (const { message, hint } of problems) {
    assert.ok(hint, message);
    assert.ok(!message.includes('; ') && message.length < 400, message);
  }
  const text = problems.map(formatProblem).join('\n');
  if (row.expected instanceof RegExp) {
    assert.ok(!answer.ok, answer.ok ? `${formatAddress(answer.value.address)} ${text}` : '');
    return assert.match(text, row.expected);
  }
  assert.equal(answer.ok ? formatAddress(answer.value.address) : text, row.expected);
  if (row.warning === undefined) assert.equal(text, '');
  else {
    assert.match(text, row.warning);
    assert.ok(
      problems.every(({ message }) => message.startsWith(row.expected as string)),
      text,
    );
  }
}

function table(rows: Readonly<Record<string, Row>>): void {
  for (const [name, row] of Object.entries(rows)) it(name, () => check(row));
}

const host = '10.1.0.101';
const own = (gateways: string[], bridges: [string, string][] = []): OwnNetwork => ({
  gateways,
  bridges: new Map(bridges),
});
const byName = (name: string): Partial<HostIp> => ({ source: `name ${name}`, name });
/** A line of /proc/net/route. */
const routeLine = (destination: string, gateway: string): string =>
  `eth0\t${destination}\t${gateway}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n`;
const two = ['10.1.0.101:80', '192.168.1.5:80'];
const wild = ['0.0.0.0:80', '[::]:80'];
const task: Partial<ContainerView> = { labels: new Map([[serviceIdLabel, 'p2q']]) };
const asTask = { kind: 'swarm' } as const;

describe('several published addresses', () => {
  table({
    'without --ip: one is chosen, and all are named': {
      on: two,
      expected: '10.1.0.101:80',
      warning:
        /is one of several: port 8000\/tcp of container web is published on 10\.1\.0\.101:80, 192\.168\.1\.5:80; name one with --ip/,
    },
    'in whatever order Docker lists them': {
      on: two.toReversed(),
      expected: '10.1.0.101:80',
      warning: /10\.1\.0\.101:80, 192\.168\.1\.5:80/,
    },
    'one IP address with two ports': {
      on: ['10.1.0.101:81', '10.1.0.101:80'],
      expected: '10.1.0.101:80',
      warning: /10\.1\.0\.101:80, 10\.1\.0\.101:81/,
    },
    'IPv4 and IPv6': {
      on: ['[2001:db8::1]:80', '10.1.0.101:80'],
      expected: '10.1.0.101:80',
      warning: /10\.1\.0\.101:80, \[2001:db8::1\]:80/,
    },
    'one and every other': {
      on: [...wild, '10.1.0.101:81'],
      expected: '10.1.0.101:81',
      warning: /0\.0\.0\.0:80/,
    },
    'one, and loopback for the host itself: nothing is open': {
      on: ['127.0.0.1:80', '10.1.0.101:80'],
      expected: '10.1.0.101:80',
    },
    'more than a line holds': {
      on: Array.from({ length: 300 }, (_, port) => `10.1.0.101:${port + 1}`),
      expected: '10.1.0.101:1',
      warning: /10\.1\.0\.101:5 and 295 more/,
    },
    'one of them twice': { on: ['10.1.0.101:80', '10.1.0.101:80'], expected: '10.1.0.101:80' },
    'one is registered: it stays, whatever was listed first': {
      on: two,
      registered: '192.168.1.5:80',
      expected: '192.168.1.5:80',
      warning: /^192\.168\.1\.5:80 is one of several/,
    },
    'the registered one is gone': {
      on: two,
      registered: '192.168.1.5:81',
      expected: '10.1.0.101:80',
      warning: /is one of several/,
    },
    'only this host connects, and others can now too: loopback stays': {
      on: ['127.0.0.1:80', '10.1.0.101:80'],
      registered: '127.0.0.1:80',
      allowLoopback: true,
      expected: '127.0.0.1:80',
      warning: /10\.1\.0\.101:80, 127\.0\.0\.1:80/,
    },
    'only this host connects, and every address is published now: loopback stays': {
      on: ['127.0.0.1:80', '0.0.0.0:81'],
      registered: '127.0.0.1:80',
      allowLoopback: true,
      facts: { nodeIp: '10.1.0.9' },
      expected: '127.0.0.1:80',
      warning: /0\.0\.0\.0:81, 127\.0\.0\.1:80/,
    },
    'only one is left': { on: ['10.1.0.101:80'], registered: '192.168.1.5:80', expected: '10.1.0.101:80' },
  });
});

describe('--ip among several published addresses', () => {
  const public4 = '203.0.113.7';
  table({
    'names one': { on: two, ip: '192.168.1.5', expected: '192.168.1.5:80' },
    'names one beside every address': { on: [...wild, '10.1.0.101:81'], ip: host, expected: '10.1.0.101:81' },
    'is covered by every address': { on: wild, ip: host, expected: '10.1.0.101:80' },
    'is in front of the host, which publishes on every address': {
      on: wild,
      ip: public4,
      expected: `${public4}:80`,
    },
    'has two ports': {
      on: ['10.1.0.101:80', '10.1.0.101:81'],
      ip: host,
      expected: '10.1.0.101:80',
      warning: /10\.1\.0\.101:81; publish it once, or name one: --advertise 10\.1\.0\.101:80/,
    },
    'is covered by every address, with two ports': {
      on: ['0.0.0.0:81', '[::]:81', '0.0.0.0:80', '[::]:80'],
      ip: host,
      expected: '10.1.0.101:80',
      warning: /0\.0\.0\.0:80, 0\.0\.0\.0:81/,
    },
    'has a port of its own now, and the one of every address is registered': {
      on: [...wild, '10.1.0.101:81'],
      ip: host,
      registered: '10.1.0.101:80',
      expected: '10.1.0.101:80',
      warning: /10\.1\.0\.101:81/,
    },
    'has another port than the registered one': {
      on: wild,
      ip: host,
      registered: '10.1.0.101:79',
      expected: '10.1.0.101:80',
    },
    'is one that no binding has': {
      on: ['10.1.0.101:80'],
      ip: '10.1.0.102',
      expected:
        /published on 10\.1\.0\.101:80 only, so nothing listens at 10\.1\.0\.102 \(--ip 10\.1\.0\.102\); give --ip 10\.1\.0\.101, or publish it on 10\.1\.0\.102 or on every address; .*--advertise 10\.1\.0\.102:80/,
    },
    'is one that none of several bindings has': {
      on: two,
      ip: '10.1.0.102',
      expected: /published on 10\.1\.0\.101:80, 192\.168\.1\.5:80 only, so nothing listens at 10\.1\.0\.102/,
    },
    'is in front of the host, which publishes on one address': {
      on: ['10.1.0.101:80'],
      ip: public4,
      expected:
        /where something in front of the host forwards 203\.0\.113\.7:80 to it, give --advertise 203\.0\.113\.7:80/,
    },
    'is no binding, and was the registered one': {
      on: ['10.1.0.102:80'],
      ip: host,
      registered: '10.1.0.101:80',
      expected: /nothing listens at 10\.1\.0\.101/,
    },
    'is IPv4, beside IPv4 on another address and IPv6 on every one': {
      on: ['10.1.0.101:80', '[::]:80'],
      ip: '10.1.0.102',
      expected: /published on 10\.1\.0\.101:80, \[::\]:80 only, so nothing listens at 10\.1\.0\.102/,
    },
    'is IPv6, and only IPv4 is published': {
      on: two,
      ip: '2001:db8::1',
      expected: /only, and 2001:db8::1 .* IPv6 address/,
    },
    'stands for several addresses': {
      on: wild,
      ip: host,
      host: { source: 'name host-1', others: ['10.1.0.7'] },
      expected: '10.1.0.101:80',
      warning:
        /is one of several: name host-1 stands for 10\.1\.0\.101, 10\.1\.0\.7; give the address itself/,
    },
    'stands for several addresses, of which one is loopback for this host': {
      on: wild,
      ip: '127.0.0.1',
      host: { source: 'name host-1', others: ['127.0.1.1'] },
      allowLoopback: true,
      expected: '127.0.0.1:80',
      warning: /127\.0\.0\.1, 127\.0\.1\.1/,
    },
  });
});

describe('a record stays when it becomes open which address is meant', () => {
  const both = new Map<string, NetworkView>([
    ['bridge', bridge],
    ['metrics', { ipv4: '172.30.1.2', ipv6: 'fd00::2' }],
  ]);
  const container = { kind: 'container', network: undefined } as const;
  const several =
    /is kept, although container web is on several networks \(bridge, metrics\); name one: --advertise container:bridge/;
  table({
    'a second network is connected': {
      advertise: container,
      view: { networks: both },
      registered: '172.18.5.2:8000',
      expected: '172.18.5.2:8000',
      warning: several,
    },
    'a second network is connected, and it comes first': {
      advertise: container,
      view: { networks: both },
      registered: '172.30.1.2:8000',
      expected: '172.30.1.2:8000',
      warning: several,
    },
    'a second network is connected, and the registered address is IPv6': {
      advertise: container,
      view: { networks: both },
      registered: '[fd00::2]:8000',
      expected: '[fd00::2]:8000',
      warning: several,
    },
    'its network gets IPv4 too': {
      advertise: { kind: 'container', network: 'metrics' },
      view: { networks: both },
      registered: '[fd00::2]:8000',
      expected: '[fd00::2]:8000',
    },
    'at the start that is refused': {
      advertise: container,
      view: { networks: both },
      expected: /^container web is on several networks/,
    },
    'the container is on two others': {
      advertise: container,
      view: { networks: both },
      registered: '172.29.0.2:8000',
      expected: /^container web is on several networks/,
    },
    'with another port': {
      advertise: container,
      view: { networks: both },
      registered: '172.18.5.2:8001',
      expected: /^container web is on several networks/,
    },
    'its own network is gone, and one is left': {
      advertise: container,
      registered: '172.30.1.2:8000',
      expected: '172.18.5.2:8000',
    },
    'on every address, and the node has left its swarm': {
      on: wild,
      registered: '10.1.0.101:80',
      expected: '10.1.0.101:80',
      warning: /is kept, although port 8000\/tcp .* on every address/,
    },
    'at another port of every address': {
      on: wild,
      registered: '10.1.0.101:79',
      expected: /on every address/,
    },
    'on every address of the other family': {
      on: ['[::]:80'],
      registered: '10.1.0.101:80',
      expected: /on every address/,
    },
    'on every address of podman': {
      on: ['*:80'],
      registered: '10.1.0.101:80',
      expected: '10.1.0.101:80',
      warning: /is kept/,
    },
    'on loopback only': { on: ['127.0.0.1:80'], registered: '10.1.0.101:80', expected: /loopback/ },
    'the node has another address now': {
      on: wild,
      registered: '10.1.0.101:80',
      facts: { nodeIp: '10.1.0.9' },
      expected: '10.1.0.9:80',
    },
    "on the host's network, and the node has left its swarm": {
      view: { networkMode: 'host' },
      registered: '10.1.0.101:8000',
      expected: '10.1.0.101:8000',
      warning: /is kept, although container web uses the host's network/,
    },
    "at another port of the host's network": {
      view: { networkMode: 'host' },
      registered: '10.1.0.101:8001',
      expected: /uses the host's network/,
    },
    'the manager of the swarm has become a worker': {
      advertise: asTask,
      view: task,
      registered: '10.1.0.101:8090',
      expected: '10.1.0.101:8090',
      warning: /is kept, although the port that the service .* only a manager tells it/,
    },
    'a task at the start on a worker': {
      advertise: asTask,
      view: task,
      expected: /^the port that the service/,
    },
    'the node does not tell its address any more': {
      advertise: asTask,
      view: task,
      facts: { nodeIp: null, ingress: [{ target: '8000/tcp', publishedPort: 8090 }] },
      registered: '10.1.0.101:8090',
      expected: '10.1.0.101:8090',
      warning: /is kept, although Docker does not tell/,
    },
    'the service publishes another port now': {
      advertise: asTask,
      view: task,
      facts: { nodeIp: null, ingress: [{ target: '8000/tcp', publishedPort: 8091 }] },
      registered: '10.1.0.101:8090',
      expected: /Docker does not tell/,
    },
    'a network is connected whose gateway it is': {
      on: wild,
      ip: '172.18.5.1',
      registered: '172.18.5.1:80',
      expected: '172.18.5.1:80',
      warning: /is kept, although 172\.18\.5\.1 .* is the gateway of network bridge/,
    },
    'nothing is published any more': { registered: '10.1.0.101:80', expected: /publishes no port/ },
    'no network is left': {
      on: wild,
      view: { networks: new Map() },
      registered: '10.1.0.101:80',
      expected: /is on no network/,
    },
  });

  it('only while its IP address and port are among the candidates', () => {
    const candidates = ['10.1.0.101:80', '[::]:81', '*:82', '0.0.0.0:83'].map(at);
    const rows: Readonly<Record<string, boolean>> = {
      '10.1.0.101:80': true,
      '10.1.0.102:80': false,
      '10.1.0.101:81': false,
      '[2001:db8::1]:81': true,
      '10.1.0.101:82': true,
      '[2001:db8::1]:82': true,
      '10.1.0.101:83': true,
      '[2001:db8::1]:83': false,
    };
    for (const [text, expected] of Object.entries(rows))
      assert.equal(stillHolds(addressIn(text), candidates), expected, text);
    assert.equal(stillHolds(undefined, candidates), false);
  });
});

describe('an address that every Docker host has', () => {
  table({
    'is refused: the gateway of our network': {
      on: wild,
      ip: '172.18.5.1',
      host: byName('host.docker.internal'),
      expected:
        /^172\.18\.5\.1 \(name host\.docker\.internal, published\) is the gateway of network bridge: every Docker host .*--allow-loopback if only this host/,
    },
    'is refused: the IPv6 gateway': {
      on: wild,
      ip: 'fd00::1',
      view: { networks: new Map([['six', { ipv4: '', ipv6: 'fd00::2', gateways: ['fd00::1'] }]]) },
      expected: /is the gateway of network six/,
    },
    'is refused: docker0 from another network': {
      on: wild,
      ip: '172.17.0.1',
      expected: /is the address of docker0/,
    },
    'is refused: the only address where it is published': {
      on: ['172.17.0.1:80'],
      expected: /^172\.17\.0\.1 \(published\) is the address of docker0/,
    },
    'is refused: the gateway of a network as the place where it is published': {
      on: ['172.18.5.1:80'],
      expected: /is the gateway of network bridge/,
    },
    'is refused: where the default route leads': {
      on: wild,
      ip: '10.0.2.2',
      own: own(['10.0.2.2']),
      expected: /is the gateway of this container's network/,
    },
    "is refused: a bridge on the host's network": {
      view: { networkMode: 'host' },
      ip: '172.20.0.1',
      host: { source: 'interface br-0123456789ab', fromInterface: 'br-0123456789ab', ours: true },
      own: own(['10.1.0.1'], [['172.20.0.1', 'br-0123456789ab']]),
      expected: /is the address of the bridge br-0123456789ab/,
    },
    "is refused for the host's own network too": {
      view: { networkMode: 'host' },
      advertise: { kind: 'host' },
      ip: '172.17.0.1',
      expected: /is the address of docker0/,
    },
    'is refused: link-local': {
      on: wild,
      ip: '169.254.1.2',
      host: byName('host.containers.internal'),
      expected: /link-local/,
    },
    'is refused: a name of loopback': {
      on: wild,
      ip: '127.0.0.1',
      host: byName('localhost'),
      expected: /loopback/,
    },
    'is refused: every address': { on: wild, ip: '0.0.0.0', expected: /means every address/ },
    'is registered where only this host connects': {
      on: wild,
      ip: '172.18.5.1',
      allowLoopback: true,
      expected: '172.18.5.1:80',
    },
    'is registered where only this host connects: docker0': {
      on: wild,
      ip: '172.17.0.1',
      allowLoopback: true,
      expected: '172.17.0.1:80',
    },
    "is no such: the router of the host's own network": {
      view: { networkMode: 'host' },
      ip: '10.1.0.1',
      own: own(['10.1.0.1']),
      expected: '10.1.0.1:8000',
    },
    'is likely: a name for the host, with the address of another bridge': {
      on: wild,
      ip: '10.200.0.1',
      host: byName('host.docker.internal'),
      expected: '10.200.0.1:80',
      warning:
        /may not be reached by other hosts: host\.docker\.internal is a name that every Docker host has for itself; give the address/,
    },
    'is likely: a name that --add-host gives to host-gateway': {
      on: wild,
      ip: '10.200.0.1',
      host: byName('Outside'),
      view: { hostGatewayNames: ['outside'] },
      expected: '10.200.0.1:80',
      warning: /Outside is a name that every Docker host has/,
    },
    'is likely, and only this host connects: no warning': {
      on: wild,
      ip: '10.200.0.1',
      host: byName('host.docker.internal'),
      allowLoopback: true,
      expected: '10.200.0.1:80',
    },
    'is no such: the name of a host': {
      on: wild,
      ip: host,
      host: byName('host-1.example'),
      expected: '10.1.0.101:80',
    },
    'does not matter for the address of the container': {
      advertise: { kind: 'container', network: undefined },
      view: { networks: new Map([['x', { ipv4: '172.18.0.1', ipv6: '', gateways: ['172.18.0.1'] }]]) },
      expected: '172.18.0.1:8000',
    },
  });

  for (const ip of [
    '172.18.0.1',
    '172.31.0.1',
    '10.88.0.1',
    '10.89.3.1',
    '10.0.2.2',
    '192.168.65.254',
    '192.168.127.254',
  ])
    it(`is likely: ${ip}`, () =>
      assert.match(
        everyHostWarning({ ip, port: 80 }, undefined)?.message ?? '',
        /:80 may not be reached by other hosts: \S+ is usually .*, which every host has$/,
      ));
  for (const ip of [
    '172.18.1.1',
    '172.16.0.1',
    '172.32.0.1',
    '10.87.0.1',
    '10.1.0.1',
    '192.168.0.1',
    '2001:db8::1',
  ])
    it(`is not: ${ip}`, () => assert.equal(everyHostWarning({ ip, port: 80 }, undefined), undefined));
  for (const name of [
    'gateway.docker.internal',
    'HOST.containers.internal',
    'host.lima.internal',
    'docker.for.mac.localhost',
  ])
    it(`is likely: ${name}`, () => assert.ok(everyHostWarning({ ip: '10.9.9.9', port: 80 }, name)));
});

describe("our own kernel's routes", () => {
  const header = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';

  it('show the gateway of IPv4', () => {
    const text = `${header}${routeLine('00000000', '010011AC')}${routeLine('000011AC', '00000000')}${routeLine('0000FEA9', '020011AC')}`;
    assert.deepEqual(ipv4Gateways(text, 'LE'), ['172.17.0.1']);
    assert.deepEqual(ipv4Gateways(`${header}${routeLine('00000000', 'AC110001')}`, 'BE'), ['172.17.0.1']);
  });

  it('show the gateway of IPv6', () => {
    const zeros = '0'.repeat(32);
    const via = (gateway: string, length = '00'): string =>
      `${zeros} ${length} ${zeros} 00 ${gateway} 00000400 00000001 00000000 00000003     eth0\n`;
    const text =
      via('fd000030000300000000000000000001') + via(zeros) + via('fd000000000000000000000000000009', '40');
    assert.deepEqual(ipv6Gateways(text), ['fd00:30:3::1']);
  });

  it('show none where the files are odd', () => {
    for (const text of [
      '',
      '\n\n',
      'x',
      header,
      '00000000 00000000 xyz',
      'eth0 00000000 0100',
      '\0'.repeat(100),
    ]) {
      assert.deepEqual(ipv4Gateways(text, 'LE'), []);
      assert.deepEqual(ipv6Gateways(text), []);
    }
  });
});
