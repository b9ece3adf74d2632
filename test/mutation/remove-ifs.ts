/**
 * Shows that the unit tests notice each decision of a source file. Every `if` is disabled in turn, as if it were not
 * there, and then made unconditional; each time the tests must fail. A mutant that no test notices must be listed in
 * survivors.json with the reason. Works on copies of build/ and leaves the tree as it is.
 *
 * usage: node build/test/mutation/remove-ifs.js SOURCE.ts TEST.test.ts...
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { transform } from 'esbuild';
import { isIfStatement, type Node } from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';

import { atProcessEnd, Child, cleanEnvironment } from '../support/children.ts';
import { stopwatch } from '../support/wait.ts';

const root = resolve(import.meta.dirname, '../../..');
const build = join(root, 'build');
const atOnce = 2;
/** A mutant may loop for ever: it gets so many times as long as the tests take without a mutation, and 5 s. */
const patience = 5;

interface Mutant {
  readonly line: number;
  /** The source of the condition, on one line. */
  readonly condition: string;
  readonly mutation: 'removed' | 'always';
  /** The whole file. */
  readonly source: string;
}

/** An entry of survivors.json. */
interface Survivor extends Pick<Mutant, 'condition' | 'mutation'> {
  readonly file: string;
  /** Why no unit test can notice it, or need not. */
  readonly reason: string;
}

function mutantsOf(path: string): readonly Mutant[] {
  const api = new API({ cwd: root });
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(root, 'tsconfig.json')] }).getProjects();
    const file = project?.program.getSourceFile(path);
    if (file === undefined) throw new Error(`${path} is not a file of this project`);
    const { text } = file;
    const mutants: Mutant[] = [];
    const visit = (node: Node): void => {
      if (isIfStatement(node)) {
        const [from, to] = [node.expression.getStart(file), node.expression.end];
        const condition = text.slice(from, to).replaceAll(/\s+/g, ' ');
        const line = text.slice(0, from).split('\n').length;
        for (const [mutation, value] of [
          ['removed', 'false'],
          ['always', 'true'],
        ] as const)
          mutants.push({ line, condition, mutation, source: text.slice(0, from) + value + text.slice(to) });
      }
      node.forEachChild(visit);
    };
    visit(file);
    return mutants;
  } finally {
    api.close();
  }
}

/** As the compiler writes it, without its checks. */
async function compile(source: string): Promise<string> {
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'es2023' });
  return code.replaceAll(/((?:from|import)\s*\(?\s*"\.{1,2}\/[^"]*)\.ts"/g, '$1.js"');
}

/** A copy of what is compiled, in which one file is replaced and tests are run. */
class Bench {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(): Promise<Bench> {
    const folder = await mkdtemp(join(build, 'mutants-'));
    atProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
    for (const part of ['src', 'test']) await cp(join(build, part), join(folder, part), { recursive: true });
    return new Bench(folder);
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Whether a test fails, or does not end in time, with this source. */
  async notices(file: string, source: string, tests: readonly string[], limitMs: number): Promise<boolean> {
    await writeFile(join(this.#folder, compiledName(file)), await compile(source));
    for (const test of tests) {
      const args = ['--max-old-space-size=256', join(this.#folder, compiledName(test))];
      const child = await Child.spawn(process.execPath, args, { env: cleanEnvironment(), stdio: 'ignore' });
      const passed = await child.exited(limitMs).then(
        ({ code }) => code === 0,
        () => false,
      );
      child.signal('SIGKILL');
      if (!passed) return true;
    }
    return false;
  }
}

function compiledName(file: string): string {
  return file.replace(/\.ts$/, '.js');
}

async function main(paths: readonly string[]): Promise<boolean> {
  const [file, ...tests] = paths.map(path => relative(root, resolve(path)));
  if (file === undefined || tests.length === 0) {
    console.error('usage: node build/test/mutation/remove-ifs.js SOURCE.ts TEST.test.ts...');
    return false;
  }
  const list = JSON.parse(await readFile(join(root, 'test/mutation/survivors.json'), 'utf8')) as Survivor[];
  const expected = new Set(list.filter(entry => entry.file === file));
  const mutants = mutantsOf(join(root, file));
  const benches = await Promise.all(Array.from({ length: atOnce }, () => Bench.create()));
  try {
    const elapsed = stopwatch();
    const original = await readFile(join(root, file), 'utf8');
    if (await benches[0]!.notices(file, original, tests, 120_000)) {
      console.error('the tests fail without a mutation; is build/ up to date?');
      return false;
    }
    const limitMs = patience * elapsed() + 5000;
    const waiting = [...mutants];
    let isWell = true;
    const work = async (bench: Bench): Promise<void> => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        const { line, condition, mutation, source } = mutant;
        const isCaught = await bench.notices(file, source, tests, limitMs);
        const entry = list.find(
          each => expected.has(each) && each.condition === condition && each.mutation === mutation,
        );
        if (entry && !isCaught) expected.delete(entry);
        if (!isCaught && !entry) isWell = false;
        const verdict = isCaught ? 'caught' : entry ? 'listed' : 'SURVIVED';
        console.log(`${verdict.padEnd(8)}  ${file}:${line}  ${mutation.padEnd(7)}  if (${condition})`);
      }
    };
    await Promise.all(benches.map(work));
    for (const { condition, mutation } of expected) {
      isWell = false;
      console.log(
        `STALE     ${file}  ${mutation.padEnd(7)}  if (${condition}) is listed in survivors.json and did not survive`,
      );
    }
    return isWell;
  } finally {
    await Promise.all(benches.map(bench => bench.remove()));
  }
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
