/**
 * The app watch at the kernel: it reads the tables of sockets and the process that owns the app's listening socket.
 * core/watch/watch.ts decides what to read next and what a reading means. It connects to the port only while nothing
 * listens there, or to make sure that nothing does any more. Where it cannot connect, the table must do.
 */
import { TimeLimitError, timerEarlyMs, within, type Clock } from '../clock.ts';
import {
  isIdentified,
  isUnchanged,
  isUnsettled,
  mainSocket,
  nextReading,
  observe,
  pollMs,
  readingGapMs,
  startWatch,
  type Observation,
  type Survey,
  type WatchEvent,
} from '../core/watch/watch.ts';
import { isShortage } from '../core/shortage.ts';
import { codeOf, messageOf } from '../errors.ts';
import { othersFirst } from '../core/watch/hosts.ts';
import { tableGapMs } from '../core/watch/proc-net.ts';
import type { AppHost, Attempt } from './app-host.ts';
import { Connection } from '../network/closing.ts';
import { openHolder, survey, type Holder } from './holder.ts';
import { readSockets } from './sockets.ts';

export interface AppWatch {
  /** Resolves when a reading is due, at `until` (monotonic ms), or when the signal aborts. */
  wait(until: number, signal: AbortSignal): Promise<void>;
  /** Makes the reading that is due, and more where one is not enough to understand a change. */
  poll(): Promise<readonly WatchEvent[]>;
  /**
   * Finds out which sockets listen, unless that is known, and returns what is new. For a caller that needs to know it
   * before it trusts a check that passed.
   * @param isListening whether a check has shown that something listens on the port
   */
  identify(isListening: boolean): Promise<readonly WatchEvent[]>;
  /** Reports the outcome of a check of the app. */
  checked(passed: boolean): void;
  close(): void;
}

/** A connect that is not refused within this time, in ms, means that something listens with a full queue. */
const connectMs = 250;
/** A change takes a connect and a survey to understand, and both again where the survey found no owner. */
const mostReadings = 4;

export interface AppWatchOptions {
  readonly clock: Clock;
  /** Whether to report when the addresses change at which the app listens. */
  readonly followsAddresses: boolean;
}

/** Watches the app that listens on the port of `appHost`. */
export function openAppWatch(appHost: AppHost, { clock, followsAddresses }: AppWatchOptions): AppWatch {
  const { port } = appHost;
  let watch = startWatch(clock.now(), followsAddresses);
  let dueAt = clock.now();
  /** When an app that is absent is searched for at other addresses. */
  let searchAt = -Infinity;
  let holder: Holder | null = null;
  /** Events of a steady tick that the next poll returns. */
  let pending: readonly WatchEvent[] | null = null;

  const connectAnywhere = async (): Promise<Observation> => {
    const connectTo = (host: string): Promise<Observation> => tryConnect(clock, host, port);
    const now = clock.now();
    if (watch.target.kind === 'absent' && now < searchAt) return connectTo(appHost.host);
    const answer = await appHost.ask(connectTo, attemptOf);
    searchAt = now + tableGapMs(appHost.searchMs, 'awaited');
    return answer;
  };

  /** The table is read where a connect fails for lack of something of ours, and only to confirm that the app is gone. */
  const connectOrRead = async (): Promise<Observation> => {
    const answer = await connectAnywhere();
    if (answer.kind !== 'inconclusive' || watch.target.kind !== 'maybe-gone') return answer;
    const { sockets } = readSockets(appHost.host, port);
    if (sockets === null) return answer;
    return sockets.length > 0 ? { kind: 'accepted' } : { kind: 'table', sockets, tookMs: 0 };
  };

  const open = (result: Survey): Survey => {
    if (result.owner === null) return result;
    const withoutOwner = { ...result, owner: null };
    try {
      holder = openHolder(result.owner, result.sockets?.[0]);
      return holder ? result : { ...withoutOwner, hidden: 'its process is ending' };
    } catch (error) {
      const isPassing = isShortage(codeOf(error));
      return { ...withoutOwner, hidden: messageOf(error), isPassing };
    }
  };

  const readOnce = async (): Promise<Observation> => {
    const startedAt = clock.now();
    switch (nextReading(watch, startedAt)) {
      case 'connect':
        return connectOrRead();
      case 'owner':
        return holder?.poll() ?? { kind: 'released', how: 'is out of sight' };
      case 'table': {
        const { sockets } = readSockets(appHost.host, port, mainSocket(watch));
        return { kind: 'table', sockets, tookMs: clock.now() - startedAt };
      }
      case 'survey': {
        holder?.close();
        holder = null;
        const table = readSockets(appHost.host, port);
        appHost.note(table.sockets);
        // This read both tables; the readings that follow read one.
        const tookMs = (clock.now() - startedAt) / 2;
        const sockets = followsAddresses && table.sockets ? othersFirst(table.sockets) : table.sockets;
        return { kind: 'surveyed', survey: open(survey({ ...table, sockets })), tookMs };
      }
    }
  };

  const apply = (observation: Observation): readonly WatchEvent[] => {
    const now = clock.now();
    const { watch: after, events } = observe(watch, observation, now);
    watch = after;
    dueAt = now + readingGapMs(watch, now);
    return events;
  };

  /** The steady tick: reads the owner and nothing else. Returns false when more must be done. */
  const tick = (until: number): boolean => {
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
      const steady = pending === null && nextReading(watch, now) === 'owner' && now + pollMs < until;
      if (steady) return clock.repeat(pollMs, () => tick(until), signal);
      return clock.sleep(Math.max(0, Math.min(until, dueAt) - now), signal);
    },
    async poll() {
      if (pending === null && clock.now() < dueAt - timerEarlyMs) return [];
      let events = pending ?? apply(await readOnce());
      pending = null;
      // An event is returned at once: the check that it leads to cannot wait, the search for the owner can.
      for (let count = 1; count < mostReadings && events.length === 0 && isUnsettled(watch); count++) {
        const observation = await readOnce();
        events = apply(observation);
        if (observation.kind === 'inconclusive') break;
      }
      return events;
    },
    async identify(isListening) {
      let events = pending ?? [];
      pending = null;
      if (isListening && !isIdentified(watch))
        events = [...events, ...apply({ kind: 'checked', passed: true })];
      for (let count = 0; count < mostReadings && !isIdentified(watch); count++) {
        const observation = await readOnce();
        events = [...events, ...apply(observation)];
        if (observation.kind === 'refused' || observation.kind === 'inconclusive') break;
      }
      return events;
    },
    checked: passed => void apply({ kind: 'checked', passed }),
    close() {
      holder?.close();
      holder = null;
    },
  };
}

function attemptOf({ kind }: Observation): Attempt {
  if (kind === 'inconclusive') return 'unknown';
  return kind === 'refused' ? 'refused' : 'answered';
}

/** Connects and closes as a check does. It is inconclusive when it fails for a reason of our own machine. */
export async function tryConnect(clock: Clock, host: string, port: number): Promise<Observation> {
  const socket = new Connection({ host, port }, clock);
  const connected = new Promise((resolve, reject) => socket.once('connect', resolve).on('error', reject));
  try {
    await within(clock, connectMs, 'connect', connected);
    return { kind: 'accepted' };
  } catch (error) {
    if (error instanceof TimeLimitError) return { kind: 'accepted' };
    return { kind: codeOf(error) === 'ECONNREFUSED' ? 'refused' : 'inconclusive' };
  } finally {
    socket.destroy();
  }
}
