/**
 * What a word that is not known was meant to be: at most two letters away, and for short words one. Two letters that have
 * changed places count as one, and case does not count. A wilder guess would mislead.
 */
import { distance } from 'fastest-levenshtein';

/** No option is longer, and comparing long words takes time. */
const longest = 40;

/** The nearest known word; undefined when none is near. A whole first part, such as `etcd-password`, is near too. */
export function nearest(written: string, known: readonly string[]): string | undefined {
  if (written.length < 2 || written.length > longest) return undefined;
  const word = written.toLowerCase();
  const most = (each: string): number => (Math.min(word.length, each.length) <= 3 ? 1 : 2);
  const [best] = known
    .map(each => ({ each, wrong: wrongLetters(word, each.toLowerCase()) }))
    .filter(({ each, wrong }) => wrong <= most(each))
    .toSorted((a, b) => a.wrong - b.wrong);
  if (best) return best.each;
  const longer = known.filter(each => each.toLowerCase().startsWith(`${word}-`));
  return longer.length === 1 ? longer[0] : undefined;
}

function wrongLetters(word: string, known: string): number {
  const first = Array.from(known).findIndex((letter, at) => word[at] !== letter);
  const swapped =
    known.slice(0, first) + known.charAt(first + 1) + known.charAt(first) + known.slice(first + 2);
  return first >= 0 && swapped === word ? 1 : distance(word, known);
}

/** `did you mean port?`, or else where the known words are. */
export function suggest(word: string, known: readonly string[], otherwise: string): string {
  const meant = nearest(word, known);
  return meant === undefined ? otherwise : `did you mean ${meant}?`;
}
