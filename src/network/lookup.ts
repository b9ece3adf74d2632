/**
 * Looks up names in /etc/hosts and DNS. While DNS is silent that takes long. So a name is looked up once at a time, for
 * all who ask, and nobody waits longer than 3 s.
 */
import type { LookupFunction } from 'node:net';
import { callbackify } from 'node:util';
import { within, type Clock } from '../clock.ts';
import { isIp } from '../core/address/ip.ts';
import { resolveName } from './resolve.ts';

export interface NameAddress {
  readonly address: string;
  readonly family: number;
  /** Whether addresses of the other family may be missing: the name server did not answer about them. */
  readonly isPartial?: true;
}

export type Resolver = (name: string) => Promise<readonly NameAddress[]>;

/** Returns a resolver that shares the look-up of a name that is under way. */
export function sharedResolver(resolve: Resolver): Resolver {
  const pending = new Map<string, Promise<readonly NameAddress[]>>();
  const run = async (name: string): Promise<readonly NameAddress[]> => {
    try {
      return (await resolve(name)).filter(({ address }) => isIp(address));
    } finally {
      pending.delete(name);
    }
  };
  return name => {
    const shared = pending.get(name) ?? run(name);
    pending.set(name, shared);
    return shared;
  };
}

const resolver = sharedResolver(name => resolveName(name, 0));

/** The most that a caller waits for a name, in ms. */
const timeLimitMs = 3000;

/** The addresses of a name. Rejects with a TimeLimitError after 3 s. */
export function lookup(name: string, clock: Clock, resolve = resolver): Promise<readonly NameAddress[]> {
  return within(clock, timeLimitMs, `the look-up of ${name}`, resolve(name));
}

/** For a connection, whose own deadline bounds it. */
export const lookupForConnect: LookupFunction = (name, options, callback) => {
  callbackify(resolver)(name, (error, found) => {
    const [first] = found ?? [];
    if (error || first === undefined) return callback(error ?? new Error(`${name} has no address`), '');
    if (options.all) callback(null, [...found]);
    else callback(null, first.address, first.family);
  });
};
