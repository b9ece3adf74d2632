/** The architecture check: the forms of an import, and each rule broken in a tree of a few files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findFileCircles,
  findForbidden,
  findTableCircles,
  findUndeclared,
  findUnused,
  importsOf,
  type Import,
  readTable,
} from '../../scripts/check/imports.ts';

const table = readTable({
  'main.ts': 'edge core version.ts',
  edge: `core tls
    npm:got npm:@grpc/grpc-js node:net`,
  'edge/inner': 'edge/shared.ts',
  other: 'core/retry.ts',
  tls: '',
  'version.ts': '../package.json',
  'core/address': '',
  'core/lease': 'core/address',
  'core/retry.ts': '',
});

type Tree = Readonly<Record<string, string>>;

function importsIn(tree: Tree): readonly Import[] {
  return Object.entries(tree).flatMap(([path, text]) => importsOf({ path, text }));
}

const lines = (findings: readonly { path: string; line: number; message: string }[]): readonly string[] =>
  findings.map(({ path, line, message }) => `${path}:${line}: ${message}`);

const isForm = (text: string): readonly (string | undefined)[] =>
  importsOf({ path: 'src/edge/a.ts', text }).map(({ target }) => target);

for (const [form, text, expected] of [
  ['static', `import { a } from './b.ts';`, ['src/edge/b.ts']],
  ['over several lines', `import {\n  a,\n  type B,\n} from\n  '../core/c.ts';`, ['src/core/c.ts']],
  ['for its effects', `import 'x';`, ['npm:x']],
  ['type-only', `import type { A } from '../core/c.ts';`, ['src/core/c.ts']],
  ['namespace', `import * as b from './b.ts';`, ['src/edge/b.ts']],
  ['re-export', `export { a } from './b.ts';\nexport * from './c.ts';`, ['src/edge/b.ts', 'src/edge/c.ts']],
  ['dynamic', `const { a } = await import('./b.ts');`, ['src/edge/b.ts']],
  [
    'dynamic, in a template',
    'say(`${(await import(`./b.ts`)).a} or ${{ b: `${1}` }.b}`); import("./c.ts");',
    ['src/edge/b.ts', 'src/edge/c.ts'],
  ],
  ['computed', `import(path);`, [undefined]],
  ['in a type', `let a: import('../core/c.ts').A;`, ['src/core/c.ts']],
  ['require', `const fs = require('node:fs');`, ['node:fs']],
  ['of a builtin', `process.getBuiltinModule('node:inspector').open();`, ['node:inspector']],
  [
    'a package, by a path in it',
    `import a from 'got/dist/a.js'; import b from '@grpc/grpc-js/build/b.js';`,
    ['npm:got', 'npm:@grpc/grpc-js'],
  ],
  ['with JSON', `import manifest from '../../package.json' with { type: 'json' };`, ['package.json']],
  ['none: a comment', `// import a from 'x';\n/* import('x') */`, []],
  ['none: a string', `const text = "import a from 'x'";`, []],
  ['none: a template', "const text = `import a from 'x'`;", []],
  [
    'none: a regular expression',
    `const a = /import('x')/; const b = c! / 2 + "from" / /['"]/.lastIndex;`,
    [],
  ],
  ['none: import.meta', `import.meta.resolve('x');`, []],
] as const)
  test(`imports of a source: ${form}`, () => assert.deepEqual(isForm(text), expected));

test('a text that is not TypeScript is refused with its place', () => {
  assert.throws(
    () => importsOf({ path: 'src/a.ts', text: 'let a;\nlet b = "open;\n' }),
    /^Error: src\/a\.ts:2: /,
  );
});

for (const [what, tree, expected] of [
  [
    'allowed imports: the same row, an entry, a file below an entry',
    {
      'src/edge/a.ts': `import './b.ts'; import 'got'; import 'node:net'; import '../core/lease/lease.ts'; import '../tls/pem.ts';`,
      'src/main.ts': `import './edge/a.ts'; import './edge/inner/x.ts';`,
      'src/version.ts': `import '../package.json';`,
      'src/core/lease/lease.ts': `import './writes.ts'; import '../address/ip.ts';`,
    },
    [],
  ],
  [
    'another edge, of a type alone',
    { 'src/edge/a.ts': `\nimport type { B } from '../other/b.ts';` },
    ['src/edge/a.ts:2: edge may not import other/b.ts'],
  ],
  [
    'another edge, dynamically and by a detour',
    { 'src/edge/a.ts': `await import('./../../src/other/../other/b.ts');` },
    ['src/edge/a.ts:1: edge may not import other/b.ts'],
  ],
  [
    'a layer above',
    { 'src/edge/a.ts': `import '../main.ts';` },
    ['src/edge/a.ts:1: edge may not import main.ts'],
  ],
  [
    'the parent folder, except for the listed file',
    { 'src/edge/inner/x.ts': `import '../shared.ts';\nimport '../b.ts';` },
    ['src/edge/inner/x.ts:2: edge/inner may not import edge/b.ts'],
  ],
  [
    'a sub-folder that is not listed',
    { 'src/edge/a.ts': `import './inner/x.ts';` },
    ['src/edge/a.ts:1: edge may not import edge/inner/x.ts'],
  ],
  [
    'a sub-folder of the core that is not listed',
    { 'src/core/address/ip.ts': `import '../lease/lease.ts';` },
    ['src/core/address/ip.ts:1: core/address may not import core/lease/lease.ts'],
  ],
  [
    'a module of Node, and one written without node:',
    { 'src/core/retry.ts': `import 'node:fs'; import 'fs';` },
    [
      'src/core/retry.ts:1: core/retry.ts may not import node:fs',
      'src/core/retry.ts:1: core/retry.ts may not import npm:fs',
    ],
  ],
  [
    'a module of Node whose name starts with a listed one',
    { 'src/edge/a.ts': `import 'node:network'; import 'node:net/promises';` },
    [
      'src/edge/a.ts:1: edge may not import node:network',
      'src/edge/a.ts:1: edge may not import node:net/promises',
    ],
  ],
  [
    'a package that is not listed',
    { 'src/edge/a.ts': `import type { A } from 'axios/types';` },
    ['src/edge/a.ts:1: edge may not import npm:axios'],
  ],
  [
    'a file outside src',
    { 'src/edge/a.ts': `import '../../test/support/app.ts';` },
    ['src/edge/a.ts:1: edge may not import ../test/support/app.ts'],
  ],
  [
    'a computed path',
    { 'src/edge/a.ts': 'await import(`./${name}.ts`);' },
    ['src/edge/a.ts:1: an import() of a computed path is not allowed'],
  ],
  [
    'a folder without a row',
    { 'src/new/a.ts': `import './b.ts';` },
    ['src/new/a.ts:1: the table has no row for new/a.ts'],
  ],
] as const satisfies readonly (readonly [string, Tree, readonly string[]])[])
  test(`the table on ${what}`, () =>
    assert.deepEqual(lines(findForbidden(importsIn(tree), table)), expected));

test('each circle among files is found once, type-only imports included', () => {
  const tree = {
    'src/a.ts': `import './b.ts';`,
    'src/b.ts': `import './c.ts'; import './d.ts';`,
    'src/c.ts': `\nimport type { A } from './a.ts';`,
    'src/d.ts': `import './e.ts';`,
    'src/e.ts': `export {};`,
    'test/x.ts': `import './x.ts';`,
    'test/y.ts': `import { b } from '../src/b.ts';`,
  };
  assert.deepEqual(lines(findFileCircles(importsIn(tree))), [
    'src/c.ts:2: circle: src/c.ts → src/a.ts → src/b.ts → src/c.ts',
    'test/x.ts:1: circle: test/x.ts → test/x.ts',
  ]);
});

test('a package must be declared, for src as a dependency', () => {
  const tree = {
    'src/a.ts': `import 'got'; import 'esbuild';`,
    'scripts/b.ts': `import 'esbuild'; import 'node:fs';\nimport 'protobufjs/light';`,
  };
  const manifest = { dependencies: { got: '1' }, devDependencies: { esbuild: '1' } };
  assert.deepEqual(lines(findUndeclared(importsIn(tree), manifest)), [
    'src/a.ts:1: esbuild is not among the dependencies of package.json',
    'scripts/b.ts:2: protobufjs is not among the dependencies of package.json',
  ]);
});

test('a table that allows a circle is refused', () => {
  assert.deepEqual(findTableCircles(table), []);
  const bent = { ...table, 'core/retry.ts': ['core/lease/lease.ts'], 'core/address': ['core/retry.ts'] };
  assert.deepEqual(
    findTableCircles(bent).map(circle => circle.toSorted()),
    [['core/address', 'core/lease', 'core/retry.ts', 'core/retry.ts']],
  );
});

test('entries that no import needs are listed, except for rows without files', () => {
  const tree = { 'src/edge/a.ts': `import 'got'; import '../core/lease/lease.ts';` };
  assert.deepEqual(findUnused(importsIn(tree), table), ['edge: tls, npm:@grpc/grpc-js, node:net']);
});
