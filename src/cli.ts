/**
 * From the command line and the environment to one command. Pure but for the lists it is given.
 */
import minimist from 'minimist';
import { closest } from 'fastest-levenshtein';
import { checkConfig, fromEnvironment, type Config, type Given } from './config/config.ts';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from './config/options.ts';
import { ConfigError, ExitCode } from './errors.ts';

export type Command =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'doctor'; readonly config: Config; readonly json: boolean }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

/** @throws ConfigError with all that is wrong at once */
export function parseCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Command {
  const problems: string[] = [];
  const isDoctor = argv[0] === 'doctor';
  const switches = ['help', 'version', ...(isDoctor ? ['json'] : [])];
  const parsed = minimist(argv.slice(isDoctor ? 1 : 0), {
    string: optionNames,
    boolean: switches,
    alias: { help: 'h' },
    unknown: word => {
      problems.push(unknownWord(word, [...optionNames, ...switches]));
      return false;
    },
  });
  if (parsed['help'] === true) return { kind: 'help' };
  if (parsed['version'] === true) return { kind: 'version' };

  const given = new Map<OptionName, Given>(fromEnvironment(env));
  for (const name of optionNames) {
    const value: unknown = parsed[name];
    if (value === undefined) continue;
    const { bare }: Option<unknown> = options[name];
    const text = value === '' ? bare : value;
    if (typeof text === 'string' && text !== '') given.set(name, { text, from: `--${name}` });
    else if (Array.isArray(value)) problems.push(`--${name} is given ${value.length} times; give it once`);
    else problems.push(`--${name} needs a value: --${name} ${options[name].placeholder}`);
  }
  const checked = checkConfig(given, env[passwordVariable] || undefined, env);
  if ('config' in checked && problems.length === 0) {
    const { config } = checked;
    return isDoctor ? { kind: 'doctor', config, json: parsed['json'] === true } : { kind: 'run', config };
  }
  throw new ConfigError([...problems, ...('problems' in checked ? checked.problems : [])], ExitCode.usage);
}

function unknownWord(word: string, names: readonly string[]): string {
  const flags = names.map(name => `--${name}`);
  if (word === 'doctor') return '"doctor" comes first: dockreg doctor --name value';
  if (!word.startsWith('-')) return `"${word}" is a stray word; every option has the form --name value`;
  const flag = word.replace(/=.*$/, '');
  return `unknown flag ${flag}; did you mean ${closest(flag, flags)}? (dockreg --help lists them)`;
}

export function helpText(version: string): string {
  const rows = optionNames.map(name => {
    const option: Option<unknown> = options[name];
    const fallback = option.fallback === undefined ? '' : ` (${option.fallback})`;
    return `  ${`--${name} ${option.placeholder}`.padEnd(27)} ${option.help}${fallback}`;
  });
  return `dockreg ${version}: keeps a key in etcd exactly while the app in this container answers

usage: dockreg --etcd URL --port PORT [OPTION…]
       dockreg doctor [--json] --etcd URL --port PORT [OPTION…]   why does the app not appear?

${rows.join('\n')}
  ${'--help, --version'.padEnd(27)} this text; the version

Each option is also a variable: ${variableOf('etcd')}, ${variableOf('port')}, … A flag beats its variable.
TIME is 5s, 250ms, 1m, or plain seconds.

example, beside an app that listens on port 8000 and is published with -p 8000:
  dockreg --etcd http://10.1.0.101:2379 --port 8000 --ip 10.1.0.101
  writes /service/10.1.0.101:49155 = running, and deletes it when the app stops answering

exit codes: 0 stopped, 64 wrong usage, 78 cannot work in this container, 70 internal error;
  doctor: 0 all is well, 1 something is not
`;
}
