/**
 * Asks the name servers of /etc/resolv.conf, each with a client of its own: Node's client, given several, asks the second
 * only when the first has had all of its time, which is as long as anybody waits for a name.
 */
import dns, { type LookupAddress } from 'node:dns';
import { systemClock } from '../clock.ts';
import { codeOf } from '../errors.ts';

type Resolver = dns.promises.Resolver;

export interface DnsAnswer {
  readonly found: readonly LookupAddress[];
  /** Whether a name server has said that there is no such name. */
  readonly isUnknown: boolean;
}

/** How long a name server has for its first answer, in ms, and how often it is asked. */
const patience = { timeout: 2500, tries: 2 } as const;
/** When the next name server is asked too, unless the one before has failed earlier, in ms. */
const nextServerMs = 700;
/** How long an answer about IPv6 is waited for once there are IPv4 addresses, in ms: some name servers never give one. */
const ipv6GraceMs = 300;
/** What a name server answers when the name has no such address. */
const noAddress = new Set(['ENOTFOUND', 'ENODATA']);

/** Resolves with the first answer; with none when no name server gives one. */
export async function askNameServers(name: string, families: readonly (4 | 6)[]): Promise<DnsAnswer> {
  const resolvers = eachServer();
  const done = new AbortController();
  const attempts: Promise<DnsAnswer>[] = [];
  for (const [index, resolver] of resolvers.entries())
    attempts.push(
      inTurn(index, attempts.at(-1), done.signal).then(isNeeded => {
        if (!isNeeded) throw new Error('answered already');
        return ask(resolver, name, families);
      }),
    );
  try {
    return await Promise.any(attempts);
  } catch {
    return { found: [], isUnknown: false };
  } finally {
    done.abort();
    for (const resolver of resolvers) resolver.cancel();
  }
}

function eachServer(): readonly Resolver[] {
  const all = new dns.promises.Resolver(patience);
  try {
    return all.getServers().map(server => {
      const resolver = new dns.promises.Resolver(patience);
      resolver.setServers([server]);
      return resolver;
    });
  } catch {
    // Node can list an address that it does not accept, such as one with a zone.
    return [all];
  }
}

/** Resolves with whether this server is to be asked: the one before has failed, or is slow. */
async function inTurn(
  index: number,
  before: Promise<DnsAnswer> | undefined,
  done: AbortSignal,
): Promise<boolean> {
  if (before === undefined) return true;
  const ended = before.then(
    () => false,
    () => true,
  );
  const isLate = systemClock.sleep(index * nextServerMs, done).then(() => !done.aborted);
  return Promise.race([ended, isLate]);
}

/** @throws Error when this server has no answer */
async function ask(resolver: Resolver, name: string, families: readonly (4 | 6)[]): Promise<DnsAnswer> {
  const answers = await Promise.allSettled(
    families.map(each => (each === 4 ? askIpv4(resolver, name) : resolver.resolve6(name))),
  );
  const found = answers.flatMap((answer, index) =>
    answer.status === 'fulfilled'
      ? answer.value.map(address => ({ address, family: families[index] ?? 4 }))
      : [],
  );
  if (found.length > 0) return { found, isUnknown: false };
  const failure = answers.find(
    answer => answer.status === 'rejected' && !noAddress.has(codeOf(answer.reason)),
  );
  if (failure?.status === 'rejected') throw failure.reason;
  return { found, isUnknown: answers.every(({ status }) => status === 'rejected') };
}

/** The IPv4 addresses of the name. Once there are some, what else the resolver is asked is soon given up. */
async function askIpv4(resolver: Resolver, name: string): Promise<string[]> {
  const found = await resolver.resolve4(name);
  if (found.length > 0) systemClock.after(ipv6GraceMs, () => resolver.cancel());
  return found;
}
