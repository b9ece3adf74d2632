/**
 * All records of an instance: those of its layouts and the user's own. What would break a consumer is refused here: two
 * records under one key, and another format where a consumer lists keys.
 */
import { failure, success, type Problem, type Result } from '../../errors.ts';
import type { ServiceRecord } from '../lease/writes.ts';
import { brief, quote } from '../text.ts';
import { formatLayout, formats, type Layout } from './formats.ts';
import { fill, instanceOf, LayoutProblem, type Instance, type InstanceSource } from './instance.ts';
import type { LayoutFormat } from './layout.ts';
import type { Template } from './template.ts';

/** What a service is written as. */
export interface Publication {
  readonly layouts: readonly Layout[];
  readonly own: readonly OwnRecord[];
}

/** A record in the user's own words: a key and a value with placeholders. */
export interface OwnRecord {
  readonly key: Template;
  readonly value: Template;
  /** As the user gave it: `KEY=VALUE`. */
  readonly text: string;
}

/** The most characters of a key and of a value, and of all values of a service: etcd takes requests of 1.5 MiB. */
export const recordLimits = { keyLength: 1024, valueLength: 65_536, allValuesLength: 262_144 } as const;

/** An instance, and what it is written as. */
export interface PublishedInstance extends InstanceSource {
  readonly publication: Publication;
}

/** All records of an instance, which are written and removed together. */
export function recordsOf(instance: PublishedInstance): Result<readonly ServiceRecord[]> {
  try {
    const planned = planRecords(instance);
    const conflict = excessIn(planned) ?? collisionIn(planned) ?? mixtureIn(planned);
    return conflict ? failure(conflict) : success(planned.map(({ record }) => record));
  } catch (error) {
    if (error instanceof LayoutProblem) return failure(...error.problems);
    throw error;
  }
}

/**
 * A key that two services of one process write, or a record of one where another format is read; undefined when there is
 * none. Each service has a lease of its own, so keys that end with the id of the lease differ.
 * @throws LayoutProblem when one of them has no records by itself
 */
export function conflictAmong(
  services: readonly (PublishedInstance & { readonly label: string })[],
): Problem | undefined {
  const planned = services.flatMap(service => planRecords(service, ` of ${service.label}`));
  return collisionIn(planned.filter(({ record }) => !record.underLease)) ?? mixtureIn(planned);
}

interface PlannedRecord {
  readonly record: ServiceRecord;
  /** The option that asks for it, for a problem. */
  readonly source: string;
  /** Undefined for the user's own record. */
  readonly layout?: Layout;
  /** The consumer of the layout reads every key that begins with this. */
  readonly listed?: string;
}

/** @param owner ends the source of each record */
function planRecords({ publication, ...source }: PublishedInstance, owner = ''): PlannedRecord[] {
  const instance = instanceOf(source);
  const ofLayouts = publication.layouts.map(layout => {
    const { name, root } = layout;
    const format: LayoutFormat = formats[name];
    const record = format.write(root, instance);
    const listed = format.listed?.(root) ?? format.prefix(root, instance.name?.text);
    return { record, source: `--layout ${formatLayout(layout)}${owner}`, layout, listed };
  });
  const ofUser = publication.own.map(own => {
    return { record: writeOwnRecord(own, instance), source: `--record ${brief(own.text)}${owner}` };
  });
  return [...ofLayouts, ...ofUser];
}

/** @throws LayoutProblem when a placeholder has no value, or one that the key or the consumers cannot take */
function writeOwnRecord({ key, value, text }: OwnRecord, instance: Instance): ServiceRecord {
  const filledKey = fill(key, instance, piece => {
    if (piece === '' || /[\s/\p{Cc}\p{Cs}]/u.test(piece))
      throw new LayoutProblem({
        message: `--record ${brief(text)}: ${quote(piece)} cannot be part of a key`,
        hint: 'use a placeholder whose value has no slash and no space and is not empty',
      });
  });
  const filledValue = fill(value, instance);
  if (filledValue === '')
    throw new LayoutProblem({
      message: `--record ${brief(text)}: the value is empty, and consumers fail on an empty value`,
      hint: 'add a text beside the placeholders',
    });
  return { key: filledKey, value: filledValue };
}

/** What is too long. The texts of Docker, such as labels, have no limit of their own. */
function excessIn(planned: readonly PlannedRecord[]): Problem | undefined {
  const { keyLength, valueLength, allValuesLength } = recordLimits;
  const hint = 'shorten its texts: names, metadata and labels';
  let total = 0;
  for (const { record, source } of planned) {
    const { key, value } = record;
    total += value.length;
    const [what, count, most] =
      key.length > keyLength ? ['a key', key.length, keyLength] : ['a value', value.length, valueLength];
    if (count > most)
      return {
        message: `${source} writes ${what} of ${count} characters, and at most ${most} are allowed`,
        hint,
      };
  }
  if (total <= allValuesLength) return undefined;
  return {
    message: `the values of the service have ${total} characters, and at most ${allValuesLength} are allowed`,
    hint,
  };
}

/** The first key that is written twice. */
function collisionIn(planned: readonly PlannedRecord[]): Problem | undefined {
  const writers = new Map<string, string>();
  for (const { record, source } of planned) {
    const other = writers.get(record.key);
    if (other !== undefined)
      return { message: `${other} and ${source} both write ${brief(record.key)}`, hint: 'leave one out' };
    writers.set(record.key, source);
  }
  return undefined;
}

/** The first record where another format is read: a consumer takes every key that it lists for its own. */
function mixtureIn(planned: readonly PlannedRecord[]): Problem | undefined {
  for (const reader of planned) {
    const stranger = planned.find(other => breaks(other, reader));
    if (stranger === undefined) continue;
    const where = `${reader.source} is read (${brief(reader.listed ?? '')}…)`;
    const message = `${stranger.source} writes ${brief(stranger.record.key)} where ${where}, in another format`;
    return { message, hint: 'give one of them another root' };
  }
  return undefined;
}

/** Whether the consumer of `reader` lists the other record and cannot read it. */
function breaks({ record, layout: other }: PlannedRecord, { layout, listed }: PlannedRecord): boolean {
  if (layout === undefined || listed === undefined || !record.key.startsWith(listed)) return false;
  const format: LayoutFormat = formats[layout.name];
  if (other === undefined)
    return !(format.allowsOwnRecords && record.key.startsWith(format.prefix(layout.root, undefined)));
  return other.name !== layout.name || (other.root !== layout.root && !format.rootIsDomain);
}
