/**
 * Judges a history: finds what must never happen, whatever the faults were. Pure. Where a fact can be explained in the
 * program's favour, it is, so that each violation is a real one.
 */
import {
  detectionMs,
  expiryMs,
  renewedByLeaderMs,
  quietRepairMs,
  repairMs,
  slackMs,
  staleMs,
  stopMs,
  watchLagMs,
  settings,
} from './bounds.ts';
import { ofKind, type History } from './history.ts';
import { complement, covers, intersect, touches, union, whileOn, type Span } from './spans.ts';

export type Invariant =
  /** A key exists for an app that has long been down, or for a program that has long ended. */
  | 'stale-key'
  /** The program ran, reached etcd, and did not remove the key of an app that was down. */
  | 'late-withdrawal'
  /** The program ran, reached etcd, and did not bring back the key of an app that answers. */
  | 'missing-key'
  /** A program deleted a key that was not its own. */
  | 'foreign-delete'
  /** A key was written for an app that has passed no check since the key was removed, or none a moment ago. */
  | 'unchecked-put'
  /** A program removed the key of an app that answered all the time. */
  | 'false-verdict'
  /** A program that received SIGTERM in quiet times left its key. */
  | 'left-behind'
  /** A program did not end on SIGTERM, or not well, or ended without it. */
  | 'bad-end'
  /** A program logged a crash, or wrote to standard error. */
  | 'crash';

export interface Violation {
  readonly invariant: Invariant;
  readonly slot: number;
  readonly message: string;
  /** Where to look in the history. */
  readonly span: Span;
}

/** One value of a key, and the time for which the key had it. */
interface Standing extends Span {
  readonly lease: string;
  readonly value: string;
  readonly revision: number;
}

interface Process {
  readonly slot: number;
  readonly name: string;
  readonly startedAt: number;
  /** When it received SIGTERM, was killed or ended, whichever came first. */
  readonly leavesAt: number;
  readonly endedAt: number;
  /** When it received SIGTERM; null if it did not. */
  readonly stoppingAt: number | null;
  readonly killed: boolean;
  readonly exit: { readonly code: number | null; readonly signal: string | null } | null;
  readonly paused: readonly Span[];
  /** It runs and has not received SIGTERM. */
  readonly running: readonly Span[];
  /** By member: the link to it passes. */
  readonly links: readonly (readonly Span[])[];
  /** By member: the link held what was sent, to deliver it later. */
  readonly holds: readonly (readonly Span[])[];
  readonly leases: ReadonlySet<string>;
}

export function check(history: History): Violation[] {
  const view = new View(history);
  const found: Violation[] = [];
  for (const process of view.processes) found.push(...checkEnd(view, process), ...checkLines(view, process));
  for (const slot of view.slots) {
    found.push(...checkStale(view, slot), ...checkMissing(view, slot));
    found.push(...checkDeletes(view, slot), ...checkPuts(view, slot));
  }
  return found.toSorted((a, b) => a.span.from - b.span.from);
}

/** The history as spans. */
class View {
  readonly history: History;
  readonly whole: Span;
  readonly slots: readonly number[];
  readonly members: readonly number[];
  readonly processes: readonly Process[];
  /** By slot: the app answers. */
  readonly able: readonly (readonly Span[])[];
  readonly down: readonly (readonly Span[])[];
  readonly standing: readonly (readonly Standing[])[];
  /** By member: it answers reads that need a majority. */
  readonly serves: readonly (readonly Span[])[];
  readonly served: readonly Span[];
  readonly writable: readonly Span[];
  readonly stalls: readonly Span[];
  /** When a later term was first observed. */
  readonly elections: readonly number[];
  /** The leases of other clients. */
  readonly theirs: ReadonlySet<string>;

  constructor(history: History) {
    const { startedAt, endedAt, slots, members } = history;
    this.history = history;
    this.whole = { from: startedAt, to: endedAt };
    this.slots = Array.from({ length: slots }, (_, slot) => slot);
    this.members = Array.from({ length: members }, (_, member) => member);
    this.able = this.slots.map(slot => {
      const changes = ofKind(history, 'app').filter(fact => fact.slot === slot);
      return whileOn(
        changes.map(({ at, able }) => ({ at, on: able })),
        endedAt,
      );
    });
    this.down = this.able.map(spans => complement(spans, this.whole));
    this.stalls = union(ofKind(history, 'stall').map(({ at, until }) => ({ from: at, to: until })));
    this.standing = this.slots.map(slot => valuesOf(history, slot));
    const pulses = ofKind(history, 'pulse');
    this.serves = this.members.map(member => {
      const own = pulses.filter(fact => fact.member === member);
      return union(
        own.flatMap((fact, index) => {
          const next = own[index + 1];
          return fact.ok && next?.ok ? [{ from: fact.at, to: next.until }] : [];
        }),
      );
    });
    this.served = union(...this.serves);
    const nospace = ofKind(history, 'nospace').map(({ at, on }) => ({ at, on }));
    this.writable = complement(whileOn(nospace, endedAt), this.whole);
    this.elections = electionsOf(pulses);
    this.theirs = new Set(
      ofKind(history, 'others').flatMap(({ how, lease }) =>
        lease !== null && (how === 'take' || how === 'leave') ? [lease] : [],
      ),
    );
    this.processes = processesOf(history);
  }

  processesAt(slot: number): Process[] {
    return this.processes.filter(process => process.slot === slot);
  }

  ownerOf(slot: number, lease: string): Process | undefined {
    return this.processesAt(slot).find(({ leases }) => leases.has(lease));
  }

  /** Whether the events of that time were observed when they happened. */
  isCertain({ from, to }: Span): boolean {
    return !touches(this.stalls, { from: from - slackMs, to: to + slackMs });
  }

  isOurs(lease: string): boolean {
    return lease !== '0' && !this.theirs.has(lease);
  }

  /** When the process could use the member. */
  usable(process: Process, member: number): Span[] {
    return intersect(this.serves[member] ?? [], process.links[member] ?? []);
  }

  /** The number of other members that could not be used for some of the time. */
  hangingOthers(process: Process, member: number, span: Span): number {
    return this.members.filter(other => other !== member && !covers(this.usable(process, other), span))
      .length;
  }

  /** The spans within `spans`, longer than their bound, in which the process ran and could use one member. */
  overdue(process: Process, spans: readonly Span[]): { readonly span: Span; readonly boundMs: number }[] {
    return this.members.flatMap(member =>
      intersect(spans, process.running, this.usable(process, member), this.writable).flatMap(span => {
        const boundMs = repairMs(this.hangingOthers(process, member, span));
        return span.to - span.from > boundMs ? [{ span, boundMs }] : [];
      }),
    );
  }

  time(at: number): string {
    return `${((at - this.whole.from) / 1000).toFixed(3)} s`;
  }
}

function valuesOf(history: History, slot: number): Standing[] {
  const changes = history.facts.filter(
    fact => fact.kind === 'wiped' || ((fact.kind === 'put' || fact.kind === 'delete') && fact.slot === slot),
  );
  return changes.flatMap((fact, index) => {
    if (fact.kind !== 'put') return [];
    const { at: from, lease, value, revision } = fact;
    return [{ from, to: changes[index + 1]?.at ?? history.endedAt, lease, value, revision }];
  });
}

function electionsOf(pulses: readonly { readonly until: number; readonly term: number | null }[]): number[] {
  let known = 0;
  return pulses
    .toSorted((a, b) => a.until - b.until)
    .flatMap(({ until, term }) => {
      if (term === null || term === known) return [];
      known = term;
      return [until];
    });
}

function processesOf(history: History): Process[] {
  const starts = ofKind(history, 'program').filter(({ what }) => what === 'started');
  return starts.map(({ at: startedAt, slot, instance: name }) => {
    const own = ofKind(history, 'program').filter(({ instance }) => instance === name);
    const ended = ofKind(history, 'ended').find(({ instance }) => instance === name);
    const stoppingAt = own.find(({ what }) => what === 'stopping')?.at ?? null;
    const killedAt = own.find(({ what }) => what === 'killed')?.at;
    const endedAt = ended?.at ?? history.endedAt;
    const leavesAt = Math.min(stoppingAt ?? Infinity, killedAt ?? Infinity, endedAt);
    const pauses = own.filter(({ what }) => what === 'paused' || what === 'resumed');
    const paused = whileOn(
      pauses.map(({ at, what }) => ({ at, on: what === 'paused' })),
      endedAt,
    );
    const links = ofKind(history, 'link').filter(({ instance }) => instance === name);
    const modes = Array.from({ length: history.members }, (_, member) => [
      { at: startedAt, mode: 'pass' },
      ...links.filter(fact => fact.member === member),
    ]);
    const whileIn = (...wanted: string[]): Span[][] =>
      modes.map(changes =>
        whileOn(
          changes.map(({ at, mode }) => ({ at, on: wanted.includes(mode) })),
          endedAt,
        ),
      );
    const lines = ofKind(history, 'line').filter(({ instance }) => instance === name);
    return {
      slot,
      name,
      startedAt,
      leavesAt,
      endedAt,
      stoppingAt,
      killed: killedAt !== undefined,
      exit: ended ?? null,
      paused,
      running: intersect(complement(paused, { from: startedAt, to: leavesAt })),
      links: whileIn('pass', 'delay'),
      holds: whileIn('silent', 'silent-up', 'silent-down', 'delay'),
      leases: new Set(lines.flatMap(({ lease }) => lease ?? [])),
    };
  });
}

/** (a) No key for an app that is down or a program that is gone, beyond the time that a lease may live. */
function* checkStale(view: View, slot: number): Generator<Violation> {
  for (const standing of view.standing[slot] ?? []) {
    if (!view.isOurs(standing.lease)) continue;
    const owner = view.ownerOf(slot, standing.lease);
    const gone = owner && owner.leavesAt < standing.to ? [{ from: owner.leavesAt, to: standing.to }] : [];
    for (const span of intersect([standing], union(view.down[slot] ?? [], gone))) {
      const deadline = expiryDeadline(view, span.from, owner);
      if (span.to > deadline) {
        yield {
          invariant: 'stale-key',
          slot,
          span: { from: span.from, to: span.to },
          message:
            `the key under ${standing.lease} of ${owner?.name ?? 'an unknown program'} existed from ${view.time(span.from)} ` +
            `to ${view.time(span.to)} without a reason; its lease must have expired by ${view.time(deadline)}`,
        };
      }
    }
    if (!owner) continue;
    for (const { span, boundMs } of view.overdue(owner, intersect([standing], view.down[slot] ?? []))) {
      yield {
        invariant: 'late-withdrawal',
        slot,
        span,
        message: `${owner.name} ran, reached etcd and did not remove the key of an app that was down for ${ms(span)}, bound ${boundMs} ms`,
      };
    }
  }
}

/** The latest moment at which a lease may still live if no check passes after `since`. */
function expiryDeadline(view: View, since: number, owner: Process | undefined): number {
  const lastRenewal = since + detectionMs;
  let deadline = lastRenewal + expiryMs;
  // What was sent in time may arrive late: through a link that held it, or from a program that was paused meanwhile.
  const late = owner ? [...owner.holds.flat(), ...owner.paused].filter(({ from }) => from < lastRenewal) : [];
  const unserved = complement(view.served, view.whole);
  const elections = view.elections.map(at => ({ from: at, to: at }));
  const renewals = [...late, ...unserved, ...elections].toSorted((a, b) => a.from - b.from);
  for (const { from, to } of renewals) {
    if (from <= deadline && to >= since) deadline = Math.max(deadline, to + renewedByLeaderMs);
  }
  return deadline;
}

/** (b) The key of an app that answers exists soon after its program can reach etcd. */
function* checkMissing(view: View, slot: number): Generator<Violation> {
  const right = (view.standing[slot] ?? []).filter(
    ({ lease, value }) => view.theirs.has(lease) || (lease !== '0' && value === 'running'),
  );
  const wrong = complement(right, view.whole);
  for (const process of view.processesAt(slot)) {
    const reasons = reasonsToBeMissing(view, process);
    for (const { span, boundMs } of missingFor(view, process, wrong, reasons)) {
      yield {
        invariant: 'missing-key',
        slot,
        span,
        message:
          `${process.name} ran, reached etcd and left a healthy app without its key until ${view.time(span.to)}, ` +
          `${ms(span)} after the last reason, bound ${boundMs} ms`,
      };
    }
  }
}

/**
 * The moments of events that remove a key, or keep its program from renewing it, while one member can be used all the
 * time.
 */
function reasonsToBeMissing(view: View, process: Process): number[] {
  const { history } = view;
  return [
    ...ofKind(history, 'others').filter(({ slot }) => slot === process.slot),
    ...ofKind(history, 'wiped'),
    ...ofKind(history, 'line').filter(
      ({ instance, message }) => instance === process.name && message.startsWith('app down'),
    ),
  ]
    .map(fact => ('until' in fact ? fact.until : fact.at))
    .concat(view.members.flatMap(member => view.usable(process, member).map(({ to }) => to)))
    .concat(view.stalls.map(({ to }) => to));
}

/** The spans, longer than their bound, from the last reason until the key is right. */
function* missingFor(
  view: View,
  process: Process,
  wrong: readonly Span[],
  reasons: readonly number[],
): Generator<{ readonly span: Span; readonly boundMs: number }> {
  const well = intersect(process.running, view.able[process.slot] ?? [], view.writable);
  for (const member of view.members) {
    for (const free of intersect(well, view.usable(process, member))) {
      for (const { from, to } of intersect(wrong, [free])) {
        const since = Math.max(free.from, ...reasons.filter(at => at <= from + watchLagMs));
        const span = { from: since, to };
        const quiet = { from: since - repairMs(0), to };
        const isQuiet = view.members.every(each => covers(view.usable(process, each), quiet));
        const boundMs = isQuiet ? quietRepairMs : repairMs(view.hangingOthers(process, member, span));
        // A key that is missing for a moment is the late repair of another violation.
        if (to - since > boundMs && to - from > quietRepairMs) yield { span, boundMs };
      }
    }
  }
}

/** (c) Every delete was made by a client that had the right to it. */
function* checkDeletes(view: View, slot: number): Generator<Violation> {
  const others = ofKind(view.history, 'others').filter(fact => fact.slot === slot);
  for (const { at, lease, revision } of ofKind(view.history, 'delete').filter(fact => fact.slot === slot)) {
    const near = others.filter(({ at: from, until }) => from - watchLagMs <= at && at <= until + watchLagMs);
    const byOthers = near.some(
      ({ how, lease: other }) => how === 'delete' || (other === lease && lease !== '0'),
    );
    if (byOthers || !view.isCertain({ from: at, to: at })) continue;
    const violation = (why: string): Violation => ({
      invariant: 'foreign-delete',
      slot,
      span: { from: at, to: at },
      message: `revision ${revision} deleted the key under ${lease} at ${view.time(at)}: ${why}`,
    });
    if (!view.isOurs(lease)) {
      yield violation('only its owner may delete it');
      continue;
    }
    const owner = view.ownerOf(slot, lease);
    // The time that counts: a TTL, and the time until etcd removes a lease that has expired.
    const before = { from: at - settings.ttlMs - slackMs, to: at };
    if (owner && !hadReason(view, owner, lease, before))
      yield violation(`its owner ${owner.name} was healthy and did not withdraw it`);
  }
}

/** Whether the owner withdrew the lease, or could not keep it alive for all of the time. */
function hadReason(view: View, owner: Process, lease: string, before: Span): boolean {
  const around = { from: before.to - settings.ttlMs, to: before.to + 2 * slackMs };
  const withdrew = ofKind(view.history, 'line').some(
    ({ instance, lease: named, message, at }) =>
      instance === owner.name &&
      around.from <= at &&
      at <= around.to &&
      ((named === lease && message.startsWith('withdrawn')) || message.startsWith('app down')),
  );
  // A member that hangs takes so much of a short TTL that the lease may be gone before the next member is tried.
  const well =
    covers(owner.running, before) &&
    covers(view.able[owner.slot] ?? [], before) &&
    view.members.every(member => covers(view.usable(owner, member), before)) &&
    !touches(view.stalls, before);
  return withdrew || !well;
}

/** (d) Nothing is written for an app that has not passed a check since the key was removed, or not a moment ago. */
function* checkPuts(view: View, slot: number): Generator<Violation> {
  const passed = ofKind(view.history, 'asked').filter(fact => fact.slot === slot && fact.able);
  const passedWithin = (from: number, to: number): boolean => passed.some(({ at }) => from <= at && at <= to);
  const deletes = ofKind(view.history, 'delete').filter(fact => fact.slot === slot);
  const others = ofKind(view.history, 'others').filter(fact => fact.slot === slot);
  for (const standing of view.standing[slot] ?? []) {
    if (!view.isOurs(standing.lease)) continue;
    const { from: at, lease, revision } = standing;
    const owner = view.ownerOf(slot, lease);
    const gone = deletes.findLast(fact => fact.at < at);
    const sameOwner = gone && owner && view.ownerOf(slot, gone.lease) === owner;
    const byOthers =
      gone &&
      gone.lease === lease &&
      others.some(
        ({ how, at: from, until }) =>
          how === 'delete' && from - watchLagMs <= gone.at && gone.at <= until + watchLagMs,
      );
    const violation = (from: number, why: string): Violation => ({
      invariant: 'unchecked-put',
      slot,
      span: { from, to: at },
      message: `revision ${revision} put the key under ${lease} of ${owner?.name ?? 'an unknown program'} at ${view.time(at)}: ${why}`,
    });
    if (sameOwner && !byOthers) {
      const since = checkNeededSince(view, owner, gone);
      if (view.isCertain({ from: since, to: at }) && !passedWithin(since - watchLagMs, at)) {
        yield violation(since, `no check passed since it was deleted at ${view.time(gone.at)}`);
        continue;
      }
    }
    // A request that a link held is as old as the silence of the link.
    const held = (owner?.holds.flat() ?? []).filter(span => touches([span], { from: at - staleMs, to: at }));
    const since = Math.min(at - staleMs, ...held.map(({ from }) => from - staleMs));
    if (!passedWithin(since, at)) yield violation(since, 'no check passed for a long time before');
  }
}

/**
 * The moment after which a check must pass before the key may come back: the delete; or, if the owner withdrew the key,
 * the moment when it found the app down, since the withdrawal may have reached etcd long after.
 */
function checkNeededSince(
  view: View,
  owner: Process,
  gone: { readonly at: number; readonly lease: string },
): number {
  const lines = ofKind(view.history, 'line').filter(({ instance }) => instance === owner.name);
  const withdrew = lines.some(
    ({ message, lease }) => lease === gone.lease && message.startsWith('withdrawn'),
  );
  const down = lines.findLast(({ at, message }) => at <= gone.at && message.startsWith('app down'));
  return withdrew && down ? down.at : gone.at;
}

/** (e) A program that receives SIGTERM ends well and soon, and in quiet times leaves nothing. No other program ends. */
function* checkEnd(view: View, process: Process): Generator<Violation> {
  const { name, slot, stoppingAt, killed, exit, endedAt, leavesAt } = process;
  const violation = (invariant: Invariant, message: string): Violation => ({
    invariant,
    slot,
    span: { from: leavesAt, to: endedAt },
    message: `${name} ${message}`,
  });
  if (stoppingAt === null) {
    if (!killed)
      yield violation('bad-end', `ended by itself with ${exit ? (exit.code ?? exit.signal) : 'nothing'}`);
    return;
  }
  if (exit?.code !== 0) {
    yield violation(
      'bad-end',
      `received SIGTERM and ended with ${exit ? (exit.code ?? exit.signal) : 'nothing'}`,
    );
    return;
  }
  const stalled = intersect(view.stalls, [{ from: stoppingAt, to: endedAt }]);
  const lostMs = stalled.reduce((sum, { from, to }) => sum + to - from, 0);
  if (endedAt - stoppingAt > stopMs + lostMs)
    yield violation('bad-end', `took ${ms({ from: stoppingAt, to: endedAt })} to stop, bound ${stopMs} ms`);

  const quiet = { from: stoppingAt - settings.ttlMs, to: endedAt };
  const wasQuiet =
    covers(process.running, { from: quiet.from, to: stoppingAt }) &&
    view.members.every(member => covers(view.usable(process, member), quiet)) &&
    !touches(view.stalls, quiet);
  if (!wasQuiet) return;
  const left = (view.standing[slot] ?? []).find(
    ({ from, to, lease }) => process.leases.has(lease) && from < endedAt && to > endedAt + watchLagMs,
  );
  if (left) yield violation('left-behind', `ended in quiet times and left its key under ${left.lease}`);
}

const crashMarks = /unhandled|uncaught|internal error|^\s+at .+:\d+:\d+\)?$|\(node:\d+\)|FATAL ERROR/i;

/** (e) No program logs a crash, and none logs that an app is down that answered. */
function* checkLines(view: View, { name, slot }: Process): Generator<Violation> {
  for (const { at, stream, text, message } of ofKind(view.history, 'line').filter(
    ({ instance }) => instance === name,
  )) {
    const violation = (invariant: Invariant, words: string): Violation => ({
      invariant,
      slot,
      span: { from: at, to: at },
      message: `${name} ${words}: ${text}`,
    });
    if (stream === 'stderr' || crashMarks.test(text)) yield violation('crash', 'shows a crash');
    const asked = { from: at - settings.timeoutMs - slackMs, to: at };
    const isCertain = covers(view.able[slot] ?? [], asked) && !touches(view.stalls, asked);
    if (isCertain && message.startsWith('app down'))
      yield violation('false-verdict', 'reported a healthy app as down');
  }
}

function ms({ from, to }: Span): string {
  return `${Math.round(to - from)} ms`;
}
