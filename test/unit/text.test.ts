/** core/text.ts: what is escaped, what is cut, and that nothing else changes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clean, printedLength } from '../../src/core/text.ts';

describe('a text from outside', () => {
  for (const [what, text, cleaned] of [
    ['plain text', 'all good: ünï 日本 😀 "x" \\', 'all good: ünï 日本 😀 "x" \\'],
    ['a line break', 'a\nb\r\n', 'a\\nb\\r\\n'],
    ['a tab and NUL', '\t\0', '\\t\\x00'],
    ['what clears the screen', '\u001B[2J\u001B[H', '\\x1b[2J\\x1b[H'],
    ['DEL and C1', '\u007F\u0085\u009B31m', '\\x7f\\x85\\x9b31m'],
    ['line and paragraph separators', 'a\u2028b\u2029', 'a\\u2028b\\u2029'],
    ['what changes the direction', 'a\u202Eb\u2066c\u200F\u061C', 'a\\u202eb\\u2066c\\u200f\\u061c'],
    ['what nobody sees', 'a\u200Bb\uFEFF\u{E0041}', 'a\\u200bb\\ufeff\\u{e0041}'],
    ['an empty cell', 'a\u3164b\u115F\uFFA0\u2800', 'a\\u3164b\\u115f\\uffa0\\u2800'],
    ['a variation of a character', 'a\uFE0Fb\u{E0101}\u180B', 'a\\ufe0fb\\u{e0101}\\u180b'],
    ['what has no meaning', '\uE000\u{10FFFF}\uFFFE\u0378', '\\ue000\\u{10ffff}\\ufffe\\u0378'],
    ['the marks of a language', 'e\u0301 \u0E01\u0E33\u0E49 \u1EC7', 'e\u0301 \u0E01\u0E33\u0E49 \u1EC7'],
    ['a flood of marks', `z${'\u0353'.repeat(7)}`, `z${'\u0353'.repeat(4)}${'\\u0353'.repeat(3)}`],
    ['a mark without a character', '\u0301a', '\\u0301a'],
    ['half of a pair', 'a\uD83Db\uDE00', 'a\\ud83db\\ude00'],
  ] as const) {
    it(`has ${what} ${text === cleaned ? 'unchanged' : 'escaped'}`, () => {
      assert.equal(clean(text), cleaned);
      assert.equal(clean(clean(text)), cleaned);
    });
  }

  it('is cut when it is too long, and the rest is counted', () => {
    const long = 'x'.repeat(5_000_000);
    assert.equal(clean(long), `${'x'.repeat(printedLength)}… (4999500 more)`);
    assert.equal(clean('x'.repeat(printedLength)), 'x'.repeat(printedLength));
    assert.ok(clean('\u0000'.repeat(5_000_000)).length < 10 * printedLength);
    assert.equal(clean(clean(long)), clean(long));
  });

  it('is cut between characters', () => {
    assert.ok(
      clean(`${'x'.repeat(printedLength - 1)}😀${'y'.repeat(300)}`).startsWith(
        `${'x'.repeat(printedLength - 1)}… `,
      ),
    );
  });
});
