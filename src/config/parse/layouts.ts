/**
 * The keys of a service: its parent, its layouts, and records of the user's own.
 */
import { formats, isLayoutName, layoutNames, type LayoutName } from '../../core/layouts/formats.ts';
import type { LayoutFormat } from '../../core/layouts/layout.ts';
import type { OwnRecord } from '../../core/layouts/records.ts';
import { isDnsLabel } from '../../core/layouts/skydns.ts';
import { isDistinctive, parseTemplate } from '../../core/layouts/template.ts';
import { ValueError } from './value.ts';

/** A layout as the user chose it: `skydns:cluster.local`. */
export interface LayoutChoice {
  readonly name: LayoutName;
  /** The text after the colon, or the layout's default root; undefined stands for the value of --key. */
  readonly root: string | undefined;
}

/** The parent of the keys, with or without a leading slash. Returns it without. */
export function parseKey(text: string): string {
  const key = readKey(text);
  if (key === null)
    throw new ValueError(
      'must be names separated by single slashes, without spaces and without "." or "..", such as service or prod/service',
    );
  return key;
}

/** Comma-separated `NAME[:ROOT]`. */
export function parseLayouts(text: string): LayoutChoice[] {
  return text.split(',').map(item => parseLayout(item.trim()));
}

function parseLayout(item: string): LayoutChoice {
  const [, name = '', rootText] = /^([^:]*)(?::(.*))?$/.exec(item) ?? [];
  if (!isLayoutName(name))
    throw new ValueError(`"${name}" is not a layout`, `the layouts are ${layoutNames.join(', ')}`);
  const { root, rootIsDomain }: LayoutFormat = formats[name];
  if (rootText !== undefined)
    return { name, root: rootIsDomain ? parseDomain(item, rootText) : parseRoot(item, rootText) };
  if (root.kind === 'required')
    throw new ValueError(`layout ${name} needs a root, such as ${name}:${root.example}`);
  return { name, root: root.kind === 'optional' ? root.default : undefined };
}

function parseRoot(item: string, text: string): string {
  const root = readKey(text);
  if (root === null)
    throw new ValueError(
      `the root of "${item}" must be names separated by single slashes, without spaces, such as app/servers`,
    );
  return root;
}

/** Names separated by single slashes, without a leading slash; null for other texts. */
function readKey(text: string): string | null {
  const names = text.replace(/^\//, '').split('/');
  const isWrong = names.some(
    name => name === '' || name === '.' || name === '..' || /[\s\p{Cc}]/u.test(name),
  );
  return isWrong ? null : names.join('/');
}

/** Returns the domain as consumers look it up: in lower case, without the dot at the end. */
function parseDomain(item: string, text: string): string {
  const domain = text.toLowerCase().replace(/\.$/, '');
  if (!domain.split('.').every(isDnsLabel))
    throw new ValueError(`the root of "${item}" must be a domain, such as cluster.local`);
  return domain;
}

/** One `KEY=VALUE` per line, with placeholders in both. */
export function parseOwnRecords(text: string): OwnRecord[] {
  return text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => parseOwnRecord(line.trim()));
}

function parseOwnRecord(text: string): OwnRecord {
  const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (value === '' || key === '')
    throw new ValueError(`must be KEY=VALUE, such as '/app/{service}/{address}=weight={weight}'`);
  parseRoot(text, key);
  const template = parseTemplate(key, 'record');
  if (!isDistinctive(template))
    throw new ValueError(
      `the key ${key} is the same for every instance, so the first instance to end would remove it`,
      'put {address}, {container} or {id} into it',
    );
  return { key: template, value: parseTemplate(value, 'record'), text };
}
