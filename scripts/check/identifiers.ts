/** Finds words that the project no longer uses, as identifiers or as whole strings. Comments and prose may use them. */
import { SyntaxKind } from 'typescript/unstable/ast';
import { type Violation, isText, type Source, tokensOf } from './sources.ts';

export interface Rules {
  /** Refused identifiers, including names of properties and private members, each with its replacement. */
  readonly identifiers: ReadonlyMap<string, string>;
  /** Refused strings, compared as a whole, such as the `kind` of an event, each with its replacement. */
  readonly strings: ReadonlyMap<string, string>;
  /** Exceptions, each with its reason. */
  readonly allowed: readonly Exception[];
}

export interface Exception {
  readonly path: string;
  readonly word: string;
  readonly reason: string;
}

/** Reads a table with rows of the form `word word… → replacement`. */
export function readRows(table: string): ReadonlyMap<string, string> {
  return new Map(
    table
      .trim()
      .split('\n')
      .map(row => row.split('→').map(cell => cell.trim()))
      .flatMap(([words = '', replacement = '']) =>
        words.split(/\s+/).map(word => [word, replacement] as const),
      ),
  );
}

/** Returns the refused words of a source. */
export function findWords(source: Source, { identifiers, strings, allowed }: Rules): readonly Violation[] {
  const { path } = source;
  const exceptions = new Set(allowed.filter(each => each.path === path).map(({ word }) => word));
  return tokensOf(source).flatMap(token => {
    const word = token.text.replace(/^#/, '');
    const replacement = isName(token.kind)
      ? identifiers.get(word)
      : isText(token)
        ? strings.get(word)
        : undefined;
    if (replacement === undefined || exceptions.has(word)) return [];
    return [{ path, line: token.line, message: `${token.text}: use ${replacement}` }];
  });
}

/** Returns the exceptions that no word needs, and those without a reason. */
export function findNeedless(sources: readonly Source[], rules: Rules): readonly Violation[] {
  return rules.allowed.flatMap(exception => {
    const { path, word, reason } = exception;
    const without = { ...rules, allowed: rules.allowed.filter(each => each !== exception) };
    const source = sources.find(each => each.path === path);
    const isNeeded =
      source !== undefined && findWords(source, without).length > findWords(source, rules).length;
    if (!isNeeded) return [{ path, line: 1, message: `${word}: the exception is not needed` }];
    return reason.trim() === '' ? [{ path, line: 1, message: `${word}: the exception has no reason` }] : [];
  });
}

function isName(kind: SyntaxKind): boolean {
  return kind === SyntaxKind.Identifier || kind === SyntaxKind.PrivateIdentifier;
}
