/** The table of supported versions has what the suites of `npm test` run on, and nothing else. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const software = 'Docker|podman|etcd|supervisor|Node|HAProxy|nginx';

/** The lines of the table: `etcd 3.4 in integration`. */
const inDocs = [...read('docs/versions.md').matchAll(/^\| (\w+) \| (\d[\d.]*) \| .* \| ([\w-]+) \|$/gm)].map(
  ([, part, version, suite]) => `${part} ${version} in ${suite}`,
);
const script = read('scripts/test.sh');

/** What the head of scripts/test.sh says of each suite, on one line. */
const heads = new Map(
  [...script.matchAll(/^# {3}([a-z][\w-]*) {2,}(\S.*(?:\n# {10,}\S.*)*)/gm)].map(
    ([, suite = '', text = '']) => [suite, text.replaceAll(/\n# +/g, ' ')],
  ),
);
const inScript = [...heads].flatMap(([suite, text]) =>
  [...text.matchAll(new RegExp(`\\b(${software})[^(),]*\\((\\d[\\d.]*)\\)`, 'g'))].map(
    ([, part, version]) => `${part} ${version} in ${suite}`,
  ),
);

describe('the table of supported versions', () => {
  it('has each version that a suite runs on, and no other', () => {
    assert.ok(inDocs.length >= 13, inDocs.join(', '));
    assert.deepEqual(inDocs.toSorted(), inScript.toSorted());
  });

  it('names only suites that npm test runs by default', () => {
    const suites = /set -- ([a-z][\w -]*)/.exec(script)?.[1]?.split(' ') ?? [];
    for (const line of inDocs) assert.ok(suites.includes(line.split(' in ')[1] ?? ''), line);
  });
});
