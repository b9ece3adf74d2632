/**
 * What the labels of our container say: `dockreg.web.port=8000` of the service web, `dockreg.interval=2s` of all.
 */
import type { Syntax } from './given.ts';
import { collectOptions, rawService, type Collected, type RawConfig } from './services.ts';
import type { ServiceItem } from './service-text.ts';

/** The last part is the option: no option has a dot in its name, and a service may. */
const pattern = /^dockreg\.(?:(.+)\.)?([^.]*)$/;

/** For who set some and wonders, where something else says the services. */
export const unreadLabels =
  'the labels dockreg.* of this container are not read, as --port, --service or --config is given';

export function hasLabels(labels: ReadonlyMap<string, string>): boolean {
  return [...labels.keys()].some(label => pattern.test(label));
}

export function servicesOfLabels(labels: ReadonlyMap<string, string>): RawConfig {
  const byService = new Map<string, ServiceItem[]>();
  for (const [label, text] of labels) {
    const [, service = '', word] = pattern.exec(label) ?? [];
    if (word !== undefined) byService.set(service, [...(byService.get(service) ?? []), { word, text }]);
  }
  const problems: string[] = [];
  const collect = (prefix: string, items: readonly ServiceItem[]): Collected => {
    const formatCheck: Syntax = {
      name: word => `label ${prefix}${word}`,
      assign: (word, value) => `${prefix}${word}=${value}`,
    };
    const collected = collectOptions(items, formatCheck, 'service');
    problems.push(...collected.problems);
    return collected.given;
  };
  const defaults = collect('dockreg.', byService.get('') ?? []);
  byService.delete('');
  const services = [...byService].map(([service, items]) =>
    rawService(`labels dockreg.${service}.*`, service, collect(`dockreg.${service}.`, items)),
  );
  return { defaults, services, problems };
}
