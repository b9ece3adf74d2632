/** The matcher of regular expressions: as `RegExp`, on any text in any pieces, and in linear time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compilePattern, PatternError, type Search } from '../../src/core/pattern/pattern.ts';
import { Random, seedOfRun } from '../support/random.ts';

function readAll(search: Search, text: string, work = Infinity): number {
  let blocks = 0;
  for (let at = 0, before = -1; at < text.length && at !== before; blocks++) {
    before = at;
    at = search.read(text, at, work);
  }
  return blocks;
}

/** Whether the text matches, read in these pieces. */
function isFound(pattern: RegExp, pieces: readonly string[], work = Infinity): boolean {
  const search = compilePattern(pattern)();
  for (const piece of pieces) readAll(search, piece, work);
  return search.isMatch();
}

describe('a pattern', () => {
  const rows: [pattern: RegExp, texts: string[]][] = [
    [/^220 .*ESMTP/, ['220 mail.example ESMTP\r\n', '421 mail.example\r\n', 'x220 ESMTP']],
    [/"status":\s*"UP"/i, ['{"status": "up"}', '{"status":"DOWN"}', '']],
    [/^(a+)+$/, ['aaaa', 'aaab', '']],
    [/\bok\b/, ['ok', 'it is ok.', 'oks', 'book']],
    [/\Bok/, ['ok', 'book']],
    [/^b$/m, ['a\nb\nc', 'a\rb', 'a\u2028b', 'ab', 'b']],
    [/a.b/, ['a\nb', 'axb', 'a\u{1f600}b', 'a\rb']],
    [/a.b/s, ['a\nb', 'ab']],
    [/a.b/u, ['a\u{1f600}b', 'a\ud83db']],
    [/[^]/, ['', 'x', '\n']],
    // oxlint-disable-next-line no-empty-character-class -- this is what is tested
    [/[]/, ['', 'x']],
    [/[\]\b\d-]x/, [']x', '\bx', '7x', '-x', 'bx']],
    [/\p{Lu}\u{1f600}/u, ['A\u{1f600}', 'a\u{1f600}']],
    [/\ud83d\ude00/u, ['\u{1f600}', '\ud83d']],
    [/k\w/iu, ['\u212aſ', 'Ka', 'k-']],
    [/a{2,3}b{0}c{1,}d{2}/, ['aacdd', 'aaacccdd', 'acdd', 'aabcdd', 'aacd']],
    [/x{2/, ['x{2', 'xx']],
    [/(?<name>a|bc)*d|^$/, ['', 'abcd', 'xd', 'x']],
    [/\cA\x41\u0042\0\//, ['\x01AB\0/', 'AB']],
    // oxlint-disable-next-line prefer-regex-literals -- a literal with it is refused
    [new RegExp('\\c1'), ['\\c1', 'c1']],
    [/(?:)*a?(?:){5}(?:b*){3}$/, ['', 'abbb', 'c']],
  ];
  for (const [pattern, texts] of rows)
    it(`means what it means to RegExp: ${String(pattern)}`, () => {
      for (const text of texts) {
        assert.equal(isFound(pattern, [text]), pattern.test(text), JSON.stringify(text));
        assert.equal(
          isFound(pattern, Array.from(text), 1),
          pattern.test(text),
          `${JSON.stringify(text)}, in pieces`,
        );
      }
    });

  it('is noticed as soon as it has come, also before the end', () => {
    const search = compilePattern(/^2\d\d .*ESMTP|\+PONG$/)();
    readAll(search, '220 x ESMT');
    assert.equal(search.isMatch(), false);
    readAll(search, 'P');
    assert.equal(search.isMatch(), true);
    readAll(search, ' and more');
    assert.equal(search.isMatch(), true);
  });

  const refused: [pattern: RegExp, message: RegExp][] = [
    [/(?=a)b/, /^must not look around/],
    [/(?<!a)b/, /^must not look around/],
    [/(a)\1/, /^must not refer to a group, as \\1 does/],
    [/(?<x>a)\k<x>/, /^must not refer to a group, as \\k does/],
    [/(?:a{500}){500}/, /^must repeat and choose less/],
    [/(?:(?:a?){1000}){1000000}/, /^must repeat and choose less/],
    [new RegExp('a'.repeat(1001)), /^must be at most 1000 characters long/],
  ];
  for (const [pattern, message] of refused)
    it(`is refused where no linear time is possible: ${pattern.source.slice(0, 40)}`, () => {
      assert.throws(
        () => compilePattern(pattern),
        error => error instanceof PatternError && message.test(error.message),
      );
    });

  it('of empty parts that are repeated without measure is read at once', () => {
    assert.equal(isFound(/^(?:(?:){1000000000}){1000000000}$/, ['']), true);
  });

  const seed = seedOfRun();
  it(`means what it means to RegExp, 5,000 random ones, DOCKREG_SEED=${seed}`, () => {
    const random = new Random(seed);
    const atoms = [
      'a',
      'b',
      'k',
      'é',
      '1',
      ' ',
      '.',
      '[ab]',
      '[^a]',
      '\\w',
      '\\W',
      '\\d',
      '\\s',
      '\\n',
      '\\x61',
      '[^\\w\\n]',
    ];
    const marks = ['^', '$', '\\b', '\\B'];
    const make = (depth: number): string => {
      const kind = random.below(depth <= 0 ? 5 : 9);
      if (kind < 4) return random.pick(atoms);
      if (kind === 4) return random.pick(marks);
      if (kind < 7) return make(depth - 1) + make(depth - 1);
      const inner = make(depth - 1);
      if (kind === 7) return `(?:${inner}|${make(depth - 1)})`;
      return `(${inner})${random.pick(['*', '+', '?', '{2}', '{1,2}', '{0,3}?', '{2,}', '*?'])}`;
    };
    const letters = ['a', 'b', 'k', 'K', 'A', 'é', 'É', '1', ' ', '-', '\n', '\u2028', '\u212a', '\u{1f600}'];
    for (let round = 0; round < 5000; round++) {
      const pattern = new RegExp(make(4), random.pick(['', 'i', 'm', 's', 'u', 'iu', 'im', 'imsu']));
      const pieces = random.list(random.below(6), () =>
        random.list(random.below(4), () => random.pick(letters)).join(''),
      );
      const text = pieces.join('');
      const wanted =
        pieces.some((_, index) => pattern.test(pieces.slice(0, index + 1).join(''))) || pattern.test('');
      const search = compilePattern(pattern)();
      let found = search.isMatch();
      for (const piece of pieces) {
        readAll(search, piece, 1 + random.below(50));
        found ||= search.isMatch();
      }
      assert.equal(
        found,
        wanted,
        `${String(pattern)} on ${JSON.stringify(text)} in ${JSON.stringify(pieces)}`,
      );
    }
  });
});
