/** Reading options: what a parser may throw, and how several results become one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseChoice, parseValue, ValueError } from '../../src/config/parse/value.ts';
import { combine, readerOf } from '../../src/config/reader.ts';
import { resolveReferences } from '../../src/config/sources/file.ts';
import { failure, success, type Problem } from '../../src/errors.ts';

const option = { text: 'x', from: '--port' };

function refuse(): never {
  throw new ValueError('must be a number', 'try 1');
}

function broken(): never {
  throw new TypeError('undefined is not a function');
}

describe('a value', () => {
  it('that breaks a rule is a problem that names the option and the text, with the hint as a field', () => {
    const problem: Problem = { message: '--port "x": must be a number', hint: 'try 1' };
    assert.deepEqual(parseValue(refuse, option), failure(problem));
  });

  it('whose parser has a bug is not a problem of the user: the error passes through', () => {
    assert.throws(() => parseValue(broken, option), TypeError);
  });

  it('is its default when no source gives it, undefined without a default, and missing when it is required', () => {
    const { value, optional } = readerOf(new Map());
    assert.deepEqual(value('rise'), success(1));
    assert.deepEqual(optional('weight'), success(undefined));
    assert.deepEqual(value('port'), {
      ok: false,
      problems: [
        { message: '--port is missing', hint: "give the app's port: --port 8000 (or DOCKREG_PORT)" },
      ],
    });
  });

  it('of a choice lists the words', () => {
    const parse = parseChoice('a', 'b', 'c');
    assert.equal(parse('b'), 'b');
    assert.throws(() => parse('d'), new ValueError('must be one of a, b, c'));
    assert.throws(() => parseChoice('a', 'b')('d'), new ValueError('must be a or b'));
  });

  it('with a reference to a variable that is not set has a hint', () => {
    assert.throws(() => resolveReferences('${A}', {}), { name: 'ValueError' });
  });
});

describe('several results', () => {
  const one: Problem = { message: 'one' };
  const two: Problem = { message: 'two' };
  const conflict: Problem = { message: 'conflict' };

  it('are one value, with undefined as a value like others', () => {
    const results = { a: success(1), b: success(undefined) };
    assert.deepEqual(combine<{ a: number; b: string | undefined }>(results), success({ a: 1, b: undefined }));
  });

  it('are the problems of all, then the conflicts between them', () => {
    const results = { a: failure(one), b: success(2), c: failure(two) };
    assert.deepEqual(
      combine(results, () => [conflict]),
      failure(one, two, conflict),
    );
    assert.deepEqual(
      combine({ b: success(2) }, () => [conflict]),
      failure(conflict),
    );
  });

  it('have conflicts between the values without problems only, of which undefined is one', () => {
    const results = { a: failure(one), b: success(2), c: success(undefined) };
    combine(results, known => {
      assert.deepEqual(known, { b: 2, c: undefined });
      return [];
    });
  });
});
