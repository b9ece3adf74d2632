/**
 * Finds the imports of sources and checks them against a table. Every form counts: static, dynamic, type-only,
 * `require` and `process.getBuiltinModule`. Paths are resolved before they are compared, so their spelling does not
 * matter.
 */
import { posix } from 'node:path';
import { SyntaxKind } from 'typescript/unstable/ast';
import { type Violation, isText, type Source, tokensOf } from './sources.ts';

/**
 * Lists what each folder of src may import. A key, called a row, is a folder or a file, relative to src. A file belongs
 * to the longest key that contains it, and may import every file of the same row. An entry is a folder with all that is
 * below it, a file, `npm:PACKAGE` or `node:MODULE`.
 */
export type Table = Readonly<Record<string, readonly string[]>>;

/** Reads a table whose rows are texts, with entries separated by spaces or line breaks. */
export function readTable(rows: Readonly<Record<string, string>>): Table {
  return Object.fromEntries(
    Object.entries(rows).map(([row, entries]) => [row, entries.split(/\s+/).filter(entry => entry !== '')]),
  );
}

export interface Import {
  readonly path: string;
  readonly line: number;
  /** A file relative to the project's folder (`src/log.ts`), `npm:PACKAGE` or `node:MODULE`; undefined if computed. */
  readonly target: string | undefined;
}

const callers: ReadonlySet<string> = new Set(['import', 'require', 'getBuiltinModule']);

/** Returns the imports of a source in the order of its lines. */
export function importsOf(source: Source): readonly Import[] {
  const tokens = tokensOf(source);
  const found: Import[] = [];
  for (const [index, token] of tokens.entries()) {
    const [before, twoBefore] = [tokens[index - 1], tokens[index - 2]];
    const isCall = before?.kind === SyntaxKind.OpenParenToken && callers.has(twoBefore?.text ?? '');
    const isClause = before?.kind === SyntaxKind.FromKeyword || before?.kind === SyntaxKind.ImportKeyword;
    const { path } = source;
    if (isText(token) && (isCall || isClause))
      found.push({ path, line: token.line, target: resolve(path, token.text) });
    else if (isCall && twoBefore?.kind === SyntaxKind.ImportKeyword)
      found.push({ path, line: token.line, target: undefined });
  }
  return found;
}

function resolve(path: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(path), specifier);
  if (specifier.startsWith('node:')) return specifier;
  return `npm:${specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')}`;
}

/** Returns the imports of src that the table does not allow, and those of files that belong to no row. */
export function findForbidden(imports: readonly Import[], table: Table): readonly Violation[] {
  return imports.flatMap(({ path, line, target }) => {
    const file = posix.relative('src', path);
    const row = rowOf(file, table);
    if (row === undefined) return [{ path, line, message: `the table has no row for ${file}` }];
    if (target === undefined)
      return [{ path, line, message: 'an import() of a computed path is not allowed' }];
    return allows(target, row, table)
      ? []
      : [{ path, line, message: `${row} may not import ${entryName(target)}` }];
  });
}

/** Returns the entries that no import needs, one text per row. Rows without files are left out. */
export function findUnused(imports: readonly Import[], table: Table): readonly string[] {
  return Object.entries(table).flatMap(([row, entries]) => {
    const targets = imports
      .filter(({ path }) => rowOf(posix.relative('src', path), table) === row)
      .map(({ target = '' }) => entryName(target));
    const unused = entries.filter(entry => !targets.some(target => isWithin(target, entry)));
    return targets.length === 0 || unused.length === 0 ? [] : [`${row}: ${unused.join(', ')}`];
  });
}

function allows(target: string, row: string, table: Table): boolean {
  const name = entryName(target);
  return (
    (target.startsWith('src/') && rowOf(name, table) === row) ||
    (table[row] ?? []).some(entry => isWithin(name, entry))
  );
}

/** Names a target as the table does: a file relative to src. */
function entryName(target: string): string {
  return /^(npm|node):/.test(target) ? target : posix.relative('src', target);
}

function rowOf(file: string, table: Table): string | undefined {
  return Object.keys(table)
    .filter(key => isWithin(file, key))
    .toSorted((a, b) => b.length - a.length)[0];
}

/** Whether a name is the entry or lies below it. `node:fs/promises` is not below `node:fs`: it is another module. */
function isWithin(name: string, entry: string): boolean {
  return name === entry || (!entry.startsWith('node:') && name.startsWith(`${entry}/`));
}

/** Returns the circles that the table would allow. Each is a list of rows that ends with its first row. */
export function findTableCircles(table: Table): readonly (readonly string[])[] {
  const rows = Object.keys(table);
  const rowsOf = (entry: string): readonly string[] =>
    rows.filter(row => isWithin(row, entry) || row === rowOf(entry, table));
  const graph = rows.map(
    row => [row, (table[row] ?? []).flatMap(rowsOf).filter(other => other !== row)] as const,
  );
  return findCircles(new Map(graph));
}

/** Returns the circles among files. Type-only imports count. */
export function findFileCircles(imports: readonly Import[]): readonly Violation[] {
  const graph = new Map<string, string[]>();
  for (const { path, target } of imports)
    if (target !== undefined) graph.set(path, [...(graph.get(path) ?? []), target]);
  return findCircles(graph).map(circle => {
    const [path = '', next] = circle;
    const line = imports.find(each => each.path === path && each.target === next)?.line ?? 1;
    return { path, line, message: `circle: ${circle.join(' → ')}` };
  });
}

/** Returns a shortest circle through each node that is part of one, without duplicates. */
function findCircles(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const circles = new Map<string, readonly string[]>();
  for (const start of graph.keys()) {
    const circle = shortestCircle(start, graph);
    if (circle) circles.set(circle.slice(1).toSorted().join(' '), circle);
  }
  return [...circles.values()];
}

/** Searches breadth-first from a node until it is reached again. */
function shortestCircle(
  start: string,
  graph: ReadonlyMap<string, readonly string[]>,
): readonly string[] | undefined {
  const reachedFrom = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (reachedFrom.has(next)) continue;
      reachedFrom.set(next, node);
      if (next !== start) queue.push(next);
    }
  }
  const last = reachedFrom.get(start);
  if (last === undefined) return undefined;
  const path = [start];
  for (let node = last; node !== start; node = reachedFrom.get(node) ?? start) path.unshift(node);
  return [start, ...path];
}

/** Returns the imports of packages that package.json does not declare. For src, devDependencies do not count. */
export function findUndeclared(
  imports: readonly Import[],
  { dependencies = {}, devDependencies = {} }: Manifest,
): readonly Violation[] {
  return imports.flatMap(({ path, line, target = '' }) => {
    const [, name] = /^npm:(.*)/.exec(target) ?? [];
    if (name === undefined || name in dependencies) return [];
    if (name in devDependencies && !path.startsWith('src/')) return [];
    return [{ path, line, message: `${name} is not among the dependencies of package.json` }];
  });
}

export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
