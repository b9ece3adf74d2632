/** The page on the architecture: every file that it names exists, so its walk-throughs lead somewhere. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');

describe('docs/architecture.md', () => {
  const named = [...page.matchAll(/`([\w./-]+\.ts)`/g)]
    .map(([, path = '']) => path)
    .filter(path => path.includes('/') && !path.includes('NAME'));

  it('names files', () => assert.ok(named.length > 30));

  for (const path of new Set(named)) {
    it(path, () => assert.ok(['', 'src'].some(folder => existsSync(join(root, folder, path)))));
  }

  it('has a row for each folder of src', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter(each =>
      each.isDirectory(),
    );
    const inCore = readdirSync(join(root, 'src/core'), { withFileTypes: true }).filter(each =>
      each.isDirectory(),
    );
    const wanted = [
      ...folders.map(({ name }) => name).filter(name => name !== 'core'),
      ...inCore.map(({ name }) => `core/${name}`),
    ];
    for (const folder of wanted) assert.ok(page.includes(`\`${folder}/\``), folder);
  });
});
