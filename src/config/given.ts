/**
 * What was given, by option, and how it is read.
 */
import { messageOf } from '../errors.ts';
import { options, variableOf, type Option, type OptionName } from './options.ts';

/** A text and where it came from: `--port`, `DOCKREG_PORT`. */
export interface Given {
  readonly text: string;
  readonly from: string;
}

/** What was given, by option. Where an option came from twice, the first of its list holds. */
export type GivenOptions = ReadonlyMap<OptionName, Given>;

/** The value of an option; undefined when there is none, or a bad one, which has been noted. */
export type Read = <Name extends OptionName>(name: Name) => Parsed<Name> | undefined;

type Parsed<Name extends OptionName> = ReturnType<(typeof options)[Name]['parse']>;

/** Reads options, and collects each problem with the flag, the value, the rule and the way out. */
export function readerOf(given: GivenOptions): { readonly read: Read; readonly problems: string[] } {
  const problems: string[] = [];
  const read = <Name extends OptionName>(name: Name): Parsed<Name> | undefined => {
    const option: Option<unknown> = options[name];
    const { text, from } = given.get(name) ?? { text: option.fallback, from: `--${name}` };
    if (text === undefined) {
      if (option.required)
        problems.push(`--${name} is missing; ${option.required.wayOut} (or ${variableOf(name)})`);
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
