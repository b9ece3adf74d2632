/**
 * What was given, by option, and how it is read.
 */
import { messageOf } from '../errors.ts';
import { options, variableOf, type Option, type OptionName } from './options.ts';

/** A text and where it came from: `--port`, `DOCKREG_PORT`. */
export interface RawOption {
  readonly text: string;
  readonly from: string;
}

/** What was given, by option. Where an option came from twice, the first of its list holds. */
export type RawOptions = ReadonlyMap<OptionName, RawOption>;

/** How a notation writes an option: its name, and with a value. */
export interface Syntax {
  readonly name: (word: string) => string;
  readonly assign: (word: string, value: string) => string;
}

export interface Collector {
  readonly given: Map<OptionName, RawOption>;
  readonly problems: string[];
  /** An option as it stands there, once or several times. An empty text is an option without a value. */
  add(name: OptionName, texts: readonly string[]): void;
}

/** Collects options, the same for every notation. */
export function collector(formatCheck: Syntax): Collector {
  const given = new Map<OptionName, RawOption>();
  const problems: string[] = [];
  return {
    given,
    problems,
    add(name, texts) {
      const { impliedValue = '', placeholder, separator }: Option<unknown> = options[name];
      const from = formatCheck.name(name);
      const values = texts.map(text => text || impliedValue);
      if (values.includes(''))
        problems.push(`${from} needs a value: ${formatCheck.assign(name, placeholder)}`);
      else if (values.length > 1 && separator === undefined)
        problems.push(`${from} is given ${values.length} times; give it once`);
      else given.set(name, { text: values.join(separator), from });
    },
  };
}

/** The value of an option; undefined when there is none, or a bad one, which has been noted. */
export type Read = <Name extends OptionName>(name: Name) => Parsed<Name> | undefined;

type Parsed<Name extends OptionName> = ReturnType<(typeof options)[Name]['parse']>;

/** Reads options, and collects each problem with the flag, the value, the rule and the way out. */
export function readerOf(given: RawOptions): { readonly read: Read; readonly problems: string[] } {
  const problems: string[] = [];
  const read = <Name extends OptionName>(name: Name): Parsed<Name> | undefined => {
    const option: Option<unknown> = options[name];
    const { text, from } = given.get(name) ?? { text: option.defaultText, from: `--${name}` };
    if (text === undefined) {
      if (option.required)
        problems.push(`--${name} is missing; ${option.required.hint} (or ${variableOf(name)})`);
      return undefined;
    }
    try {
      return option.parse(text) as Parsed<Name>;
    } catch (error) {
      problems.push(`${from} ${JSON.stringify(text)}: ${messageOf(error)}`);
      return undefined;
    }
  };
  return { read, problems };
}
