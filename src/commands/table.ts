/**
 * Tables for people: aligned columns, and ages in a few characters.
 */
import { clean } from '../core/text.ts';

/**
 * Returns the lines as text, each with its line end. The first line has as many cells as the longest. What a cell says
 * stays within it: wide characters may shift the columns that follow, but nothing looks like another cell or line.
 */
export function alignColumns(table: readonly (readonly string[])[]): string {
  const lines = table.map(line => line.map(cleanCell));
  const [head = []] = lines;
  const widths = head.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)));
  return lines
    .map(line => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map(line => `${line.trimEnd()}\n`)
    .join('');
}

/** Two spaces separate columns, so within a cell the second and each unusual space are escaped. */
function cleanCell(cell: string): string {
  return clean(cell).replaceAll(/(?<= ) |(?! )[\p{Zs}\u2800\u3164\uFFA0\u115F\u1160]/gu, space =>
    space === ' ' ? '\\x20' : `\\u${space.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `12s`, `3m`, `2h` */
export function formatAge(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)}m` : `${Math.floor(seconds / 3600)}h`;
}
