/**
 * The app watch as data: what the kernel shows of the app's listening socket and of the process that holds it, what to
 * look at next, and what a look means. A look is only ever a reason to check the app now, with one exception: when what
 * was watched is gone and a connect is refused, nobody can reach the app, and no check could say anything else.
 *
 * It keeps dear looks rare: in the steady state the owner is looked at, which costs microseconds; the kernel's table of
 * sockets, which costs milliseconds, only as often as a fixed share of the time allows, and at changes.
 */
import { isLoopback, type ListeningSocket } from './proc-net.ts';

/** The process that holds the listening socket. */
export interface Owner {
  readonly pid: number;
  readonly name: string;
  /** Whether its open files can be read. If not, it is the only process of the socket's user, and seen to end only. */
  readonly certain: boolean;
}

/** What a survey found: who listens, and who holds the socket. */
export interface Survey {
  /** The sockets that listen on the port, that which our checks reach first; null when the kernel does not show them. */
  readonly sockets: readonly ListeningSocket[] | null;
  readonly owner: Owner | null;
  /** Why not all is seen, or the empty string. */
  readonly hidden: string;
}

export interface Watched extends Survey {
  readonly kind: 'watched';
  /** Whether the owner was seen stopped (state T). */
  readonly stopped: boolean;
  /** When the table of sockets may be read again, in monotonic ms. */
  readonly tableAt: number;
}

export type Target =
  /** Nothing listened when we last asked, or we did not ask yet. `since` in monotonic ms. */
  | { readonly kind: 'absent'; readonly since: number }
  /** Something listens; who, is to be found out. `tries`: so many surveys found less than they should. */
  | { readonly kind: 'present'; readonly before: Watched | null; readonly tries: number }
  /** Something is gone, or only a check failed (`gone` is null). Whether anybody still listens is to be asked. */
  | {
      readonly kind: 'doubtful';
      readonly before: Watched | null;
      readonly gone: string | null;
      readonly tries: number;
    }
  | Watched;

export interface Watch {
  readonly target: Target;
  /** What was said once and needs no second word. */
  readonly reported: { readonly observation: string; readonly loopback: boolean };
}

/**
 * - `connect`: is a connect to the port refused?
 * - `survey`: read the table of sockets and look for the owner.
 * - `owner`: is the owner still there, running, and does it still hold the socket?
 * - `table`: read the table of sockets.
 */
export type Reading = 'connect' | 'survey' | 'owner' | 'table';

/** What a look, or a check, showed. `tookMs` is what reading the table cost. */
export type Observation =
  | { readonly kind: 'refused' }
  | { readonly kind: 'accepted' }
  /** A connect failed for a reason that says nothing about the app. */
  | { readonly kind: 'unasked' }
  | { readonly kind: 'surveyed'; readonly survey: Survey; readonly tookMs: number }
  | { readonly kind: 'runs' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'left'; readonly how: string }
  | { readonly kind: 'table'; readonly sockets: readonly ListeningSocket[] | null; readonly tookMs: number }
  | { readonly kind: 'checked'; readonly passed: boolean };

export type WatchNews =
  /** Nobody can connect any more. */
  | { readonly kind: 'app-gone'; readonly reason: string }
  /** Nothing listened, now something does. */
  | { readonly kind: 'listening' }
  /** Another process, or another socket, serves the port. `handover`: the socket itself is one that was there before. */
  | {
      readonly kind: 'replaced';
      readonly before: Survey;
      readonly now: Survey;
      readonly handover: boolean;
    }
  | { readonly kind: 'stopped'; readonly owner: Owner | null }
  | { readonly kind: 'resumed'; readonly owner: Owner | null }
  /** Clients wait to be accepted. */
  | { readonly kind: 'waiting'; readonly clients: number }
  /** What is watched, and how well; said first and when it changes in kind. */
  | { readonly kind: 'watching'; readonly survey: Survey }
  /** The app listens on a loopback address only; said once. */
  | { readonly kind: 'loopback'; readonly socket: ListeningSocket };

/** From look to look while something listens, in ms. */
export const pollMs = 250;
/** From connect to connect while nothing listens: a share of the time that this has lasted, within bounds in ms. */
const absentShare = 0.02;
const absentMs = { least: 50, most: 250 } as const;
/**
 * The share of the time that reading the table may cost: little beside the looks at the owner, more where there is
 * nothing else to look at. And from reading to reading at least, in ms.
 */
const tableShare = { beside: 0.0002, only: 0.001 } as const;
const tableMs = 1000;

/** How often a survey that found less than it should is made again. */
const mostTries = 2;

const nothing: readonly WatchNews[] = [];

export function startWatch(now: number): Watch {
  return { target: { kind: 'absent', since: now }, reported: { observation: '', loopback: false } };
}

/** What to look at when the next look is due. */
export function nextReading({ target }: Watch, now: number): Reading {
  switch (target.kind) {
    case 'absent':
    case 'doubtful':
      return 'connect';
    case 'present':
      return 'survey';
    case 'watched':
      return target.owner !== null && now < target.tableAt ? 'owner' : 'table';
  }
}

/** From a look that ended at `now` to the next, in ms; Infinity when there is nothing to look at. */
export function readingGapMs({ target }: Watch, now: number): number {
  switch (target.kind) {
    case 'absent':
      return Math.min(absentMs.most, Math.max(absentMs.least, absentShare * (now - target.since)));
    case 'doubtful':
    case 'present':
      return target.tries > 0 ? absentMs.least : pollMs;
    case 'watched':
      return target.owner === null ? Math.max(pollMs, target.tableAt - now) : pollMs;
  }
}

/** Whether the last look asks for another one at once. */
export function isUnsettled({ target }: Watch): boolean {
  return (target.kind === 'doubtful' || target.kind === 'present') && target.tries === 0;
}

/** Whether a look at the owner shows what it showed before. It is asked all day, so it is cheap. */
export function isUnchanged({ target }: Watch, { kind }: Observation): boolean {
  return target.kind === 'watched' && kind === (target.stopped ? 'stopped' : 'runs');
}

/** The socket that is watched. */
export function knownSocket({ target }: Watch): ListeningSocket | undefined {
  return target.kind === 'watched' ? target.sockets?.[0] : undefined;
}

/** What a sight makes of the watch, and what is new. */
export function observe(
  watch: Watch,
  observation: Observation,
  now: number,
): { readonly watch: Watch; readonly news: readonly WatchNews[] } {
  const { target } = watch;
  const unchanged = { watch, news: nothing };
  const turn = (next: Target, ...news: WatchNews[]): typeof unchanged => ({
    watch: { ...watch, target: next },
    news,
  });

  switch (target.kind) {
    case 'absent':
      if (observation.kind === 'accepted')
        return turn({ kind: 'present', before: null, tries: 0 }, { kind: 'listening' });
      return observation.kind === 'checked' && observation.passed
        ? turn({ kind: 'present', before: null, tries: 0 })
        : unchanged;

    case 'doubtful':
      if (observation.kind === 'refused')
        return turn(
          { kind: 'absent', since: now },
          { kind: 'app-gone', reason: `nothing listens any more${target.gone ? `: ${target.gone}` : ''}` },
        );
      if (observation.kind !== 'accepted') return unchanged;
      return target.gone === null && target.before
        ? turn(target.before)
        : turn({ kind: 'present', before: target.before, tries: target.tries });

    case 'present':
      if (observation.kind !== 'surveyed') return unchanged;
      if (target.tries < mostTries && isIncomplete(observation.survey, target.before)) {
        const gone = observation.survey.sockets?.length ? ownerGone(target.before) : socketGone;
        return turn({ kind: 'doubtful', before: target.before, gone, tries: target.tries + 1 });
      }
      return settle(
        watch,
        target.before,
        observation.survey,
        now + tableGapMs(observation.survey, observation.tookMs),
      );

    case 'watched':
      if (isUnchanged(watch, observation)) return unchanged;
      return observeWatched(watch, target, observation, now);
  }
}

const socketGone = 'its listening socket is gone';

function ownerGone(before: Watched | null): string {
  return `${describeOwner(before?.owner ?? null)} is gone`;
}

/** A process that ends lets its socket go a moment after its files: what that moment shows is looked at again. */
function isIncomplete({ sockets, owner }: Survey, before: Watched | null): boolean {
  return sockets?.length === 0 || (owner === null && before?.owner?.certain === true);
}

function observeWatched(
  watch: Watch,
  target: Watched,
  observation: Observation,
  now: number,
): { readonly watch: Watch; readonly news: readonly WatchNews[] } {
  const turn = (next: Target, ...news: WatchNews[]): { watch: Watch; news: readonly WatchNews[] } => ({
    watch: { ...watch, target: next },
    news,
  });
  const { owner } = target;
  switch (observation.kind) {
    case 'runs':
      return turn({ ...target, stopped: false }, { kind: 'resumed', owner });
    case 'stopped':
      return turn({ ...target, stopped: true }, { kind: 'stopped', owner });
    case 'left':
      return turn({
        kind: 'doubtful',
        before: target,
        gone: `${describeOwner(owner)} ${observation.how}`,
        tries: 0,
      });
    case 'table': {
      const { sockets } = observation;
      if (sockets === null) return turn({ ...target, tableAt: Infinity });
      const [first] = target.sockets ?? [];
      if (sockets.length === 0) return turn({ kind: 'doubtful', before: target, gone: socketGone, tries: 0 });
      const same = sockets.find(({ inode }) => inode === first?.inode);
      if (same === undefined) return turn({ kind: 'present', before: target, tries: 0 });
      const next = { ...target, tableAt: now + tableGapMs(target, observation.tookMs) };
      return same.waiting > 0 ? turn(next, { kind: 'waiting', clients: same.waiting }) : turn(next);
    }
    case 'checked':
      // Where no owner is seen, a failed check leaves the question whether anybody listens.
      return !observation.passed && owner === null
        ? turn({ kind: 'doubtful', before: target, gone: null, tries: 0 })
        : { watch, news: nothing };
    case 'refused':
    case 'accepted':
    case 'unasked':
    case 'surveyed':
      return { watch, news: nothing };
  }
}

/** A survey is done: what is watched from here, and how it differs from before. */
function settle(
  watch: Watch,
  before: Watched | null,
  survey: Survey,
  tableAt: number,
): { readonly watch: Watch; readonly news: readonly WatchNews[] } {
  const news: WatchNews[] = [];
  const [first] = survey.sockets ?? [];
  const observation = `${survey.owner?.certain ?? ''} ${survey.owner ? '' : survey.hidden}`;
  if (before) {
    const handover = before.sockets?.some(({ inode }) => inode === first?.inode) ?? false;
    const same = handover && before.owner?.pid === survey.owner?.pid;
    if (!same) news.push({ kind: 'replaced', before, now: survey, handover });
  }
  if (observation !== watch.reported.observation) news.push({ kind: 'watching', survey });
  const loopback = first !== undefined && (survey.sockets?.every(({ ip }) => isLoopback(ip)) ?? false);
  if (loopback && !watch.reported.loopback) news.push({ kind: 'loopback', socket: first });
  return {
    watch: {
      target: { kind: 'watched', ...survey, stopped: false, tableAt },
      reported: { observation, loopback: loopback || watch.reported.loopback },
    },
    news,
  };
}

/** From reading the table to the next time. One that shows nothing is not worth another look. */
function tableGapMs(survey: Survey, tookMs: number): number {
  if (isBlind(survey)) return Infinity;
  return Math.max(tableMs, tookMs / (survey.owner ? tableShare.beside : tableShare.only));
}

/** Whether nothing of the app's socket can be seen: the table is not readable, or of another network namespace. */
function isBlind({ sockets }: Survey): boolean {
  return sockets === null || sockets.length === 0;
}

/** `process 17 (node)` */
export function describeOwner(owner: Owner | null): string {
  return owner ? `process ${owner.pid} (${owner.name})` : 'the app';
}
