/**
 * The source of container labels: `dockreg.web.port=8000` for the service web, `dockreg.interval=2s` for all services.
 */
import type { Problem } from '../../errors.ts';
import type { RawConfig, RawOptions } from '../raw.ts';
import { collectOptions, labelledService, serviceScope, type RawItem } from './collect.ts';

/** The last part is the option: no option has a dot in its name, but a service may. */
const pattern = /^dockreg\.(?:(.+)\.)?([^.]*)$/;

/** For a user whose labels have no effect. */
export const unreadLabels =
  'the labels dockreg.* of this container are not read, as --port, --service or --config is given';

export function hasLabels(labels: ReadonlyMap<string, string>): boolean {
  return [...labels.keys()].some(label => pattern.test(label));
}

export function readLabels(labels: ReadonlyMap<string, string>): RawConfig {
  /** By service; those of the defaults are under the empty string. */
  const items = new Map<string, RawItem[]>();
  for (const [label, text] of labels) {
    const [, service = '', word] = pattern.exec(label) ?? [];
    if (word !== undefined) items.set(service, [...(items.get(service) ?? []), { word, text }]);
  }
  const problems: Problem[] = [];
  const collect = (service: string, before: string): RawOptions => {
    const syntax = { from: `label ${before}`, before, between: '=' } as const;
    return collectOptions(items.get(service) ?? [], syntax, serviceScope, problems);
  };
  const defaults = collect('', 'dockreg.');
  const services = [...items.keys()].filter(service => service !== '');
  return {
    defaults,
    services: services.map(service => {
      const own = collect(service, `dockreg.${service}.`);
      return labelledService(`labels dockreg.${service}.*`, service, own);
    }),
    problems,
  };
}
