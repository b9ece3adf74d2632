/**
 * From the command line and the environment to one command. Pure but for the lists it is given.
 */
import minimist from 'minimist';
import { closest } from 'fastest-levenshtein';
import {
  checkConfig,
  checkListConfig,
  fromEnvironment,
  listOptionNames,
  type Config,
  type ListConfig,
  type Surroundings,
} from './config/config.ts';
import type { Given, GivenOptions } from './config/given.ts';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from './config/options.ts';
import { registratorVariables } from './config/service.ts';
import { ConfigError, ExitCode } from './errors.ts';

export type Command =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'doctor'; readonly config: Config; readonly json: boolean }
  | { readonly kind: 'ls'; readonly config: ListConfig; readonly json: boolean; readonly watch: boolean }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

/** @throws ConfigError with all that is wrong at once */
export function parseCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Command {
  const [word, ...rest] = argv;
  if (word === 'ls') {
    const { given, switches, problems } = readWords(rest, env, listOptionNames, ['json', 'watch']);
    return (
      answered(switches) ?? {
        kind: 'ls',
        config: settle(checkListConfig(given, surroundingsOf(env)), problems),
        json: switches.has('json'),
        watch: switches.has('watch'),
      }
    );
  }
  const isDoctor = word === 'doctor';
  const words = isDoctor
    ? readWords(rest, env, optionNames, ['json'])
    : readWords(argv, env, optionNames, []);
  const { given, switches, problems } = words;
  const answer = answered(switches);
  if (answer) return answer;
  const config = settle(checkConfig(given, surroundingsOf(env)), problems);
  return isDoctor ? { kind: 'doctor', config, json: switches.has('json') } : { kind: 'run', config };
}

/** What is answered whatever else is there. */
function answered(switches: ReadonlySet<string>): Command | null {
  if (switches.has('help')) return { kind: 'help' };
  return switches.has('version') ? { kind: 'version' } : null;
}

interface Words {
  readonly given: GivenOptions;
  /** The flags without a value that are there. */
  readonly switches: ReadonlySet<string>;
  readonly problems: readonly string[];
}

function readWords(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  names: readonly OptionName[],
  switches: readonly string[],
): Words {
  const problems: string[] = [];
  const words = [...switches, 'help', 'version'];
  const parsed = minimist([...argv], {
    string: [...names],
    boolean: words,
    alias: { help: 'h' },
    unknown: word => {
      problems.push(unknownWord(word, [...names, ...words]));
      return false;
    },
  });
  const given = new Map<OptionName, Given>(fromEnvironment(env));
  for (const name of names) {
    // Of strings alone, as minimist was told; a list where the flag stands more than once.
    const value = parsed[name] as string | readonly string[] | undefined;
    if (value === undefined) continue;
    const { bare = '', placeholder, separator }: Option<unknown> = options[name];
    const texts = [value].flat().map(text => text || bare);
    if (texts.includes('')) problems.push(`--${name} needs a value: --${name} ${placeholder}`);
    else if (texts.length > 1 && separator === undefined)
      problems.push(`--${name} is given ${texts.length} times; give it once`);
    else given.set(name, { text: texts.join(separator), from: `--${name}` });
  }
  return { given, switches: new Set(words.filter(word => parsed[word] === true)), problems };
}

function surroundingsOf(env: NodeJS.ProcessEnv): Surroundings {
  return {
    password: env[passwordVariable] || undefined,
    registrator: registratorVariables(env),
    docker: env,
  };
}

function settle<C>(
  checked: { readonly config: C } | { readonly problems: readonly string[] },
  problems: readonly string[],
): C {
  if ('config' in checked && problems.length === 0) return checked.config;
  throw new ConfigError([...problems, ...('problems' in checked ? checked.problems : [])], ExitCode.usage);
}

function unknownWord(word: string, known: readonly string[]): string {
  const flags = known.map(name => `--${name}`);
  if (word === 'doctor' || word === 'ls') return `"${word}" comes first: dockreg ${word} --name value`;
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
       dockreg ls --etcd URL [--layout NAME[:ROOT],…] [--json] [--watch]   what stands in etcd

${rows.join('\n')}
  ${'--help, --version'.padEnd(27)} this text; the version

Each option is also a variable: ${variableOf('etcd')}, ${variableOf('port')}, … A flag beats its variable.
TIME is 5s, 250ms, 1m, or plain seconds.

example, beside an app that listens on port 8000 and is published with -p 8000:
  dockreg --etcd http://10.1.0.101:2379 --port 8000 --ip 10.1.0.101
  writes /service/10.1.0.101:49155 = running, and deletes it when the app stops answering

exit codes: 0 stopped, 64 wrong usage, 78 cannot work in this container, 70 internal error;
  doctor: 0 all is well, 1 something is not; ls: 69 no answer from etcd
`;
}
