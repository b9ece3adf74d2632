/**
 * Collects the options that stand in one place, such as the flags or the labels of one service. The rules are the same
 * for every source; a syntax is how a source writes an option, so that errors show what to write.
 */
import { closest } from 'fastest-levenshtein';
import type { Problem } from '../../errors.ts';
import {
  optionNames,
  options,
  serviceOptionNames,
  variableOf,
  type Option,
  type OptionName,
} from '../options.ts';
import type { RawOption } from '../parse/value.ts';
import type { RawService } from '../raw.ts';

/** A word and its text as they stand in the source; the text is empty where there is none. */
export interface RawItem {
  readonly word: string;
  readonly text: string;
}

export interface Syntax {
  /** The option's name in errors: `--port`, `label dockreg.port`. */
  readonly name: (word: string) => string;
  /** The option with a value: `--port 8000`, `dockreg.port=8000`. */
  readonly assign: (word: string, value: string) => string;
}

/** The options that may stand in a place. */
export interface Scope {
  readonly names: readonly OptionName[];
  /** The problem of a word that is not one of them. */
  readonly refuse: (from: string, word: string) => Problem;
}

export interface CollectedOptions {
  readonly options: Map<OptionName, RawOption>;
  readonly problems: readonly Problem[];
}

/** A word may occur several times, which only a repeatable option allows. */
export function collectOptions(
  items: readonly RawItem[],
  syntax: Syntax,
  { names, refuse }: Scope,
): CollectedOptions {
  const collected = new Map<OptionName, RawOption>();
  const problems: Problem[] = [];
  for (const word of new Set(items.map(item => item.word))) {
    const from = syntax.name(word);
    const name = names.find(each => each === word);
    if (name === undefined) {
      problems.push(refuse(from, word));
      continue;
    }
    const { impliedValue = '', placeholder, separator }: Option = options[name];
    const texts = items.filter(item => item.word === word).map(({ text }) => text || impliedValue);
    if (texts.includes(''))
      problems.push({ message: `${from} needs a value`, hint: `write ${syntax.assign(word, placeholder)}` });
    else if (texts.length > 1 && separator === undefined)
      problems.push({ message: `${from} is given ${texts.length} times`, hint: 'give it once' });
    else collected.set(name, { text: texts.join(separator), from });
  }
  return { options: collected, problems };
}

/** The options of one service. */
export const serviceScope: Scope = {
  names: serviceOptionNames,
  refuse(from, word) {
    const shared = optionNames.find(name => name === word);
    const hint = `did you mean ${closest(word, serviceOptionNames)}?`;
    if (shared === undefined) return { message: `${from} is not an option of a service`, hint };
    return {
      message: `${from} is for the whole process and not for one service`,
      hint: `set it with --${shared} or ${variableOf(shared)}`,
    };
  },
};

/** A service whose entry has a label. The label is its name too, unless its options give another. */
export function labelledService(from: string, label: string, { options: own }: CollectedOptions): RawService {
  if (!own.has('name')) own.set('name', { text: label, from: `${from}: name` });
  return { from, label, options: own };
}
