/** docs/options.md is the page that the option table makes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { optionsPage } from '../../scripts/options.ts';

it('docs/options.md is up to date: node build/scripts/options.js writes it', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/options.md'), 'utf8');
  assert.equal(page, optionsPage());
});
