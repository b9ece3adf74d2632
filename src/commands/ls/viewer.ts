/**
 * Reads the instances in etcd, again and again, from the first endpoint that answers.
 */
import type { Clock } from '../../clock.ts';
import { prefixOf, readInstance, type ListedInstance } from '../../core/layouts/listing.ts';
import type { ListConfig } from '../../core/settings/process.ts';
import { problemOf, UnavailableError } from '../../errors.ts';
import { EtcdError } from '../../etcd/errors.ts';
import type { KeyReader, ListedKey, TimeToLive } from '../../etcd/ports.ts';

/** Only the leader knows how much time a lease has left, so this is not asked at each read. */
const leasePollMs = 5000;
/** How many leases are asked for at once. */
const leasesAtOnce = 32;
const limit = { ms: 3000 } as const;

export interface ViewerOptions {
  readonly config: ListConfig;
  readonly connect: (endpoint: string) => Promise<KeyReader>;
  readonly clock: Clock;
  /** Whether to ask what is left of each lease. */
  readonly readsLeases: boolean;
}

export interface Viewer {
  /** Resolves with the rows in order. @throws UnavailableError when no endpoint answers */
  read(): Promise<readonly Row[]>;
  close(): void;
}

/** An instance, and what etcd itself knows of its key. */
export interface Row extends ListedInstance {
  /** What is left of the lease. Null for a key without a lease, which stays for ever; undefined when not asked for. */
  readonly ttlSeconds: number | null | undefined;
  readonly grantedSeconds: number | null | undefined;
  /** etcd does not keep the time of a change, only its place in the order of all changes. */
  readonly createRevision: number;
  /** How long `--watch` has shown it; null when it was there before. */
  readonly ageSeconds: number | null;
}

interface KnownTtl extends TimeToLive {
  /** When it was read, in monotonic ms. */
  readonly at: number;
}

export function createViewer({ config, connect, clock, readsLeases }: ViewerOptions): Viewer {
  const { endpoints, layouts, name } = config;
  let reader: KeyReader | null = null;
  let at = 0;
  let ttls: ReadonlyMap<string, KnownTtl> = new Map();
  /** When each key appeared, in monotonic ms; null when it was there at the first read. */
  let appearedAt: ReadonlyMap<string, number | null> | null = null;

  const readFrom = async (from: KeyReader): Promise<Row[]> => {
    const pairs: { readonly instance: ListedInstance; readonly key: ListedKey }[] = [];
    for (const layout of layouts) {
      for (const key of await from.list(prefixOf(layout, name), limit)) {
        const instance = readInstance(layout, name, key.key, key.value);
        if (instance) pairs.push({ instance, key });
      }
    }
    const now = clock.now();
    if (readsLeases) ttls = await readTtls(from, ttls, new Set(pairs.map(({ key }) => key.lease)), now);
    const sinceNow = appearedAt === null ? null : now;
    const appeared = new Map<string, number | null>();
    const rows: Row[] = [];
    for (const { instance, key } of pairs) {
      // A key that was deleted and written again is another one.
      const id = `${key.createRevision} ${key.key}`;
      const known = appearedAt?.get(id);
      const since = known === undefined ? sinceNow : known;
      appeared.set(id, since);
      const ttl = readsLeases ? (ttls.get(key.lease) ?? null) : undefined;
      rows.push({
        ...instance,
        ttlSeconds: ttl && ttl.leftSeconds,
        grantedSeconds: ttl && ttl.grantedSeconds,
        createRevision: Number(key.createRevision),
        ageSeconds: since === null ? null : Math.round((now - since) / 1000),
      });
    }
    appearedAt = appeared;
    return rows.toSorted(compareRows);
  };

  return {
    async read() {
      for (let tries = 1; ; tries++) {
        try {
          reader ??= await connect(endpoints[at] ?? '');
          return await readFrom(reader);
        } catch (error) {
          if (!(error instanceof EtcdError)) throw error;
          reader?.close();
          reader = null;
          at = (at + 1) % endpoints.length;
          if (tries < endpoints.length) continue;
          const problem = problemOf(error);
          throw new UnavailableError({ ...problem, message: `etcd: ${problem.message}` }, { cause: error });
        }
      }
    },
    close: () => reader?.close(),
  };
}

/** Reads what is left of the wanted leases, except those that were read a moment ago. */
async function readTtls(
  from: KeyReader,
  known: ReadonlyMap<string, KnownTtl>,
  wanted: ReadonlySet<string>,
  now: number,
): Promise<Map<string, KnownTtl>> {
  const ttls = new Map([...known].filter(([id, { at }]) => wanted.has(id) && now - at < leasePollMs));
  const asked = [...wanted].filter(id => id !== '0' && !ttls.has(id));
  for (let first = 0; first < asked.length; first += leasesAtOnce) {
    await Promise.all(
      asked.slice(first, first + leasesAtOnce).map(async id => {
        const ttl = await from.timeToLive(id, limit);
        ttls.set(id, { ...(ttl ?? { leftSeconds: 0, grantedSeconds: 0 }), at: now });
      }),
    );
  }
  return ttls;
}

/** By service, layout and address, with numbers in their own order. */
function compareRows(a: Row, b: Row): number {
  const [first, second] = [a, b].map(({ service, layout, address }) => `${service}\n${layout}\n${address}`);
  return (first ?? '').localeCompare(second ?? '', 'en', { numeric: true });
}
