/**
 * The configuration as its sources give it: texts, each with the place where it was given. Every source returns this shape.
 */
import type { Problem } from '../errors.ts';
import type { OptionName } from './options.ts';
import type { RawOption } from './parse/value.ts';

export type RawOptions = ReadonlyMap<OptionName, RawOption>;

export interface RawService {
  /** Where the service is given, for errors: `--service web`. */
  readonly from: string;
  /** What logs call the service; undefined for its name, or else its port. */
  readonly label: string | undefined;
  readonly options: RawOptions;
}

export interface RawConfig {
  /** Options of the process, and options for all services. */
  readonly defaults: RawOptions;
  readonly services: readonly RawService[];
  /** What cannot be an option or a service. */
  readonly problems: readonly Problem[];
}

export const emptyConfig: RawConfig = { defaults: new Map(), services: [], problems: [] };
