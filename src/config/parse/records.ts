/**
 * What is written to etcd: the parent of the keys, layouts, records of the user's own, and the name and the metadata of
 * the service.
 */
import { formats, isLayoutName, layoutNames, type LayoutName } from '../../core/layouts/formats.ts';
import { isName } from '../../core/layouts/instance.ts';
import type { LayoutFormat } from '../../core/layouts/layout.ts';
import type { OwnRecord } from '../../core/layouts/records.ts';
import { isDnsLabel } from '../../core/layouts/skydns.ts';
import { brief, quote } from '../../core/text.ts';
import { isDistinctive, parseTemplate, type Template } from '../../core/layouts/template.ts';
import { parseParent, parsePath, refuseVariables } from './keys.ts';
import { limits } from './limits.ts';
import { requireAtMost, ValueError } from './value.ts';

/** A layout as the user chose it: `skydns:cluster.local`. */
export interface LayoutChoice {
  readonly name: LayoutName;
  /** The text after the colon, or the layout's default root; undefined stands for the value of --key. */
  readonly root: string | undefined;
}

/** The parent of the keys, with or without a leading slash. Returns it without. */
export function parseKey(text: string): string {
  return parseParent(
    text,
    'must be names separated by single slashes, without spaces and without "." or "..", such as service or prod/service',
  );
}

/** Comma-separated `NAME[:ROOT]`. */
export function parseLayouts(text: string): LayoutChoice[] {
  const items = text.split(',');
  requireAtMost(limits.layouts, items.length, 'layouts');
  return items.map(item => parseLayout(item.trim()));
}

function parseLayout(item: string): LayoutChoice {
  const [, name = '', rootText] = /^([^:]*)(?::(.*))?$/.exec(item) ?? [];
  if (!isLayoutName(name))
    throw new ValueError(`${quote(name)} is not a layout`, `the layouts are ${layoutNames.join(', ')}`);
  const { root, rootIsDomain }: LayoutFormat = formats[name];
  if (rootText !== undefined)
    return { name, root: rootIsDomain ? parseDomain(item, rootText) : parseRoot(item, rootText) };
  if (root.kind === 'required')
    throw new ValueError(`layout ${name} needs a root, such as ${name}:${root.example}`);
  return { name, root: root.kind === 'optional' ? root.default : undefined };
}

function parseRoot(item: string, text: string): string {
  return parseParent(text, ruleOfRoot(item));
}

function ruleOfRoot(item: string): string {
  return `the root of ${quote(item)} must be names separated by single slashes, without spaces, such as app/servers`;
}

/** Returns the domain as consumers look it up: in lower case, without the dot at the end. */
function parseDomain(item: string, text: string): string {
  const domain = text.toLowerCase().replace(/\.$/, '');
  if (!domain.split('.').every(isDnsLabel) || domain.length > limits.hostLength)
    throw new ValueError(`the root of ${quote(item)} must be a domain, such as cluster.local`);
  return domain;
}

/** One `KEY=VALUE` per line, with placeholders in both. */
export function parseOwnRecords(text: string): OwnRecord[] {
  const lines = text.split('\n').map(line => line.trim());
  const records = lines.filter(line => line !== '');
  requireAtMost(limits.ownRecords, records.length, 'records');
  return records.map(parseOwnRecord);
}

function parseOwnRecord(text: string): OwnRecord {
  const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (value === '' || key === '')
    throw new ValueError(`must be KEY=VALUE, such as '/app/{service}/{address}=weight={weight}'`);
  refuseVariables(key.replaceAll(/\{[^{}]*\}/g, ''));
  parsePath(key, ruleOfRoot(text));
  const template = parseTemplate(key, 'record');
  if (!isDistinctive(template))
    throw new ValueError(
      `the key ${brief(key)} is the same for every instance, so the first instance to end would remove it`,
      'put {address}, {container} or {id} into it',
    );
  return { key: template, value: parseTemplate(value, 'record'), text };
}

export function parseName(text: string): string {
  refuseVariables(text);
  if (!isName(text))
    throw new ValueError(
      'must begin with a letter or digit and have letters, digits, "_", "." and "-" only, such as web',
      text.startsWith('/')
        ? 'links of Docker with the name dockreg set DOCKREG_NAME so; give --name, which wins'
        : undefined,
    );
  return text;
}

/** Comma-separated. */
export function parseTags(text: string): Template[] {
  const items = text.split(',');
  requireAtMost(limits.tags, items.length, 'tags');
  return items.map(item => {
    if (item.trim() === '')
      throw new ValueError('has an empty tag', 'separate tags by single commas: blue,canary');
    return parseTemplate(item.trim(), 'metadata');
  });
}

export function parseZone(text: string): Template {
  return parseTemplate(text, 'metadata');
}

/** Comma-separated `KEY=VALUE`. */
export function parseMeta(text: string): ReadonlyMap<string, Template> {
  const meta = new Map<string, Template>();
  const items = text.split(',');
  requireAtMost(limits.meta, items.length, 'items');
  for (const item of items) {
    const [, key = '', value = ''] = /^\s*([^=]*)=(.*)$/.exec(item) ?? [];
    if (!isName(key) || value === '')
      throw new ValueError(`${quote(item.trim())} must be KEY=VALUE, such as version=2.1`);
    if (['tags', 'weight', 'zone'].includes(key))
      throw new ValueError(`${key} has an option of its own`, `use --${key}`);
    if (meta.has(key)) throw new ValueError(`gives ${brief(key)} twice`);
    meta.set(key, parseTemplate(value, 'metadata'));
  }
  return meta;
}
