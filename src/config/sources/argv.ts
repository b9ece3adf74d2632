/** The source of flags: the command line after the command. */
import minimist from 'minimist';
import { brief } from '../../core/text.ts';
import type { Problem } from '../../errors.ts';
import { options, type Option, type OptionName } from '../options.ts';
import { limits } from '../parse/limits.ts';
import { showWord } from '../parse/secrets.ts';
import { emptyConfig, type RawConfig } from '../raw.ts';
import { collectOptions, type RawItem } from './collect.ts';
import { nearest } from './suggest.ts';

/** What a command takes. */
export interface Grammar {
  readonly names: readonly OptionName[];
  /** Flags without a value. */
  readonly switches: readonly string[];
}

export interface CommandLine extends RawConfig {
  readonly switches: ReadonlySet<string>;
}

/** What the commands know of a word or a flag that does not belong here; null where they know nothing. */
export interface OfOtherCommands {
  /** @param isSecret whether the word may be a secret, and must not be shown unless it is the name of a command */
  readonly word: (word: string, isSecret: boolean) => Problem | null;
  readonly flag: (flag: string) => Problem | null;
}

export function readArgv(
  argv: readonly string[],
  { names, switches }: Grammar,
  others: OfOtherCommands,
): CommandLine {
  const refuse = (flag: string): Problem => {
    const ofOthers = others.flag(flag);
    if (ofOthers !== null) return ofOthers;
    const word = wordOf(flag);
    const dashes = flag.slice(0, flag.length - word.length);
    const meant = nearest(word, [...names, ...switches]);
    const help = 'dockreg --help lists all flags';
    const hint = meant === undefined ? help : `did you mean --${meant}? (${help})`;
    return { message: `unknown flag ${dashes}${showWord(word)}`, hint };
  };
  const problems: Problem[] = [];
  const words = knownWords(argv, { names, switches }, problems, refuse, others.word);
  const parsed = minimist(words, {
    string: [...names],
    boolean: [...switches],
    alias: { help: 'h' },
  });
  const items = names.flatMap((name): RawItem[] => {
    // minimist makes a list of a flag that occurs several times.
    const value: string | string[] | undefined = parsed[name];
    return [value ?? []].flat().map(text => ({ word: name, text }));
  });
  const syntax = { from: '--', before: '--', between: ' ' } as const;
  return {
    ...emptyConfig,
    defaults: collectOptions(items, syntax, { names, refuse }, problems),
    switches: new Set(switches.filter(word => parsed[word] === true)),
    problems,
  };
}

/**
 * The words that minimist may see: known flags, each in the form that it reads as we do. It would take others for a
 * property of every object (`--constructor`), turn `--no-watch` into an empty text, or leave out what follows `--`.
 */
function knownWords(
  argv: readonly string[],
  { names, switches }: Grammar,
  problems: Problem[],
  refuse: (flag: string) => Problem,
  refuseCommand: OfOtherCommands['word'],
): string[] {
  if (argv.length > limits.words) {
    const message = `the command line has ${argv.length} words, and at most ${limits.words} are allowed`;
    problems.push({ message, hint: 'use --config' });
    return [];
  }
  const known: string[] = [];
  /** The flag before: the word may belong to its value, if that has a space and no quotes, or begins with a dash. */
  let flagBefore = '';
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    const [, flag = '', assigned] = /^([\p{Pd}\u2212][^=]*)(=.*)?$/su.exec(word) ?? [];
    const next = argv[at + 1];
    const value = next !== undefined && !/^--?[^-]/.test(next) && next !== '--' ? next : undefined;
    const name = names.find(each => `--${each}` === flag);
    if (flag === '-h' || switches.some(each => `--${each}` === flag)) {
      if (assigned === undefined) known.push(word);
      else problems.push({ message: `${flag} takes no value`, hint: `write ${flag}` });
      flagBefore = '';
      continue;
    } else if (name !== undefined) {
      if (assigned === undefined && value !== undefined) at++;
      known.push(assigned === undefined ? `${flag}=${value ?? ''}` : word);
    } else if (word === '--' || word === '-' || flag === '') {
      const isSecret = mayBeSecret(flagBefore, word);
      const refused = isSecret ? refuseHidden(at, flagBefore) : refuseWord(word);
      problems.push(refuseCommand(word, isSecret) ?? refused);
      continue;
    } else {
      const isRest = nearest(wordOf(flag), names) === undefined && mayBeSecret(flagBefore, '');
      problems.push(isRest ? refuseHidden(at, flagBefore) : refuse(flag));
      if (assigned === undefined && value !== undefined) at++;
      if (isRest) continue;
    }
    flagBefore = flag;
  }
  return known;
}

/** The flag without its dashes, of which Unicode has several. */
function wordOf(flag: string): string {
  return flag.replace(/^[\p{Pd}\u2212]+/u, '');
}

/** Whether the word may belong to the value of the flag before it, as in `--check-header Authorization: Bearer …`. */
function mayBeSecret(flagBefore: string, word: string): boolean {
  const row: Option | undefined = Object.hasOwn(options, flagBefore.slice(2))
    ? options[flagBefore.slice(2) as OptionName]
    : undefined;
  const isPublic = flagBefore === '' || (row !== undefined && row.show === undefined);
  return !isPublic || showWord(word) !== word;
}

function refuseWord(word: string): Problem {
  return { message: `unexpected argument "${brief(word)}"`, hint: 'every option has the form --name value' };
}

function refuseHidden(at: number, flagBefore: string): Problem {
  const message = `unexpected argument${flagBefore === '' ? '' : ` after ${showWord(flagBefore)}`}, word ${at + 1}`;
  return { message, hint: 'every option has the form --name value; put quotes around a value with spaces' };
}
