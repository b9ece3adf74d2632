/**
 * Reads the instances in etcd, again and again, from the first endpoint that answers.
 */
import type { Clock } from '../../clock.ts';
import type { ListConfig } from '../../core/settings/process.ts';
import { prefixOf, readInstance, type ListedInstance } from '../../core/layouts/listing.ts';
import { problemOf, UnavailableError } from '../../errors.ts';
import { RequestError } from '../../etcd/errors.ts';
import type { KeyReader, ListedKey, TimeToLive } from '../../etcd/ports.ts';
import { compareRows, type Row } from './row.ts';

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
    const before = appearedAt;
    const appearanceOf = (id: string): number | null => {
      const known = before?.get(id);
      return known === undefined && before !== null ? now : (known ?? null);
    };
    appearedAt = new Map(pairs.map(({ key }) => [idOf(key), appearanceOf(idOf(key))]));
    const rows: Row[] = [];
    for (const { instance, key } of pairs) {
      const since = appearanceOf(idOf(key));
      const ttl = readsLeases ? (ttls.get(key.lease) ?? null) : undefined;
      rows.push({
        ...instance,
        ttlSeconds: ttl && ttl.leftSeconds,
        grantedSeconds: ttl && ttl.grantedSeconds,
        createRevision: Number(key.createRevision),
        ageSeconds: since === null ? null : Math.round((now - since) / 1000),
      });
    }
    return rows;
  };

  return {
    async read() {
      for (let tries = 1; ; tries++) {
        try {
          reader ??= await connect(endpoints[at] ?? '');
          return (await readFrom(reader)).toSorted(compareRows);
        } catch (error) {
          if (!(error instanceof RequestError)) throw error;
          reader?.close();
          reader = null;
          at = (at + 1) % endpoints.length;
          if (tries < endpoints.length) continue;
          const problem = problemOf(error);
          throw new UnavailableError({ ...problem, message: `etcd: ${problem.message}` }, { cause: error });
        }
      }
    },
    close() {
      reader?.close();
    },
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

/** A key that was deleted and written again is another one. */
function idOf({ key, createRevision }: ListedKey): string {
  return `${createRevision} ${key}`;
}
