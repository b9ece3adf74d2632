/**
 * The pipeline of the configuration: sources → layering → reader → config. A source returns texts; layering decides
 * which text holds; the reader parses it; the result is one configuration, or every problem at once.
 */
import type { EngineEndpoint, ListConfig, Security, SharedConfig, User } from '../core/settings/process.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { failure, success, valueOf, type Problem, type Result } from '../errors.ts';
import { layer, needsLabels, type Sources } from './layering.ts';
import { passwordVariable, serviceOptionNames } from './options.ts';
import type { RawConfig } from './raw.ts';
import {
  andThen,
  brokenRules,
  combine,
  problemsOfOptions,
  readerOf,
  withProblems,
  type Reader,
} from './reader.ts';
import { withRegistrator } from './registrator.ts';
import { readPublication, readServices } from './service.ts';
import { warningsOfSharedKey } from './shared-key.ts';
import type { Environment } from './sources/environment.ts';
import { readLabels } from './sources/labels.ts';
import { readRegistrator, type RegistratorTexts } from './sources/registrator.ts';
import { readServiceFlag } from './sources/service-flag.ts';

export interface Config extends SharedConfig {
  /** At least one. */
  readonly services: readonly ServiceConfig[];
  /** What is odd and does no harm, one line each. */
  readonly warnings: readonly string[];
  /**
   * The same services, with what the labels of our container say of their checks in registrator's way; null where that
   * changes nothing. The labels dockreg.* are not read.
   */
  readonly withCheckLabels: (labels: ReadonlyMap<string, string>) => Completed | null;
}

export type Completed = Pick<Config, 'services' | 'warnings'>;

/** No source names a service, so the labels of the container must. */
export interface ConfigByLabels extends SharedConfig {
  readonly withLabels: (labels: ReadonlyMap<string, string>) => Result<Config>;
}

export type AnyConfig = Config | ConfigByLabels;

export function configure(sources: Sources): Result<AnyConfig> {
  const { environment } = sources;
  const serviceFlag = readServiceFlag(layer(sources).defaults.get('service'));
  const raw = layer({ ...sources, serviceFlag });
  const shared = readShared(readerOf(raw.defaults), environment);
  const { registrator } = environment;
  const servicesOf = (layered: RawConfig, texts: RegistratorTexts): Result<Completed> => {
    const { raw: completed, warnings } = withRegistrator(layered, texts);
    return andThen(readServices(completed, registrator), services =>
      success({ services, warnings: [...warnings, ...warningsOfSharedKey(services)] }),
    );
  };
  const withLabels = (labels: ReadonlyMap<string, string>): RegistratorTexts =>
    readRegistrator([...labels, ...registrator]);
  const complete = (layered: RawConfig, labels: ReadonlyMap<string, string> = new Map()): Result<Config> => {
    const both = combine({ shared, completed: servicesOf(layered, withLabels(labels)) });
    const withCheckLabels: Config['withCheckLabels'] = more => {
      const isOfCheck = [...readRegistrator(more).keys()].some(name => name.includes('_CHECK_'));
      return isOfCheck ? (valueOf(servicesOf(layered, withLabels(more))) ?? null) : null;
    };
    const config = andThen(both, all => success({ ...all.shared, ...all.completed, withCheckLabels }));
    return withProblems(layered.problems, config);
  };
  if (!needsLabels(raw)) return complete(raw);
  const byLabels: ConfigByLabels['withLabels'] = labels => {
    const labelled = layer({ ...sources, labels: readLabels(labels) });
    const { services, defaults, problems } = labelled;
    if (services.length > 0 || defaults.has('port')) return complete(labelled, labels);
    const missing = problems.length > 0 ? [] : [noService(labelled)];
    return failure(...problems, ...missing, ...problemsOfOptions(defaults, serviceOptionNames));
  };
  const checked = combine({ shared }, () => problemsOfOptions(raw.defaults, serviceOptionNames));
  return withProblems(
    raw.problems,
    andThen(checked, all => success({ ...all.shared, withLabels: byLabels })),
  );
}

/** Names the port as what is missing, where labels give everything else. */
function noService({ defaults }: RawConfig): Problem {
  const given = [...defaults.values()].find(({ from }) => from.startsWith('label '));
  return {
    message: `no service is configured${given ? `: ${given.from} is given and label dockreg.port is missing` : ''}`,
    hint: 'give --port 8000 (or DOCKREG_PORT), --service or --config, or label the container with dockreg.port=8000',
  };
}

/** For `dockreg ls`. */
export function configureList(sources: Sources): Result<ListConfig> {
  const { defaults, problems } = layer(sources);
  const reader = readerOf(defaults);
  const results = {
    endpoints: reader.value('etcd'),
    security: readSecurity(reader, sources.environment),
    layouts: andThen(readPublication(reader), ({ layouts }) => success(layouts)),
    name: reader.optional('name'),
  };
  const config = combine(results, ({ name, layouts = [] }) =>
    layouts.flatMap(layout =>
      brokenRules([
        name === undefined && layout.root === '',
        `--layout ${layout.name} keeps each service under its own name`,
        'name the service with --name',
      ]),
    ),
  );
  return withProblems(problems, config);
}

/** For the commands that ask a running dockreg: the path of its control socket, whatever else the file has. */
export function configureControl(sources: Sources): Result<string> {
  const control = readerOf(layer(sources).defaults).value('control');
  const off = { message: '--control off leaves no socket to ask', hint: 'give the path of the socket' };
  const path = andThen(control, text => (text === null ? failure(off) : success(text)));
  return withProblems(sources.flags.problems, path);
}

function readShared(reader: Reader, environment: Environment): Result<SharedConfig> {
  const { value, optional } = reader;
  return combine<SharedConfig>({
    endpoints: value('etcd'),
    security: readSecurity(reader, environment),
    engine: andThen(value('docker'), engine => withCertificates(engine, environment)),
    container: optional('container'),
    drainMs: value('drain'),
    control: value('control'),
    listen: optional('listen'),
    logFormat: value('log'),
  });
}

function readSecurity(reader: Reader, { password }: Environment): Result<Security> {
  const { value, optional } = reader;
  const isHttp = valueOf(value('etcd'))?.some(endpoint => !endpoint.startsWith('https:')) === true;
  const files = { ca: optional('etcd-ca'), cert: optional('etcd-cert'), key: optional('etcd-key') };
  const tls = combine(files, ({ ca, cert, key }) =>
    brokenRules(
      [
        (cert === undefined) !== (key === undefined),
        '--etcd-cert and --etcd-key go together',
        `add --etcd-${cert === undefined ? 'cert' : 'key'}`,
      ],
      [
        isHttp && (ca ?? cert) !== undefined,
        '--etcd-ca and --etcd-cert are for https endpoints',
        'write --etcd with https://',
      ],
    ),
  );
  return combine({ tls, user: readUser(reader, password) });
}

function readUser({ optional }: Reader, text: string | undefined): Result<User | undefined> {
  const options = combine({ name: optional('etcd-user'), file: optional('etcd-password-file') });
  return andThen(options, ({ name, file }) => {
    const password = file !== undefined ? { file } : text !== undefined ? { text } : undefined;
    const sources = `--etcd-password-file and ${passwordVariable}`;
    const conflicts = brokenRules(
      [file !== undefined && text !== undefined, `${sources} both give the password`, 'use one of them'],
      [name === undefined && !!password, 'a password for etcd is given without a user', 'add --etcd-user'],
      [name !== undefined && !password, '--etcd-user needs a password', `use one of ${sources}`],
    );
    const user = name === undefined || password === undefined ? undefined : { name, password };
    return withProblems(conflicts, success(user));
  });
}

/**
 * The engine with the certificates for it. TLS that does not verify the engine, which the docker CLI offers with
 * DOCKER_TLS, is refused: a machine in between could answer with any address.
 */
function withCertificates(engine: EngineEndpoint, { docker }: Environment): Result<EngineEndpoint> {
  if (engine.kind !== 'tcp') return success(engine);
  const { verify, unverified, folder } = docker;
  const variable = unverified ? 'DOCKER_TLS' : 'DOCKER_CERT_PATH';
  const conflicts = brokenRules(
    [
      !verify && !!(unverified || folder),
      `${variable} is set and DOCKER_TLS_VERIFY is not, but TLS without verification of the engine protects nothing`,
      `set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or unset ${variable} for plain HTTP`,
    ],
    [
      !!verify && !folder,
      'DOCKER_TLS_VERIFY is set without DOCKER_CERT_PATH',
      'name the folder that holds ca.pem, cert.pem and key.pem',
    ],
  );
  return withProblems(conflicts, success(folder ? { ...engine, certificates: folder } : engine));
}
