/**
 * Text that comes from outside (Docker, etcd, the app, the environment, a file) made safe to print: on a terminal, in a
 * log line, in a metric's label, in an error.
 */

/** The most UTF-16 code units of one outside text that are printed. */
export const printedLength = 500;

/**
 * What Unicode calls other (controls, formats such as a change of the direction, halves of surrogate pairs, private and
 * unassigned characters), line and paragraph separators, and what a terminal may leave out or show as an empty cell.
 * Combining marks from the fifth in a row on, which cover other lines, and one at the start, which changes the character
 * that is printed before the text.
 */
const unsafe = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|^\p{M}|(?<=\p{M}{4})\p{M}/gu;

/** Most texts, which need no look at each character's properties. */
const plain = /^[ -~]*$/;

/** Writes an unsafe character as JavaScript does: `\n`, `\x1b`, `\u202e`, `\u{e0001}`. */
function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const short = { 9: '\\t', 10: '\\n', 13: '\\r' }[code];
  if (short !== undefined) return short;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

/**
 * Returns the text with each unsafe character escaped, and at most `limit` code units of it: `… (1234 more)` stands for
 * the rest. Text without anything to change comes back as it is, so cleaning twice changes nothing.
 */
export function clean(text: string, limit = printedLength): string {
  if (text.length <= limit && plain.test(text)) return text;
  if (text.length <= limit + cutAbove) return text.replaceAll(unsafe, escape);
  const end = isHighSurrogate(text.charCodeAt(limit - 1)) ? limit - 1 : limit;
  return `${text.slice(0, end).replaceAll(unsafe, escape)}… (${text.length - end} more)`;
}

/** A text that is longer than the limit by no more than this is not cut: the note of the cut needs room too. */
const cutAbove = 100;

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

/** The most code units of a text from outside that is only a part of a sentence. */
const quotedLength = 100;

/** A text from outside as a part of a sentence, such as the path of a file: clean, and much shorter than a sentence. */
export function brief(text: string): string {
  return clean(text, quotedLength);
}

/** The same in double quotes. */
export function quote(text: string): string {
  return `"${brief(text).replaceAll('"', '\\"')}"`;
}

/**
 * JSON that is safe to print: the data is as it was, with each unsafe character as an escape of JSON.
 * @param indent as for JSON.stringify
 */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replaceAll(unsafe, escapeUnits);
}

/** `\u001b`; the line breaks of the indentation are not data, and those in data are escaped already. */
function escapeUnits(character: string): string {
  if (character === '\n') return character;
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map(unit => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/** The most lines of one kind that are printed at once. */
const mostLines = 50;

/** The first lines, and a line that counts the rest. */
export function firstLines(lines: readonly string[]): readonly string[] {
  if (lines.length <= mostLines + 1) return lines;
  return [...lines.slice(0, mostLines), `and ${lines.length - mostLines} more`];
}
