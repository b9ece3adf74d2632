/**
 * The source of container labels: `dockreg.web.port=8000` for the service web, `dockreg.interval=2s` for all services.
 */
import type { RawConfig } from '../raw.ts';
import {
  collectOptions,
  labelledService,
  serviceScope,
  type CollectedOptions,
  type RawItem,
} from './collect.ts';

/** The last part is the option: no option has a dot in its name, but a service may. */
const pattern = /^dockreg\.(?:(.+)\.)?([^.]*)$/;

/** For a user whose labels have no effect. */
export const unreadLabels =
  'the labels dockreg.* of this container are not read, as --port, --service or --config is given';

export function hasLabels(labels: ReadonlyMap<string, string>): boolean {
  return [...labels.keys()].some(label => pattern.test(label));
}

export function readLabels(labels: ReadonlyMap<string, string>): RawConfig {
  /** The items of the defaults are under the empty string. */
  const items = new Map<string, RawItem[]>([['', []]]);
  for (const [label, text] of labels) {
    const [, service = '', word] = pattern.exec(label) ?? [];
    if (word !== undefined) items.set(service, [...(items.get(service) ?? []), { word, text }]);
  }
  const collected = [...items].map(([service, own]): readonly [string, CollectedOptions] => {
    const prefix = service === '' ? 'dockreg.' : `dockreg.${service}.`;
    const syntax = {
      name: (word: string) => `label ${prefix}${word}`,
      assign: (word: string, value: string) => `${prefix}${word}=${value}`,
    };
    return [service, collectOptions(own, syntax, serviceScope)];
  });
  return {
    defaults: collected.find(([service]) => service === '')?.[1].options ?? new Map(),
    services: collected
      .filter(([service]) => service !== '')
      .map(([service, own]) => labelledService(`labels dockreg.${service}.*`, service, own)),
    problems: collected.flatMap(([, { problems }]) => problems),
  };
}
