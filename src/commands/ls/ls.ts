/**
 * `dockreg ls`: the instances that stand in etcd, once or live. It only reads.
 */
import { systemClock } from '../../clock.ts';
import type { ListConfig } from '../../core/settings/process.ts';
import { prefixOf, readInstance, type ListedInstance } from '../../core/layouts/listing.ts';
import { messageOf, UnavailableError } from '../../errors.ts';
import { DeniedError, MemberError } from '../../etcd/errors.ts';
import type { ListedKey, EtcdClient } from '../../etcd/member.ts';
import { connector } from '../../wiring/etcd.ts';
import { formatTable } from './table.ts';

export interface ListOptions {
  readonly config: ListConfig;
  readonly json: boolean;
  /** Go on until stopped. */
  readonly watch: boolean;
  /** On a terminal each picture replaces the one before. */
  readonly output: Output;
  /** Where a machine that reads the output is not disturbed. */
  readonly errors: Output;
}

export interface Output {
  readonly isTTY: boolean;
  /** Calls back when the text is out, or with why it never will be. */
  write(text: string, done: (error?: Error | null) => void): unknown;
}

/** An instance and what etcd itself says of its record. */
export interface Row extends ListedInstance {
  /** Seconds that are left of the lease; null when it hangs on none and stays for ever, undefined when not asked for. */
  readonly ttlSeconds: number | null | undefined;
  readonly grantedSeconds: number | null | undefined;
  /** etcd keeps no time of a change, only its place in the order of all changes. */
  readonly createRevision: number;
  /** Since when we ourselves have seen it, in seconds; null when it was there before us. */
  readonly ageSeconds: number | null;
}

const pollMs = 1000;
/** A lease tells its time left to its leader alone, so it is not asked for each picture. */
const leasePollMs = 5000;
/** How many leases are asked for at once. */
const leasesAtOnce = 32;
const callMs = 3000;
const clearScreen = '\u001B[H\u001B[2J\u001B[3J';

/** @throws UnavailableError when no member of etcd answers, unless it goes on */
export async function list(options: ListOptions, stop: AbortSignal): Promise<void> {
  const { config, json, watch, output, errors } = options;
  // A line for a machine comes when something has changed, and what is left of a lease changes all the time. To ask for
  // it takes a call for each lease, which would hold the line back.
  const viewer = createViewer(config, !(json && watch));
  try {
    if (!watch) {
      const rows = await viewer.read();
      await print(output, json ? `${JSON.stringify(rows, null, 2)}\n` : formatTable(rows, false));
      return;
    }
    let shown: string | null = null;
    while (!stop.aborted) {
      const picture = await viewer.read().then(
        rows => ({
          text: json ? `${JSON.stringify(rows)}\n` : formatTable(rows, true),
          gist: gistOf(rows),
          to: output,
        }),
        (error: unknown) => {
          if (!(error instanceof UnavailableError)) throw error;
          const trouble = `${error.message}; trying on\n`;
          return json
            ? { text: `dockreg: ${trouble}`, gist: trouble, to: errors }
            : { text: trouble, gist: trouble, to: output };
        },
      );
      const replaces = output.isTTY && !json;
      const isNews = replaces || picture.gist !== shown;
      if (isNews && !(await print(picture.to, replaces ? `${clearScreen}${picture.text}` : picture.text)))
        return;
      shown = picture.gist;
      await systemClock.sleep(pollMs, stop);
    }
  } finally {
    viewer.close();
  }
}

/** Whether the text got out: the process must not end before, and who watches may have gone. */
function print(output: Output, text: string): Promise<boolean> {
  return new Promise(resolve => {
    output.write(text, error => resolve(!error));
  });
}

/** What makes a picture another: not the seconds that pass. */
function gistOf(rows: readonly Row[]): string {
  return JSON.stringify(
    rows.map(({ key, address, weight, createRevision }) => [key, address, weight, createRevision]),
  );
}

interface TimeLeft {
  readonly left: number;
  readonly granted: number;
  /** When it was asked for, in monotonic ms. */
  readonly at: number;
}

interface ListedRecord {
  readonly instance: ListedInstance;
  readonly key: ListedKey;
}

function createViewer(
  config: ListConfig,
  asksLeases: boolean,
): {
  read(): Promise<Row[]>;
  close(): void;
} {
  const clock = systemClock;
  const { endpoints, layouts, name } = config;
  const connect = connector(config);
  let member: EtcdClient | null = null;
  let at = 0;
  let leases: ReadonlyMap<string, TimeLeft> = new Map();
  /** When each key was seen first, in monotonic ms; null when it was there before us. */
  let firstSeenAt: ReadonlyMap<string, number | null> | null = null;

  const readFrom = async (from: EtcdClient): Promise<Row[]> => {
    const found: ListedRecord[] = [];
    for (const layout of layouts) {
      for (const key of await from.list(prefixOf(layout, name), { ms: callMs })) {
        const instance = readInstance(layout, name, key.key, key.value);
        if (instance) found.push({ instance, key });
      }
    }
    if (asksLeases) leases = await timesLeft(from, leases, new Set(found.map(({ key }) => key.lease)));
    const now = clock.now();
    const before = firstSeenAt;
    const firstSeen = (id: string): number | null => {
      if (before === null) return null;
      return before.has(id) ? (before.get(id) ?? null) : now;
    };
    firstSeenAt = new Map(found.map(({ key }) => [idOf(key), firstSeen(idOf(key))]));
    return found.map(({ instance, key }) => {
      const since = firstSeen(idOf(key));
      const ageSeconds = since === null ? null : Math.round((now - since) / 1000);
      return rowOf(instance, key, asksLeases ? (leases.get(key.lease) ?? null) : undefined, ageSeconds);
    });
  };

  return {
    async read() {
      for (let tries = 1; ; tries++) {
        try {
          member ??= await connect(endpoints[at] ?? '');
          return (await readFrom(member)).toSorted(inOrder);
        } catch (error) {
          if (!(error instanceof MemberError || error instanceof DeniedError)) throw error;
          member?.close();
          member = null;
          at = (at + 1) % endpoints.length;
          if (tries === endpoints.length)
            throw new UnavailableError(`etcd: ${messageOf(error)}`, { cause: error });
        }
      }
    },
    close() {
      member?.close();
    },
  };
}

function rowOf(
  instance: ListedInstance,
  { createRevision }: ListedKey,
  times: TimeLeft | null | undefined,
  ageSeconds: number | null,
): Row {
  return {
    ...instance,
    ttlSeconds: times && times.left,
    grantedSeconds: times && times.granted,
    createRevision: Number(createRevision),
    ageSeconds,
  };
}

async function timesLeft(
  from: EtcdClient,
  known: ReadonlyMap<string, TimeLeft>,
  wanted: ReadonlySet<string>,
): Promise<Map<string, TimeLeft>> {
  const now = systemClock.now();
  const result = new Map([...known].filter(([id, { at }]) => wanted.has(id) && now - at < leasePollMs));
  const asked = [...wanted].filter(id => id !== '0' && !result.has(id));
  for (let first = 0; first < asked.length; first += leasesAtOnce) {
    await Promise.all(
      asked.slice(first, first + leasesAtOnce).map(async id => {
        const times = await from.timeToLive(id, { ms: callMs });
        result.set(id, { ...(times ?? { left: 0, granted: 0 }), at: now });
      }),
    );
  }
  return result;
}

/** A key that was deleted and written again is another. */
function idOf({ key, createRevision }: ListedKey): string {
  return `${createRevision} ${key}`;
}

function inOrder(a: Row, b: Row): number {
  const [first, second] = [a, b].map(({ service, layout, address }) => `${service}\n${layout}\n${address}`);
  return (first ?? '').localeCompare(second ?? '', 'en', { numeric: true });
}
