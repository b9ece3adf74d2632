/**
 * From the texts of flags and variables to one checked configuration, or to the list of everything that is wrong.
 */
import type { EngineEndpoint } from '../core/settings/engine.ts';
import type { ServiceSpec } from '../core/layouts/instance.ts';
import type { ListConfig, SharedConfig } from '../core/settings/process.ts';
import type { Security } from '../core/settings/security.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { readerOf, type RawOption, type RawOptions, type Read } from './given.ts';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from './options.ts';
import { servicesOfLabels } from './labels.ts';
import { readPublication, readService } from './service-config.ts';
import {
  emptyConfig,
  problemsOfDefaults,
  readServices,
  saysAddress,
  servicesOfFlag,
  type RawConfig,
  type RawService,
} from './services.ts';

export interface Config extends SharedConfig {
  /** At least one. */
  readonly services: readonly ServiceConfig[];
}

/** Nothing that was given says a service, so the labels of our container must. */
export interface ConfigByLabels extends SharedConfig {
  readonly withLabels: (labels: ReadonlyMap<string, string>) => Checked<Config>;
}

/** A configuration, or every problem at once, each naming the flag, the value, the rule and the way out. */
export type Checked<C> = { readonly config: C } | { readonly problems: readonly string[] };

/** Variables that are set and not empty. */
export function fromEnvironment(env: NodeJS.ProcessEnv): RawOptions {
  const given = new Map<OptionName, RawOption>();
  for (const name of optionNames) {
    const { fallbackVariable }: Option<unknown> = options[name];
    for (const from of fallbackVariable === undefined
      ? [variableOf(name)]
      : [fallbackVariable, variableOf(name)]) {
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
export interface ProcessEnvironment {
  readonly password: string | undefined;
  /** See ServiceSpec. */
  readonly registrator: ServiceSpec['variables'];
  readonly docker: DockerVariables;
}

/**
 * @param file what the file of --config says. Where nothing given says a service, the labels must, unless our address is
 *   said: then Docker is not asked.
 */
export function checkConfig(
  given: RawOptions,
  { password, registrator: variables, docker }: ProcessEnvironment,
  file: RawConfig = emptyConfig,
): Checked<Config | ConfigByLabels> {
  const defaults = new Map([...file.defaults, ...given]);
  const { read, problems } = readerOf(defaults);
  const etcd = readEtcd(read, password);
  const shared = {
    ...etcd.values,
    engine: secured(read('docker'), docker, problems),
    container: read('container'),
    drainMs: read('drain'),
    control: read('control'),
    listen: read('listen'),
    logFormat: read('log'),
  } as SharedConfig;
  const flag = servicesOfFlag(read('service') ?? [], given.get('service')?.from ?? '');
  problems.push(...file.problems, ...flag.problems, ...etcd.conflicts());
  if (flag.services.length > 0 && file.services.length > 0)
    problems.push('--service and the file of --config both say services; say them in one of the two');
  const said = [...flag.services, ...file.services];
  const isLiteral = saysAddress(defaults.get('advertise')?.text ?? '');
  if (said.length > 0 || defaults.has('port') || isLiteral)
    return configOf(shared, problems, readSaid(said, defaults, variables));

  problems.push(...(given.has('service') ? [] : problemsOfDefaults(defaults)));
  if (problems.length > 0) return { problems };
  return {
    config: {
      ...shared,
      withLabels(labels) {
        const label = servicesOfLabels(labels);
        const all = new Map([...file.defaults, ...label.defaults, ...given]);
        if (label.services.length > 0 || label.problems.length > 0 || all.has('port'))
          return configOf(shared, label.problems, readSaid(label.services, all, variables));
        return { problems: [nothingSaysAService] };
      },
    },
  };
}

const nothingSaysAService =
  'nothing says where an app listens: give --port 8000 (or DOCKREG_PORT), --service or --config, or label the ' +
  'container with dockreg.port=8000';

/** The services that are said; where there are none, the one of the options themselves. */
function readSaid(
  said: readonly RawService[],
  given: RawOptions,
  variables: ServiceSpec['variables'],
): ReturnType<typeof readServices> {
  if (said.length > 0) return readServices(said, given, variables);
  const answer = readService(given, variables);
  return 'problems' in answer ? answer : { services: [answer.service] };
}

function configOf(
  shared: SharedConfig,
  problems: readonly string[],
  answer: ReturnType<typeof readServices>,
): Checked<Config> {
  const all = [...problems, ...('problems' in answer ? answer.problems : [])];
  if ('problems' in answer || all.length > 0) return { problems: all };
  return { config: { ...shared, services: answer.services } };
}

/** As `checkConfig`, for `dockreg ls`. */
export function checkListConfig(
  given: RawOptions,
  { password }: ProcessEnvironment,
  file: RawConfig = emptyConfig,
): Checked<ListConfig> {
  const { read, problems } = readerOf(new Map([...file.defaults, ...given]));
  problems.push(...file.problems);
  const etcd = readEtcd(read, password);
  const { layouts } = readPublication(read);
  const values = { ...etcd.values, layouts, name: read('name') };
  problems.push(...etcd.conflicts());
  for (const { name, root } of layouts) {
    if (root === '' && values.name === undefined)
      problems.push(`--layout ${name} keeps each service under its own name; say which with --name`);
  }
  return problems.length > 0 ? { problems } : { config: values as ListConfig };
}

/** As `checkConfig`, for the commands that ask a running dockreg: the path of its control socket. */
export function checkControlConfig(given: RawOptions, file: RawConfig = emptyConfig): Checked<string> {
  const { read, problems } = readerOf(new Map([...file.defaults, ...given]));
  const path = read('control');
  if (path === null) problems.push('--control off leaves nobody to ask; say the path of the socket');
  return typeof path === 'string' ? { config: path } : { problems };
}

/** The options that `checkControlConfig` reads, and that say where they stand. */
export const controlOptionNames = ['config', 'control'] as const satisfies readonly OptionName[];

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
  'config',
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
