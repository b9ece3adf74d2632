/** Warns of services with different names that nobody can tell apart in etcd, because none was given a key. */
import { namesOf } from '../core/layouts/names.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { brief } from '../core/text.ts';
import { options } from './options.ts';

export function warningsOfSharedKey(services: readonly ServiceConfig[]): string[] {
  const parent = options.key.defaultText;
  const names = namesOf(services, undefined);
  const sharing = services.flatMap(({ publication }, index) =>
    publication.layouts.some(({ name, root }) => name === 'service' && root === parent)
      ? [brief(names[index]?.name ?? '')]
      : [],
  );
  if (sharing.length < 2) return [];
  const listed =
    sharing.length > 3
      ? `${sharing.slice(0, 2).join(', ')} and ${sharing.length - 2} more`
      : sharing.join(' and ');
  return [
    `${listed} have no --key of their own, so consumers of /${parent}/ take them for one app; give each a key`,
  ];
}
