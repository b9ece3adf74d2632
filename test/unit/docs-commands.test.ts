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
const pages = [
  'README.md',
  'example-app/README.md',
  ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`),
  ...readdirSync(join(root, 'examples'), { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(({ name }) => `examples/${name}/README.md`),
];

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

/** What the image has that the page shows before. */
function variablesOfImage(place: string): Record<string, string> {
  const page = place.replace(/:.*/, '');
  const dockerfiles = blocks.filter(block => block.language === 'dockerfile' && block.place.startsWith(page));
  const words = dockerfiles.flatMap(({ text }) => text.match(/\bDOCKREG_\w+=\S+/g) ?? []);
  return Object.fromEntries(pairs(words));
}

/** Each app of an example has a parent of its own: consumers take all that is below one for the same app. */
function assertOwnKeys(config: AnyConfig): void {
  assert.ok('services' in config);
  const roots = config.services.flatMap(({ publication }) =>
    publication.layouts.filter(({ name }) => name === 'service').map(({ root: parent }) => parent),
  );
  assert.ok(!roots.includes('service'), 'an example has the default --key, which other examples have too');
  assert.equal(new Set(roots).size, roots.length, `two apps under one key: ${roots.join(', ')}`);
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
      const read = () => readCommand(args, impliedBy(args), emptyFile);
      assert.deepEqual(await problemsOf(read), []);
      const command = await read();
      if (command.kind === 'run' && !args.includes('--config')) assertOwnKeys(command.config);
    });
  }

  for (const { place, line, env, labels } of containers) {
    it(`${place}: ${line.slice(0, 100)}`, async () => {
      const implied = {
        DOCKREG_ETCD: 'http://10.1.0.101:2379',
        ...(labels.length === 0 && { DOCKREG_PORT: '8000' }),
        ...variablesOfImage(place),
      };
      const read = async (): Promise<void> => {
        const command = await readCommand([], { ...implied, ...Object.fromEntries(env) });
        assert.deepEqual('warnings' in command ? command.warnings : [], []);
        const { config } = command as { config: AnyConfig };
        if (labels.length === 0) return assertOwnKeys(config);
        assert.ok('withLabels' in config);
        const result = config.withLabels(new Map(labels));
        if (!result.ok) throw new ProblemError(result.problems);
        assertOwnKeys(result.value);
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
      const command = () => readCommand(['--config', 'dockreg.yaml'], env, read);
      assert.deepEqual(await problemsOf(command), []);
      assertOwnKeys(((await command()) as { config: AnyConfig }).config);
    });
  }

  it('example-app/compose.yaml gives its app a key of its own', () => {
    const text = readFileSync(join(root, 'example-app/compose.yaml'), 'utf8');
    assert.match(text, /DOCKREG_KEY: web$/m);
    assert.match(text, /get --prefix \/web$/m);
  });

  it('no page but those about the default reads the default key', () => {
    for (const { place, line } of typed) assert.doesNotMatch(line, /--prefix[= ]\/service\b/, place);
  });
});
