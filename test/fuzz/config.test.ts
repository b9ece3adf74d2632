/**
 * Configurations out of valid options and mutations of them, given as flags, variables, labels, services and YAML: each is
 * accepted within the bounds or refused with clean problems, in a moment, and no secret is shown.
 */
import assert from 'node:assert/strict';
import { readCommand } from '../../src/cli.ts';
import type { Config } from '../../src/config/config.ts';
import {
  isKnownVariable,
  optionNames,
  serviceOptionNames,
  variableOf,
  type OptionName,
} from '../../src/config/options.ts';
import { limits } from '../../src/config/parse/limits.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import { recordLimits, recordsOf } from '../../src/core/layouts/records.ts';
import { formatCheck } from '../../src/core/settings/check.ts';
import type { ServiceConfig } from '../../src/core/settings/service.ts';
import { formatProblems, SetupError, UsageError, type Problem } from '../../src/errors.ts';
import type { Random } from '../support/random.ts';
import { unsafe } from '../support/unsafe.ts';
import { declare } from './harness.ts';

/** Stands for every secret. Nothing that is printed may contain it. */
const secret = 'hunter2Zq9x';

const samples: Readonly<Record<OptionName, readonly string[]>> = {
  etcd: ['http://h1:2379', 'https://h1:2379,https://h2:2379', 'http://[2001:db8::1]:2379'],
  'etcd-ca': ['/ca.pem'],
  'etcd-cert': ['/cert.pem'],
  'etcd-key': ['/key.pem'],
  'etcd-user': ['app'],
  'etcd-password-file': ['/run/password'],
  docker: ['/var/run/docker.sock', 'tcp://h1:2375'],
  container: ['c0ffee00c0ff'],
  drain: ['0', '5s'],
  control: ['off', '/run/a.sock'],
  listen: ['127.0.0.1:9142'],
  log: ['json', 'logfmt'],
  service: ['name=web,port=8000', 'port=1,tags="a,b"\nport=2,check=tcp', 'name=db,port=53/udp,check=docker'],
  config: ['/x.yaml'],
  port: ['8000', '53/udp', '443/tcp'],
  key: ['service', '/prod/a'],
  layout: ['service', 'kratos,traefik', 'skydns:cluster.local', 'named:a,grpc', 'registrator:b,go-zero'],
  record: ['/a/{id}=1', '/b/{address}={"x":"{service}"}'],
  name: ['web', 'my.api'],
  scheme: ['http', 'grpcs'],
  host: ['host-1'],
  tags: ['a,b', '{ip},x'],
  weight: ['50', '65535'],
  zone: ['eu-1', '{label:zone}'],
  meta: ['version=2.1,x={host}'],
  ip: ['10.1.0.1', 'eth0', '::1'],
  advertise: ['published', 'container:net', '10.1.0.1:49155', 'host'],
  'allow-loopback': ['on', 'off'],
  'allow-unreachable': ['on', 'off'],
  check: ['http:/a', 'tcp', 'exec:true', 'grpc:a.B', 'https:/', 'h2c:/a', 'h2', 'docker'],
  'check-host': ['127.0.0.1', '::1', '172.17.0.2'],
  'check-port': ['9000'],
  'check-method': ['GET', 'HEAD'],
  'check-header': ['Host: a', 'A: b\nC: d'],
  'check-status': ['200-299,301'],
  'check-body': ['up', '/^a(b|c){2}$/i'],
  'check-send': ['PING\\r\\n'],
  'check-expect': ['PONG'],
  'check-ca': ['/ca.pem'],
  'check-cert': ['/cert.pem'],
  'check-key': ['/key.pem'],
  'check-proxy-protocol': ['v1', 'v2'],
  'check-server-name': ['web.example'],
  'check-insecure': ['on'],
  'check-socket': ['/run/app.sock'],
  interval: ['5s', '100ms', '24h'],
  timeout: ['3s', '50ms'],
  rise: ['2', '100'],
  fall: ['3'],
  'fast-interval': ['1s', '100ms'],
  tolerate: ['10s', '0'],
  'start-period': ['1m', '0'],
  ttl: ['20s', '24h'],
  watch: ['off', 'on'],
};

/** Values that hold a secret, by option. */
const secrets: Readonly<Partial<Record<OptionName, readonly string[]>>> = {
  etcd: [`http://root:${secret}@h1:2379`, `http://h1:2379,http://root:${secret}@h2:2379`],
  'etcd-user': [`root:${secret}`],
  docker: [`tcp://root:${secret}@h1:2375`],
  check: [`http:/a?token=${secret}`, `exec:redis-cli -a ${secret} ping`, `http://root:${secret}@h1/a`],
  'check-header': [`Authorization: Bearer ${secret}`, `Host: a\nCookie: s=${secret}`],
  'check-send': [`AUTH ${secret}\\r\\n`],
  'check-body': [`token=${secret}`, `/^${secret}(/`],
  'check-expect': [secret],
};

const nasty = [
  ...[
    '\0',
    '\u001B[2J',
    '\r',
    '\n',
    '\u0085',
    '\u2028',
    '\u202E',
    '\u200B',
    '\uD800',
    '\uFEFF',
    '😀',
    'é',
    '٥',
  ],
  ...[
    '"',
    "'",
    '\\',
    ',',
    '=',
    ':',
    '/',
    '@',
    '{',
    '}',
    '${',
    '${A}',
    '$',
    '%',
    '#',
    '?',
    '&a ',
    '*a',
    '!!js/x ',
  ],
  ...[
    ' ',
    '  ',
    '\t',
    '-',
    '--',
    '.',
    '..',
    '0',
    '1e309',
    '0x10',
    '-0',
    'NaN',
    'Infinity',
    '__proto__',
    '[',
    ']',
    '*',
  ],
];

const oddWords = [
  ...[
    '--',
    '-',
    '',
    '—port',
    '--no-port',
    '--port=',
    '--__proto__=1',
    '--constructor',
    '--toString',
    '-x=5',
    '-p8000',
  ],
  ...[
    '--no-allow-loopback',
    '--help=1',
    '--json',
    '--prot',
    '1',
    'doctor',
    '\u001B[2J',
    '--port.x=1',
    '---port',
  ],
  ...['--__proto__.port', '--hasOwnProperty=1', '-h5', '--etcd.0=x', '--=1', '--port', '\u2212\u2212port'],
];

const lengths = [2, 10, 300, 5000, 70_000];

function mutate(text: string, random: Random): string {
  const at = text.includes(secret)
    ? random.pick([0, text.indexOf(secret), text.length])
    : random.below(text.length + 1);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  switch (random.below(6)) {
    case 0:
      return before.slice(0, -1) + after;
    case 1:
      return before + random.pick(nasty).repeat(random.pick([1, 1, 1, ...lengths])) + after;
    case 2:
      return before + random.pick(nasty) + after;
    case 3:
      return text.includes(secret) ? text + text : text.repeat(random.below(5) === 0 ? 1000 : 3);
    case 4:
      return random.pick(nasty);
    default:
      return before + String.fromCodePoint(random.below(0x3000)) + after;
  }
}

interface Drawn {
  readonly name: string;
  readonly text: string;
}

function valueOf(name: OptionName, random: Random): string {
  const withSecret = random.below(3) === 0 ? secrets[name] : undefined;
  const text = random.pick(withSecret ?? samples[name]);
  return random.below(withSecret ? 2 : 4) === 0 ? mutate(text, random) : text;
}

function drawOptions(names: readonly OptionName[], count: number, random: Random): Drawn[] {
  return random.list(count, () => {
    const name = random.pick(names);
    return { name: random.below(25) === 0 ? mutate(name, random) : name, text: valueOf(name, random) };
  });
}

/** One configuration in all of its sources. */
interface Case {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly yaml: string | undefined;
  readonly labels: ReadonlyMap<string, string>;
}

function drawCase(random: Random): Case {
  const few = (): number => random.pick([0, 0, 1, 2, 4]);
  const basic = random.below(8) === 0 ? [] : [{ name: 'etcd', text: random.pick(samples.etcd) }];
  const port = random.below(3) === 0 ? [] : [{ name: 'port', text: '8000' }];
  const flags = [
    ...basic,
    ...port,
    ...drawOptions(
      optionNames.filter(name => name !== 'config'),
      few(),
      random,
    ),
  ];
  const argv = flags.flatMap(({ name, text }) =>
    random.below(2) === 0 ? [`--${name}`, text] : [`--${name}=${text}`],
  );
  if (random.below(6) === 0) argv.splice(random.below(argv.length + 1), 0, random.pick(oddWords));
  if (random.below(12) === 0)
    argv.splice(random.below(argv.length + 1), 0, '--etcd-pasword', mutate(secret, random));
  if (random.below(12) === 0) argv.push('--check-header', 'Authorization:', 'Bearer', secret);
  if (random.below(8) === 0) argv.unshift(random.pick(['doctor', 'ls', 'status', 'drain']));

  // No name may have this text: an accepted name is no secret.
  const env: NodeJS.ProcessEnv = { A: `${secret} "\u0001` };
  for (const { name, text } of drawOptions(
    optionNames.filter(each => each !== 'config'),
    few(),
    random,
  ))
    env[variableOf(name as OptionName)] = text;
  if (random.below(4) === 0) env['DOCKREG_ETCD_PASSWORD'] = secret.repeat(random.pick([1, 1, 500]));
  const odd = mutate('DOCKREG_PORT', random);
  if (!isKnownVariable(odd)) env[odd] = secret;
  if (random.below(6) === 0)
    env[random.pick(['SERVICE_NAME', 'SERVICE_8000_TAGS', 'SERVICE_ID'])] = valueOf('tags', random);

  let yaml: string | undefined;
  if (random.below(3) === 0) {
    const top = drawOptions(optionNames, few(), random);
    const own = drawOptions(serviceOptionNames, few(), random);
    const lines = [
      ...top.map(({ name, text }) => `${name}: ${scalar(text, random)}`),
      ...(random.below(2) === 0 ? [] : ['services:', '  web:', '    port: 1']),
      ...own.map(({ name, text }) => `    ${name}: ${scalar(text, random)}`),
    ];
    yaml = lines.join(random.pick(['\n', '\n', '\r\n']));
    if (random.below(4) === 0) yaml = mutate(yaml, random).slice(0, limits.fileBytes);
  }
  const labels = drawOptions(serviceOptionNames, few(), random).map(({ name, text }): [string, string] => [
    `dockreg.${random.pick(['', '', 'web.', 'a.b.', '__proto__.', `${random.pick(nasty)}.`])}${name}`,
    text,
  ]);
  return { argv, env, yaml, labels: new Map(labels) };
}

function scalar(text: string, random: Random): string {
  return random.pick([
    JSON.stringify(text),
    JSON.stringify(text),
    text,
    '"${A}"',
    `[${JSON.stringify(text)}]`,
  ]);
}

/** Reads the case as the program does. Returns the configuration, if there is one, and all that would be printed. */
async function read({
  argv,
  env,
  yaml,
  labels,
}: Case): Promise<{ config?: Config; printed: readonly string[] }> {
  const printed: string[] = [];
  const words = yaml === undefined ? argv : [...argv, '--config', '/x.yaml'];
  try {
    const command = await readCommand(words, env, async path => parseConfigFile(yaml ?? '', path, env));
    if (command.kind !== 'run' && command.kind !== 'doctor') return { printed };
    printed.push(...command.warnings);
    const { config } = command;
    if ('services' in config) return { config, printed };
    const labelled = config.withLabels(labels);
    if (labelled.ok) return { config: labelled.value, printed };
    return { printed: [...printed, ...check(labelled.problems)] };
  } catch (error) {
    assert.ok(error instanceof UsageError || error instanceof SetupError, `not a problem: ${String(error)}`);
    return { printed: [...printed, ...check(error.problems)] };
  }
}

const places =
  /--|DOCKREG_|DOCKER_|label|x\.yaml|no service|service|command line|SERVICE_|argument|unknown flag|layout|password|must come first|placeholder|takes no value/;

function check(problems: readonly Problem[]): readonly string[] {
  assert.ok(problems.length > 0, 'refused without a problem');
  for (const { message } of problems) assert.match(message, places);
  return formatProblems(problems);
}

function assertWithinBounds({ services, endpoints, drainMs }: Config): void {
  assert.ok(services.length >= 1 && services.length <= limits.services);
  assert.ok(endpoints.length >= 1 && endpoints.length <= limits.endpoints);
  for (const endpoint of endpoints)
    assert.match(endpoint, /^https?:\/\/(?:[\w.-]{1,253}|\[[\da-f:.]+\]):\d{1,5}$/);
  assert.ok(drainMs >= 0 && drainMs <= 86_400_000);
  for (const service of services) assertServiceWithinBounds(service);
}

function assertServiceWithinBounds(service: ServiceConfig): void {
  const {
    intervalMs,
    fastIntervalMs,
    timeoutMs,
    tolerateMs,
    ttlSeconds,
    startPeriodMs,
    rise,
    fall,
    localPort,
    spec,
  } = service;
  for (const [value, min, max] of [
    [intervalMs, 100, 86_400_000],
    [fastIntervalMs, 100, intervalMs],
    [timeoutMs, 10, intervalMs],
    [tolerateMs, 0, ttlSeconds * 1000],
    [ttlSeconds * 1000, 2 * intervalMs, 86_400_000],
    [startPeriodMs, 0, 86_400_000],
    [rise, 1, 100],
    [fall, 1, 100],
    [localPort, 1, 65_535],
    [spec.weight ?? 1, 1, 65_535],
  ] as const)
    assert.ok(Number.isInteger(value) && value >= min && value <= max, `${value} is not in ${min} to ${max}`);
  const label = 'x'.repeat(9);
  const container = {
    id: 'c0ffee00'.repeat(8),
    name: 'box',
    image: 'web',
    labels: { get: () => label },
    publishedPorts: 1,
  };
  const address =
    service.advertise.kind === 'literal' ? service.advertise.address : { ip: '10.1.0.1', port: 49_155 };
  const records = recordsOf({
    ...service,
    address,
    container: service.advertise.kind === 'literal' ? undefined : container,
  });
  assert.ok(records.ok, 'an accepted configuration has records');
  for (const { key, value } of records.value) {
    assert.match(key, /^[^\s\p{Cc}\p{Cs}]+$/u);
    assert.ok(
      key.length <= recordLimits.keyLength && value.length <= recordLimits.valueLength && value !== '',
    );
  }
}

/** The most processor time of one case, in ms. */
const mostMs = 200;

export const fuzzer = declare({
  name: 'config',
  cases: 3000,
  atOnce: 1,
  caseMs: 5000,
  async open() {
    let accepted = 0;
    let refused = 0;
    return {
      async run(random) {
        const drawn = drawCase(random);
        const input = (): string => JSON.stringify({ ...drawn, labels: [...drawn.labels] }).slice(0, 3000);
        const before = process.cpuUsage();
        const { config, printed } = await read(drawn).catch((error: unknown) => {
          throw new Error(`${String(error)}\nof ${input()}`, { cause: error });
        });
        const { user, system } = process.cpuUsage(before);
        if ((user + system) / 1000 >= mostMs) assert.fail(`${(user + system) / 1000} ms of ${input()}`);
        if (config) accepted++;
        else refused++;
        try {
          if (config) assertWithinBounds(config);
          const checks = config?.services.map(service => formatCheck(service.check)) ?? [];
          for (const line of [...printed, ...checks, ...(config?.endpoints ?? [])]) {
            assert.doesNotMatch(line, unsafe);
            assert.ok(line.length < 5000, 'the line is short');
            assert.ok(!line.includes(secret), `the secret is shown: ${line}`);
          }
          assert.ok(printed.length <= 102, `${printed.length} lines`);
        } catch (error) {
          throw new Error(`${String(error)}\nof ${input()}`, { cause: error });
        }
      },
      async close() {
        if (accepted + refused < 500) return;
        assert.ok(accepted > 50 && refused > 50, `${accepted} accepted, ${refused} refused`);
      },
    };
  },
});
