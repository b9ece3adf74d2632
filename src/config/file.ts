/**
 * The file of --config: YAML, in which every option stands under its name, those of a service under
 * `services: <name>:`; those at the top are for all of them. It is read as texts alone, so that each value means what it
 * means in a flag: no `1.10` becomes a number, no `on` a truth.
 */
import { readFile } from 'node:fs/promises';
import { FAILSAFE_SCHEMA, load, YAMLException } from 'js-yaml';
import { messageOf, SetupError } from '../errors.ts';
import { ReferenceProblem, resolve } from './references.ts';
import { collectOptions, rawService, type Collected, type RawConfig } from './services.ts';
import type { ServiceItem } from './service-text.ts';

/** @throws SetupError when it cannot be read or is no YAML */
export async function readConfigFile(path: string, env: NodeJS.ProcessEnv): Promise<RawConfig> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const problem = `--config ${path} cannot be read: ${messageOf(cause)}; name a file that is in this container`;
    throw new SetupError(problem, { cause });
  });
  return parseConfigFile(text, path, env);
}

/** @throws SetupError when it is no YAML */
export function parseConfigFile(yaml: string, path: string, env: NodeJS.ProcessEnv): RawConfig {
  const problems: string[] = [];

  const textOf = (value: unknown, at: string): string | null => {
    try {
      if (typeof value === 'string') return resolve(value, env);
      problems.push(`${at} must be a text, or where an option may be repeated a list of texts`);
    } catch (error) {
      if (!(error instanceof ReferenceProblem)) throw error;
      problems.push(`${at} ${JSON.stringify(value)}: ${error.message}`);
    }
    return null;
  };
  const mappingOf = (value: unknown, at: string, example: string): Readonly<Record<string, unknown>> => {
    if (isMapping(value)) return value;
    problems.push(`${at} must have entries of the form ${example}`);
    return {};
  };
  const collect = (
    mapping: Readonly<Record<string, unknown>>,
    at: string,
    where: 'file' | 'service',
  ): Collected => {
    const items = Object.entries(mapping).flatMap(([word, value]): ServiceItem[] =>
      [value].flat().flatMap(each => {
        const text = textOf(each, `${at}${word}`);
        return text === null ? [] : [{ word, text }];
      }),
    );
    const formatCheck = {
      name: (word: string) => `${at}${word}`,
      assign: (word: string, value: string) => `${word}: ${value}`,
    };
    const collected = collectOptions(items, formatCheck, where);
    problems.push(...collected.problems);
    return collected.given;
  };

  const { services = {}, ...top } = mappingOf(parseYaml(yaml, path), path, '"port: 8000"');
  return {
    defaults: collect(top, `${path}: `, 'file'),
    services: Object.entries(mappingOf(services, `${path}: services`, '"web: {port: 8000}"')).map(
      ([name, content]) => {
        const from = `${path}: services.${name}`;
        return rawService(
          from,
          name,
          collect(mappingOf(content, from, '"port: 8000"'), `${from}.`, 'service'),
        );
      },
    ),
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
    throw new SetupError(`${path} is no YAML: ${reason}${line}`, { cause });
  }
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
