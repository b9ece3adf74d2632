/**
 * The contract of the value parsers in this folder: a parser is a pure function from a text to its value, and it throws
 * a ValueError for a text that breaks its rule. Any other error is a bug in the parser and passes through.
 */
import { failure, ProblemError, success, type Problem, type Result } from '../../errors.ts';

/** A text as a source gives it. */
export interface RawOption {
  readonly text: string;
  /** Where the text was given, for errors: `--port`, `DOCKREG_PORT`, `label dockreg.port`. */
  readonly from: string;
}

/** The text breaks a rule. The message continues `--flag "text": …`. */
export class ValueError extends ProblemError {
  override readonly name = 'ValueError';

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(hint === undefined ? { message } : { message, hint }, options);
  }
}

/** Returns a function that puts the prefix before the message of a problem. */
export function withPrefix(prefix: string): (problem: Problem) => Problem {
  return ({ message, ...rest }) => ({ message: prefix + message, ...rest });
}

/** Parses the text. Each problem names where the text was given, and the text. */
export function parseValue<T>(parse: (text: string) => T, { text, from }: RawOption): Result<T> {
  try {
    return success(parse(text));
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return failure(...error.problems.map(withPrefix(`${from} ${JSON.stringify(text)}: `)));
  }
}

/** Returns a parser that takes one of these words. */
export function parseChoice<Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return text => {
    const word = words.find(each => each === text);
    if (word === undefined)
      throw new ValueError(
        words.length > 2 ? `must be one of ${words.join(', ')}` : `must be ${words.join(' or ')}`,
      );
    return word;
  };
}

const parseOnOff = parseChoice('on', 'off');

export function parseSwitch(text: string): boolean {
  return parseOnOff(text) === 'on';
}
