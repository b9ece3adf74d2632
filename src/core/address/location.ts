/**
 * What is known about where others reach the app, and what each attempt to resolve it changes. Pure: the agent's address
 * loop resolves and waits. It keeps true that an address is given up only after two answers in a row that there is none;
 * while Docker is out of reach the last known address is kept.
 */
import { formatProblem, messageOf, UnavailableError, type Problem, type Result } from '../../errors.ts';
import type { ServiceRecord } from '../lease/writes.ts';
import { backoffMs, noteFailure, outOfReach, type Outage } from '../retry.ts';
import { formatAddress, type Address } from './ip.ts';

export interface ResolvedAddress {
  readonly address: Address;
  /** What an instance at this address is written as. */
  readonly records: readonly ServiceRecord[];
  /** How the address was found, for the log. */
  readonly how: string;
  /** What people should know about the address; each begins with it. */
  readonly warnings?: readonly Problem[];
}

/** Where others reach the app, or why they cannot. */
export type AddressResult = Result<ResolvedAddress>;

/**
 * What happens when a service can never be registered here: `end` the process, which has no other service, or `wait`
 * until that changes and serve the other services.
 */
export type OnUnresolvable = 'end' | 'wait';

export interface Location {
  /** Undefined before the first answer, null while there is no address. */
  readonly known: ResolvedAddress | null | undefined;
  /** How many answers in a row said that there is no address. */
  readonly misses: number;
  readonly outage: Outage | null;
}

export type AddressEvent =
  /** An address is known that was not known before; `previous` is the one that it replaces. */
  | { readonly kind: 'address-found'; readonly resolved: ResolvedAddress; readonly previous: Address | null }
  /** The address is the same; what is written for it is new. */
  | { readonly kind: 'records-changed'; readonly resolved: ResolvedAddress }
  /** What people should know about the address has changed; nothing any more where the list is empty. */
  | { readonly kind: 'address-warning'; readonly address: Address; readonly warnings: readonly Problem[] }
  /** The address was resolved again after `attempts` failures, and it is the same. */
  | { readonly kind: 'address-confirmed'; readonly address: Address; readonly attempts: number }
  /** It could not be resolved: the first failure, each new cause, and then less and less often. */
  | { readonly kind: 'address-unconfirmed'; readonly address: Address | null; readonly cause: string }
  /** There is no address any more. */
  | { readonly kind: 'address-lost'; readonly address: Address; readonly cause: string }
  /** The first answer says that there is no address, and the process must end. */
  | { readonly kind: 'address-unresolvable'; readonly problems: readonly Problem[] };

export const unknownLocation: Location = { known: undefined, misses: 0, outage: null };

/** How often the address is resolved again, in ms, on average. */
const againMs = 30_000;
/** An address is given up after this many answers in a row that there is none. */
const missesToBelieve = 2;

/**
 * Returns what an answer changes, and the time until the next attempt, in ms.
 * @param now in monotonic ms
 * @param random a number in [0, 1)
 */
export function noteAnswer(
  location: Location,
  answer: AddressResult | UnavailableError,
  onUnresolvable: OnUnresolvable,
  now: number,
  random: number,
): { readonly location: Location; readonly events: readonly AddressEvent[]; readonly waitMs: number } {
  const { known } = location;
  const regularMs = againMs * (0.9 + 0.2 * random);
  const isAway = answer instanceof UnavailableError;
  if (!isAway && answer.ok) {
    const after = { known: answer.value, misses: 0, outage: null };
    return { location: after, events: eventsOf(location, answer.value), waitMs: regularMs };
  }
  if (!isAway && known === undefined && onUnresolvable === 'end') {
    const { problems } = answer;
    return { location, events: [{ kind: 'address-unresolvable', problems }], waitMs: regularMs };
  }
  const cause = isAway ? messageOf(answer) : answer.problems.map(formatProblem).join('; ');
  const { outage, report } = noteFailure(location.outage, cause, now);
  const misses = location.misses + (isAway ? 0 : 1);
  const isLost = known && misses >= missesToBelieve;
  const events: AddressEvent[] = [];
  if (report) events.push({ kind: 'address-unconfirmed', address: known?.address ?? null, cause });
  if (isLost) events.push({ kind: 'address-lost', address: known.address, cause });
  return {
    location: { known: isLost ? null : known, misses, outage },
    events,
    waitMs: known === undefined && !isAway ? regularMs : backoffMs(outOfReach, outage.attempts, random),
  };
}

function eventsOf({ known, outage }: Location, resolved: ResolvedAddress): AddressEvent[] {
  const { address, records, warnings = [] } = resolved;
  const warned: AddressEvent = { kind: 'address-warning', address, warnings };
  if (!known || formatAddress(known.address) !== formatAddress(address)) {
    const moved: AddressEvent = { kind: 'address-found', resolved, previous: known?.address ?? null };
    return warnings.length > 0 ? [moved, warned] : [moved];
  }
  const events: AddressEvent[] = [];
  if (JSON.stringify(known.warnings ?? []) !== JSON.stringify(warnings)) events.push(warned);
  if (outage) events.push({ kind: 'address-confirmed', address, attempts: outage.attempts });
  if (JSON.stringify(known.records) !== JSON.stringify(records))
    events.push({ kind: 'records-changed', resolved });
  return events;
}
