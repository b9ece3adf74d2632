/**
 * From the texts of flags and variables to one checked configuration, or to the list of everything that is wrong.
 */
import { reservedRange, type Protocol } from '../core/address.ts';
import { unreachable, type Advertise } from '../core/advertise.ts';
import type { Check } from '../core/check.ts';
import type { EngineEndpoint } from '../core/engine.ts';
import { instanceOf, type ContainerFacts, type ServiceSpec } from '../core/instance.ts';
import { recordsOf, type Layout, type Publication } from '../core/layouts.ts';
import type { Security } from '../core/security.ts';
import type { LogFormat } from '../log.ts';
import { readCheck } from './check.ts';
import { readerOf, type Given, type GivenOptions, type Read } from './given.ts';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from './options.ts';
import type { LayoutChoice } from './service.ts';
import type { HostName } from './values.ts';

export interface Config {
  /** `http://host:port`, at least one. */
  readonly endpoints: readonly string[];
  readonly security: Security;
  readonly localPort: number;
  readonly protocol: Protocol;
  readonly service: ServiceSpec;
  readonly publication: Publication;
  readonly engine: EngineEndpoint;
  /** The id of our own container, if the user says it. */
  readonly container: string | undefined;
  /** The host's address or name, if the user says it. */
  readonly ip: HostName | undefined;
  readonly advertise: Advertise;
  /** Whether an address may be registered that reaches us from this host only. */
  readonly allowLoopback: boolean;
  readonly check: Check;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** So many passes in a row bring the service up, and so many fails down. */
  readonly rise: number;
  readonly fall: number;
  /** For how long after our start fails are expected. */
  readonly startPeriodMs: number;
  readonly ttlSeconds: number;
  /** Whether the kernel is asked what becomes of the app between the checks. */
  readonly watch: boolean;
  readonly logFormat: LogFormat;
}

/** Variables that are set and not empty. */
export function fromEnvironment(env: NodeJS.ProcessEnv): GivenOptions {
  const given = new Map<OptionName, Given>();
  for (const name of optionNames) {
    const { standIn }: Option<unknown> = options[name];
    for (const from of standIn === undefined ? [variableOf(name)] : [standIn, variableOf(name)]) {
      const text = env[from];
      if (text !== undefined && text !== '') given.set(name, { text, from });
    }
  }
  return given;
}

/** The docker CLI's variables for TLS, which mean to us what they mean to it. What is empty is not set. */
export interface DockerVariables {
  readonly DOCKER_TLS_VERIFY?: string | undefined;
  readonly DOCKER_TLS?: string | undefined;
  readonly DOCKER_CERT_PATH?: string | undefined;
}

/** What the environment holds beside the options. */
export interface Surroundings {
  readonly password: string | undefined;
  /** See ServiceSpec. */
  readonly registrator: ServiceSpec['variables'];
  readonly docker: DockerVariables;
}

/** The configuration, or every problem at once, each naming the flag, the value, the rule and the way out. */
export function checkConfig(
  given: GivenOptions,
  { password, registrator: variables, docker }: Surroundings,
): { readonly config: Config } | { readonly problems: readonly string[] } {
  const { read, problems } = readerOf(given);
  const etcd = readEtcd(read, password);
  const check = readCheck(given);
  const port = read('port');
  const values = {
    ...etcd.values,
    localPort: port?.port,
    protocol: port?.protocol,
    service: {
      name: read('name'),
      host: read('host'),
      scheme: read('scheme'),
      tags: read('tags'),
      weight: read('weight'),
      zone: read('zone'),
      meta: read('meta') ?? new Map(),
      variables,
    } as ServiceSpec,
    publication: readPublication(read),
    engine: secured(read('docker'), docker, problems),
    container: read('container'),
    ip: read('ip'),
    advertise: read('advertise'),
    allowLoopback: read('allow-loopback'),
    check: 'check' in check ? check.check : undefined,
    intervalMs: read('interval'),
    timeoutMs: read('timeout'),
    rise: read('rise'),
    fall: read('fall'),
    startPeriodMs: read('start-period'),
    ttlSeconds: read('ttl'),
    watch: read('watch'),
    logFormat: read('log'),
  };
  if ('problems' in check) problems.push(...check.problems);
  problems.push(...conflicts(values), ...etcd.conflicts());
  if (problems.length > 0) return { problems };
  const config = values as Config;
  const problem = foreseeProblem(config);
  return problem === undefined ? { config } : { problems: [problem] };
}

/** Where the instances are looked for, and how. */
export interface ListConfig {
  readonly endpoints: readonly string[];
  readonly security: Security;
  readonly layouts: readonly Layout[];
  /** Only this service. */
  readonly name: string | undefined;
}

/** As `checkConfig`, for `dockreg ls`. */
export function checkListConfig(
  given: GivenOptions,
  { password }: Surroundings,
): { readonly config: ListConfig } | { readonly problems: readonly string[] } {
  const { read, problems } = readerOf(given);
  const etcd = readEtcd(read, password);
  const { layouts } = readPublication(read);
  const values = { ...etcd.values, layouts, name: read('name') };
  problems.push(...etcd.conflicts());
  for (const { name, root } of layouts) {
    if ((name === 'grpc' || name === 'go-zero') && root === '' && values.name === undefined)
      problems.push(`--layout ${name} keeps each service under its own name; say which with --name`);
  }
  return problems.length > 0 ? { problems } : { config: values as ListConfig };
}

/** The options that `checkListConfig` reads. */
export const listOptionNames = [
  'etcd',
  'etcd-ca',
  'etcd-cert',
  'etcd-key',
  'etcd-user',
  'etcd-password-file',
  'key',
  'layout',
  'name',
] as const satisfies readonly OptionName[];

function readEtcd(
  read: Read,
  password: string | undefined,
): {
  readonly values: { readonly endpoints: string[] | undefined; readonly security: Security };
  readonly conflicts: () => string[];
} {
  const endpoints = read('etcd');
  const tls = { ca: read('etcd-ca'), cert: read('etcd-cert'), key: read('etcd-key') };
  const user = { name: read('etcd-user'), file: read('etcd-password-file'), text: password };
  return {
    values: { endpoints, security: { tls, user: userOf(user) } },
    conflicts: () => securityConflicts(endpoints, tls, user),
  };
}

function readPublication(read: Read): Publication {
  const parent = read('key') ?? '';
  const own = read('record') ?? [];
  const fallback: LayoutChoice[] = own.length > 0 ? [] : [{ name: 'service', root: parent }];
  const layouts = (read('layout') ?? fallback).map(({ name, root = parent }) => ({ name, root }));
  return { layouts, own };
}

/** What will be in the way whatever the instance, found by writing down one that might be. */
function foreseeProblem(config: Config): string | undefined {
  const { advertise, localPort, protocol, publication, service } = config;
  const literal = advertise.kind === 'literal';
  const address = literal ? advertise.address : { ip: '192.0.2.1', port: 1 };
  const container = literal ? undefined : someContainer;
  const answer = recordsOf(publication, () =>
    instanceOf(service, { address, localPort, protocol }, container),
  );
  return answer.kind === 'problem' ? answer.problem : undefined;
}

const someContainer: ContainerFacts = {
  id: '0'.repeat(64),
  name: 'some-container',
  image: 'some-image',
  labels: { get: () => 'some-label' },
  publishedPorts: 1,
};

/**
 * The engine with the certificates for it. TLS without a look at the engine's certificate, which the CLI would do with
 * DOCKER_TLS, is not offered: whoever sits in between could then say any address.
 */
function secured(
  engine: EngineEndpoint | undefined,
  { DOCKER_TLS_VERIFY: verify, DOCKER_TLS: unverified, DOCKER_CERT_PATH: folder }: DockerVariables,
  problems: string[],
): EngineEndpoint | undefined {
  if (engine?.kind !== 'tcp') return engine;
  if (!verify && (unverified || folder)) {
    const variable = unverified ? 'DOCKER_TLS' : 'DOCKER_CERT_PATH';
    problems.push(
      `${variable} is set and DOCKER_TLS_VERIFY is not, but TLS to an engine that is not verified protects nothing; ` +
        `set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or unset ${variable} for plain HTTP`,
    );
  }
  if (verify && !folder) {
    problems.push(
      'DOCKER_TLS_VERIFY is set without DOCKER_CERT_PATH; name the folder that holds ca.pem, cert.pem and key.pem',
    );
  }
  return verify && folder ? { ...engine, certificates: folder } : engine;
}

interface GivenUser {
  readonly name: string | undefined;
  readonly file: string | undefined;
  readonly text: string | undefined;
}

function userOf({ name, file, text }: GivenUser): Security['user'] {
  if (name === undefined) return undefined;
  return { name, password: file === undefined ? { text: text ?? '' } : { file } };
}

function securityConflicts(
  endpoints: readonly string[] | undefined,
  { ca, cert, key }: Security['tls'],
  { name, file, text }: GivenUser,
): string[] {
  const problems: string[] = [];
  if ((cert === undefined) !== (key === undefined)) {
    problems.push(
      `--etcd-cert and --etcd-key go together; --etcd-${cert === undefined ? 'cert' : 'key'} is missing`,
    );
  }
  if ((ca ?? cert) !== undefined && endpoints?.some(endpoint => !endpoint.startsWith('https:'))) {
    problems.push('--etcd-ca and --etcd-cert are for https endpoints; write --etcd with https://');
  }
  if (name !== undefined && file === undefined && text === undefined) {
    problems.push(
      `--etcd-user ${name} needs a password; give it in --etcd-password-file or ${passwordVariable}`,
    );
  }
  if (name === undefined && (file ?? text) !== undefined) {
    problems.push('a password for etcd is given without a user; say --etcd-user');
  }
  if (file !== undefined && text !== undefined) {
    problems.push(`--etcd-password-file and ${passwordVariable} both give the password; use one of them`);
  }
  return problems;
}

function conflicts({
  intervalMs,
  timeoutMs,
  ttlSeconds,
  ip,
  advertise,
  allowLoopback,
}: { readonly [Name in keyof Config]: Config[Name] | undefined }): string[] {
  const problems: string[] = [];
  if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs > intervalMs) {
    problems.push(
      `--timeout ${timeoutMs} ms is longer than --interval ${intervalMs} ms: a check must end before the next begins; ` +
        `lower --timeout or raise --interval`,
    );
  }
  if (intervalMs !== undefined && ttlSeconds !== undefined && ttlSeconds * 1000 < 2 * intervalMs) {
    problems.push(
      `--ttl ${ttlSeconds} s is shorter than two intervals of ${intervalMs} ms: one late renewal would lose the key; ` +
        `use --ttl ${Math.ceil((2 * intervalMs) / 1000)}s or more`,
    );
  }
  if (ip !== undefined && (advertise?.kind === 'literal' || advertise?.kind === 'container')) {
    problems.push('--ip and --advertise both say the address; give one of them');
  }
  const said = { '--ip': ip?.kind === 'ip' ? ip.ip : undefined, '--advertise': literalIp(advertise) };
  for (const [flag, address] of Object.entries(said)) {
    const range = address === undefined ? null : reservedRange(address);
    if (range !== null && !(range === 'loopback' && allowLoopback))
      problems.push(`${flag} ${address} ${unreachable(range)}`);
  }
  return problems;
}

function literalIp(advertise: Advertise | undefined): string | undefined {
  return advertise?.kind === 'literal' ? advertise.address.ip : undefined;
}
