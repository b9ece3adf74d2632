/**
 * What a word that is not known was meant to be: at most two letters away, and for short words one. A wilder guess would
 * mislead.
 */
import { distance } from 'fastest-levenshtein';

/** No option is longer, and comparing long words takes time. */
const longest = 40;

/** The nearest known word; undefined when none is near. A whole first part, such as `etcd-password`, is near too. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length < 2 || word.length > longest) return undefined;
  const most = word.length <= 3 ? 1 : 2;
  const [best] = known
    .map(each => ({ each, wrong: distance(word, each) }))
    .filter(({ wrong }) => wrong <= most)
    .toSorted((a, b) => a.wrong - b.wrong);
  if (best) return best.each;
  const longer = known.filter(each => each.startsWith(`${word}-`));
  return longer.length === 1 ? longer[0] : undefined;
}

/** `did you mean port?`, or else where the known words are. */
export function suggest(word: string, known: readonly string[], otherwise: string): string {
  const meant = nearest(word, known);
  return meant === undefined ? otherwise : `did you mean ${meant}?`;
}
