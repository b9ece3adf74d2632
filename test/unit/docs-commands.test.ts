/** The command lines, labels and YAML that the documentation shows: dockreg accepts them. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import { readCommand } from '../../src/cli.ts';
import type { AnyConfig } from '../../src/config/config.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import { formatProblem, ProblemError } from '../../src/errors.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)];

interface Block {
  readonly place: string;
  readonly language: string;
  readonly text: string;
}

const blocks = pages.flatMap((page): Block[] => {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = '', 2: body = '', index }) => ({
    place: `${page}:${text.slice(0, index).split('\n').length + 1}`,
    language,
    text: body,
  }));
});

/** The words of a command line, as a shell reads them; `…` and `...` stand for what the reader knows. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word);
  const end = words.findIndex(word => /^(?:#|\||&&|;|>)/.test(word));
  return words
    .slice(0, end < 0 ? undefined : end)
    .filter(word => !/^(?:…|\.\.\.)$/.test(word))
    .map(word => word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'));
}

/** The lines of a block that are typed. Those of the output of a command are not. */
function linesOf({ language, text }: Block): string[] {
  const lines = text.replaceAll(/\\\n\s*/g, ' ').split('\n');
  if (language === 'console') return lines.filter(line => line.startsWith('$ ')).map(line => line.slice(2));
  return language === 'sh' ? lines : [];
}

async function problemsOf(run: () => Promise<unknown>): Promise<string[]> {
  try {
    await run();
    return [];
  } catch (error) {
    if (error instanceof ProblemError) return error.problems.map(formatProblem);
    throw error;
  }
}

/** What a line leaves out, because the reader has it in the container or read it above. */
function impliedBy(args: readonly string[]): NodeJS.ProcessEnv {
  const namesServices = ['--service', '--config', '--port'].some(flag => args.includes(flag));
  return {
    ...(!args.includes('--config') && { DOCKREG_ETCD: 'http://10.1.0.101:2379' }),
    ...(!namesServices && args[0] !== 'ls' && { DOCKREG_PORT: '8000' }),
  };
}

/** `NAME=value` → name and value */
function pairs(texts: readonly string[]): (readonly [string, string])[] {
  return texts.map(text => [text.replace(/=.*$/s, ''), text.replace(/^[^=]*=?/, '')] as const);
}

/** The file of --config where the page does not show it. */
const emptyFile = () => Promise.resolve({ defaults: new Map(), services: [], problems: [] });

const typed = blocks.flatMap(block => linesOf(block).map(line => ({ place: block.place, line })));
const commands = typed.flatMap(({ place, line }) => {
  const [, rest] =
    /^(?:docker exec (?:-\S+ )*\S+ )?(?:\/opt\/dockreg\/bin\/|npx )?dockreg( .*)$/.exec(line) ?? [];
  return rest === undefined ? [] : [{ place, args: wordsOf(rest) }];
});
const containers = typed.flatMap(({ place, line }) => {
  const words = line.startsWith('docker run ') ? wordsOf(line) : [];
  const after = (flag: RegExp) => words.filter((_, at) => flag.test(words[at - 1] ?? ''));
  const env = pairs(after(/^(?:-e|--env)$/).filter(text => text.startsWith('DOCKREG_')));
  const labels = pairs(after(/^(?:-l|--label)$/).filter(text => text.startsWith('dockreg.')));
  return env.length + labels.length === 0 ? [] : [{ place, line, env, labels }];
});
const files = blocks.filter(
  ({ language, text }) =>
    language === 'yaml' && /^(?:etcd|services|port):/m.test(text) && !/image:/.test(text),
);

describe('a command line of the documentation is accepted', () => {
  it('there are some', () => {
    assert.ok(commands.length >= 14, `${commands.length} commands`);
    assert.ok(containers.length >= 3, `${containers.length} containers`);
    assert.ok(files.length > 0, 'no YAML');
  });

  for (const { place, args } of commands) {
    it(`${place}: dockreg ${args.join(' ')}`, async () => {
      assert.deepEqual(await problemsOf(() => readCommand(args, impliedBy(args), emptyFile)), []);
    });
  }

  for (const { place, line, env, labels } of containers) {
    it(`${place}: ${line.slice(0, 100)}`, async () => {
      const implied = {
        DOCKREG_ETCD: 'http://10.1.0.101:2379',
        ...(labels.length === 0 && { DOCKREG_PORT: '8000' }),
      };
      const read = async (): Promise<void> => {
        const command = await readCommand([], { ...implied, ...Object.fromEntries(env) });
        assert.deepEqual('warnings' in command ? command.warnings : [], []);
        const { config } = command as { config: AnyConfig };
        if (labels.length === 0) return;
        assert.ok('withLabels' in config);
        const result = config.withLabels(new Map(labels));
        if (!result.ok) throw new ProblemError(result.problems);
      };
      assert.deepEqual(await problemsOf(read), []);
    });
  }

  for (const { place, text } of files) {
    it(`${place}: the YAML`, async () => {
      const env = Object.fromEntries(
        [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => [name, '10.1.0.101'] as const),
      );
      const read = (path: string) => Promise.resolve(parseConfigFile(text, path, env));
      assert.deepEqual(await problemsOf(() => readCommand(['--config', 'dockreg.yaml'], env, read)), []);
    });
  }
});
