/**
 * The name and the metadata of a service.
 */
import { isName } from '../../core/layouts/instance.ts';
import { parseTemplate, type Template } from '../../core/layouts/template.ts';
import { readNumber, ValueError } from './value.ts';

export function parseName(text: string): string {
  if (!isName(text))
    throw new ValueError(
      'must begin with a letter or digit and have letters, digits, "_", "." and "-" only, such as web',
    );
  return text;
}

/** Comma-separated. */
export function parseTags(text: string): Template[] {
  return text.split(',').map(item => {
    if (item.trim() === '')
      throw new ValueError('has an empty tag', 'separate tags by single commas: blue,canary');
    return parseTemplate(item.trim(), 'metadata');
  });
}

/** The range of an SRV record without 0, which means "hardly ever" to one consumer and "not given" to another. */
export function parseWeight(text: string): number {
  const weight = readNumber(text, 65_535);
  if (weight === null) throw new ValueError('must be a number from 1 to 65535, such as 100');
  return weight;
}

export function parseZone(text: string): Template {
  return parseTemplate(text, 'metadata');
}

/** Comma-separated `KEY=VALUE`. */
export function parseMeta(text: string): ReadonlyMap<string, Template> {
  const meta = new Map<string, Template>();
  for (const item of text.split(',')) {
    const [, key = '', value = ''] = /^\s*([^=]*)=(.*)$/.exec(item) ?? [];
    if (!isName(key) || value === '')
      throw new ValueError(`"${item.trim()}" must be KEY=VALUE, such as version=2.1`);
    if (['tags', 'weight', 'zone'].includes(key))
      throw new ValueError(`${key} has an option of its own`, `use --${key}`);
    if (meta.has(key)) throw new ValueError(`gives ${key} twice`);
    meta.set(key, parseTemplate(value, 'metadata'));
  }
  return meta;
}
