/** From the command line and the environment to one command. */
import type { ControlOptions } from './commands/control.ts';
import { configure, configureControl, configureList, type AnyConfig } from './config/config.ts';
import { layer } from './config/layering.ts';
import { problemsOfOptions, readerOf } from './config/reader.ts';
import { optionNames, options, variableOf, type Option } from './config/options.ts';
import type { RawConfig } from './config/raw.ts';
import { showWord } from './config/parse/secrets.ts';
import { readArgv, type Grammar } from './config/sources/argv.ts';
import { readEnvironment } from './config/sources/environment.ts';
import { readServiceFlag } from './config/sources/service-flag.ts';
import { nearest } from './config/sources/suggest.ts';
import type { ListConfig, LogFormat } from './core/settings/process.ts';
import { brief } from './core/text.ts';
import { SetupError, UsageError, valueOf, type Problem, type Result } from './errors.ts';
import { rememberSecret } from './secrets.ts';

export type Command =
  | { readonly kind: 'run'; readonly config: AnyConfig; readonly warnings: readonly string[] }
  | {
      readonly kind: 'doctor';
      readonly config: AnyConfig;
      readonly json: boolean;
      /** What is odd and does no harm, one line each. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'ls'; readonly config: ListConfig; readonly json: boolean; readonly watch: boolean }
  | { readonly kind: 'control'; readonly options: ControlOptions }
  | { readonly kind: 'help' | 'version' };

interface CommandGrammar extends Grammar {
  /** Whether the name of a service may follow the command. */
  readonly takesService?: true;
}

const run: CommandGrammar = { names: optionNames, switches: [] };
const control: CommandGrammar = { names: ['config', 'control'], switches: [], takesService: true };
const listNames = optionNames.filter(name => name.startsWith('etcd'));
const commands: ReadonlyMap<string, CommandGrammar> = new Map([
  ['doctor', { ...run, switches: ['json'] }],
  ['ls', { names: [...listNames, 'config', 'key', 'layout', 'name'], switches: ['json', 'watch'] }],
  ['drain', control],
  ['resume', control],
  ['status', { ...control, switches: ['json'] }],
]);

/** Whether the command ends by itself at SIGTERM and SIGINT. At the others these end the process at once. */
export function handlesSignals([word = '']: readonly string[]): boolean {
  return word === 'ls' || !commands.has(word);
}

/** Reads the file of --config. Its libraries are loaded only then. */
async function readFile(path: string, env: NodeJS.ProcessEnv): Promise<RawConfig> {
  return (await import('./config/sources/file.ts')).readConfigFile(path, env);
}

/**
 * @param onLogFormat called when dockreg itself is to run, as soon as its log format is known, and again if the file of
 * --config says otherwise
 * @throws UsageError with all problems at once; SetupError instead when all of them are in the file of --config, or between
 * it and the rest
 */
export async function readCommand(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  read = readFile,
  onLogFormat: (format: LogFormat) => void = () => undefined,
): Promise<Command> {
  const [word = '', next] = argv;
  // Whoever writes a command wants none of what only dockreg itself lacks.
  if (!commands.has(word) && /^[\p{L}_]/u.test(word)) throw new UsageError(refuseFirst(word));
  const noteLogFormat = ({ defaults }: RawConfig): void =>
    commands.has(word) ? undefined : onLogFormat(valueOf(readerOf(defaults).value('log')) ?? 'logfmt');
  const { names, switches, takesService } = commands.get(word) ?? run;
  const service = takesService && !next?.startsWith('-') ? next : undefined;
  const words = argv.slice((commands.has(word) ? 1 : 0) + (service === undefined ? 0 : 1));
  const flags = readArgv(
    words,
    { names, switches: [...switches, 'help', 'version'] },
    {
      word: refuseCommand,
      flag: flag => refuseOfOthers(word, flag),
    },
  );
  if (flags.switches.has('help')) return { kind: 'help' };
  if (flags.switches.has('version')) return { kind: 'version' };
  const environment = readEnvironment(env);
  rememberSecret(environment.password);
  const typed = layer({ flags, environment, file: undefined });
  noteLogFormat(typed);
  const path = typed.defaults.get('config')?.text;
  const problemsOfUsage = (): readonly Problem[] => [
    ...typed.problems,
    ...readServiceFlag(typed.defaults.get('service')).problems,
    ...problemsOfOptions(typed.defaults, names),
  ];
  const file = path === undefined ? undefined : await readOrThrow(() => read(path, env), problemsOfUsage);
  const sources = { flags, environment, file };
  if (file !== undefined) noteLogFormat(layer(sources));
  const orThrow = <T>(result: Result<T>): T => {
    if (result.ok) return result.value;
    const isUsage = file === undefined || problemsOfUsage().length > 0;
    throw isUsage ? new UsageError(result.problems) : new SetupError(result.problems);
  };
  const json = flags.switches.has('json');
  switch (word) {
    case 'ls': {
      const config = orThrow(configureList(sources));
      return { kind: 'ls', config, json, watch: flags.switches.has('watch') };
    }
    case 'drain':
    case 'resume':
    case 'status':
      return { kind: 'control', options: { word, service, path: orThrow(configureControl(sources)), json } };
    case 'doctor':
      return { kind: 'doctor', config: orThrow(configure(sources)), json, warnings: environment.warnings };
    default:
      return { kind: 'run', config: orThrow(configure(sources)), warnings: environment.warnings };
  }
}

/** A file that cannot be used does not hide what is wrong with the command line. */
async function readOrThrow(
  read: () => Promise<RawConfig>,
  problemsOfUsage: () => readonly Problem[],
): Promise<RawConfig> {
  try {
    return await read();
  } catch (error) {
    const usage = problemsOfUsage();
    if (!(error instanceof SetupError) || usage.length === 0) throw error;
    throw new UsageError([...usage, ...error.problems], { cause: error });
  }
}

/** Words that people try, and the command that they mean. */
const synonyms: ReadonlyMap<string, string> = new Map([
  ...['list', 'ps', 'get'].map(word => [word, 'ls'] as const),
  ...['check', 'test', 'diagnose', 'debug', 'why'].map(word => [word, 'doctor'] as const),
  ...['info', 'state', 'show', 'health'].map(word => [word, 'status'] as const),
  ...['disable', 'withdraw', 'deregister', 'maintenance'].map(word => [word, 'drain'] as const),
  ...['enable', 'undrain', 'restore'].map(word => [word, 'resume'] as const),
]);
const meaningRun: ReadonlySet<string> = new Set(['run', 'start', 'serve', 'register', 'watch', 'agent']);

/** The problem of a first word that is no command. Only what may have been meant as one is shown. */
function refuseFirst(word: string): Problem {
  const meant = synonyms.get(word) ?? nearest(word, [...commands.keys()]);
  if (word === 'help' || word === 'version')
    return { message: `unknown command "${word}"`, hint: `write dockreg --${word}` };
  if (meaningRun.has(word))
    return { message: `unknown command "${word}"`, hint: 'dockreg without a command registers the app' };
  const known = [...commands.keys()].join(', ');
  return {
    message: `unknown command "${showWord(word)}"`,
    hint:
      meant === undefined
        ? `the commands are ${known}, and an option has the form --name value`
        : `did you mean dockreg ${meant}?`,
  };
}

/** The problem of a word that is, or was meant to be, a command; null for other words. */
function refuseCommand(word: string, isSecret: boolean): Problem | null {
  if (commands.has(word))
    return { message: `"${word}" must come first`, hint: `write dockreg ${word} --name value` };
  const flag = ['help', 'version'].find(each => each === word);
  if (flag !== undefined)
    return { message: `unexpected argument "${word}"`, hint: `write dockreg --${flag}` };
  const meant = isSecret || word.startsWith('-') ? undefined : nearest(word, [...commands.keys()]);
  if (meant === undefined) return null;
  return { message: `unexpected argument "${brief(word)}"`, hint: `did you mean dockreg ${meant}?` };
}

/** The problem of a flag that only other commands have; null for other flags. */
function refuseOfOthers(word: string, flag: string): Problem | null {
  const name = flag.slice(2);
  const known = [...commands].filter(
    ([, { names, switches }]) => switches.includes(name) || names.some(each => each === name),
  );
  const isOfRun = optionNames.some(each => each === name);
  if (!flag.startsWith('--') || (known.length === 0 && !isOfRun)) return null;
  const here = commands.has(word) ? `dockreg ${word}` : 'dockreg without a command';
  const others = [...(isOfRun ? ['dockreg'] : []), ...known.map(([each]) => `dockreg ${each}`)];
  return {
    message: `unknown flag ${flag}: ${here} does not take it`,
    hint: `it is for ${others.join(', ')}`,
  };
}

export function helpText(version: string): string {
  const rows = optionNames.map(name => {
    const { placeholder, help, defaultText }: Option = options[name];
    const suffix = defaultText === undefined ? '' : ` (${defaultText})`;
    return `  ${`--${name} ${placeholder}`.padEnd(27)} ${help}${suffix}`;
  });
  return `dockreg ${version}: keeps a key in etcd exactly while the app in this container answers

usage: dockreg --etcd URL --port PORT [OPTION…]
       dockreg --etcd URL --service name=web,port=8000,… --service … [OPTION…]
       dockreg doctor [--json] --etcd URL --port PORT [OPTION…]   explain why it does not appear
       dockreg ls --etcd URL [--layout NAME[:ROOT],…] [--json] [--watch]   list the instances
       dockreg drain|resume|status [SERVICE] [--json]   remove the keys; restore; show state

${rows.join('\n')}
  ${'--help, --version'.padEnd(27)} print this text; print the version

Each option has a variable (${variableOf('port')}). The flag wins. TIME is 5s, 250ms, 1m, or plain seconds.

example, for an app that is published with -p 8000; it keeps the key /web/10.1.0.101:49155:
  dockreg --etcd http://10.1.0.101:2379 --port 8000 --key web --ip 10.1.0.101

exit codes: 0 stopped, 64 wrong usage, 78 cannot work in this container, 70 internal error;
  doctor, status: 0 all is well, 1 something is wrong; ls, drain, resume, status: 69 no answer
`;
}
