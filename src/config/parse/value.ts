/**
 * The contract of the value parsers in this folder: a parser is a pure function from a text to its value, and it throws
 * a ValueError for a text that breaks its rule. Any other error is a bug in the parser and passes through.
 */
import { quote } from '../../core/text.ts';
import { failure, ProblemError, success, type Problem, type Result } from '../../errors.ts';
import { limits } from './limits.ts';

/** A text as a source gives it. */
export interface RawOption {
  readonly text: string;
  /** Where the text was given, for errors: `--port`, `DOCKREG_PORT`, `label dockreg.port`. */
  readonly from: string;
  /** The text with its references to variables, whose values may be secrets; undefined when it has none. */
  readonly written?: string | undefined;
}

/** What holds for any text of an option. */
export interface TextRules {
  /** The most characters; `limits.textLength` where it is missing. */
  readonly maxLength?: number;
  /** What a problem shows of the text, for an option that may hold a secret. */
  readonly show?: (text: string) => string;
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

/** Parses the text. Each problem names where the text was given, and the text, unless it may be a secret. */
export function parseValue<T>(
  parse: (text: string) => T,
  { text, from, written }: RawOption,
  { maxLength = limits.textLength, show = shown => shown }: TextRules = {},
): Result<T> {
  if (text.length > maxLength)
    return failure({
      message: `${from} has ${text.length} characters, and at most ${maxLength} are allowed`,
      hint: 'give a shorter text',
    });
  try {
    return success(parse(text));
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const prefix = withPrefix(`${from} ${quote(show(written ?? text))}: `);
    return failure(
      ...error.problems.map(written === undefined ? prefix : each => prefix(withoutParts(each))),
    );
  }
}

/** The problem without the quoted parts of the text. */
function withoutParts({ message, ...rest }: Problem): Problem {
  return { ...rest, message: message.replaceAll(/"[^"]*"/g, '"***"') };
}

/** @throws ValueError when there are more than `most` */
export function requireAtMost(most: number, count: number, what: string): void {
  if (count > most) throw new ValueError(`has ${count} ${what}, and at most ${most} are allowed`);
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
