/**
 * Looks up names in /etc/hosts and DNS. A look-up can take long while DNS is silent. So one name is looked up once at a
 * time, and two names at most; who waits longer than it may is told so and does not start another.
 */
import type { LookupFunction } from 'node:net';
import { callbackify } from 'node:util';
import { within, type Clock } from '../clock.ts';
import { isIp } from '../core/address/ip.ts';
import { resolveName } from './resolve.ts';

export interface NameAddress {
  readonly address: string;
  readonly family: number;
}

export type Resolver = (name: string) => Promise<readonly NameAddress[]>;

/** How many names are looked up at a time. */
const atOnce = 2;

/** Returns a resolver that shares what is under way and bounds it. */
export function sharedResolver(resolve: Resolver): Resolver {
  const pending = new Map<string, Promise<readonly NameAddress[]>>();
  const waiting: (() => void)[] = [];
  let running = 0;
  const run = async (name: string): Promise<readonly NameAddress[]> => {
    if (running >= atOnce) await new Promise<void>(start => waiting.push(start));
    else running++;
    try {
      return (await resolve(name)).filter(({ address }) => isIp(address));
    } finally {
      pending.delete(name);
      const next = waiting.shift();
      if (next) next();
      else running--;
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
