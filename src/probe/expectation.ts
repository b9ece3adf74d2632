/**
 * Matches an answer against what a check expects. A regular expression can take exponential time on a crafted answer, so
 * its time is limited.
 */
import { createContext, Script } from 'node:vm';
import type { Expectation } from '../core/settings/check.ts';
import { ProblemError } from '../errors.ts';

/** The most time for one match, in ms. Nothing else of the program runs meanwhile. */
const mostMs = 100;

/** Returns a function that says whether an answer matches. It throws a ProblemError when a match takes too long. */
export function matcher({ text, wanted }: Expectation): (answer: Buffer) => boolean {
  if (!(wanted instanceof RegExp)) {
    const bytes = Buffer.from(wanted);
    return answer => answer.includes(bytes);
  }
  const script = new Script('pattern.test(text)');
  const context = createContext({ pattern: wanted, text: '' });
  return answer => {
    context['text'] = answer.toString();
    try {
      return script.runInContext(context, { timeout: mostMs }) === true;
    } catch (cause) {
      const message = `${text} took more than ${mostMs} ms on an answer of ${answer.length} bytes`;
      throw new ProblemError({ message, hint: 'write a simpler one' }, { cause });
    }
  };
}
