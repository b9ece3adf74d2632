/**
 * The source of variables: `DOCKREG_…`, the variables of other programs that dockreg reads as they do, and the password.
 * An empty variable is not set.
 */
import { optionNames, options, passwordVariable, variableOf, type Option } from '../options.ts';
import { emptyConfig } from '../raw.ts';

export type Environment = ReturnType<typeof readEnvironment>;

/** The variables of registrator's convention. Another SERVICE_ variable may hold a secret and is not read. */
const registratorNames = /^SERVICE_(?:\d+_)?(?:NAME|TAGS|ID)$/;

export function readEnvironment(env: NodeJS.ProcessEnv) {
  const defaults = optionNames.flatMap(name => {
    const { fallbackVariable = '' }: Option = options[name];
    const from = [variableOf(name), fallbackVariable].find(variable => env[variable]);
    return from === undefined ? [] : [[name, { text: env[from] ?? '', from }] as const];
  });
  const registrator = Object.entries(env).flatMap(([name, text]) =>
    text && registratorNames.test(name) ? [[name, text] as const] : [],
  );
  return {
    ...emptyConfig,
    defaults: new Map(defaults),
    /** The password for etcd. */
    password: env[passwordVariable] || undefined,
    /** The variables of registrator's convention. */
    registrator: new Map(registrator),
    /** What the docker CLI knows of TLS. */
    docker: { verify: env.DOCKER_TLS_VERIFY, unverified: env.DOCKER_TLS, folder: env.DOCKER_CERT_PATH },
  };
}
