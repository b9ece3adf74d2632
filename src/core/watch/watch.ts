/**
 * The app watch as data: what the kernel shows of the app's listening socket and of the process that owns it, what to
 * read next, and what a reading means. Almost every event is only a reason to check the app now. There is one exception:
 * when the socket is gone and a connect is refused, no client can reach the app. In the steady state only the owner is
 * read, which costs microseconds. The table of sockets costs milliseconds, so it is read at changes and seldom otherwise.
 */
import { reachNews, type ReachEvent } from './hosts.ts';
import { tableGapMs, type ListeningSocket } from './proc-net.ts';

/** The process that owns the listening socket. */
export interface Owner {
  readonly pid: number;
  readonly name: string;
  /**
   * Whether we can read its open files. If not, it is the only process of the socket's user, and only its end and its
   * state are visible.
   */
  readonly certain: boolean;
}

/** Which sockets listen on the port, and which process owns the first. */
export interface Survey {
  /** The socket that our checks, or others, reach comes first; null when the kernel does not show the sockets. */
  readonly sockets: readonly ListeningSocket[] | null;
  readonly owner: Owner | null;
  /** Why the survey is not complete, or the empty string. */
  readonly hidden: string;
  /** Whether it may be complete later: a resource had run out. */
  readonly isPassing?: boolean;
}

export interface Watched extends Survey {
  readonly kind: 'watched';
  /** Whether the owner is stopped by a signal (state T). */
  readonly stopped: boolean;
  /** When the table of sockets may be read again, in monotonic ms. */
  readonly tableAt: number;
  /** When a survey that lacked a resource is repeated, in monotonic ms; Infinity for another one. */
  readonly surveyAt: number;
}

/**
 * Something changed since the app was watched.
 * - `unidentified`: something listens; a survey must find its owner.
 * - `maybe-gone`: a connect must show whether anything still listens.
 */
interface Changed {
  readonly kind: 'unidentified' | 'maybe-gone';
  readonly before: Watched | null;
  /** What is gone; null when nothing is known to be gone, and a check failed. */
  readonly gone: string | null;
  /** How many surveys found less than expected. */
  readonly tries: number;
}

export interface Watch {
  /** `absent`: nothing listened at the last connect, or there was none yet; `since` is in monotonic ms. */
  readonly target:
    | { readonly kind: 'absent'; readonly since: number; readonly isReported: boolean }
    | Changed
    | Watched;
  /** What was reported and is not reported again: how well we see the app, and that it is at loopback addresses only. */
  readonly reported: { readonly visibility: string; readonly loopback: boolean };
  /** Whether it is followed at which addresses the app listens, which takes readings of both tables. */
  readonly followsAddresses: boolean;
}

/**
 * - `connect`: is a connect to the port refused?
 * - `survey`: read the table of sockets and search for the owner.
 * - `owner`: does the owner still run, and does it still hold the socket?
 * - `table`: read the table of sockets.
 */
export type Reading = 'connect' | 'survey' | 'owner' | 'table';

/** What a reading, or a check, showed. `tookMs` is the cost of reading the table. */
export type Observation =
  | { readonly kind: 'refused' }
  | { readonly kind: 'accepted' }
  /** A connect failed for a reason that says nothing about the app. */
  | { readonly kind: 'inconclusive' }
  | { readonly kind: 'surveyed'; readonly survey: Survey; readonly tookMs: number }
  | { readonly kind: 'running' }
  | { readonly kind: 'stopped' }
  /** The owner does not hold the socket any more. `how` completes the sentence "process 17 (node) …". */
  | { readonly kind: 'released'; readonly how: string }
  /** Of both tables, unless `mainSocket` names a socket: then of the one that has it. */
  | { readonly kind: 'table'; readonly sockets: readonly ListeningSocket[] | null; readonly tookMs: number }
  | { readonly kind: 'checked'; readonly passed: boolean };

export type WatchEvent =
  /** No client can connect any more. */
  | { readonly kind: 'app-gone'; readonly reason: string }
  /** The first connect was refused. Emitted at most once. */
  | { readonly kind: 'absent' }
  /** Nothing listened before, now something does. */
  | { readonly kind: 'listening' }
  /** Another process or another socket serves the port. With `handover`, the socket itself is one of those before. */
  | { readonly kind: 'replaced'; readonly before: Survey; readonly now: Survey; readonly handover: boolean }
  | { readonly kind: 'stopped'; readonly owner: Owner | null }
  | { readonly kind: 'resumed'; readonly owner: Owner | null }
  /** Clients wait to be accepted. */
  | { readonly kind: 'waiting'; readonly clients: number }
  /** What is watched, and how well. Emitted once, and again when we see more or less than before. */
  | { readonly kind: 'watching'; readonly survey: Survey }
  | ReachEvent;

/** The next state of the watch, and what is new. */
export interface WatchTransition {
  readonly watch: Watch;
  readonly events: readonly WatchEvent[];
}

/** The time between two readings while something listens, in ms. */
export const pollMs = 250;
/** The time between two connects while nothing listens: a share of the time that this has lasted, within bounds in ms. */
const absentShare = 0.02;
const absentMs = { least: 50, most: 250 } as const;
/** How often a survey that found less than expected is repeated. */
const mostTries = 2;
/** The time until a reading that lacked a resource is repeated, in ms. */
const lackMs = 5000;

export function startWatch(now: number, followsAddresses = false): Watch {
  return {
    target: { kind: 'absent', since: now, isReported: false },
    reported: { visibility: '', loopback: false },
    followsAddresses,
  };
}

/** What to read when the next reading is due. */
export function nextReading({ target }: Watch, now: number): Reading {
  switch (target.kind) {
    case 'absent':
    case 'maybe-gone':
      return 'connect';
    case 'unidentified':
      return 'survey';
    case 'watched':
      if (now >= target.surveyAt) return 'survey';
      return target.owner !== null && now < target.tableAt ? 'owner' : 'table';
  }
}

/** The time from a reading that ended at `now` to the next, in ms; Infinity when there is nothing to read. */
export function readingGapMs({ target }: Watch, now: number): number {
  switch (target.kind) {
    case 'absent':
      return Math.min(absentMs.most, Math.max(absentMs.least, absentShare * (now - target.since)));
    case 'maybe-gone':
    case 'unidentified':
      return target.tries > 0 ? absentMs.least : pollMs;
    case 'watched':
      if (target.owner !== null) return pollMs;
      return Math.max(pollMs, Math.min(target.tableAt, target.surveyAt) - now);
  }
}

/** Whether the last reading needs another one at once. */
export function isUnsettled({ target }: Watch): boolean {
  return (target.kind === 'maybe-gone' || target.kind === 'unidentified') && target.tries === 0;
}

/** Whether a reading of the owner shows the same as the last. Cheap, since it runs at every steady tick. */
export function isUnchanged({ target }: Watch, { kind }: Observation): boolean {
  return target.kind === 'watched' && kind === (target.stopped ? 'stopped' : 'running');
}

/** The socket of which a reading of the table is enough; undefined where it must show all. */
export function mainSocket({ target, reported, followsAddresses }: Watch): ListeningSocket | undefined {
  const { sockets } = target.kind === 'watched' ? target : { sockets: null };
  const matterAll = followsAddresses && (reported.loopback || (sockets?.length ?? 0) > 1);
  return matterAll ? undefined : sockets?.[0];
}

/** Whether a process or a socket is known that can be watched, or that there is none to know. */
export function isIdentified({ target }: Watch): boolean {
  return target.kind === 'watched';
}

/** Applies one observation, made at `now` (monotonic ms). */
export function observe(watch: Watch, observation: Observation, now: number): WatchTransition {
  const { target } = watch;
  switch (target.kind) {
    case 'absent':
      if (observation.kind === 'accepted')
        return advance(watch, changed('unidentified', null), { kind: 'listening' });
      if (observation.kind === 'refused' && !target.isReported)
        return advance(watch, { ...target, isReported: true }, { kind: 'absent' });
      if (observation.kind !== 'checked' || !observation.passed) return advance(watch, target);
      return advance(watch, changed('unidentified', null));

    case 'maybe-gone': {
      // Where no connect is possible, only a table that showed the app before shows that it is gone.
      const isMissing = observation.kind === 'table' && observation.sockets?.length === 0;
      if (observation.kind === 'refused' || (isMissing && target.before?.sockets?.length)) {
        const what = target.gone ?? (isMissing ? socketGone : null);
        const reason = `nothing listens any more${what === null ? '' : `: ${what}`}`;
        return advance(watch, { kind: 'absent', since: now, isReported: true }, { kind: 'app-gone', reason });
      }
      if (observation.kind !== 'accepted') return advance(watch, target);
      if (target.gone === null && target.before) return advance(watch, target.before);
      return advance(watch, { ...target, kind: 'unidentified' });
    }

    case 'unidentified': {
      if (observation.kind !== 'surveyed') return advance(watch, target);
      const { survey, tookMs } = observation;
      const { before, tries } = target;
      if (tries >= mostTries || !isIncomplete(survey, before))
        return startWatching(watch, before, survey, now, tookMs);
      const ownerGone = `${describeOwner(before?.owner ?? null)} is gone`;
      const gone = survey.sockets?.length ? ownerGone : (target.gone ?? socketGone);
      return advance(watch, { kind: 'maybe-gone', before, gone, tries: tries + 1 });
    }

    case 'watched':
      return isUnchanged(watch, observation)
        ? advance(watch, target)
        : observeWatched(watch, target, observation, now);
  }
}

const socketGone = 'its listening socket is gone';

function advance(watch: Watch, target: Watch['target'], event?: WatchEvent): WatchTransition {
  return { watch: target === watch.target ? watch : { ...watch, target }, events: event ? [event] : [] };
}

function changed(kind: Changed['kind'], before: Watched | null, gone: string | null = null): Changed {
  return { kind, before, gone, tries: 0 };
}

/** A process that ends releases its socket a moment after its files; a survey in that moment must be repeated. */
function isIncomplete({ sockets, owner }: Survey, before: Watched | null): boolean {
  return sockets?.length === 0 || (owner === null && before?.owner?.certain === true);
}

function observeWatched(
  watch: Watch,
  target: Watched,
  observation: Observation,
  now: number,
): WatchTransition {
  const { owner } = target;
  switch (observation.kind) {
    case 'running':
      return advance(watch, { ...target, stopped: false }, { kind: 'resumed', owner });
    case 'stopped':
      return advance(watch, { ...target, stopped: true }, { kind: 'stopped', owner });
    case 'released':
      return advance(watch, changed('maybe-gone', target, `${describeOwner(owner)} ${observation.how}`));
    case 'table': {
      const { sockets, tookMs } = observation;
      if (sockets === null) return advance(watch, { ...target, tableAt: now + lackMs });
      if (sockets.length === 0) return advance(watch, changed('maybe-gone', target, socketGone));
      const same = sockets.find(({ inode }) => inode === target.sockets?.[0]?.inode);
      if (same === undefined) return advance(watch, changed('unidentified', target));
      const isWhole = mainSocket(watch) === undefined;
      const news = isWhole ? reachNews(watch.reported.loopback, sockets) : null;
      const after = withReach(watch, news);
      const events: WatchEvent[] = news ? [news] : [];
      if (same.waiting > 0) events.push({ kind: 'waiting', clients: same.waiting });
      const known = isWhole ? [same, ...sockets.filter(each => each !== same)] : target.sockets;
      const next = { ...target, sockets: known, tableAt: now + gapMs(after, target, tookMs) };
      // The socket that others reach is the one to watch.
      const isOther = news?.kind === 'reachable';
      return { watch: { ...after, target: isOther ? changed('unidentified', next) : next }, events };
    }
    case 'checked':
      // Without a visible owner, a failed check raises the question whether anything listens.
      if (observation.passed || owner !== null) return advance(watch, target);
      return advance(watch, changed('maybe-gone', target));
    case 'surveyed':
      return surveyedAgain(watch, target, observation, now);
    case 'refused':
    case 'accepted':
    case 'inconclusive':
      return advance(watch, target);
  }
}

/** A survey that had lacked a resource was repeated. What it shows now is no change of the app, unless it is gone. */
function surveyedAgain(
  watch: Watch,
  target: Watched,
  { survey, tookMs }: Extract<Observation, { kind: 'surveyed' }>,
  now: number,
): WatchTransition {
  if (survey.sockets?.length === 0 && target.sockets?.length)
    return advance(watch, changed('maybe-gone', target, socketGone));
  const [before] = target.sockets ?? [];
  const isOther =
    before !== undefined && survey.sockets?.some(({ inode }) => inode === before.inode) === false;
  return startWatching(watch, isOther ? target : null, survey, now, tookMs);
}

/** Starts to watch what the survey found, and reports how it differs from before. */
function startWatching(
  watch: Watch,
  before: Watched | null,
  survey: Survey,
  now: number,
  tookMs: number,
): WatchTransition {
  const news = reachNews(watch.reported.loopback, survey.sockets);
  const after = withReach(watch, news);
  const events: WatchEvent[] = [];
  const [first] = survey.sockets ?? [];
  if (before) {
    const handover = before.sockets?.some(({ inode }) => inode === first?.inode) ?? false;
    if (!handover || before.owner?.pid !== survey.owner?.pid)
      events.push({ kind: 'replaced', before, now: survey, handover });
  }
  const visibility = `${survey.owner?.certain ?? ''} ${survey.owner ? '' : survey.hidden}`;
  if (visibility !== watch.reported.visibility) events.push({ kind: 'watching', survey });
  if (news) events.push(news);
  return {
    watch: {
      ...after,
      target: {
        kind: 'watched',
        ...survey,
        stopped: false,
        tableAt: now + gapMs(after, survey, tookMs),
        surveyAt: survey.isPassing ? now + lackMs : Infinity,
      },
      reported: { ...after.reported, visibility },
    },
    events,
  };
}

function withReach(watch: Watch, news: ReachEvent | null): Watch {
  return news ? { ...watch, reported: { ...watch.reported, loopback: news.kind === 'loopback' } } : watch;
}

/** The time between two readings of the table. A table that shows nothing of the app is not read again. */
function gapMs({ reported, followsAddresses }: Watch, { sockets, owner }: Survey, tookMs: number): number {
  // The table is not readable, or it is that of another network namespace.
  if (sockets === null || sockets.length === 0) return Infinity;
  if (followsAddresses && reported.loopback) return tableGapMs(tookMs, 'awaited');
  return tableGapMs(tookMs, owner ? 'beside' : 'only');
}

/** `process 17 (node)` */
export function describeOwner(owner: Owner | null): string {
  return owner ? `process ${owner.pid} (${owner.name})` : 'the app';
}
