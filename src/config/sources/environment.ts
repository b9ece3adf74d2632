/**
 * The source of variables: `DOCKREG_…`, the variables of other programs that dockreg reads as they do, and the password.
 * An empty variable is not set.
 */
import { brief, firstLines } from '../../core/text.ts';
import type { Problem } from '../../errors.ts';
import {
  isKnownVariable,
  optionNames,
  options,
  passwordVariable,
  variableNames,
  variableOf,
  type Option,
} from '../options.ts';
import { limits } from '../parse/limits.ts';
import { emptyConfig } from '../raw.ts';
import { readRegistrator } from './registrator.ts';
import { nearest } from './suggest.ts';

export type Environment = ReturnType<typeof readEnvironment>;

const prefix = 'DOCKREG_';

export function readEnvironment(env: NodeJS.ProcessEnv) {
  const defaults = optionNames.flatMap(name => {
    const { fallbackVariable = '' }: Option = options[name];
    const from = [variableOf(name), fallbackVariable].find(variable => env[variable]);
    return from === undefined ? [] : [[name, { text: env[from] ?? '', from }] as const];
  });
  const password = env[passwordVariable] || undefined;
  return {
    ...emptyConfig,
    defaults: new Map(defaults),
    problems: password === undefined ? [] : problemsOfPassword(password),
    /** The password for etcd. */
    password,
    /** The variables of registrator's convention. */
    registrator: readRegistrator(Object.entries(env)),
    /** What the docker CLI knows of TLS. */
    docker: { verify: env.DOCKER_TLS_VERIFY, unverified: env.DOCKER_TLS, folder: env.DOCKER_CERT_PATH },
    /** One line for each variable that nobody reads, to warn of. */
    warnings: firstLines(
      Object.keys(env)
        .filter(name => env[name] && isUnknown(name))
        .map(warnOf),
    ),
  };
}

function problemsOfPassword({ length }: string): Problem[] {
  if (length <= limits.textLength) return [];
  const message = `${passwordVariable} has ${length} characters, and at most ${limits.textLength} are allowed`;
  return [{ message, hint: 'give a shorter password' }];
}

function isUnknown(name: string): boolean {
  return name.slice(0, prefix.length).toUpperCase() === prefix && !isKnownVariable(name);
}

function warnOf(name: string): string {
  const suffixes = variableNames.map(each => each.slice(prefix.length));
  const meant = nearest(name.slice(prefix.length).toUpperCase(), suffixes);
  const guess = meant === undefined ? 'nobody reads it' : `did you mean ${prefix}${meant}?`;
  return `${brief(name)} is not a variable of dockreg; ${guess}`;
}
