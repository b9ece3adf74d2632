/**
 * The settings of the process: what its services share, and what `dockreg ls` needs.
 */
import type { Address } from '../address/ip.ts';
import type { Layout } from '../layouts/formats.ts';
import type { EngineEndpoint } from './engine.ts';
import type { Security } from './security.ts';

export type LogFormat = 'logfmt' | 'json';

/** What the services of a process share. */
export interface SharedConfig {
  /** `http://host:port`, at least one. */
  readonly endpoints: readonly string[];
  readonly security: Security;
  readonly engine: EngineEndpoint;
  /** The id of this container; undefined when the user gives none. */
  readonly container: string | undefined;
  /** At a stop, how long dockreg runs on after its keys are gone, in ms. */
  readonly drainMs: number;
  /** The path of the control socket; null for none. */
  readonly control: string | null;
  /** Where the HTTP endpoint listens; undefined for none. */
  readonly listen: Address | undefined;
  readonly logFormat: LogFormat;
}

/** Where `dockreg ls` looks for instances. */
export interface ListConfig {
  readonly endpoints: readonly string[];
  readonly security: Security;
  readonly layouts: readonly Layout[];
  /** The only service to list; undefined for all. */
  readonly name: string | undefined;
}
