/** Span arithmetic, in a table. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { complement, covers, intersect, touches, union, whileOn, type Span } from './spans.ts';

const spans = (...pairs: [number, number][]): Span[] => pairs.map(([from, to]) => ({ from, to }));

describe('spans', () => {
  it('join spans that meet, and drop empty ones', () => {
    assert.deepEqual(union(spans([5, 8], [0, 2]), spans([2, 3], [9, 9])), spans([0, 3], [5, 8]));
  });

  it('intersect to the time that all cover', () => {
    assert.deepEqual(intersect(spans([0, 10]), spans([2, 4], [6, 20]), spans([3, 7])), spans([3, 4], [6, 7]));
    assert.deepEqual(intersect(spans([0, 1]), []), []);
  });

  it('complement to the time that is not covered', () => {
    assert.deepEqual(complement(spans([2, 4], [8, 20]), { from: 0, to: 10 }), spans([0, 2], [4, 8]));
    assert.deepEqual(complement([], { from: 0, to: 1 }), spans([0, 1]));
    assert.deepEqual(complement(spans([-5, 20]), { from: 0, to: 10 }), []);
  });

  it('follow a switch', () => {
    const settings = [
      { at: 0, on: true },
      { at: 2, on: true },
      { at: 4, on: false },
      { at: 6, on: true },
    ];
    assert.deepEqual(whileOn(settings, 9), spans([0, 4], [6, 9]));
  });

  it('cover and touch', () => {
    assert.ok(covers(spans([0, 5]), { from: 1, to: 5 }));
    assert.ok(!covers(spans([0, 5], [6, 9]), { from: 4, to: 7 }));
    assert.ok(touches(spans([0, 5]), { from: 4, to: 7 }));
    assert.ok(!touches(spans([0, 5]), { from: 5, to: 7 }));
  });
});
