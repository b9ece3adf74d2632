/** The check on words: what counts as code, and what exceptions must look like. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNeedless, findWords, readRows, type Rules } from '../../scripts/check/identifiers.ts';

const rules: Rules = {
  identifiers: readRows(`
    heed       → on…
    look looks → poll, or read
  `),
  strings: readRows('heeded → noticed'),
  allowed: [],
};

for (const [what, text, expected] of [
  ['a variable', 'const heed = 1;', [1]],
  ['a property', 'a.looks();\nb?.look();', [1, 2]],
  ['a key', 'const a = { heed: 1 };', [1]],
  ['a type', 'type A = heed;', [1]],
  ['a private member', 'class A {\n  #heed = 1;\n}', [2]],
  ['a label in a template', 'const a = `text ${\n heed } text ${{ a: { look } }.a}`;', [2, 2]],
  ['a kind', "const kind = 'heeded';\nconst same = `heeded`;", [1, 2]],
  ['a comment', '// heed\n/** look, heeded */', []],
  ['prose in a string', "const a = 'we looked, look and heeded heed';", []],
  ['an identifier in a string', "const a = 'look';", []],
  ['a kind as an identifier', 'const heeded = 1;', []],
  ['part of an identifier', 'const onlook = heeding + look_ + $look;', []],
  ['a regular expression', 'const a = /look/.test(b) || 1 / 2 / 3;', []],
] as const)
  test(`words: ${what}`, () => {
    const findings = findWords({ path: 'src/a.ts', text }, rules);
    assert.deepEqual(
      findings.map(({ line }) => line),
      expected,
    );
  });

test('the message names the word and what to use', () => {
  const [finding] = findWords({ path: 'src/a.ts', text: '\nclass A { #looks; }' }, rules);
  assert.deepEqual(finding, { path: 'src/a.ts', line: 2, message: '#looks: use poll, or read' });
});

function excepting(path: string, word: string, reason: string): Rules {
  return { ...rules, allowed: [{ path, word, reason }] };
}

test('an exception is for one word in one file, with a reason, and only as long as it is needed', () => {
  const sources = [
    { path: 'src/a.ts', text: 'look; heed;' },
    { path: 'src/b.ts', text: 'look;' },
  ];
  const excepted = excepting('src/a.ts', 'look', 'the name of a library');
  const found = sources.flatMap(source => findWords(source, excepted));
  assert.deepEqual(
    found.map(({ path, message }) => [path, message]),
    [
      ['src/a.ts', 'heed: use on…'],
      ['src/b.ts', 'look: use poll, or read'],
    ],
  );
  const needless = (each: Rules): readonly string[] =>
    findNeedless(sources, each).map(({ message }) => message);
  assert.deepEqual(needless(excepted), []);
  assert.deepEqual(needless(excepting('src/a.ts', 'look', ' ')), ['look: the exception has no reason']);
  assert.deepEqual(needless(excepting('src/b.ts', 'heed', 'why')), ['heed: the exception is not needed']);
  assert.deepEqual(needless(excepting('src/c.ts', 'look', 'why')), ['look: the exception is not needed']);
});
