/** The source of flags: the command line after the command. */
import { closest } from 'fastest-levenshtein';
import minimist from 'minimist';
import type { Problem } from '../../errors.ts';
import type { OptionName } from '../options.ts';
import { emptyConfig, type RawConfig } from '../raw.ts';
import { collectOptions, type RawItem } from './collect.ts';

/** What a command takes. */
export interface Grammar {
  readonly names: readonly OptionName[];
  /** Flags without a value. */
  readonly switches: readonly string[];
}

export interface CommandLine extends RawConfig {
  readonly switches: ReadonlySet<string>;
}

/** @param refuseWord the problem of a word that is not a flag */
export function readArgv(
  argv: readonly string[],
  { names, switches }: Grammar,
  refuseWord: (word: string) => Problem,
): CommandLine {
  const flags = [...names, ...switches].map(word => `--${word}`);
  const refuse = (flag: string): Problem => ({
    message: `unknown flag ${flag}`,
    hint: `did you mean ${closest(flag, flags)}? (dockreg --help lists all flags)`,
  });
  const problems: Problem[] = [];
  const parsed = minimist([...argv], {
    string: [...names],
    boolean: [...switches],
    alias: { help: 'h' },
    unknown: word => {
      problems.push(word.startsWith('-') ? refuse(word.replace(/=.*$/, '')) : refuseWord(word));
      return false;
    },
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
