/**
 * The source of --config: a YAML file in which each option is under its name, and the options of a service are under
 * `services: <name>:`, those of the process and the defaults for all services at the top. All values are texts, so each
 * means what it means in a flag: `1.10` does not become a number, nor `on` a boolean.
 */
import { closest } from 'fastest-levenshtein';
import { FAILSAFE_SCHEMA, load, YAMLException } from 'js-yaml';
import { messageOf, SetupError, type Problem } from '../../errors.ts';
import { readRegularFile } from '../../files.ts';
import { optionNames } from '../options.ts';
import { parseValue, ValueError } from '../parse/value.ts';
import type { RawConfig, RawOptions } from '../raw.ts';
import { collectOptions, labelledService, serviceScope, type Scope } from './collect.ts';

type Mapping = Readonly<Record<string, unknown>>;

/** The options at the top of a file. `services` is there in place of --service. */
const names = optionNames.filter(name => name !== 'config' && name !== 'service');
const topScope: Scope = {
  names,
  refuse: (from, word) => ({
    message: `${from} is not an option`,
    hint: `did you mean ${closest(word, [...names, 'services'])}?`,
  }),
};

/** @throws SetupError when the file cannot be read or is not YAML */
export async function readConfigFile(path: string, env: NodeJS.ProcessEnv): Promise<RawConfig> {
  const content = await readRegularFile(path).catch((cause: unknown) => {
    const message = `--config ${path} cannot be read: ${messageOf(cause)}`;
    throw new SetupError({ message, hint: 'name a file that is in this container' }, { cause });
  });
  return parseConfigFile(content.toString(), path, env);
}

/** @throws SetupError when the text is not YAML */
export function parseConfigFile(yaml: string, path: string, env: NodeJS.ProcessEnv): RawConfig {
  const problems: Problem[] = [];

  const textsOf = (value: unknown, at: string): string[] => {
    if (typeof value !== 'string') {
      problems.push({ message: `${at} must be a text, or for a repeatable option a list of texts` });
      return [];
    }
    const resolved = parseValue(text => resolveReferences(text, env), { text: value, from: at });
    if (resolved.ok) return [resolved.value];
    problems.push(...resolved.problems);
    return [];
  };
  const mappingOf = (value: unknown, at: string, example: string): Mapping => {
    if (isMapping(value)) return value;
    problems.push({ message: `${at} must have entries of the form ${example}` });
    return {};
  };
  const collect = (mapping: Mapping, at: string, scope: Scope): RawOptions => {
    const items = Object.entries(mapping).flatMap(([word, value]) =>
      [value].flat().flatMap(each => textsOf(each, at + word).map(text => ({ word, text }))),
    );
    return collectOptions(items, { from: at, before: '', between: ': ' }, scope, problems);
  };

  const { services = {}, ...top } = mappingOf(parseYaml(yaml, path), path, '"port: 8000"');
  const defaults = collect(top, `${path}: `, topScope);
  const entries = Object.entries(mappingOf(services, `${path}: services`, '"web: {port: 8000}"'));
  return {
    defaults,
    services: entries.map(([name, content]) => {
      const from = `${path}: services.${name}`;
      const own = collect(mappingOf(content, from, '"port: 8000"'), `${from}.`, serviceScope);
      return labelledService(from, name, own);
    }),
    problems,
  };
}

function parseYaml(text: string, path: string): unknown {
  try {
    return load(text, { schema: FAILSAFE_SCHEMA });
  } catch (cause) {
    if (!(cause instanceof YAMLException)) throw cause;
    const { reason, mark } = cause;
    const line = mark ? ` in line ${mark.line + 1}, column ${mark.column + 1}` : '';
    throw new SetupError(`${path} is not valid YAML: ${reason}${line}`, { cause });
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
  return text.replaceAll(
    /\$\$\{|\$\{(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g,
    (reference, name: string | undefined, defaultText: string | undefined) => {
      if (reference === '$${') return '${';
      if (name === undefined)
        throw new ValueError('has "${" without a variable', 'write ${NAME}, or $${ for a literal "${"');
      const value = env[name] || defaultText;
      if (value === undefined)
        throw new ValueError(
          `names the variable ${name}, which is not set`,
          `set it, or write \${${name}:-a default}`,
        );
      return value;
    },
  );
}
