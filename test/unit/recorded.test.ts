/** From the recorded answers of real engines (test/fixtures) to the address, on the same path as the program. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatAddress, type Protocol } from '../../src/core/address/ip.ts';
import { addressOf, type Advertise, type SwarmFacts } from '../../src/core/address/advertise.ts';
import { readContainer, readIngress, readNodeIp } from '../../src/core/address/answer.ts';
import type { ContainerView } from '../../src/core/address/container.ts';
import { formatProblem } from '../../src/errors.ts';

/** What is read here without the program's code. */
interface InspectAnswer {
  readonly Id: string;
  readonly NetworkSettings?: {
    readonly Ports: Readonly<Record<string, readonly { HostIp?: string; HostPort: string }[] | null>>;
    readonly Networks?: Readonly<Record<string, { readonly IPAddress: string; readonly Gateway?: string }>>;
  };
}

interface Recorded {
  readonly container: InspectAnswer;
  readonly service?: { readonly ID: string };
  readonly info?: object;
}

const place = 'Docker at unix:///var/run/docker.sock';

const viewOf = (answer: InspectAnswer): ContainerView => readContainer(answer, place, answer.Id);

interface Case {
  readonly ip?: string;
  readonly protocol?: Protocol;
  readonly port?: number;
  readonly advertise?: Exclude<Advertise, { kind: 'literal' }>;
  readonly allowLoopback?: boolean;
  /** The address that is registered, in the form of `expected`. */
  readonly registered?: string;
  /** What is said beside the address. Default: nothing. */
  readonly warning?: RegExp | undefined;
  /** What podman says beside it, where that differs. */
  readonly podmanWarning?: RegExp | undefined;
  /**
   * The address, where `{<port>/<protocol>@<HostIp>}` is the first port that Docker mapped there and `{<network>}` our
   * own address on a network; or a pattern for the problem.
   */
  readonly expected: string | RegExp;
  /** Podman's answer, where it differs. */
  readonly podman?: string | RegExp;
  /** That of podman without root, where it differs from both; null for a question that does not apply there. */
  readonly rootless?: string | RegExp | null;
}

const host = '10.1.0.101';
const six = '2001:db8::1';
const ofContainer: Case['advertise'] = { kind: 'container', network: undefined };
const asTask: Case['advertise'] = { kind: 'swarm' };
const noSix = /for IPv4 only, as its networks have no IPv6, and 2001:db8::1 .*a network with IPv6/;
/** Podman 5 lists the wildcard of IPv4 for every wildcard. */
const noSixRootless =
  /published on 0\.0\.0\.0 only, and 2001:db8::1 .* is an IPv6 address; give an IPv4 --ip/;
const onPasta =
  /is on podman's network pasta, where others reach only its published ports; leave --advertise out/;
const wildcard = `${host}:{8000/tcp@0.0.0.0}`;

const cases: readonly (readonly [file: string, ...Case[]])[] = [
  [
    'published',
    { ip: host, expected: wildcard },
    { ip: six, expected: `[${six}]:{8000/tcp@::}`, podman: noSix, rootless: noSixRootless },
    { expected: /published on every address.*--ip/ },
    { registered: wildcard, expected: wildcard, warning: /is kept, although .* on every address/ },
    { registered: `${host}:1`, expected: /published on every address.*--ip/ },
    {
      ip: '{gateway}',
      expected: /is the gateway of network (?:bridge|podman): every Docker host/,
      rootless: null,
    },
    {
      ip: '{gateway}',
      rootless: null,
      allowLoopback: true,
      expected: '{gateway}:{8000/tcp@0.0.0.0}',
    },
    { ip: '172.17.0.1', expected: /is the address of docker0/ },
    { ip: host, protocol: 'udp', expected: /8000\/udp .* is not published, only 8000\/tcp/ },
    { ip: host, port: 9000, expected: /9000\/tcp .* is not published, only 8000\/tcp/ },
    { ip: host, advertise: { kind: 'host' }, expected: /not on the host's network/ },
    { advertise: asTask, expected: /is not a task of a swarm service/ },
    { advertise: ofContainer, expected: '{bridge}:8000', rootless: onPasta },
    { ip: '127.0.0.1', expected: /127\.0\.0\.1 \(--ip.*is a loopback address/ },
    { ip: '127.0.0.1', allowLoopback: true, expected: '127.0.0.1:{8000/tcp@0.0.0.0}' },
  ],
  [
    'published-different-by-family',
    { ip: host, expected: wildcard },
    { ip: six, expected: `[${six}]:{8000/tcp@::}` },
  ],
  [
    'published-on-loopback',
    { expected: /127\.0\.0\.1 \(published\) is a loopback address.*--allow-loopback/ },
    { allowLoopback: true, expected: '127.0.0.1:{8000/tcp@127.0.0.1}' },
    { ip: host, expected: /on 127\.0\.0\.1 only, so nobody reaches it at 10\.1\.0\.101 / },
  ],
  [
    'published-on-ipv6-loopback',
    { expected: /::1 \(published\) is a loopback address/ },
    { allowLoopback: true, expected: '[::1]:{8000/tcp@::1}' },
    { ip: six, expected: /on ::1 only, so nobody reaches it at 2001:db8::1 / },
  ],
  [
    'published-on-lan-address',
    { expected: `${host}:{8000/tcp@${host}}` },
    { ip: host, expected: `${host}:{8000/tcp@${host}}` },
    {
      ip: '10.1.0.102',
      expected:
        /published on 10\.1\.0\.101:\d+ only, so nothing listens at 10\.1\.0\.102 .*--advertise 10\.1\.0\.102:\d+/,
    },
    { ip: six, expected: /published on 10\.1\.0\.101 only, and 2001:db8::1 .* is an IPv6 address/ },
  ],
  [
    'published-on-ipv6-wildcard',
    { ip: six, expected: `[${six}]:{8000/tcp@::}` },
    { ip: host, expected: /published on :: only, and 10\.1\.0\.101 .* is an IPv4 address/ },
  ],
  [
    'published-and-on-loopback',
    { ip: host, expected: wildcard },
    { expected: /published on every address.*--ip/ },
    { ip: '127.0.0.1', allowLoopback: true, expected: '127.0.0.1:{8000/tcp@127.0.0.1}' },
  ],
  [
    'published-udp',
    { ip: host, protocol: 'udp', expected: `${host}:{8000/udp@0.0.0.0}` },
    { ip: host, expected: /8000\/tcp .* is not published, only 8000\/udp/ },
  ],
  [
    'published-tcp-and-udp',
    { ip: host, expected: wildcard },
    { ip: host, protocol: 'udp', expected: `${host}:{8000/udp@0.0.0.0}` },
    { ip: six, protocol: 'udp', expected: `[${six}]:{8000/udp@::}`, podman: noSix, rootless: noSixRootless },
  ],
  [
    'published-twice',
    {
      ip: host,
      expected: wildcard,
      warning: /^10\.1\.0\.101:\d+ is one of several: .*; publish it once, or name one/,
      // Podman keeps one of the two.
      podmanWarning: undefined,
    },
    { registered: wildcard, expected: wildcard, warning: /is kept, although .* on every address/ },
  ],
  ['published-other-port', { ip: host, port: 9000, expected: `${host}:{9000/tcp@0.0.0.0}` }],
  ['exposed-only', { ip: host, port: 9000, expected: /9000\/tcp .* is exposed but not published.*-p 9000/ }],
  ['nothing', { ip: host, expected: /publishes no port/ }],
  ['network-host', { ip: host, expected: `${host}:8000` }, { expected: /uses the host's network.*--ip/ }],
  [
    'network-host-exposed',
    { ip: host, advertise: { kind: 'host' }, expected: `${host}:8000` },
    { advertise: ofContainer, expected: /uses the host's network and has no address of its own/ },
  ],
  [
    'network-none',
    { ip: host, expected: /has no network/ },
    { advertise: ofContainer, expected: /no address on a network \(networks: none\)/ },
  ],
  // Podman does not show that a network is internal. As root, nobody reaches the port that it lists; without root, others
  // do.
  [
    'network-internal',
    { ip: host, expected: /publishes no port; .*an internal network is not published/, podman: wildcard },
  ],
  ['network-isolated', { ip: host, expected: /publishes no port; .*an internal network is not published/ }],
  ['network-pasta', { ip: host, expected: wildcard }, { expected: /published on every address.*--ip/ }],
  ['network-slirp4netns', { ip: host, expected: wildcard }, { expected: /published on every address.*--ip/ }],
  [
    'network-routed',
    { expected: '{routed}:8000' },
    { ip: six, expected: `[${six}]:{8000/tcp@::}` },
    {
      ip: host,
      expected: /published by routing at 172\.30\.4\.2:8000, the container's own address, and not at /,
    },
    { ip: '172.30.4.2', expected: '{routed}:8000' },
    { advertise: ofContainer, expected: '{routed}:8000' },
    { port: 9000, expected: /9000\/tcp .* is not published, only 8000\/tcp/ },
  ],
  ['network-routed-host-port', { expected: '{routed}:8000' }],
  [
    'network-routed-on-lan-address',
    { expected: '{routed}:8000' },
    { ip: host, expected: /not at 10\.1\.0\.101 \(--ip .*leave --ip out/ },
    { ip: six, expected: /published by routing at 172\.30\.4\.2:8000, .*and not at 2001:db8::1/ },
  ],
  ['networks-two-routed', { ip: host, expected: wildcard }],
  [
    'network-routed-ipv6',
    { ip: host, expected: wildcard },
    { expected: /published on every address.*--ip/ },
    { ip: six, expected: /published by routing at \[fd00:30:5::2\]:8000, .*and not at 2001:db8::1/ },
    { ip: 'fd00:30:5::2', expected: '[fd00:30:5::2]:8000' },
  ],
  ['network-container-owner', { ip: host, expected: wildcard }],
  [
    'network-of-user',
    { ip: host, expected: wildcard },
    { advertise: { kind: 'container', network: 'backend' }, expected: '{backend}:8000' },
  ],
  ['network-of-user-not-published', { advertise: ofContainer, expected: '{backend}:8000' }],
  ['network-ipv6', { ip: six, expected: `[${six}]:{8000/tcp@::}` }],
  ['network-macvlan', { advertise: ofContainer, expected: '{wire}:8000' }],
  ['network-overlay', { advertise: ofContainer, expected: '{mesh}:8000' }],
  [
    'networks-two',
    { ip: host, expected: wildcard },
    { advertise: ofContainer, expected: /on several networks .*name one/ },
    ...['{backend}:8000', '{metrics}:8000'].map(registered => ({
      advertise: ofContainer,
      registered,
      expected: registered,
      warning: /is kept, although container .* is on several networks \(backend, metrics\); name one/,
    })),
    { advertise: ofContainer, registered: '{backend}:8001', expected: /on several networks .*name one/ },
    { advertise: ofContainer, registered: '172.30.9.9:8000', expected: /on several networks .*name one/ },
    { advertise: { kind: 'container', network: 'metrics' }, expected: '{metrics}:8000' },
    { advertise: { kind: 'container', network: 'wire' }, expected: /no address on network wire/ },
  ],
  [
    'networks-all-disconnected',
    { ip: host, expected: /is on no network.*connect it/ },
    { ip: host, registered: `${host}:8000`, expected: /is on no network.*connect it/ },
  ],
  ['pod-infra', { ip: host, expected: wildcard }],
  ['paused', { ip: host, expected: wildcard }],
  ['swarm-host-mode', { expected: wildcard }, { advertise: asTask, expected: wildcard }],
  [
    'swarm-ingress',
    { advertise: asTask, expected: `${host}:8090` },
    {
      advertise: asTask,
      port: 9000,
      expected: /publishes no port for 9000\/tcp \(it publishes: 8000\/tcp\)/,
    },
    { expected: /not published on its node.*--advertise swarm/ },
    { advertise: ofContainer, expected: /no address on a network/ },
  ],
  ['swarm-not-published', { advertise: asTask, expected: /publishes no port for 8000\/tcp .*none/ }],
  ['swarm-overlay', { advertise: ofContainer, expected: '{mesh}:8000' }],
  ['with-labels-and-health-check', { ip: host, expected: wildcard }],
];

/** Answers that are not about an address. */
const others: Readonly<Record<string, (recorded: Recorded) => void>> = {
  stopped: ({ container }) => assert.equal(viewOf(container).running, false),
  'network-container-member': namesOwner,
  'pod-member': namesOwner,
  'info-without-swarm': ({ info }) => assert.equal(info && readNodeIp(info, place), null),
};

const folder = 'test/fixtures/inspect';

for (const engine of readdirSync(folder)) {
  describe(`the answers of ${engine}`, () => {
    it('are all in the table', () => {
      const known = new Set([...cases.map(([file]) => file), ...Object.keys(others)]);
      const files = readdirSync(`${folder}/${engine}`).map(file => file.replace('.json', ''));
      assert.deepEqual(
        files.filter(file => !known.has(file)),
        [],
      );
    });
    for (const [file, examine] of Object.entries(others)) {
      const recorded = read(`${folder}/${engine}/${file}.json`);
      if (recorded !== null) it(file, () => examine(recorded));
    }
    for (const [file, ...questions] of cases) {
      const path = `${folder}/${engine}/${file}.json`;
      const recorded = read(path);
      if (recorded === null) continue;
      for (const each of questions) {
        const { podman, podmanWarning, rootless, ...question } = each;
        if (engine === 'podman-sid' && rootless === null) continue;
        const isPodman = engine.startsWith('podman');
        const expected =
          (engine === 'podman-sid' ? rootless : undefined) ??
          (isPodman ? podman : undefined) ??
          question.expected;
        const warning = isPodman && 'podmanWarning' in each ? podmanWarning : question.warning;
        const asked = { ...question, expected, warning };
        it(`${file} ${nameOf(asked)}`, () => check(recorded, asked));
      }
    }
  });
}

/** Null for a case that was not recorded from this engine. */
function read(path: string): Recorded | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Recorded;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** By the id, whatever name the user gave; findSelf then inspects that container. */
function namesOwner({ container }: Recorded): void {
  assert.match(viewOf(container).networkMode, /^container:[0-9a-f]{64}$/);
}

function check({ container, service, info }: Recorded, asked: Case): void {
  const { port = 8000, protocol = 'tcp', advertise = { kind: 'published' }, expected } = asked;
  const ip = asked.ip && fill(asked.ip, container);
  const hostIp = ip ? { ip, source: `--ip ${ip}`, fromInterface: undefined, ours: false } : undefined;
  const [, registeredIp = '', registeredPort] =
    /^(.*):(\d+)$/.exec(fill(asked.registered ?? '', container)) ?? [];
  const registered = registeredPort ? { ip: registeredIp, port: Number(registeredPort) } : undefined;
  const facts: SwarmFacts = {
    nodeIp: info === undefined ? null : readNodeIp(info, place),
    ingress: service === undefined ? null : readIngress(service, place, service.ID),
  };
  const answer = addressOf(
    viewOf(container),
    { localPort: port, protocol, advertise, hostIp, registered, allowLoopback: asked.allowLoopback ?? false },
    facts,
  );
  assert.ok('ok' in answer, JSON.stringify(answer));
  const text = answer.ok
    ? formatAddress(answer.value.address)
    : `problem: ${answer.problems.map(formatProblem).join()}`;
  const warnings = answer.ok ? (answer.value.warnings ?? []).map(formatProblem).join() : '';
  if (asked.warning) assert.match(warnings, asked.warning);
  else assert.equal(warnings, '');
  if (expected instanceof RegExp) assert.match(text, new RegExp(`^problem: .*${expected.source}`));
  else assert.equal(text, fill(expected, container));
}

/** Reads the answer without the program's code. Podman has other names for the wildcard and the default network. */
function fill(template: string, { NetworkSettings: settings }: InspectAnswer): string {
  return template
    .replace('{gateway}', () => Object.values(settings?.Networks ?? {})[0]?.Gateway ?? 'no gateway')
    .replace(/\{(\d+\/\w+)@([^}]+)\}/, (_, port: string, hostIp: string) => {
      const bindings = settings?.Ports[port] ?? [];
      const at = (ip: string): string | undefined => bindings.find(({ HostIp }) => HostIp === ip)?.HostPort;
      return at(hostIp) ?? at('') ?? `nothing at ${port} on ${hostIp}`;
    })
    .replace(/\{(\w+)\}/, (_, network: string) => {
      const networks = settings?.Networks ?? {};
      const at = networks[network] ?? (network === 'bridge' ? networks['podman'] : undefined);
      return at?.IPAddress ?? `not on ${network}`;
    });
}

function nameOf({ expected, advertise, ...rest }: Case): string {
  const mode = advertise === undefined ? '' : ` --advertise ${Object.values(advertise).join(':')}`;
  return `${Object.values(rest).join(' ')}${mode} → ${String(expected)}`;
}
