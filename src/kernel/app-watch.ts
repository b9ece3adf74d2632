/**
 * The app watch, as it looks: at the kernel's tables of sockets, at the process that holds the app's listening socket,
 * and by a connect at the port. What to look at next and what a look means is decided in core/watch.ts.
 *
 * It opens no connection to an app that is thought to listen, except to make sure that it does not any more.
 */
import { connect } from 'node:net';
import { timerEarlyMs, type Clock } from '../clock.ts';
import {
  isUnchanged,
  isUnsettled,
  knownSocket,
  readingGapMs,
  pollMs,
  nextReading,
  observe,
  startWatch,
  type Observation,
  type WatchNews,
} from '../core/watch/watch.ts';
import { openHolder, survey, type Holder } from './holder.ts';
import { readSockets } from './sockets.ts';

export interface AppWatch {
  /** Waits until a look is due, or until that moment (monotonic ms), or until the signal aborts. */
  wait(until: number, signal: AbortSignal): Promise<void>;
  /** Looks if a look is due, and as often as it takes to understand what is seen. */
  poll(): Promise<readonly WatchNews[]>;
  /** A check of the app was made. */
  checked(passed: boolean): void;
  close(): void;
}

export interface AppWatchOptions {
  /** Where the checks connect to. */
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
}

/** Who does not refuse a connect for so long, in ms, listens: its queue of connections is full. */
const connectMs = 250;
/** A look at what is gone is a connect, a survey, and both again where the survey found nobody. */
const mostSteps = 4;

export function openAppWatch({ host, port, clock }: AppWatchOptions): AppWatch {
  let watch = startWatch(clock.now());
  let dueAt = clock.now();
  let holder: Holder | null = null;
  /** What a glance saw, and nobody was told yet. */
  let pending: readonly WatchNews[] | null = null;

  const readOnce = async (): Promise<Observation> => {
    const startedAt = clock.now();
    switch (nextReading(watch, startedAt)) {
      case 'connect':
        return tryConnect(clock, host, port);
      case 'owner':
        return holder?.poll() ?? { kind: 'left', how: 'is out of sight' };
      case 'table': {
        const { sockets } = readSockets(host, port, knownSocket(watch));
        return { kind: 'table', sockets, tookMs: clock.now() - startedAt };
      }
      case 'survey': {
        holder?.close();
        const table = readSockets(host, port);
        // Both tables were read; the looks that follow read one.
        const tookMs = (clock.now() - startedAt) / 2;
        const found = survey(table);
        holder = found.owner && openHolder(found.owner, table.sockets?.[0]);
        if (found.owner === null || holder !== null) return { kind: 'surveyed', survey: found, tookMs };
        const withoutOwner = { ...found, owner: null, hidden: 'its process is ending' };
        return { kind: 'surveyed', survey: withoutOwner, tookMs };
      }
    }
  };

  const apply = (observation: Observation): readonly WatchNews[] => {
    const now = clock.now();
    const { watch: after, news } = observe(watch, observation, now);
    watch = after;
    dueAt = now + readingGapMs(watch, now);
    return news;
  };

  /** The steady tick: the owner, and nothing else. False when there is more to do than that. */
  const glance = (until: number): boolean => {
    const now = clock.now();
    if (holder === null || nextReading(watch, now) !== 'owner') {
      dueAt = now;
      return false;
    }
    const observation = holder.poll();
    dueAt = now + pollMs;
    if (isUnchanged(watch, observation)) return dueAt < until;
    pending = apply(observation);
    return false;
  };

  return {
    wait(until, signal) {
      const now = clock.now();
      const calm = pending === null && nextReading(watch, now) === 'owner' && now + pollMs < until;
      if (calm) return clock.repeat(pollMs, () => glance(until), signal);
      return clock.sleep(Math.max(0, Math.min(until, dueAt) - now), signal);
    },
    async poll() {
      if (pending === null && clock.now() < dueAt - timerEarlyMs) return [];
      let news = pending ?? apply(await readOnce());
      pending = null;
      // Whatever is new is told first: who it is that listens can wait, the check cannot.
      for (let step = 1; step < mostSteps && news.length === 0 && isUnsettled(watch); step++) {
        const observation = await readOnce();
        news = apply(observation);
        if (observation.kind === 'unasked') break;
      }
      return news;
    },
    checked(passed) {
      apply({ kind: 'checked', passed });
    },
    close() {
      holder?.close();
      holder = null;
    },
  };
}

/** A connect that is given up at once: accepted, refused, or neither for a reason of our own. */
async function tryConnect(clock: Clock, host: string, port: number): Promise<Observation> {
  const done = new AbortController();
  const socket = connect({ host, port });
  try {
    return await Promise.race([
      new Promise<Observation>(resolve => {
        socket.once('connect', () => resolve({ kind: 'accepted' }));
        socket.on('error', (error: NodeJS.ErrnoException) =>
          resolve({ kind: error.code === 'ECONNREFUSED' ? 'refused' : 'unasked' }),
        );
      }),
      clock.sleep(connectMs, done.signal).then((): Observation => ({ kind: 'accepted' })),
    ]);
  } finally {
    done.abort();
    socket.destroy();
  }
}
