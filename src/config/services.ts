/**
 * Several services: how each is said, in a flag, a label or a file, and what becomes of it with the options that are
 * given for all of them. Every notation ends in the same texts, which the same parsers read.
 */
import { closest } from 'fastest-levenshtein';
import type { ServiceSpec } from '../core/layouts/instance.ts';
import { conflictAmong } from '../core/layouts/records.ts';
import { formatProblem } from '../errors.ts';
import { appliesTo } from './check.ts';
import { collector, readerOf, type RawOption, type RawOptions, type Syntax } from './given.ts';
import { optionNames, options, variableOf, type Option, type OptionName } from './options.ts';
import { likelyInstance, readService } from './service-config.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import type { ServiceItem } from './service-text.ts';

/** A service before its texts are read. */
export interface RawService {
  /** Where it is said, for an error: `--service web`. */
  readonly from: string;
  /** What it is called where it is said; undefined where that is its name. */
  readonly label: string | undefined;
  readonly own: RawOptions;
}

/** Services, and options for all of them, as they stand in one place. */
export interface RawConfig {
  readonly defaults: RawOptions;
  readonly services: readonly RawService[];
  readonly problems: readonly string[];
}

export const emptyConfig: RawConfig = { defaults: new Map(), services: [], problems: [] };

function isShared(name: OptionName): boolean {
  const option: Option<unknown> = options[name];
  return option.shared === true;
}

const ofService = optionNames.filter(name => !isShared(name));
/** Beside these a file has `services`, which say the same as --service. */
const ofFile = optionNames.filter(name => name !== 'config' && name !== 'service');

/** What was given, before a name is added. */
export type Collected = Map<OptionName, RawOption>;

/** Options as they stand in one place: `text` is empty where there is none, and one may stand there several times. */
export function collectOptions(
  items: readonly ServiceItem[],
  formatCheck: Syntax,
  where: 'service' | 'file',
): { readonly given: Collected; readonly problems: readonly string[] } {
  const collected = collector(formatCheck);
  for (const word of new Set(items.map(item => item.word))) {
    const name = (where === 'file' ? ofFile : ofService).find(each => each === word);
    if (name === undefined) collected.problems.push(`${formatCheck.name(word)} ${refusalOf(word, where)}`);
    else
      collected.add(
        name,
        items.filter(item => item.word === word).map(({ text }) => text),
      );
  }
  return collected;
}

function refusalOf(word: string, where: 'service' | 'file'): string {
  if (where === 'file') return `is no option; did you mean ${closest(word, [...ofFile, 'services'])}?`;
  const shared = optionNames.find(name => name === word);
  if (shared === undefined) return `is no option of a service; did you mean ${closest(word, ofService)}?`;
  return `is for the process as a whole and not for one service; say it with --${shared} or ${variableOf(shared)}`;
}

/** The services of --service, or of its variable. */
export function servicesOfFlag(items: readonly (readonly ServiceItem[])[], flag: string): RawConfig {
  const problems: string[] = [];
  const services = items.map((own, index) => {
    const from = `${flag} ${own.find(({ word }) => word === 'name')?.text || `number ${index + 1}`}`;
    const formatCheck: Syntax = {
      name: word => `${from}: ${word}`,
      assign: (word, value) => `${word}=${value}`,
    };
    const collected = collectOptions(own, formatCheck, 'service');
    problems.push(...collected.problems);
    return { from, label: undefined, own: collected.given };
  });
  return { defaults: new Map(), services, problems };
}

/** A service that is called so where it is said, which is its name unless it says another. */
export function rawService(from: string, label: string, own: Collected): RawService {
  if (!own.has('name')) own.set('name', { text: label, from: `${from}: name` });
  return { from, label, own };
}

/** All services, each with the defaults that it does not say itself; or every problem at once. */
export function readServices(
  said: readonly RawService[],
  defaults: RawOptions,
  variables: ServiceSpec['variables'],
): { readonly services: readonly ServiceConfig[] } | { readonly problems: readonly string[] } {
  const problems: string[] = [];
  const services: ServiceConfig[] = [];
  for (const { from, label, own } of said) {
    const given = inherit(own, defaults);
    if (!given.has('port')) {
      problems.push(`${from}: port is missing; say where its app listens, such as port 8000`);
      continue;
    }
    const answer = readService(given, variables, `${from}: `);
    if ('problems' in answer) problems.push(...answer.problems);
    else services.push({ ...answer.service, label: label ?? answer.service.label });
  }
  // What is wrong with a default is wrong in every service.
  if (problems.length > 0) return { problems: [...new Set(problems)] };
  const named = services.map(service => tellApart(service, services));
  const conflict = conflictOf(named);
  return conflict === undefined ? { services: named } : { problems: [conflict] };
}

/** What is wrong with options that are for services that are not known yet. */
export function problemsOfDefaults(defaults: RawOptions): string[] {
  const { read, problems } = readerOf(defaults);
  for (const name of defaults.keys()) if (!isShared(name)) read(name);
  return problems;
}

/** Whether --advertise is an address itself and no way to find one. */
export function saysAddress(advertise: string): boolean {
  return /^[[\d]/.test(advertise);
}

/** A default that is of no use to what the service itself says of its check or its address is none of its. */
function inherit(own: RawOptions, defaults: RawOptions): RawOptions {
  const check = own.get('check')?.text;
  const advertise = own.get('advertise')?.text ?? '';
  const isInherited = (name: OptionName): boolean => {
    if (name === 'ip') return !advertise.startsWith('container') && !saysAddress(advertise);
    return check === undefined || appliesTo(name, check.replace(/:.*/s, ''));
  };
  return new Map([...[...defaults].filter(([name]) => isInherited(name)), ...own]);
}

/** Those of one name are called by their ports too. */
function tellApart(service: ServiceConfig, services: readonly ServiceConfig[]): ServiceConfig {
  const { label, localPort } = service;
  const isAlone = services.filter(other => other.label === label).length === 1;
  return isAlone ? service : { ...service, label: `${label}:${localPort}` };
}

/** What the services would do to each other in etcd, as far as it can be foreseen. */
function conflictOf(services: readonly ServiceConfig[]): string | undefined {
  const whereabouts = services.map(({ advertise, ip, protocol }) =>
    JSON.stringify([advertise, ip, protocol]),
  );
  const problem = conflictAmong(
    services.map((service, index) => ({
      title: service.label,
      publication: service.publication,
      makeInstance: () => likelyInstance(service, whereabouts.indexOf(whereabouts[index] ?? '') + 1),
    })),
  );
  return problem && formatProblem(problem);
}
