/**
 * Keeps a server of the admin API from listening while no file descriptor is left. A connection that cannot be accepted
 * stays in its queue, so Node would try again at once, in a loop that takes a whole core.
 */
import { open, type FileHandle } from 'node:fs/promises';
import type { Server } from 'node:net';
import type { Clock } from '../clock.ts';
import { isShortage } from '../core/shortage.ts';
import { codeOf } from '../errors.ts';
import type { Log } from '../log.ts';

/** The time between two tests for free descriptors, in ms: while the server listens, and while it rests. */
const testMs = { listening: 5000, resting: 1000 } as const;

interface AcceptingOptions {
  /** Begins to listen, and may throw. */
  readonly listen: () => void;
  /** What listens, for the log: `--listen 0.0.0.0:9090`. */
  readonly what: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Starts with a server that listens. Returns a function that closes it for good. */
export function keepAccepting(server: Server, { listen, what, clock, log }: AcceptingOptions): () => void {
  const closed = new AbortController();
  let isResting = false;
  const test = async (): Promise<void> => {
    await clock.sleep(isResting ? testMs.resting : testMs.listening, closed.signal);
    // To listen takes one, and to accept another.
    const shortage = closed.signal.aborted ? null : await findShortage(isResting ? 2 : 1);
    if (closed.signal.aborted) return;
    if (isResting && shortage === null) {
      try {
        listen();
      } catch {
        // The next test tries again.
      }
    }
    if (!isResting && shortage !== null) {
      isResting = true;
      server.close();
      log.warn(`${what} accepts no connections: no file descriptor is left (${shortage})`);
    }
    void test();
  };
  server.on('listening', () => {
    isResting = false;
    log.info(`${what} accepts connections again`);
  });
  // An error ends one connection or one attempt to listen, not the server.
  server.on('error', () => undefined);
  void test();
  return () => {
    closed.abort();
    server.close();
  };
}

/** Opens this many files and closes them. Resolves with the code of the shortage that this meets, or with null. */
async function findShortage(count: number): Promise<string | null> {
  const files: FileHandle[] = [];
  try {
    while (files.length < count) files.push(await open('/dev/null'));
    return null;
  } catch (error) {
    return isShortage(codeOf(error)) ? codeOf(error) : null;
  } finally {
    for (const file of files) await file.close();
  }
}
