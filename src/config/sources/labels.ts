/**
 * The source of container labels: `dockreg.web.port=8000` for the service web, `dockreg.interval=2s` for all services.
 */
import { brief } from '../../core/text.ts';
import type { Problem } from '../../errors.ts';
import { limits } from '../parse/limits.ts';
import { emptyConfig, type RawConfig, type RawOptions } from '../raw.ts';
import { collectOptions, labelledService, serviceScope, type RawItem } from './collect.ts';

const prefix = 'dockreg.';

/** For a user whose labels have no effect. */
export const unreadLabels =
  'the labels dockreg.* of this container are not read, as --port, --service or --config is given';

export function hasLabels(labels: ReadonlyMap<string, string>): boolean {
  return [...labels.keys()].some(label => label.startsWith(prefix));
}

export function readLabels(labels: ReadonlyMap<string, string>): RawConfig {
  const ours = [...labels].filter(([label]) => label.startsWith(prefix));
  if (ours.length > limits.labels) {
    const message = `the container has ${ours.length} labels dockreg.*, and at most ${limits.labels} are allowed`;
    return { ...emptyConfig, problems: [{ message, hint: 'remove some, or use --config' }] };
  }
  /** By service; those of the defaults are under the empty string. */
  const items = new Map<string, RawItem[]>();
  for (const [label, text] of ours) {
    // The last part is the option: no option has a dot in its name, but a service may.
    const dot = label.lastIndexOf('.');
    const service = label.slice(prefix.length, Math.max(dot, prefix.length));
    const item = { word: label.slice(dot + 1), text };
    items.set(service, [...(items.get(service) ?? []), item]);
  }
  const problems: Problem[] = [];
  const collect = (service: string, before: string): RawOptions => {
    const syntax = { from: `label ${before}`, before, between: '=' } as const;
    return collectOptions(items.get(service) ?? [], syntax, serviceScope, problems);
  };
  const defaults = collect('', prefix);
  const services = [...items.keys()].filter(service => service !== '');
  return {
    defaults,
    services: services.map(service => {
      const place = `${prefix}${brief(service)}.`;
      return labelledService(`labels ${place}*`, service, collect(service, place));
    }),
    problems,
  };
}
