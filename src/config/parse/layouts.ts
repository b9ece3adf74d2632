/**
 * The keys of a service: its parent, its layouts, and records of the user's own.
 */
import { isDnsLabel, layoutNames, type LayoutName, type OwnRecord } from '../../core/layouts/layouts.ts';
import { isDistinctive, parseTemplate } from '../../core/layouts/template.ts';
import { ValueError } from './value.ts';

/** A layout as the user chose it: `skydns:cluster.local`. */
export interface LayoutChoice {
  readonly name: LayoutName;
  /** The text after the colon, or the layout's default root; undefined stands for the value of --key. */
  readonly root: string | undefined;
}

/** The roots of layouts that need none. */
const defaultRoots: Partial<Record<LayoutName, string>> = {
  traefik: 'traefik',
  grpc: '',
  'go-zero': '',
  kratos: 'microservices',
};

/** Examples for the layouts that need a root. */
const exampleRoots: Partial<Record<LayoutName, string>> = {
  named: 'app/servers',
  registrator: 'services',
  skydns: 'cluster.local',
};

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
  const [, word = '', rootText] = /^([^:]*)(?::(.*))?$/.exec(item) ?? [];
  const name = layoutNames.find(candidate => candidate === word);
  if (name === undefined)
    throw new ValueError(`"${word}" is not a layout`, `the layouts are ${layoutNames.join(', ')}`);
  if (rootText !== undefined)
    return { name, root: name === 'skydns' ? parseDomain(item, rootText) : parseRoot(item, rootText) };
  const root = defaultRoots[name];
  if (root === undefined && name !== 'service')
    throw new ValueError(`layout ${name} needs a root, such as ${name}:${exampleRoots[name]}`);
  return { name, root };
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
