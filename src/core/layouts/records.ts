/**
 * All records of an instance, in each layout of its service. What would break a consumer is refused here: two records
 * under one key, and another format where a consumer lists keys.
 */
import { failure, success, type Problem, type Result } from '../../errors.ts';
import type { ServiceRecord } from '../lease/writes.ts';
import { formatLayout, formats, type Layout } from './formats.ts';
import { LayoutProblem, type Instance } from './instance.ts';
import type { LayoutFormat } from './layout.ts';
import { writeOwnRecord, type OwnRecord } from './own-record.ts';

/** What a service is written as. */
export interface Publication {
  readonly layouts: readonly Layout[];
  readonly own: readonly OwnRecord[];
}

/** All records of an instance, which are written and removed together. */
export function recordsOf(
  publication: Publication,
  makeInstance: () => Instance,
): Result<readonly ServiceRecord[]> {
  return attempt(() => {
    const planned = planRecords(publication, makeInstance());
    refuseCollisions(planned);
    refuseMixtures(planned);
    return planned.map(({ record }) => record);
  });
}

/** An instance beside others of the same process. Each has a lease of its own. */
export interface Neighbour {
  /** The service's name in the problem. */
  readonly title: string;
  readonly publication: Publication;
  readonly makeInstance: () => Instance;
}

/** A key that two of them write, or a record of one where another format is read; undefined when there is none. */
export function conflictAmong(neighbours: readonly Neighbour[]): Problem | undefined {
  const result = attempt(() => {
    const planned = neighbours.flatMap(({ title, publication, makeInstance }) =>
      planRecords(publication, makeInstance(), ` of ${title}`),
    );
    // Keys that end with the id of the lease differ.
    refuseCollisions(planned.filter(({ record }) => !record.underLease));
    refuseMixtures(planned);
  });
  return result.ok ? undefined : result.problems[0];
}

function attempt<T>(make: () => T): Result<T> {
  try {
    return success(make());
  } catch (error) {
    if (error instanceof LayoutProblem) return failure(...error.problems);
    throw error;
  }
}

interface PlannedRecord {
  readonly record: ServiceRecord;
  /** The option that asks for it, for a problem. */
  readonly source: string;
  /** Undefined for the user's own record. */
  readonly layout: Layout | undefined;
  /** The consumer of the layout reads every key that begins with this. */
  readonly listed: string | undefined;
}

/** @param owner ends the source of each record */
function planRecords({ layouts, own }: Publication, instance: Instance, owner = ''): PlannedRecord[] {
  const ofLayouts = layouts.flatMap(layout => {
    const { name, root } = layout;
    const format: LayoutFormat = formats[name];
    const source = `--layout ${formatLayout(layout)}${owner}`;
    const records = format.write(root, instance);
    const listed = format.listed?.(root) ?? format.prefix(root, instance.name?.text);
    return records.map(record => ({ record, source, layout, listed }));
  });
  const ofUser = own.map(ownRecord => ({
    record: writeOwnRecord(ownRecord, instance),
    source: `--record ${ownRecord.text}${owner}`,
    layout: undefined,
    listed: undefined,
  }));
  return [...ofLayouts, ...ofUser];
}

function refuseCollisions(planned: readonly PlannedRecord[]): void {
  const writers = new Map<string, string>();
  for (const { record, source } of planned) {
    const other = writers.get(record.key);
    if (other !== undefined)
      throw new LayoutProblem({
        message: `${other} and ${source} both write ${record.key}`,
        hint: 'leave one out',
      });
    writers.set(record.key, source);
  }
}

/** A consumer takes every key that it lists for its own, and most fail on another format. */
function refuseMixtures(planned: readonly PlannedRecord[]): void {
  for (const reader of planned) {
    const stranger = planned.find(other => breaks(other, reader));
    if (stranger)
      throw new LayoutProblem({
        message:
          `${stranger.source} writes ${stranger.record.key} where ${reader.source} is read (${reader.listed}…), ` +
          'in another format',
        hint: 'give one of them another root',
      });
  }
}

/** Whether the consumer of `reader` lists the other record and cannot read it. */
function breaks({ record, layout: other }: PlannedRecord, { layout, listed }: PlannedRecord): boolean {
  if (layout === undefined || listed === undefined || !record.key.startsWith(listed)) return false;
  const format: LayoutFormat = formats[layout.name];
  if (other === undefined)
    return !(format.allowsOwnRecords && record.key.startsWith(format.prefix(layout.root, undefined)));
  return other.name !== layout.name || (other.root !== layout.root && !format.sharesTree);
}
