/**
 * Asks the name servers of /etc/resolv.conf, each with a client of its own: Node's client, given several, asks the second
 * only when the first has had all of its time, which is as long as anybody waits for a name.
 */
import dns, { type LookupAddress } from 'node:dns';
import { systemClock } from '../clock.ts';
import { codeOf } from '../errors.ts';

type Resolver = dns.promises.Resolver;

/** `isPartial` when the name server has not said whether the name has addresses of the other family. */
export type FoundAddress = LookupAddress & { readonly isPartial?: true };

export interface DnsAnswer {
  readonly found: readonly FoundAddress[];
  /** Whether a name server has said that there is no such name. */
  readonly isUnknown: boolean;
}

/** How long a name server has for its first answer, in ms, and how often it is asked. */
const patience = { timeout: 2500, tries: 2 } as const;
/** When the next name server is asked too, unless the one before has failed earlier, in ms. */
const nextServerMs = 700;
/**
 * How long the answer about the other family is waited for once there are addresses of one, in ms: some name servers
 * never give one. IPv4 is preferred, so its addresses are worth a longer wait.
 */
const graceMs = { 4: 300, 6: 1000 } as const;
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
  const answers = await Promise.allSettled(families.map(each => askOne(resolver, name, each)));
  const failure = answers.find(
    answer => answer.status === 'rejected' && !noAddress.has(codeOf(answer.reason)),
  );
  const found = answers.flatMap((answer, index) =>
    answer.status === 'fulfilled'
      ? answer.value.map(address => ({
          address,
          family: families[index] ?? 4,
          ...(failure && { isPartial: true as const }),
        }))
      : [],
  );
  if (found.length > 0) return { found, isUnknown: false };
  if (failure?.status === 'rejected') throw failure.reason;
  return { found, isUnknown: answers.every(({ status }) => status === 'rejected') };
}

/** The addresses of one family. Once there are some, what else the resolver is asked is soon given up. */
async function askOne(resolver: Resolver, name: string, family: 4 | 6): Promise<string[]> {
  const found = await (family === 4 ? resolver.resolve4(name) : resolver.resolve6(name));
  if (found.length > 0) systemClock.after(graceMs[family], () => resolver.cancel());
  return found;
}
