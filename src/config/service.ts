/**
 * The options that say as what a service is written: its name, its layouts, its metadata. As in values.ts each parser
 * gives the value or throws a problem that says the rule and the way out.
 */
import { isName, schemes, type Scheme } from '../core/layouts/instance.ts';
import { formats, isLayoutName, layoutNames, type LayoutName } from '../core/layouts/formats.ts';
import type { LayoutFormat } from '../core/layouts/layout.ts';
import type { OwnRecord } from '../core/layouts/own-record.ts';
import { isDnsLabel } from '../core/layouts/skydns.ts';
import { isDistinctive, parseTemplate, type Template } from '../core/layouts/template.ts';
import { parseKey, ValueProblem } from './values.ts';

/** A layout as it was asked for: `skydns:cluster.local`. */
export interface LayoutChoice {
  readonly name: LayoutName;
  /** What comes after the colon, or the layout's own default; undefined is that of --key. */
  readonly root: string | undefined;
}

/** Comma separated `NAME[:ROOT]`. */
export function parseLayouts(text: string): LayoutChoice[] {
  return text.split(',').map(item => parseLayout(item.trim()));
}

function parseLayout(item: string): LayoutChoice {
  const [, name = '', given] = /^([^:]*)(?::(.*))?$/.exec(item) ?? [];
  if (!isLayoutName(name))
    throw new ValueProblem(`"${name}" is no layout; there are ${layoutNames.join(', ')}`);
  const { root, rootIsDomain }: LayoutFormat = formats[name];
  if (given !== undefined)
    return { name, root: rootIsDomain ? parseDomain(item, given) : parseRoot(item, given) };
  if (root.kind === 'required')
    throw new ValueProblem(`layout ${name} needs a root, such as ${name}:${root.example}`);
  return { name, root: root.kind === 'optional' ? root.default : undefined };
}

function parseRoot(item: string, root: string): string {
  try {
    return parseKey(root);
  } catch (cause) {
    throw new ValueProblem(
      `the root of "${item}" must be names separated by single slashes, without spaces, such as app/servers`,
      { cause },
    );
  }
}

/** Lower case and without the dot at the end: so it is looked up. */
function parseDomain(item: string, text: string): string {
  const domain = text.toLowerCase().replace(/\.$/, '');
  if (!domain.split('.').every(isDnsLabel))
    throw new ValueProblem(`the root of "${item}" must be a domain, such as cluster.local`);
  return domain;
}

/** `KEY=VALUE` a line, with placeholders in both. */
export function parseOwnRecords(text: string): OwnRecord[] {
  return text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => parseOwnRecord(line.trim()));
}

function parseOwnRecord(text: string): OwnRecord {
  const [, key = '', value] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (value === undefined || value === '' || key === '') {
    throw new ValueProblem(`must be KEY=VALUE, such as '/app/{service}/{address}=weight={weight}'`);
  }
  parseRoot(text, key);
  const template = parseTemplate(key, 'record');
  if (!isDistinctive(template)) {
    throw new ValueProblem(
      `the key ${key} is the same for every instance, and would go with the first that ends; ` +
        `put {address}, {container} or {id} into it`,
    );
  }
  return { key: template, value: parseTemplate(value, 'record'), text };
}

export function parseName(text: string): string {
  if (!isName(text)) {
    throw new ValueProblem(
      'must begin with a letter or digit and have letters, digits, "_", "." and "-" only, such as web',
    );
  }
  return text;
}

/** Comma separated. */
export function parseTags(text: string): Template[] {
  return text.split(',').map(item => {
    if (item.trim() === '')
      throw new ValueProblem('has an empty tag; separate tags by single commas: blue,canary');
    return parseTemplate(item.trim(), 'metadata');
  });
}

/** What an SRV record takes; 0 is "hardly ever" to one consumer and "not given" to another. */
export function parseWeight(text: string): number {
  const weight = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (weight < 1 || weight > 65_535) throw new ValueProblem('must be a number from 1 to 65535, such as 100');
  return weight;
}

export function parseZone(text: string): Template {
  return parseTemplate(text, 'metadata');
}

/** Comma separated `KEY=VALUE`. */
export function parseMeta(text: string): ReadonlyMap<string, Template> {
  const meta = new Map<string, Template>();
  for (const item of text.split(',')) {
    const [, key = '', value = ''] = /^\s*([^=]*)=(.*)$/.exec(item) ?? [];
    if (!isName(key) || value === '')
      throw new ValueProblem(`"${item.trim()}" must be KEY=VALUE, such as version=2.1`);
    if (['tags', 'weight', 'zone'].includes(key)) throw new ValueProblem(`${key} has an option: --${key}`);
    if (meta.has(key)) throw new ValueProblem(`gives ${key} twice`);
    meta.set(key, parseTemplate(value, 'metadata'));
  }
  return meta;
}

export function parseScheme(text: string): Scheme {
  const scheme = schemes.find(candidate => candidate === text);
  if (scheme === undefined) throw new ValueProblem(`must be one of ${schemes.join(', ')}`);
  return scheme;
}

const convention = /^SERVICE_(?:\d+_)?(?:NAME|TAGS|ID)$/;

/** What registrator reads of an environment, and no more: other SERVICE_ variables may hold what is nobody's business. */
export function registratorVariables(env: NodeJS.ProcessEnv): ReadonlyMap<string, string> {
  const found = Object.entries(env).filter(([name, text]) => convention.test(name) && text);
  return new Map(found as [string, string][]);
}
