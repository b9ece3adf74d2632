/**
 * From the options of the process to its configuration: etcd, Docker, the control socket, the HTTP endpoint.
 */
import type { EngineEndpoint, ListConfig, Security, SharedConfig, User } from '../core/settings/process.ts';
import { failure, success, type Result } from '../errors.ts';
import { passwordVariable } from './options.ts';
import { andThen, brokenRules, combine, valueOf, withProblems, type Reader } from './reader.ts';
import { readPublication } from './service.ts';
import type { DockerVariables, Environment } from './sources/environment.ts';

/** The settings that all services share. */
export function readShared(reader: Reader, { password, docker }: Environment): Result<SharedConfig> {
  const { value, optional } = reader;
  return combine<SharedConfig>({
    endpoints: value('etcd'),
    security: readSecurity(reader, password),
    engine: andThen(value('docker'), engine => withCertificates(engine, docker)),
    container: optional('container'),
    drainMs: value('drain'),
    control: value('control'),
    listen: optional('listen'),
    logFormat: value('log'),
  });
}

/** The settings of `dockreg ls`. */
export function readList(reader: Reader, { password }: Environment): Result<ListConfig> {
  const results = {
    endpoints: reader.value('etcd'),
    security: readSecurity(reader, password),
    layouts: andThen(readPublication(reader), ({ layouts }) => success(layouts)),
    name: reader.optional('name'),
  };
  return combine(results, ({ name, layouts = [] }) =>
    layouts.flatMap(layout =>
      brokenRules([
        name === undefined && layout.root === '',
        `--layout ${layout.name} keeps each service under its own name`,
        'name the service with --name',
      ]),
    ),
  );
}

/** The path of the control socket, for the commands that ask a running dockreg. */
export function readControlPath({ value }: Reader): Result<string> {
  const off = { message: '--control off leaves no socket to ask', hint: 'give the path of the socket' };
  return andThen(value('control'), path => (path === null ? failure(off) : success(path)));
}

function readSecurity(reader: Reader, password: string | undefined): Result<Security> {
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
      [name !== undefined && !password, `--etcd-user ${name} needs a password`, `use one of ${sources}`],
    );
    const user = name === undefined || password === undefined ? undefined : { name, password };
    return withProblems(conflicts, success(user));
  });
}

/**
 * The engine with the certificates for it. TLS that does not verify the engine, which the docker CLI offers with
 * DOCKER_TLS, is refused: a machine in between could answer with any address.
 */
function withCertificates(
  engine: EngineEndpoint,
  { DOCKER_TLS_VERIFY: verify, DOCKER_TLS: unverified, DOCKER_CERT_PATH: folder }: DockerVariables,
): Result<EngineEndpoint> {
  if (engine.kind !== 'tcp') return success(engine);
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
