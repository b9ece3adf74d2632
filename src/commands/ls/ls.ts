/**
 * `dockreg ls`: lists the instances in etcd, once or live. It only reads.
 */
import { systemClock } from '../../clock.ts';
import type { ListConfig } from '../../core/settings/process.ts';
import { safeJson } from '../../core/text.ts';
import { UnavailableError } from '../../errors.ts';
import { sharedConnections } from '../../wiring/etcd.ts';
import { alignColumns, formatAge } from '../table.ts';
import { createViewer, type Row, type Viewer } from './viewer.ts';

export interface ListOptions {
  readonly config: ListConfig;
  readonly json: boolean;
  /** List again and again until stopped. */
  readonly watch: boolean;
  /** On a terminal each list replaces the one before. */
  readonly output: Output;
  /** For errors while a program reads `output`. */
  readonly errors: Output;
}

export interface Output {
  readonly isTTY: boolean;
  /** Calls `done` when the text is written, or with the reason why it never will be. */
  write(text: string, done: (error?: Error | null) => void): unknown;
}

const pollMs = 1000;
const clearScreen = '\u001B[H\u001B[2J\u001B[3J';

/** @throws UnavailableError when no endpoint answers, unless it watches */
export async function list(options: ListOptions, stop: AbortSignal): Promise<void> {
  const { config, json, watch, output } = options;
  // With --watch --json a line comes when something has changed. The time left of a lease changes always, and takes a
  // call for each lease, which would delay the line.
  const readsLeases = !(json && watch);
  const connect = sharedConnections(config);
  const viewer = createViewer({ config, connect, clock: systemClock, readsLeases });
  try {
    if (watch) return await keepListing(viewer, options, stop);
    const rows = await viewer.read();
    await print(output, json ? `${safeJson(rows, 2)}\n` : formatTable(rows, false));
  } finally {
    viewer.close();
  }
}

/** Ends when `stop` aborts, or when nobody reads the output any more. */
async function keepListing(
  viewer: Viewer,
  { json, output, errors }: ListOptions,
  stop: AbortSignal,
): Promise<void> {
  const replaces = output.isTTY && !json;
  let printed: string | null = null;
  while (!stop.aborted) {
    const next = await viewer.read().then(
      rows => ({
        text: json ? `${safeJson(rows)}\n` : formatTable(rows, true),
        fingerprint: fingerprintOf(rows),
        to: output,
      }),
      (error: unknown) => {
        if (!(error instanceof UnavailableError)) throw error;
        const text = `${error.message}; retrying\n`;
        return { text: json ? `dockreg: ${text}` : text, fingerprint: text, to: json ? errors : output };
      },
    );
    if (replaces || next.fingerprint !== printed) {
      const isWritten = await print(next.to, replaces ? `${clearScreen}${next.text}` : next.text);
      if (!isWritten) return;
    }
    printed = next.fingerprint;
    await systemClock.sleep(pollMs, stop);
  }
}

/** Resolves with whether the text was written. The process must not end before. */
function print(output: Output, text: string): Promise<boolean> {
  return new Promise(resolve => {
    output.write(text, error => resolve(!error));
  });
}

/** Returns the table, grouped by service. The age is shown only by `--watch`: etcd itself does not know it. */
export function formatTable(rows: readonly Row[], watch: boolean): string {
  if (rows.length === 0) return 'no instances\n';
  const head = ['SERVICE', 'ADDRESS', 'HOST', 'TTL LEFT', ...(watch ? ['AGE'] : []), 'REVISION', 'LAYOUT'];
  const lines = rows.map((row, index) => [
    row.service === rows[index - 1]?.service ? '' : row.service || '""',
    row.address,
    row.host,
    row.ttlSeconds === null ? 'no lease' : `${row.ttlSeconds}/${row.grantedSeconds ?? 0} s`,
    ...(watch ? [row.ageSeconds === null ? '' : formatAge(row.ageSeconds)] : []),
    String(row.createRevision),
    row.layout,
  ]);
  return alignColumns([head, ...lines]);
}

/** Two lists of rows with the same fingerprint differ only in the seconds that pass. */
function fingerprintOf(rows: readonly Row[]): string {
  return JSON.stringify(
    rows.map(({ key, address, weight, createRevision }) => [key, address, weight, createRevision]),
  );
}
