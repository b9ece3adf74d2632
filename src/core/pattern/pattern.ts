/**
 * Matches a regular expression while its text arrives, reading each character once: the states in which a
 * non-deterministic automaton can be after a character are one state of a deterministic one, which is made when it is
 * first needed. `RegExp` starts from the beginning each time, and takes quadratic or exponential time on some texts.
 * Only whether there is a match is known, not where.
 */
import { type Assertion, parsePattern, PatternError, type PatternNode } from './syntax.ts';

export { PatternError } from './syntax.ts';

/** The most states of the non-deterministic automaton. */
const mostStates = 1000;
/** When more deterministic states, kinds of characters or characters than this are known, all of them are forgotten. */
const mostKnown = { positions: 250, kinds: 250, characters: 5000 } as const;
/** What one state costs when a deterministic state is made, in steps: a step reads a character with a known state. */
const stateSteps = 4;
/** What finding out whether a set has a character costs, in steps. */
const setSteps = 4;

/** What is beside a position in the text: nothing, a line break, a word character or another. */
type Side = 0 | 1 | 2 | 3;
const [edge, lineBreak, word, other]: readonly [0, 1, 2, 3] = [0, 1, 2, 3];

type State =
  | { readonly kind: 'character'; readonly set: number; readonly next: number }
  | { readonly kind: 'assertion'; readonly at: Assertion; readonly next: number }
  | { readonly kind: 'split'; readonly next: readonly number[] }
  | { readonly kind: 'match' };

/** The states after a character, before those that take none are followed. */
interface Position {
  readonly states: readonly number[];
  readonly before: Side;
  /** By the number of a character's kind; null for a match. */
  readonly next: (Position | null | undefined)[];
  isMatchAtEnd: boolean | undefined;
}

/** All characters that the pattern does not tell apart. */
interface CharacterKind {
  readonly number: number;
  readonly side: Side;
  /** By the number of the pattern's set. */
  readonly isIn: readonly boolean[];
}

/** One text that is searched. */
export interface Search {
  /**
   * Reads on from the index `from`, until the end of the text, a match, or about `work` steps of the automaton. Returns
   * the index of the first character that was not read. Code units of one character must not be in two texts.
   */
  read(text: string, from: number, work: number): number;
  /** Whether there is a match in what was read, if nothing follows. */
  isMatch(): boolean;
}

/** Returns a function that begins a search. @throws PatternError */
export function compilePattern(pattern: RegExp): () => Search {
  const { states, sets } = build(parsePattern(pattern), pattern);
  const isWord = new RegExp(String.raw`^\w$`, pattern.flags.replaceAll(/[^iu]/g, ''));
  const first = states.length - 1;

  let positions = new Map<string, Position>();
  let kinds = new Map<string, CharacterKind>();
  let kindOf = new Map<number, CharacterKind>();
  const forget = (): void => {
    positions = new Map();
    kinds = new Map();
    kindOf = new Map();
  };

  const isTooMuch = (): boolean =>
    positions.size > mostKnown.positions ||
    kinds.size > mostKnown.kinds ||
    kindOf.size > mostKnown.characters;

  const position = (list: readonly number[], before: Side): Position => {
    const key = String.fromCharCode(before, ...list);
    let found = positions.get(key);
    if (!found) {
      found = { states: list, before, next: [], isMatchAtEnd: undefined };
      positions.set(key, found);
    }
    return found;
  };

  const kindFor = (code: number): CharacterKind => {
    const character = String.fromCodePoint(code);
    const isIn = sets.map(set => set.test(character));
    const side = /[\n\r\u2028\u2029]/.test(character) ? lineBreak : isWord.test(character) ? word : other;
    const key = `${side}${isIn.map(Number).join('')}`;
    const kind = kinds.get(key) ?? { number: kinds.size, side, isIn };
    kinds.set(key, kind);
    kindOf.set(code, kind);
    return kind;
  };

  const holds = (at: Assertion, before: Side, after: Side): boolean => {
    switch (at) {
      case 'start':
        return before === edge || (pattern.multiline && before === lineBreak);
      case 'end':
        return after === edge || (pattern.multiline && after === lineBreak);
      case 'boundary':
        return (before === word) !== (after === word);
      case 'no-boundary':
        return (before === word) === (after === word);
    }
  };

  /** Which states `follow` or `step` has met, by its own number: nothing must be cleared. */
  const metBy = new Uint32Array(states.length);
  let run = 0;
  /** The states that wait for a character, after `follow`, and how many they are. */
  const waiting = new Uint16Array(states.length);
  let waitingCount = 0;
  const open: number[] = [];

  /** Collects the states that wait for a character. Returns whether the pattern has matched. */
  const follow = ({ states: from, before }: Position, after: Side): boolean => {
    run++;
    waitingCount = 0;
    open.length = 0;
    for (const index of from) open.push(index);
    // A match may begin at each position.
    open.push(first);
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (metBy[index] === run) continue;
      metBy[index] = run;
      const state = states[index];
      if (state?.kind === 'character') waiting[waitingCount++] = index;
      else if (state?.kind === 'split') for (const next of state.next) open.push(next);
      else if (state?.kind === 'match') return true;
      else if (state && holds(state.at, before, after)) open.push(state.next);
    }
    return false;
  };

  /** Null for a match. */
  const step = (from: Position, kind: CharacterKind): Position | null => {
    if (follow(from, kind.side)) return null;
    run++;
    const reached: number[] = [];
    for (const index of waiting.subarray(0, waitingCount)) {
      const state = states[index];
      if (state?.kind !== 'character' || !kind.isIn[state.set] || metBy[state.next] === run) continue;
      metBy[state.next] = run;
      reached.push(state.next);
    }
    return position(reached.toSorted(ascending), kind.side);
  };

  return () => {
    /** Null after a match. */
    let current: Position | null = position([], edge);
    return {
      read(text, from, work) {
        let at = from;
        let left = work;
        while (at < text.length && current !== null && left > 0) {
          const code = (pattern.unicode ? text.codePointAt(at) : text.charCodeAt(at)) ?? 0;
          let kind = kindOf.get(code);
          if (!kind) {
            left -= sets.length * setSteps;
            kind = kindFor(code);
          }
          let next: Position | null | undefined = current.next[kind.number];
          if (next === undefined) {
            next = current.next[kind.number] = step(current, kind);
            left -= stateSteps * (waitingCount + 1);
          }
          left--;
          at += code > 0xff_ff ? 2 : 1;
          current = next;
          if (current !== null && isTooMuch()) {
            const { states: list, before }: Position = current;
            forget();
            current = position(list, before);
          }
        }
        return at;
      },
      isMatch() {
        if (current === null) return true;
        return (current.isMatchAtEnd ??= follow(current, edge));
      },
    };
  };
}

/** Builds the automaton from its end to its beginning, so that each state knows the next; the last one is the first. */
function build(root: PatternNode, { flags }: RegExp): { states: readonly State[]; sets: readonly RegExp[] } {
  const states: State[] = [];
  const sources: string[] = [];

  const add = (state: State): number => {
    if (states.length >= mostStates)
      throw new PatternError(`must repeat and choose less: it has more than ${mostStates} parts`);
    return states.push(state) - 1;
  };

  const setOf = (source: string): number => {
    const index = sources.indexOf(source);
    return index >= 0 ? index : sources.push(source) - 1;
  };

  const before = (node: PatternNode, next: number): number => {
    switch (node.kind) {
      case 'character':
        return add({ kind: 'character', set: setOf(node.source), next });
      case 'assertion':
        return add({ kind: 'assertion', at: node.at, next });
      case 'sequence':
        return node.items.reduceRight((after, item) => before(item, after), next);
      case 'choice':
        return add({ kind: 'split', next: node.options.map(option => before(option, next)) });
      case 'repeat':
        return repeat(node, next);
    }
  };

  const repeat = ({ item, min, max }: Extract<PatternNode, { kind: 'repeat' }>, next: number): number => {
    let after = next;
    if (max === Infinity) {
      const loop: number[] = [next];
      after = add({ kind: 'split', next: loop });
      loop.unshift(before(item, after));
    } else {
      for (let times = min; times < max; times++) {
        const entry = before(item, after);
        // What takes nothing may be repeated any number of times.
        if (entry === after) break;
        after = add({ kind: 'split', next: [entry, next] });
      }
    }
    for (let times = 0; times < min; times++) {
      const entry = before(item, after);
      if (entry === after) break;
      after = entry;
    }
    return after;
  };

  const entry = before(root, add({ kind: 'match' }));
  add({ kind: 'split', next: [entry] });
  const ofCharacter = flags.replaceAll(/[^isu]/g, '');
  return { states, sets: sources.map(source => new RegExp(`^(?:${source})$`, ofCharacter)) };
}

function ascending(a: number, b: number): number {
  return a - b;
}
