/**
 * Which address is registered, and which is kept when more becomes possible: containers with drawn networks and bindings,
 * and what a change of them may and may not do to a registered address.
 */
import assert from 'node:assert/strict';
import {
  addressOf,
  serviceIdLabel,
  type AddressQuestion,
  type SwarmFacts,
} from '../../src/core/address/advertise.ts';
import type { Binding, ContainerView, NetworkView } from '../../src/core/address/container.ts';
import { formatAddress, type Address } from '../../src/core/address/ip.ts';
import type { Random } from '../support/random.ts';
import { declare } from './harness.ts';

const hostIps = ['10.1.0.101', '10.1.0.102', '192.168.1.5', '2001:db8::1', '2001:db8::2'] as const;
const wildcards = ['0.0.0.0', '::', ''] as const;
const reserved = ['127.0.0.1', '::1', '169.254.1.2'] as const;
const names = ['bridge', 'backend', 'metrics', 'wire', 'ingress'] as const;
const ports = [80, 81, 8000] as const;

interface Drawn {
  readonly bindings: readonly Binding[];
  readonly networks: readonly (readonly [name: string, its: NetworkView])[];
  readonly mode: string;
  readonly isTask: boolean;
  readonly facts: SwarmFacts;
}

const drawBinding = (random: Random): Binding => ({
  hostIp: random.pick([...hostIps, ...hostIps, ...wildcards, ...wildcards, ...reserved]),
  hostPort: random.pick(ports),
});

/** Each network has its own addresses, as engines see to. */
function drawNetworks(random: Random): Drawn['networks'] {
  const chosen = names.filter(() => random.next() < 0.4);
  return chosen.map(name => {
    const subnet = names.indexOf(name);
    const its = {
      ipv4: random.next() < 0.8 ? `172.30.${subnet}.2` : '',
      ipv6: random.next() < 0.4 ? `fd00:${subnet + 1}::2` : '',
      gateways: [random.next() < 0.1 ? random.pick(hostIps) : `172.30.${subnet}.1`],
    };
    return [name, its] as const;
  });
}

function draw(random: Random): Drawn {
  return {
    bindings: random.list(random.below(4), () => drawBinding(random)),
    networks: drawNetworks(random),
    mode: random.pick(['default', 'default', 'backend', 'host', 'none']),
    isTask: random.next() < 0.3,
    facts: {
      nodeIp: random.pick([null, '10.1.0.9', '2001:db8::9']),
      ingress: random.pick([null, [], [{ target: '8000/tcp', publishedPort: random.pick(ports) }]]),
    },
  };
}

function drawQuestion(random: Random): AddressQuestion {
  const ip = random.pick([undefined, ...hostIps, '172.30.0.1', '127.0.0.1']);
  const kind = random.pick(['published', 'published', 'host', 'container', 'swarm'] as const);
  const network = random.pick([undefined, undefined, ...names]);
  const isContainer = kind === 'container';
  return {
    localPort: 8000,
    protocol: 'tcp',
    advertise: isContainer ? { kind, network } : { kind },
    hostIp:
      ip === undefined || isContainer
        ? undefined
        : { ip, source: `--ip ${ip}`, fromInterface: undefined, ours: false },
    allowLoopback: random.next() < 0.3,
  };
}

function viewOf({ bindings, networks, mode, isTask }: Drawn): ContainerView {
  return {
    id: 'ab'.repeat(32),
    title: 'web',
    name: 'web',
    running: true,
    image: 'app:latest',
    labels: new Map(isTask ? [[serviceIdLabel, 'p2q']] : []),
    networkMode: mode,
    ports: new Map(bindings.length > 0 ? [['8000/tcp', bindings]] : []),
    publishedPorts: [],
    routed: new Map(),
    networks: new Map(networks),
    health: undefined,
  };
}

/** The address; null where there is none. */
function ask(drawn: Drawn, question: AddressQuestion, registered?: Address): Address | null {
  const answer = addressOf(viewOf(drawn), { ...question, registered }, drawn.facts);
  assert.ok('ok' in answer, `it asks for ${JSON.stringify(answer)}`);
  if (!answer.ok) {
    const [problem, ...others] = answer.problems;
    assert.ok(problem?.hint && others.length === 0, JSON.stringify(answer));
    return null;
  }
  const { address, warnings = [] } = answer.value;
  for (const { message, hint } of warnings)
    assert.ok(hint && message.startsWith(`${formatAddress(address)} `), message);
  const isNew = registered === undefined || formatAddress(registered) !== formatAddress(address);
  assert.ok(
    !warnings.some(({ message }) => message.includes(' is kept, ')) || !isNew,
    'kept what was not there',
  );
  return address;
}

/** The same container with more networks and bindings, and with less that the engine tells of its swarm. */
function widen(drawn: Drawn, random: Random): Drawn {
  const { bindings, networks, facts } = drawn;
  const more = drawNetworks(random).filter(([name]) => !networks.some(([old]) => old === name));
  const forgets = random.next() < 0.3;
  // A task that publishes nothing itself, and does so later, is another task.
  const extra = drawn.isTask && bindings.length === 0 ? 0 : random.below(3);
  return {
    ...drawn,
    bindings: shuffle([...bindings, ...random.list(extra, () => drawBinding(random))], random),
    networks: shuffle([...networks, ...more], random),
    facts: forgets ? { nodeIp: null, ingress: random.pick([facts.ingress ?? null, null]) } : facts,
  };
}

function shuffle<T>(list: readonly T[], random: Random): T[] {
  return list
    .map(value => ({ value, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

/** Whether the engine's answer and the user's settings have this address at all, read without the program's code. */
function isListed({ ip, port }: Address, drawn: Drawn, { hostIp, advertise }: AddressQuestion): boolean {
  const { bindings, networks, mode, facts } = drawn;
  if (advertise.kind === 'container')
    return port === 8000 && networks.some(([, its]) => its.ipv4 === ip || its.ipv6 === ip);
  const ips: (string | null | undefined)[] = [hostIp?.ip, facts.nodeIp, ...bindings.map(each => each.hostIp)];
  if (!ips.includes(ip)) return false;
  if (mode === 'host' && port === 8000) return true;
  if (facts.ingress?.some(each => each.publishedPort === port)) return true;
  const family = ip.includes(':') ? '::' : '0.0.0.0';
  return bindings.some(each => each.hostPort === port && [ip, '', family].includes(each.hostIp));
}

export const fuzzer = declare({
  name: 'address',
  cases: 5000,
  atOnce: 1,
  caseMs: 5000,
  async open() {
    let cases = 0;
    let kept = 0;
    return {
      async run(random) {
        cases++;
        const drawn = draw(random);
        const question = drawQuestion(random);
        const wider = widen(drawn, random);
        const other = draw(random);
        try {
          const first = ask(drawn, question);
          const again = { ...drawn, bindings: shuffle(drawn.bindings, random) };
          assert.deepEqual(
            ask(again, question),
            first,
            'the order in which the engine lists bindings matters',
          );
          const anywhere = { ip: random.pick(hostIps), port: random.pick(ports) };
          ask(drawn, question, anywhere);
          if (first === null) return;
          assert.ok(isListed(first, drawn, question), `${formatAddress(first)} is not listed`);
          assert.deepEqual(ask(drawn, question, first), first, 'it changes although nothing has changed');
          kept++;
          assert.deepEqual(ask(wider, question, first), first, `${formatAddress(first)} is not kept`);
          const later = ask({ ...other, mode: drawn.mode, isTask: drawn.isTask }, question, first);
          const isTaskOfIngress = question.advertise.kind === 'swarm' && other.facts.ingress === null;
          if (later && formatAddress(later) === formatAddress(first) && !isTaskOfIngress) {
            const known = { ...other, facts: { ...other.facts, nodeIp: first.ip } };
            assert.ok(isListed(later, { ...known, mode: drawn.mode }, question), 'it is kept and not listed');
          }
        } catch (error) {
          const input = JSON.stringify({ drawn, question, wider, other });
          throw new Error(`${String(error)}\n${input}`, { cause: error });
        }
      },
      async close() {
        // A case that fails ends the run early.
        if (cases >= 1000)
          assert.ok(kept > cases / 10, `only ${kept} addresses were found in ${cases} cases`);
      },
    };
  },
});
