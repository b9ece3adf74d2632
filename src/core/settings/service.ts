/**
 * The settings of one registered service.
 */
import type { Advertise } from '../address/advertise.ts';
import type { Protocol } from '../address/ip.ts';
import type { ServiceSpec } from '../layouts/instance.ts';
import type { Publication } from '../layouts/records.ts';
import type { Check } from './check.ts';

/** One service: where it listens, how it is checked, and as what and how it is registered. */
export interface ServiceConfig {
  /** What the log and the doctor call it where there are several services. */
  readonly label: string;
  readonly localPort: number;
  readonly protocol: Protocol;
  readonly spec: ServiceSpec;
  readonly publication: Publication;
  /** The host's address or name; undefined when the user gives none. */
  readonly ip: HostName | undefined;
  readonly advertise: Advertise;
  /** Whether to register an address that only this host can reach. */
  readonly allowLoopback: boolean;
  readonly check: Check;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** How many passes in a row bring the service up, and how many fails bring it down. */
  readonly rise: number;
  readonly fall: number;
  /** How long after the start of dockreg fails are expected. */
  readonly startPeriodMs: number;
  readonly ttlSeconds: number;
  /** Whether to watch the app through the kernel between the checks. */
  readonly watch: boolean;
}

/** Where the host is: an IP address, or the name of a host or an interface, which must be resolved. */
export type HostName =
  | { readonly kind: 'ip'; readonly ip: string }
  | { readonly kind: 'name'; readonly name: string };
