/**
 * The source of variables: `DOCKREG_…`, the variables of other programs that dockreg reads as they do, and the password.
 * An empty variable is not set.
 */
import type { ServiceSpec } from '../../core/layouts/instance.ts';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from '../options.ts';
import type { RawOption } from '../parse/value.ts';
import { emptyConfig, type RawConfig } from '../raw.ts';

export interface Environment extends RawConfig {
  /** The password for etcd. */
  readonly password: string | undefined;
  /** The variables of registrator's convention. */
  readonly registrator: ServiceSpec['variables'];
  readonly docker: DockerVariables;
}

/** The TLS variables of the docker CLI. */
export interface DockerVariables {
  readonly DOCKER_TLS_VERIFY?: string | undefined;
  readonly DOCKER_TLS?: string | undefined;
  readonly DOCKER_CERT_PATH?: string | undefined;
}

export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const defaults = new Map<OptionName, RawOption>();
  for (const name of optionNames) {
    const { fallbackVariable = '' }: Option = options[name];
    const from = [variableOf(name), fallbackVariable].find(variable => env[variable]);
    if (from !== undefined) defaults.set(name, { text: env[from] ?? '', from });
  }
  return {
    ...emptyConfig,
    defaults,
    password: env[passwordVariable] || undefined,
    registrator: registratorVariables(env),
    docker: env,
  };
}

const convention = /^SERVICE_(?:\d+_)?(?:NAME|TAGS|ID)$/;

/** Only the variables that registrator reads: another SERVICE_ variable may hold a secret. */
function registratorVariables(env: NodeJS.ProcessEnv): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(env).flatMap(([name, text]) =>
      text && convention.test(name) ? [[name, text] as const] : [],
    ),
  );
}
