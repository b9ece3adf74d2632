/**
 * Collects the options that stand in one place, such as the flags or the labels of one service. The rules are the same
 * for every source.
 */
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
import { showWord } from '../parse/secrets.ts';
import type { RawOptions, RawService } from '../raw.ts';
import { nearest, suggest } from './suggest.ts';

/** A word and its text as they stand in the source; the text is empty where there is none. */
export interface RawItem {
  readonly word: string;
  readonly text: string;
  /** As in RawOption. */
  readonly written?: string | undefined;
}

/** How a source writes an option, so that errors show what to write. */
export interface Syntax {
  /** The text before the word in the option's name: `--`, `label dockreg.`. */
  readonly from: string;
  /** The text before the word where a value follows: `--`, `dockreg.`. */
  readonly before: string;
  /** The text between the word and the value. */
  readonly between: ' ' | '=' | ': ';
}

/** The options that may stand in a place. */
export interface Scope {
  readonly names: readonly OptionName[];
  /** The problem of a word that is not one of them. */
  readonly refuse: (from: string, word: string) => Problem;
}

/** A word may occur several times, which only a repeatable option allows. What is wrong is added to `problems`. */
export function collectOptions(
  items: readonly RawItem[],
  { from: start, before, between }: Syntax,
  { names, refuse }: Scope,
  problems: Problem[],
): Map<OptionName, RawOption> {
  const collected = new Map<OptionName, RawOption>();
  for (const word of new Set(items.map(item => item.word))) {
    const name = names.find(each => each === word);
    if (name === undefined) {
      // A word alone may be the rest of the value before it, such as of a password with a comma.
      const isRest =
        nearest(word, names) === undefined && items.every(item => item.word !== word || !item.text);
      problems.push(refuse(start + (isRest ? '***' : showWord(word)), word));
      continue;
    }
    const from = start + word;
    const given = items.filter(item => item.word === word);
    const { impliedValue = '', placeholder, separator }: Option = options[name];
    const texts = given.map(({ text }) => text || impliedValue);
    const hasReference = given.some(({ written }) => written !== undefined);
    if (texts.includes('')) {
      const example = before + word + between + placeholder;
      problems.push({ message: `${from} needs a value`, hint: `write ${example}` });
    } else if (texts.length > 1 && separator === undefined)
      problems.push({ message: `${from} is given ${texts.length} times`, hint: 'give it once' });
    else
      collected.set(name, {
        text: texts.join(separator),
        from,
        ...(hasReference && { written: given.map(({ text, written }) => written ?? text).join(separator) }),
      });
  }
  return collected;
}

/** The options of one service. */
export const serviceScope: Scope = {
  names: serviceOptionNames,
  refuse(from, word) {
    const shared = optionNames.find(name => name === word);
    const hint = suggest(word, serviceOptionNames, 'dockreg --help lists the options');
    if (shared === undefined) return { message: `${from} is not an option of a service`, hint };
    return {
      message: `${from} is for the whole process and not for one service`,
      hint: `set it with --${shared} or ${variableOf(shared)}`,
    };
  },
};

/** A service whose entry has a label. The label is its name too, unless its options give another. */
export function labelledService(from: string, label: string, own: RawOptions): RawService {
  const name = { text: label, from: `${from}: name` };
  return { from, label, options: new Map([['name', name], ...own]) };
}
