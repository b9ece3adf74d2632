/**
 * From the command line and the environment to one command. Pure but for the lists it is given.
 */
import minimist from 'minimist';
import { closest } from 'fastest-levenshtein';
import type { ControlOptions } from './commands/control.ts';
import {
  checkConfig,
  checkControlConfig,
  checkListConfig,
  fromEnvironment,
  controlOptionNames,
  listOptionNames,
  type Checked,
  type Config,
  type ConfigByLabels,
  type ProcessEnvironment,
} from './config/config.ts';
import type { ListConfig } from './core/settings/process.ts';
import { collector, type RawOptions } from './config/given.ts';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from './config/options.ts';
import { registratorVariables } from './config/service.ts';
import type { RawConfig } from './config/services.ts';
import { SetupError, UsageError } from './errors.ts';

export type Command =
  | { readonly kind: 'run'; readonly config: Config | ConfigByLabels }
  | { readonly kind: 'doctor'; readonly config: Config | ConfigByLabels; readonly json: boolean }
  | { readonly kind: 'ls'; readonly config: ListConfig; readonly json: boolean; readonly watch: boolean }
  | { readonly kind: 'control'; readonly options: ControlOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

/** What the command is depends on the file of --config: parse again with what it says. */
export interface FileNeeded {
  readonly kind: 'file';
  readonly path: string;
}

/** @throws UsageError or SetupError with all that is wrong at once */
export function parseCommand(argv: readonly string[], env: NodeJS.ProcessEnv, file: RawConfig): Command;
export function parseCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Command | FileNeeded;
export function parseCommand(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  file?: RawConfig,
): Command | FileNeeded {
  const [word = ''] = argv;
  const command = commands.get(word);
  const [service, flags] = command?.takesService ? leadingWord(argv.slice(1)) : [undefined, argv.slice(1)];
  const { names, switches } = command ?? { names: optionNames, switches: [] };
  const words = readWords(command ? flags : argv, env, names, switches);
  const answer = answered(words.switches);
  if (answer) return answer;
  const path = words.given.get('config')?.text;
  if (path !== undefined && file === undefined) return { kind: 'file', path };
  // A file is part of the set-up, as certificates are.
  const Failure = file === undefined ? UsageError : SetupError;
  const settle = <C>(checked: Checked<C>): C => {
    if ('config' in checked && words.problems.length === 0) return checked.config;
    const problems = 'problems' in checked ? checked.problems : [];
    throw new Failure([...words.problems, ...problems].map(message => ({ message })));
  };
  const environment = environmentOf(env);
  const json = words.switches.has('json');
  switch (word) {
    case 'ls': {
      const config = settle(checkListConfig(words.given, environment, file));
      return { kind: 'ls', config, json, watch: words.switches.has('watch') };
    }
    case 'drain':
    case 'resume':
    case 'status': {
      const control = settle(checkControlConfig(words.given, file));
      return { kind: 'control', options: { word, service, path: control, json } };
    }
    default: {
      const config = settle(checkConfig(words.given, environment, file));
      return command ? { kind: 'doctor', config, json } : { kind: 'run', config };
    }
  }
}

interface Grammar {
  /** The options that it takes. */
  readonly names: readonly OptionName[];
  readonly switches: readonly string[];
  readonly takesService?: true;
}

const commands: ReadonlyMap<string, Grammar> = new Map([
  ['doctor', { names: optionNames, switches: ['json'] }],
  ['ls', { names: listOptionNames, switches: ['json', 'watch'] }],
  ['drain', { names: controlOptionNames, switches: [], takesService: true }],
  ['resume', { names: controlOptionNames, switches: [], takesService: true }],
  ['status', { names: controlOptionNames, switches: ['json'], takesService: true }],
]);

function leadingWord(words: readonly string[]): [word: string | undefined, rest: readonly string[]] {
  const [word, ...rest] = words;
  return word === undefined || word.startsWith('-') ? [undefined, words] : [word, rest];
}

/** What is answered whatever else is there. */
function answered(switches: ReadonlySet<string>): Command | null {
  if (switches.has('help')) return { kind: 'help' };
  return switches.has('version') ? { kind: 'version' } : null;
}

interface Words {
  readonly given: RawOptions;
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
  const flags = collector({ name: name => `--${name}`, assign: (name, value) => `--${name} ${value}` });
  for (const name of names) {
    // Of strings alone, as minimist was told; a list where the flag stands more than once.
    const value = parsed[name] as string | readonly string[] | undefined;
    if (value !== undefined) flags.add(name, [value].flat());
  }
  return {
    given: new Map([...fromEnvironment(env), ...flags.given]),
    switches: new Set(words.filter(word => parsed[word] === true)),
    problems: [...problems, ...flags.problems],
  };
}

function environmentOf(env: NodeJS.ProcessEnv): ProcessEnvironment {
  return {
    password: env[passwordVariable] || undefined,
    registrator: registratorVariables(env),
    docker: env,
  };
}

function unknownWord(word: string, known: readonly string[]): string {
  const flags = known.map(name => `--${name}`);
  if (commands.has(word)) return `"${word}" comes first: dockreg ${word} --name value`;
  if (!word.startsWith('-')) return `"${word}" is a stray word; every option has the form --name value`;
  const flag = word.replace(/=.*$/, '');
  return `unknown flag ${flag}; did you mean ${closest(flag, flags)}? (dockreg --help lists them)`;
}

export function helpText(version: string): string {
  const rows = optionNames.map(name => {
    const option: Option<unknown> = options[name];
    const defaultText = option.defaultText === undefined ? '' : ` (${option.defaultText})`;
    return `  ${`--${name} ${option.placeholder}`.padEnd(27)} ${option.help}${defaultText}`;
  });
  return `dockreg ${version}: keeps a key in etcd exactly while the app in this container answers

usage: dockreg --etcd URL --port PORT [OPTION…]
       dockreg --etcd URL --service name=web,port=8000,… --service … [OPTION…]
       dockreg doctor [--json] --etcd URL --port PORT [OPTION…]   why does the app not appear?
       dockreg ls --etcd URL [--layout NAME[:ROOT],…] [--json] [--watch]   what stands in etcd
       dockreg drain|resume|status [SERVICE] [--json]   take it out of etcd; put it back; how is it?

${rows.join('\n')}
  ${'--help, --version'.padEnd(27)} this text; the version

Each option is also a variable: ${variableOf('etcd')}, ${variableOf('port')}, … A flag beats its variable.
TIME is 5s, 250ms, 1m, or plain seconds.

example, beside an app that listens on port 8000 and is published with -p 8000:
  dockreg --etcd http://10.1.0.101:2379 --port 8000 --ip 10.1.0.101
  writes /service/10.1.0.101:49155 = running, and deletes it when the app stops answering

exit codes: 0 stopped, 64 wrong usage, 78 cannot work in this container, 70 internal error;
  doctor, status: 0 all is well, 1 something is not; ls, drain, resume, status: 69 no answer
`;
}
