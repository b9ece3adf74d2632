/**
 * Docker's answers, drawn from the recorded ones of real engines: their JSON with odd values, and the bytes that carry it
 * with odd HTTP. Each case asks as the program does, over a Unix socket: findSelf, resolveAddress, recordsOf.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { AddressQuestion } from '../../src/core/address/advertise.ts';
import { canonicalIp, type Address } from '../../src/core/address/ip.ts';
import { factsOf } from '../../src/core/layouts/instance.ts';
import { recordsOf } from '../../src/core/layouts/records.ts';
import { parseTemplate } from '../../src/core/layouts/template.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import { findSelf, resolveAddress } from '../../src/docker/self.ts';
import { formatProblem, UnavailableError } from '../../src/errors.ts';
import { enough, serviceOf } from '../support/config.ts';
import { faults, wholeAnswer, type Fault } from '../support/docker-faults.ts';
import type { Random } from '../support/random.ts';
import { startRawServer, type RawServer } from '../support/raw-server.ts';
import { eventually, stopwatch } from '../support/wait.ts';
import { declare } from './harness.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

interface Recorded {
  readonly file: string;
  readonly container: { readonly Id: string } & Record<string, Json>;
  readonly service?: { readonly ID: string } & Record<string, Json>;
  readonly info?: Record<string, Json>;
}

const bounds = { timeMs: 250, bytes: 512 * 1024 };
/** An answer that is whole must arrive on a busy machine too. */
const timeOf = ({ isHarmless }: Fault): number => (isHarmless ? 5000 : bounds.timeMs);
/** What the buffers of a connection hold beside what was read. */
const buffersBytes = 2 ** 20;
/** What a busy machine may add to a question, in ms. */
const slackMs = 4000;

const folder = 'test/fixtures/inspect';
const recordings = readdirSync(folder).flatMap(engine =>
  readdirSync(join(folder, engine))
    .map(file => read(engine, file))
    .filter(({ container }) => container !== undefined),
);

function read(engine: string, file: string): Recorded {
  const recorded = JSON.parse(readFileSync(join(folder, engine, file), 'utf8')) as Omit<Recorded, 'file'>;
  return { ...recorded, file: `${engine}/${file}` };
}

const oddValues: readonly Json[] = [
  null, true, false, 0, -1, 1.5, 80, 8000, 65_536, 99_999, 1e300, '', ' ', '0', '80', ' 80', '80 ', '080', '+80', '8e1', '1e3',
  '8000abc', '99999', '65536', '-1', '0x50', '８０', '80\n', '10.1.2.3', '10.0.0.5\n/evil', '../../x', 'a:b', '::', '::g', '[::1]',
  'fe80::1%eth0', '1.2.3', '256.1.1.1', '01.2.3.4', '127.0.0.1', 'localhost', 'x/y', '\u0000', '\u202e', '\ud800', 'x'.repeat(70_000),
  [], [[]], [null], ['80'], [{}], {}, { HostPort: '81' }, 'container:x', 'host', 'none', 'healthy', '8000/tcp',
]; // prettier-ignore

const oddKeys = [
  '__proto__',
  'constructor',
  'toString',
  '',
  '8000/tcp',
  '8000/TCP',
  '08000/tcp',
  '8000',
  '99999/tcp',
  'Id',
  'x\n',
];

/** Every object and list in a value, itself included. */
function containersIn(value: Json): (Json[] | Record<string, Json>)[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(containersIn)];
}

/** Changes a value, a key or a list somewhere. JSON can have keys that an assignment cannot make. */
function mutate(root: Json, random: Random): void {
  const target = random.pick(containersIn(root));
  const keys = Object.keys(target);
  const key = keys.length === 0 ? random.pick(oddKeys) : random.pick(keys);
  const values = target as Record<string, Json>;
  const set = (name: string, value: Json): void => {
    Object.defineProperty(values, name, { value, enumerable: true, configurable: true, writable: true });
  };
  const old = Object.hasOwn(values, key) ? (values[key] ?? null) : null;
  switch (random.below(7)) {
    case 0:
      delete values[key];
      return;
    case 1:
      delete values[key];
      return set(random.pick(oddKeys), old);
    case 2:
      return set(key, [old]);
    case 3:
      return set(key, { [random.pick(oddKeys)]: old });
    case 4:
      return set(random.pick(oddKeys), structuredClone(old));
    default:
      return set(key, structuredClone(random.pick(oddValues)));
  }
}

/** Gives one or all bindings of port 8000 an odd part. */
function mutateBinding({ container }: Recorded, random: Random): void {
  const bindings = bindingsOf(container);
  const one = random.next() < 0.3 ? random.pick(bindings) : undefined;
  const part = random.pick(['HostPort', 'HostPort', 'HostIp']);
  const value = random.pick(random.next() < 0.7 ? nearlyRight[part === 'HostIp' ? 'ip' : 'port'] : oddValues);
  for (const binding of bindings)
    if (one === undefined || one === binding) binding[part] = structuredClone(value);
}

function bindingsOf(container: Recorded['container']): Record<string, Json>[] {
  const settings = container['NetworkSettings'] as { Ports?: Record<string, Record<string, Json>[] | null> };
  return settings.Ports?.['8000/tcp'] ?? [];
}

const nearlyRight: Readonly<Record<'ip' | 'port', readonly Json[]>> = {
  port: [0, -80, 65_536, 8.5, '0', '65536', '99999', '080', ' 80', '80 ', '80\n', '+80', '-80', '8e1', '0x50', '80.0', '8000abc', '1', 65_535],
  ip: ['256.1.1.1', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.4/8', ' 1.2.3.4', '1:2', '::g', '[::1]', '::1::', '10.9.8.7', '2001:db8::9'],
}; // prettier-ignore

/** Odd values where nobody needs them. */
function mutateElsewhere({ container }: Recorded, random: Random): void {
  const odd = (): Json => structuredClone(random.pick(oddValues));
  const { Config, State, NetworkSettings } = container as unknown as Record<string, Record<string, Json>>;
  container['Mounts'] = odd();
  container['Name'] = odd();
  Object.assign(State!, { Health: odd(), Pid: odd() });
  Object.assign(Config!, { Image: odd(), Hostname: odd(), ExposedPorts: odd() });
  const { Ports } = NetworkSettings as { Ports?: Record<string, Json> };
  if (Ports) Ports['7777/tcp'] = random.pick([odd(), [odd()], [{ HostIp: odd(), HostPort: odd() }]]);
  const { Labels } = Config as { Labels?: Record<string, Json> | null };
  if (Labels) Labels['of-nobody'] = odd();
}

/** What a case asks. */
function drawQuestion(random: Random): AddressQuestion {
  const ip = random.pick([undefined, '10.1.0.101', '2001:db8::1', '127.0.0.1']);
  const kind = random.pick(['published', 'published', 'published', 'host', 'container', 'swarm'] as const);
  return {
    localPort: random.pick([8000, 8000, 8000, 9000]),
    protocol: random.next() < 0.9 ? 'tcp' : 'udp',
    advertise: kind === 'container' ? { kind, network: random.pick([undefined, 'backend']) } : { kind },
    hostIp:
      ip === undefined ? undefined : { ip, source: `--ip ${ip}`, fromInterface: undefined, ours: false },
    allowLoopback: random.next() < 0.5,
  };
}

/** The address as text, or why there is none; the class of an error is checked. */
async function outcomeOf(
  path: string,
  { id, fault, needsName }: Script,
  question: AddressQuestion,
): Promise<Address | string> {
  try {
    const timeMs = timeOf(fault);
    const engine = connectEngine({ kind: 'unix', path }, systemClock, { ...bounds, timeMs });
    const self = await findSelf(engine, id);
    const answer = await resolveAddress(engine, self.network, question);
    if (!answer.ok) return `problem: ${answer.problems.map(formatProblem).join(', ')}`;
    const { address } = answer.value;
    const container = factsOf(self.container, self.network);
    const records = recordsOf({
      ...(await service),
      localPort: question.localPort,
      address,
      container,
      publication: needsName ? publication : { ...publication, layouts: publication.layouts.slice(0, 1) },
    });
    if (!records.ok) return `problem: ${records.problems.map(formatProblem).join(', ')}`;
    for (const { key } of records.value) assert.match(key, /^\/(own|service|reg)\/[^\s]+$/);
    return address;
  } catch (error) {
    assert.ok(
      error instanceof UnavailableError,
      `not an UnavailableError: ${String((error as Error).stack)}`,
    );
    const [{ message } = { message: '' }] = error.problems;
    assert.ok(message.length > 10 && message.length < 1500, message);
    assert.doesNotMatch(message, /hang up|aborted|Parse Error|\bundefined\b|\[object|NaN/);
    return `unavailable: ${message.replaceAll(path, 'SOCKET')}`;
  }
}

const service = serviceOf([...enough, '--name', 'web']);
const publication = {
  layouts: [
    { name: 'service', root: 'service' },
    // It needs the container's name.
    { name: 'registrator', root: 'reg' },
  ],
  own: [{ key: parseTemplate('/own/{address}', 'record'), value: parseTemplate('{id}', 'record'), text: '' }],
} as const;

/** A field of anything; undefined where there is none. */
function fieldOf(value: unknown, ...path: string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const isMap = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  return isMap ? fieldOf((value as Record<string, unknown>)[key], ...rest) : undefined;
}

function items(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function isRouted(binding: unknown): boolean {
  return (
    fieldOf(binding, 'HostPort') === '' && ['0.0.0.0', '::'].includes(String(fieldOf(binding, 'HostIp')))
  );
}

/** What the sent answers allow: every address that they contain for our port, read without the program's code. */
function allowed({ ip, port }: Address, question: AddressQuestion, sent: readonly string[]): boolean {
  const answers = sent.map(text => JSON.parse(text) as unknown);
  const ownKey = `${question.localPort}/${question.protocol}`;
  const bindings = answers.flatMap(answer => items(fieldOf(answer, 'NetworkSettings', 'Ports', ownKey)));
  const networks = answers.flatMap(answer => items(fieldOf(answer, 'NetworkSettings', 'Networks')));
  const ingress = answers.flatMap(answer => items(fieldOf(answer, 'Endpoint', 'Ports')));
  const ips = [
    question.hostIp?.ip,
    ...bindings.map(binding => fieldOf(binding, 'HostIp')),
    ...networks.flatMap(network => [fieldOf(network, 'IPAddress'), fieldOf(network, 'GlobalIPv6Address')]),
    ...answers.map(answer => fieldOf(answer, 'Swarm', 'NodeAddr')),
  ];
  const isOwn =
    question.advertise.kind === 'container' ||
    bindings.some(isRouted) ||
    answers.some(answer => fieldOf(answer, 'HostConfig', 'NetworkMode') === 'host');
  const targets = new Set<unknown>([question.localPort, String(question.localPort)]);
  const ports = [
    ...(isOwn ? [question.localPort] : []),
    ...bindings.map(binding => fieldOf(binding, 'HostPort')),
    ...ingress
      .filter(each => targets.has(fieldOf(each, 'TargetPort')))
      .map(each => fieldOf(each, 'PublishedPort')),
  ];
  const isSame = (text: unknown): boolean =>
    typeof text === 'string' && isIP(text) !== 0 && canonicalIp(text) === ip;
  return ips.some(isSame) && ports.some(each => each === port || each === String(port));
}

/** Serves a case: the first request that a fault is meant for gets it, all others get whole answers. */
interface Script {
  /** The id of our container, which the answers may not have. */
  readonly id: string;
  readonly recorded: Recorded;
  readonly fault: Fault;
  readonly needsName: boolean;
  /** Which request the fault is for, from 0. */
  readonly at: number;
  readonly random: Random;
}

interface Traffic {
  /** The bodies that were served, before a fault. */
  readonly bodies: string[];
  /** The most bytes that one connection took. */
  taken: number;
}

async function serve(
  path: string,
  { id, recorded, fault, at, random }: Script,
  sent: Traffic,
): Promise<RawServer> {
  let requests = 0;
  const answer = async (socket: Socket, line: string): Promise<void> => {
    const asked =
      /^GET \/(?:containers\/([0-9a-f]{12,64})\/json|services\/[0-9a-z]{12,64}|info) HTTP\/1\.1$/.exec(line);
    assert.ok(asked, `sent to Docker: ${line}`);
    const isFirst = asked[1] === id;
    const owner = { ...ownerRecording.container, Id: asked[1] ?? '' };
    const [, kind] = line.split('/');
    const json = {
      containers: isFirst ? recorded.container : owner,
      services: recorded.service,
      'info HTTP': recorded.info,
    }[kind ?? ''];
    if (json === undefined) return void socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}');
    // Only ASCII, so that a fault can count and cut bytes.
    const body = JSON.stringify(json).replaceAll(
      /[\u0080-\uffff]/g,
      character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    sent.bodies.push(body);
    if (requests++ === at) await fault.send(socket, body, random);
    else socket.end(wholeAnswer(body));
  };
  return startRawServer(
    socket => {
      let head = '';
      socket.on(
        'close',
        () => (sent.taken = Math.max(sent.taken, socket.bytesWritten - socket.writableLength)),
      );
      socket.on('data', data => {
        const isNew = !head.includes('\r\n\r\n');
        head += String(data);
        if (isNew && head.includes('\r\n\r\n'))
          answer(socket, head.split('\r\n')[0] ?? '').catch(error => failures.push(error));
      });
    },
    { path },
  );
}

const ownerRecording = recordings.find(({ file }) => file === 'docker/network-container-owner.json')!;
const failures: unknown[] = [];
const published = recordings.filter(({ container }) => bindingsOf(container).length > 0);
const ownPort = { localPort: 8000, protocol: 'tcp', advertise: { kind: 'published' } } as const;

export const fuzzer = declare({
  name: 'docker',
  cases: 600,
  atOnce: 16,
  caseMs: 20_000,
  async open() {
    const place = mkdtempSync(join(tmpdir(), 'dockreg-fuzz-docker-'));
    let next = 0;
    const sockets = (): string => join(place, `${next++}.sock`);

    const ask = async (script: Script, question: AddressQuestion) => {
      const path = sockets();
      const sent: Traffic = { bodies: [], taken: 0 };
      const server = await serve(path, script, sent);
      try {
        const elapsed = stopwatch();
        const outcome = await outcomeOf(path, script, question);
        const most = (sent.bodies.length + 1) * timeOf(script.fault) + slackMs;
        assert.ok(elapsed() < most, `it took ${Math.round(elapsed())} ms`);
        await eventually('all connections are closed', () => server.openConnections === 0);
        assert.ok(sent.taken < bounds.bytes + buffersBytes, `a connection took ${sent.taken} bytes`);
        return { outcome, sent };
      } finally {
        server.close();
      }
    };

    return {
      async run(random) {
        const kind = random.pick([
          'json',
          'binding',
          'binding',
          'elsewhere',
          'bytes',
          'bytes',
          'both',
        ] as const);
        const choice = kind === 'binding' ? published : recordings;
        const recorded = structuredClone(random.pick(choice));
        const id = recorded.container.Id;
        const question = { ...drawQuestion(random), ...(kind === 'binding' && ownPort) };
        if (kind === 'json' || kind === 'both')
          for (let count = 1 + random.below(3); count > 0; count--)
            mutate(
              random.next() < 0.8 ? recorded.container : (recorded.service ?? recorded.info ?? {}),
              random,
            );
        if (kind === 'binding') mutateBinding(recorded, random);
        const original = structuredClone(recorded);
        if (kind === 'elsewhere') mutateElsewhere(recorded, random);
        const hasBytes = kind === 'bytes' || kind === 'both';
        const fault = hasBytes ? random.pick(faults) : faults[0]!;
        const needsName = kind !== 'elsewhere';
        const script = { id, recorded, needsName, fault, at: random.below(2), random };
        const title = `${kind} ${recorded.file} ${fault.name} ${JSON.stringify(question)}\n${JSON.stringify(recorded).slice(0, 3000)}\n`;
        try {
          const { outcome, sent } = await ask(script, question);
          const mustFail = !fault.isHarmless && !fault.mayPass && sent.bodies.length > script.at;
          if (mustFail)
            assert.equal(typeof outcome, 'string', `${JSON.stringify(outcome)} in spite of the fault`);
          if (typeof outcome !== 'string') {
            assert.ok(isIP(outcome.ip) !== 0 && Number.isInteger(outcome.port), JSON.stringify(outcome));
            assert.ok(outcome.port >= 1 && outcome.port <= 65_535, JSON.stringify(outcome));
            assert.ok(allowed(outcome, question, sent.bodies), `${JSON.stringify(outcome)} is in no answer`);
          }
          if (fault.isHarmless || kind === 'elsewhere') {
            const plain = await ask({ ...script, recorded: original, fault: faults[0]! }, question);
            if (fault.isHarmless && kind !== 'elsewhere') assert.deepEqual(outcome, plain.outcome);
            else if (typeof plain.outcome !== 'string') assert.deepEqual(outcome, plain.outcome);
          }
          assert.deepEqual(failures, []);
        } catch (error) {
          throw new Error(`${title}${String(error)}`, { cause: error });
        }
      },
      async close() {
        rmSync(place, { recursive: true, force: true });
      },
    };
  },
});
