/**
 * Reads a regular expression of JavaScript that a time linear in the text can match: all but lookarounds and references
 * to groups. The syntax itself was checked before, by `RegExp`.
 */

export type PatternNode =
  /** One character that `RegExp` accepts as this source. */
  | { readonly kind: 'character'; readonly source: string }
  | { readonly kind: 'assertion'; readonly at: Assertion }
  | { readonly kind: 'sequence'; readonly items: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly options: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly item: PatternNode; readonly min: number; readonly max: number };

export type Assertion = 'start' | 'end' | 'boundary' | 'no-boundary';

/** The pattern cannot be matched in linear time, or is too large. The message completes "the pattern …". */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

/** The longest pattern, in UTF-16 code units. It also bounds how deep groups are nested. */
const mostLength = 1000;

const assertions: Readonly<Record<string, Assertion>> = {
  '^': 'start',
  $: 'end',
  '\\b': 'boundary',
  '\\B': 'no-boundary',
};

/** One character or class, as an escape or as it is. */
const escapes = {
  ofUnits: /\\(?:u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[a-zA-Z]|0[0-7]{0,2}|[^])|[^]/y,
  ofPoints:
    /\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u\{[\da-fA-F]+\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[a-zA-Z]|[pP]\{[^}]*\}|[^])|[^]/uy,
};
const characterClass = /\[(?:\\[^]|[^\]\\])*\]/y;
const quantifier = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y;

/** @throws PatternError */
export function parsePattern({ source, unicode }: RegExp): PatternNode {
  if (source.length > mostLength) throw new PatternError(`must be at most ${mostLength} characters long`);
  let at = 0;

  const match = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = at;
    const found = expression.exec(source);
    if (found) at = expression.lastIndex;
    return found;
  };

  const choice = (): PatternNode => {
    const options = [sequence()];
    while (source[at] === '|') {
      at++;
      options.push(sequence());
    }
    return options.length === 1 && options[0] ? options[0] : { kind: 'choice', options };
  };

  const sequence = (): PatternNode => {
    const items: PatternNode[] = [];
    while (at < source.length && source[at] !== '|' && source[at] !== ')') items.push(repeated(single()));
    return { kind: 'sequence', items };
  };

  const repeated = (item: PatternNode): PatternNode => {
    const found = match(quantifier);
    if (!found) return item;
    const [, sign, least = '', comma, most = ''] = found;
    if (sign !== undefined)
      return { kind: 'repeat', item, min: sign === '+' ? 1 : 0, max: sign === '?' ? 1 : Infinity };
    const min = Number(least);
    const max = comma === undefined ? min : most === '' ? Infinity : Number(most);
    return { kind: 'repeat', item, min, max };
  };

  const single = (): PatternNode => {
    if (source[at] === '(') return group();
    if (source[at] === '[') return { kind: 'character', source: match(characterClass)?.[0] ?? '' };
    const token = match(unicode ? escapes.ofPoints : escapes.ofUnits)?.[0] ?? '';
    const assertion = assertions[token];
    if (assertion !== undefined) return { kind: 'assertion', at: assertion };
    if (/^\\[1-9k]/.test(token)) throw new PatternError(`must not refer to a group, as ${token} does`);
    // A "\c" without a letter is the backslash itself.
    if (token !== '\\c') return { kind: 'character', source: token };
    at--;
    return { kind: 'character', source: '\\\\' };
  };

  const group = (): PatternNode => {
    at++;
    if (source[at] === '?') {
      const opening = match(/\?(?::|<(?![=!])[^>]*>)/y);
      if (!opening) throw new PatternError(`must not look around (?=, ?!, ?<=, ?<!) or set flags within`);
    }
    const inner = choice();
    at++;
    return inner;
  };

  return choice();
}
