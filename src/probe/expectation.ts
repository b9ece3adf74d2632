/**
 * Whether an answer shows what it should. A regular expression can take exponential time on an answer that somebody
 * chose well, so it gets a little time and no more.
 */
import { createContext, Script } from 'node:vm';
import type { Expectation } from '../core/settings/check.ts';

export type Matcher = (answer: Buffer) => boolean;

/** A regular expression gave no answer in its time. */
export class PatternLimitError extends Error {
  override readonly name = 'PatternLimitError';
}

/** For which nothing else of the program runs, in milliseconds. */
const mostMs = 100;

/** The matcher throws a PatternLimitError. */
export function matcher({ text, wanted }: Expectation): Matcher {
  if (!(wanted instanceof RegExp)) {
    const bytes = Buffer.from(wanted);
    return answer => answer.includes(bytes);
  }
  const script = new Script('pattern.test(text)');
  const context: { pattern: RegExp; text: string } = { pattern: wanted, text: '' };
  createContext(context);
  return answer => {
    context.text = answer.toString();
    try {
      return script.runInContext(context, { timeout: mostMs }) as boolean;
    } catch (cause) {
      throw new PatternLimitError(
        `${text} took more than ${mostMs} ms on an answer of ${answer.length} bytes; write a simpler one`,
        { cause },
      );
    }
  };
}
