/** The settings of one registered service. */
import type { Advertise } from '../address/advertise.ts';
import type { Protocol } from '../address/ip.ts';
import type { ServiceSpec } from '../layouts/instance.ts';
import type { Publication } from '../layouts/records.ts';
import { asksPort, type Check } from './check.ts';

/** One service: where its app listens, how it is checked, and how it is registered. */
export interface ServiceConfig {
  /** What logs and doctor call the service: its name, or else its port. Namesakes have their ports added. */
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
  /** Whether to register an app that listens on loopback addresses only; `allowLoopback` implies it. */
  readonly allowUnreachable: boolean;
  readonly check: Check;
  /** Where the check asks: undefined for the address where the app listens, and for the app's own port. */
  readonly checkHost: string | undefined;
  readonly checkPort: number | undefined;
  readonly intervalMs: number;
  /** The time between checks while they fail and the service is still up, in ms; at most the interval. */
  readonly fastIntervalMs: number;
  readonly timeoutMs: number;
  /** Consecutive passes that bring the service up, and consecutive failures that bring it down. */
  readonly rise: number;
  readonly fall: number;
  /** How long the service stays up while nothing listens on its port, in ms. */
  readonly tolerateMs: number;
  /** How long after the start of dockreg a failed check is expected, in ms. */
  readonly startPeriodMs: number;
  readonly ttlSeconds: number;
  /** Whether to watch the app through the kernel between the checks. */
  readonly watch: boolean;
}

/** The TCP port that the check connects to. */
export function checkedPort({
  localPort,
  checkPort,
}: Pick<ServiceConfig, 'localPort' | 'checkPort'>): number {
  return checkPort ?? localPort;
}

/**
 * What an event at the app's TCP port, which the app watch observes, means for a check.
 * - `verdict`: the check uses the port, so it can only fail when nothing listens any more.
 * - `condition`: the check uses another port of the app. While nothing listens on the app's own, no check passes.
 * - `reason`: the check uses something else, so the event is only a reason to check now.
 * - `none`: the app uses UDP, where no socket listens.
 */
export function watchRole(
  service: Pick<ServiceConfig, 'check' | 'checkPort' | 'localPort' | 'protocol'>,
): 'verdict' | 'condition' | 'reason' | 'none' {
  const { check, localPort, protocol } = service;
  if (asksPort(check) && checkedPort(service) === localPort) return 'verdict';
  if (protocol !== 'tcp') return 'none';
  return asksPort(check) ? 'condition' : 'reason';
}

/**
 * What it means that the app listens on loopback addresses only, where others do not reach it: it is not registered, which
 * is only warned of where a person gives the registered address, because that may lead elsewhere; or nothing.
 */
export function loopbackRole({
  advertise,
  allowUnreachable,
}: Pick<ServiceConfig, 'advertise' | 'allowUnreachable'>): 'withhold' | 'warn' | 'allow' {
  if (allowUnreachable) return 'allow';
  return advertise.kind === 'literal' ? 'warn' : 'withhold';
}

/** Where the host is: an IP address, or the name of a host or an interface, which must be resolved. */
export type HostName =
  | { readonly kind: 'ip'; readonly ip: string }
  | { readonly kind: 'name'; readonly name: string };
