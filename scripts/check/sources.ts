/**
 * Reads the project's sources for the checks: lists the files and splits each into tokens. The tokens come from
 * TypeScript's own scanner, so a comment or a word in a string is never mistaken for code.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createScanner, SyntaxKind } from 'typescript/unstable/ast';

export interface Source {
  /** Relative to the project's folder, with slashes: `src/probe/http.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Token {
  readonly kind: SyntaxKind;
  /** The content of a string, without quotes and escapes; any other token as written. */
  readonly text: string;
  /** Counted from 1. */
  readonly line: number;
}

/** A violation of a rule, and its place. */
export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** The project's folder, as seen from build/scripts/check. */
export const project = join(import.meta.dirname, '../../..');

/** Reads all TypeScript and JavaScript sources below these folders of the project, sorted by path. */
export function readSources(folders: readonly string[]): readonly Source[] {
  return folders
    .flatMap(folder =>
      readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' }).map(
        path => `${folder}/${path}`,
      ),
    )
    .filter(path => /\.(ts|js|mjs)$/.test(path))
    .toSorted()
    .map(path => ({ path, text: readFileSync(join(project, path), 'utf8') }));
}

/** Prints the violations and sets the exit code: 1 if there are any. */
export function report(name: string, violations: readonly Violation[]): void {
  for (const { path, line, message } of violations) console.error(`${path}:${line}: ${message}`);
  if (violations.length > 0) console.error(`${name}: ${violations.length} found`);
  process.exitCode = violations.length > 0 ? 1 : 0;
}

/** Whether a token is a string, or a template without `${…}`. */
export function isText({ kind }: Pick<Token, 'kind'>): boolean {
  return kind === SyntaxKind.StringLiteral || kind === SyntaxKind.NoSubstitutionTemplateLiteral;
}

/** After one of these tokens, or a name, a slash divides. After any other token it starts a regular expression. */
const endsValue: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.PrivateIdentifier,
  SyntaxKind.ThisKeyword,
  SyntaxKind.SuperKeyword,
  SyntaxKind.NullKeyword,
  SyntaxKind.TrueKeyword,
  SyntaxKind.FalseKeyword,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
]);

/**
 * Splits a source into tokens. A scanner alone cannot tell a regular expression from a division, or the end of `${…}`
 * from the end of a block. The previous token decides the first, counting braces the second. Throws an error with the
 * place when the text is not TypeScript.
 */
export function tokensOf({ path, text }: Source): readonly Token[] {
  const scanner = createScanner(true, undefined, text);
  const tokens: Token[] = [];
  /** One entry for each open `${`: the number of braces that are open within it. */
  const templates: number[] = [];
  let [line, nextBreak, afterValue] = [1, text.indexOf('\n'), false];
  for (;;) {
    let kind = scanner.scan();
    if (kind === SyntaxKind.EndOfFile) return tokens;
    const open = templates.at(-1);
    if ((kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) && !afterValue)
      kind = scanner.reScanSlashToken();
    if (kind === SyntaxKind.TemplateHead) templates.push(0);
    else if (open !== undefined && kind === SyntaxKind.OpenBraceToken)
      templates[templates.length - 1] = open + 1;
    else if (open !== undefined && kind === SyntaxKind.CloseBraceToken) {
      if (open > 0) templates[templates.length - 1] = open - 1;
      else if ((kind = scanner.reScanTemplateToken(false)) === SyntaxKind.TemplateTail) templates.pop();
    }

    const start = scanner.getTokenStart();
    for (; nextBreak >= 0 && nextBreak < start; nextBreak = text.indexOf('\n', nextBreak + 1)) line++;
    if (kind === SyntaxKind.Unknown || scanner.isUnterminated() || scanner.getTokenEnd() === start)
      throw new Error(`${path}:${line}: cannot be read as TypeScript: ${text.slice(start, start + 20)}`);
    tokens.push({ kind, text: isText({ kind }) ? scanner.getTokenValue() : scanner.getTokenText(), line });
    // `value!` is still a value.
    if (kind !== SyntaxKind.ExclamationToken) afterValue = scanner.isIdentifier() || endsValue.has(kind);
  }
}
