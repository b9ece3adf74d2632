/**
 * The source of --config: a YAML file in which each option is under its name, and the options of a service are under
 * `services: <name>:`, those of the process and the defaults for all services at the top. All values are texts, so each
 * means what it means in a flag: `1.10` does not become a number, nor `on` a boolean.
 */
import { FAILSAFE_SCHEMA, load, YAMLException } from 'js-yaml';
import { brief } from '../../core/text.ts';
import { messageOf, SetupError, type Problem } from '../../errors.ts';
import { readRegularFile, TooLargeError } from '../../files.ts';
import { optionNames, options, type Option, type OptionName } from '../options.ts';
import { limits } from '../parse/limits.ts';
import { showWord } from '../parse/secrets.ts';
import { parseValue, ValueError } from '../parse/value.ts';
import type { RawConfig, RawOptions } from '../raw.ts';
import { collectOptions, labelledService, serviceScope, type RawItem, type Scope } from './collect.ts';
import { suggest } from './suggest.ts';

type Mapping = Readonly<Record<string, unknown>>;

/** The options at the top of a file. `services` is there in place of --service. */
const names = optionNames.filter(name => name !== 'config' && name !== 'service');
const topScope = (top: Mapping): Scope => ({
  names,
  refuse(from, word) {
    if (word === 'config')
      return { message: `${from} is not an option of the file itself`, hint: 'leave it out' };
    const otherwise = isMapping(top[word])
      ? 'is it a service? Then indent it below services:'
      : 'dockreg --help lists the options';
    return { message: `${from} is not an option`, hint: suggest(word, [...names, 'services'], otherwise) };
  },
});

/** @throws SetupError when the file cannot be read or is not YAML */
export async function readConfigFile(path: string, env: NodeJS.ProcessEnv): Promise<RawConfig> {
  const bytes = await readRegularFile(path, limits.fileBytes).catch((cause: unknown) => {
    // The message of Node repeats the path.
    const reason = messageOf(cause).split(',')[0];
    const hint =
      cause instanceof TooLargeError
        ? 'use a shorter file, or more than one dockreg'
        : 'name a file that is in this container';
    throw new SetupError({ message: `--config ${brief(path)} cannot be read: ${reason}`, hint }, { cause });
  });
  let yaml: string;
  try {
    yaml = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SetupError(
      { message: `--config ${brief(path)} is not UTF-8`, hint: 'save it as UTF-8' },
      { cause },
    );
  }
  return parseConfigFile(yaml, path, env);
}

/** @throws SetupError when the text is not YAML */
export function parseConfigFile(yaml: string, file: string, env: NodeJS.ProcessEnv): RawConfig {
  const problems: Problem[] = [];
  const path = brief(file);

  const itemsOf = (word: string, value: unknown, at: string, known: readonly OptionName[]): RawItem[] => {
    const from = at + showWord(word);
    const name = known.find(each => each === word);
    // What is not an option is refused for its name, and without its value.
    if (name === undefined) return [{ word, text: typeof value === 'string' ? value : '…' }];
    if (typeof value !== 'string') {
      const { placeholder, separator }: Option = options[name];
      const rule = separator === undefined ? 'must be a text' : 'must be a text or a list of texts';
      problems.push({ message: `${from} ${rule}`, hint: `write ${word}: ${placeholder}, in one line` });
      return [];
    }
    if (!value.includes('${')) return [{ word, text: value }];
    const row: Option = options[name];
    const resolved = parseValue(text => resolveReferences(text, env), { text: value, from }, row);
    if (resolved.ok) return [{ word, text: resolved.value, written: value }];
    problems.push(...resolved.problems);
    return [];
  };
  const mappingOf = (value: unknown, at: string, example: string): Mapping => {
    if (isMapping(value)) return value;
    const what = value === '' ? 'is empty' : Array.isArray(value) ? 'is a list' : 'is a text';
    const hint = `write ${example}${Array.isArray(value) ? ', without a dash' : ', indented below it'}`;
    problems.push({ message: `${at} ${what}, and must have entries`, hint });
    return {};
  };
  const collect = (mapping: Mapping, at: string, scope: Scope): RawOptions => {
    const values = Object.entries(mapping).flatMap(([word, value]) =>
      [value].flat().map(each => ({ word, value: each })),
    );
    if (values.length > limits.entries) {
      const message = `${at.replace(/\W+$/, '')} has ${values.length} entries, and at most ${limits.entries} are allowed`;
      problems.push({ message, hint: 'remove some' });
      return new Map();
    }
    const items = values.flatMap(({ word, value }) => itemsOf(word, value, at, scope.names));
    return collectOptions(items, { from: at, before: '', between: ': ' }, scope, problems);
  };

  const { services = {}, ...top } = mappingOf(parseYaml(yaml, path), path, 'port: 8000');
  const defaults = collect(top, `${path}: `, topScope(top));
  const entries = Object.entries(mappingOf(services, `${path}: services`, 'web: {port: 8000}'));
  if (entries.length > limits.services) {
    const message = `${path}: services has ${entries.length} entries, and at most ${limits.services} are allowed`;
    problems.push({ message, hint: 'use more than one dockreg' });
  }
  return {
    defaults,
    services: entries.slice(0, limits.services).map(([name, content]) => {
      const from = `${path}: services.${brief(name)}`;
      const own = collect(mappingOf(content, from, 'port: 8000'), `${from}.`, serviceScope);
      return labelledService(from, name, own);
    }),
    problems,
  };
}

function parseYaml(text: string, path: string): unknown {
  try {
    return load(text, { schema: FAILSAFE_SCHEMA, maxAliases: limits.aliases });
  } catch (cause) {
    if (!(cause instanceof YAMLException)) throw cause;
    const { reason, mark } = cause;
    const line = mark ? ` in line ${mark.line + 1}, column ${mark.column + 1}` : '';
    // The reason may quote the file, which may hold a secret.
    const plain = reason.replace(/["<].*$/s, '***').replace(/characters: .*$/s, 'characters: ***');
    throw new SetupError(`${path} is not valid YAML: ${plain}${line}`, { cause });
  }
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Fills in the references to the environment, as in compose files: `${NAME}` and `${NAME:-default}`. `$${` is a literal
 * `${`. An empty variable is not set.
 * @throws ValueError
 */
export function resolveReferences(text: string, env: NodeJS.ProcessEnv): string {
  let length = 0;
  return text.replaceAll(
    /\$\$\{|\$\{(?:([A-Za-z_]\w{0,255})(?::-([^}]{0,1024}))?\})?/g,
    (reference, name: string | undefined, defaultText: string | undefined) => {
      if (reference === '$${') return '${';
      if (name === undefined)
        throw new ValueError('has "${" without a variable', 'write ${NAME}, or $${ for a literal "${"');
      const value = (Object.hasOwn(env, name) && env[name]) || defaultText;
      if (value === undefined)
        throw new ValueError(
          `names the variable ${name}, which is not set`,
          `set it, or write \${${name}:-a default}`,
        );
      length += value.length;
      if (length > limits.fileBytes)
        throw new ValueError(`has references to more than ${limits.fileBytes} characters`);
      return value;
    },
  );
}
