/**
 * Judges a history: what must never be seen, whatever was done to the parts. Pure. Where a fact could be explained in
 * the program's favour it is, so that each violation is one.
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
  /** A key stands for an app that has long been down, or for a program that has long ended. */
  | 'stale-key'
  /** The program ran, reached etcd, and left the key of an app that was down. */
  | 'late-withdrawal'
  /** The program ran, reached etcd, and did not bring back the key of an app that answers. */
  | 'missing-key'
  /** A key that was not the deleter's was deleted. */
  | 'foreign-delete'
  /** A key was written for an app that was not seen healthy since the key went, or not a moment ago. */
  | 'unchecked-put'
  /** A program withdrew an app that answered all the time. */
  | 'false-verdict'
  /** A program that was told to stop in quiet times left its key. */
  | 'left-behind'
  /** A program did not end when told, or not well, or without being told. */
  | 'bad-end'
  /** A program spoke of a crash, or wrote on standard error. */
  | 'crash';

export interface Violation {
  readonly invariant: Invariant;
  readonly slot: number;
  readonly message: string;
  /** Where to look in the history. */
  readonly span: Span;
}

/** One value of a key, as long as it stood. */
interface Standing extends Span {
  readonly lease: string;
  readonly value: string;
  readonly revision: number;
}

interface Process {
  readonly slot: number;
  readonly name: string;
  readonly startedAt: number;
  /** When it was told to stop, was killed or ended, whatever came first. */
  readonly leavesAt: number;
  readonly endedAt: number;
  readonly reported: number | null;
  readonly killed: boolean;
  readonly exit: { readonly code: number | null; readonly signal: string | null } | null;
  readonly paused: readonly Span[];
  /** Runs, and was not told to stop. */
  readonly running: readonly Span[];
  /** By member: the way to it passes. */
  readonly ways: readonly (readonly Span[])[];
  /** By member: that way held what was sent, to deliver it later. */
  readonly holds: readonly (readonly Span[])[];
  readonly leases: ReadonlySet<string>;
}

export function check(history: History): Violation[] {
  const view = new View(history);
  const found: Violation[] = [];
  for (const process of view.processes) found.push(...checkEnd(view, process), ...checkWords(view, process));
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
  /** When a later term was seen first. */
  readonly elections: readonly number[];
  /** The leases of others. */
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
    this.standing = this.slots.map(slot => standingsOf(history, slot));
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

  /** Whether what was seen in that time was seen when it happened. */
  isSure({ from, to }: Span): boolean {
    return !touches(this.stalls, { from: from - slackMs, to: to + slackMs });
  }

  isOurs(lease: string): boolean {
    return lease !== '0' && !this.theirs.has(lease);
  }

  /** Whether one member could be used all the time, with the members that could not be for some of it. */
  usable(process: Process, member: number): Span[] {
    return intersect(this.serves[member] ?? [], process.ways[member] ?? []);
  }

  hangingOthers(process: Process, member: number, span: Span): number {
    return this.members.filter(other => other !== member && !covers(this.usable(process, other), span))
      .length;
  }

  /** The longest stretches within `spans` in which the process ran and had one member to work with, and its bound. */
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

function standingsOf(history: History, slot: number): Standing[] {
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
    const reported = own.find(({ what }) => what === 'told')?.at ?? null;
    const killedAt = own.find(({ what }) => what === 'killed')?.at;
    const endedAt = ended?.at ?? history.endedAt;
    const leavesAt = Math.min(reported ?? Infinity, killedAt ?? Infinity, endedAt);
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
      reported,
      killed: killedAt !== undefined,
      exit: ended ?? null,
      paused,
      running: intersect(complement(paused, { from: startedAt, to: leavesAt })),
      ways: whileIn('pass', 'delay'),
      holds: whileIn('silent', 'silent-up', 'silent-down', 'delay'),
      leases: new Set(lines.flatMap(({ lease }) => lease ?? [])),
    };
  });
}

/** (a) No key for an app that is down or a program that is gone, beyond what a lease may live. */
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
            `the key under ${standing.lease} of ${owner?.name ?? 'an unknown program'} stood from ${view.time(span.from)} ` +
            `to ${view.time(span.to)} without reason; even its lease must have been gone at ${view.time(deadline)}`,
        };
      }
    }
    if (!owner) continue;
    for (const { span, boundMs } of view.overdue(owner, intersect([standing], view.down[slot] ?? []))) {
      yield {
        invariant: 'late-withdrawal',
        slot,
        span,
        message: `${owner.name} ran, reached etcd and left the key of an app that was down for ${ms(span)}, bound ${boundMs} ms`,
      };
    }
  }
}

/** The latest moment at which a lease that nobody renews on good ground after `since` may still live. */
function expiryDeadline(view: View, since: number, owner: Process | undefined): number {
  const lastRenewal = since + detectionMs;
  let deadline = lastRenewal + expiryMs;
  // What was sent in time may arrive late: through a way that held it, or from a program that was stopped meanwhile.
  const late = owner ? [...owner.holds.flat(), ...owner.paused].filter(({ from }) => from < lastRenewal) : [];
  const unserved = complement(view.served, view.whole);
  const elections = view.elections.map(at => ({ from: at, to: at }));
  const renewals = [...late, ...unserved, ...elections].toSorted((a, b) => a.from - b.from);
  for (const { from, to } of renewals) {
    if (from <= deadline && to >= since) deadline = Math.max(deadline, to + renewedByLeaderMs);
  }
  return deadline;
}

/** (b) The key of an app that answers is there, soon after its program can reach etcd. */
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
          `${process.name} ran, reached etcd and left the key of a healthy app away until ${view.time(span.to)}, ` +
          `${ms(span)} after the last reason for it, bound ${boundMs} ms`,
      };
    }
  }
}

/** What takes a key away, or keeps its program from renewing it, while one member can be used all the time. */
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

/** The stretches from the last reason to a key that is still missing beyond the bound. */
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
        // Away for a moment is no more than late repair of what is another violation.
        if (to - since > boundMs && to - from > quietRepairMs) yield { span, boundMs };
      }
    }
  }
}

/** (c) Every delete has somebody who had the right to it. */
function* checkDeletes(view: View, slot: number): Generator<Violation> {
  const others = ofKind(view.history, 'others').filter(fact => fact.slot === slot);
  for (const { at, lease, revision } of ofKind(view.history, 'delete').filter(fact => fact.slot === slot)) {
    const near = others.filter(({ at: from, until }) => from - watchLagMs <= at && at <= until + watchLagMs);
    const byOthers = near.some(
      ({ how, lease: other }) => how === 'delete' || (other === lease && lease !== '0'),
    );
    if (byOthers || !view.isSure({ from: at, to: at })) continue;
    const violation = (why: string): Violation => ({
      invariant: 'foreign-delete',
      slot,
      span: { from: at, to: at },
      message: `revision ${revision} deleted the key under ${lease} at ${view.time(at)}: ${why}`,
    });
    if (!view.isOurs(lease)) {
      yield violation('nobody but its owner may');
      continue;
    }
    const owner = view.ownerOf(slot, lease);
    // What it lived on before: a TTL and the time until a lease that ended is removed.
    const before = { from: at - settings.ttlMs - slackMs, to: at };
    if (owner && !hadReason(view, owner, lease, before))
      yield violation(`its owner ${owner.name} was well and did not withdraw it`);
  }
}

/** Whether the owner withdrew the lease, or could not keep it alive all the time. */
function hadReason(view: View, owner: Process, lease: string, before: Span): boolean {
  const around = { from: before.to - settings.ttlMs, to: before.to + 2 * slackMs };
  const withdrew = ofKind(view.history, 'line').some(
    ({ instance, lease: named, message, at }) =>
      instance === owner.name &&
      around.from <= at &&
      at <= around.to &&
      ((named === lease && message.startsWith('withdrawn')) || message.startsWith('app down')),
  );
  // A member that hangs costs so much of a short TTL that the lease may be gone before the next one is tried.
  const well =
    covers(owner.running, before) &&
    covers(view.able[owner.slot] ?? [], before) &&
    view.members.every(member => covers(view.usable(owner, member), before)) &&
    !touches(view.stalls, before);
  return withdrew || !well;
}

/** (d) Nothing is written for an app that was not asked since the key went, or not a moment ago. */
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
      const since = wentFor(view, owner, gone);
      if (view.isSure({ from: since, to: at }) && !passedWithin(since - watchLagMs, at)) {
        yield violation(since, `no check passed since it was deleted at ${view.time(gone.at)}`);
        continue;
      }
    }
    // A request that was held on its way is as old as the silence.
    const held = (owner?.holds.flat() ?? []).filter(span => touches([span], { from: at - staleMs, to: at }));
    const since = Math.min(at - staleMs, ...held.map(({ from }) => from - staleMs));
    if (!passedWithin(since, at)) yield violation(since, 'no check passed for long before');
  }
}

/**
 * Since when a check must have passed before the key may come back: since it was deleted; or, where the owner withdrew
 * it, since it found the app down, for the withdrawal may have reached etcd long after.
 */
function wentFor(view: View, owner: Process, gone: { readonly at: number; readonly lease: string }): number {
  const lines = ofKind(view.history, 'line').filter(({ instance }) => instance === owner.name);
  const withdrew = lines.some(
    ({ message, lease }) => lease === gone.lease && message.startsWith('withdrawn'),
  );
  const down = lines.findLast(({ at, message }) => at <= gone.at && message.startsWith('app down'));
  return withdrew && down ? down.at : gone.at;
}

/** (e) Who is told to stop ends well and soon, and in quiet times leaves nothing; nobody else ends. */
function* checkEnd(view: View, process: Process): Generator<Violation> {
  const { name, slot, reported, killed, exit, endedAt, leavesAt } = process;
  const violation = (invariant: Invariant, message: string): Violation => ({
    invariant,
    slot,
    span: { from: leavesAt, to: endedAt },
    message: `${name} ${message}`,
  });
  if (reported === null) {
    if (!killed)
      yield violation('bad-end', `ended by itself with ${exit ? (exit.code ?? exit.signal) : 'nothing'}`);
    return;
  }
  if (exit?.code !== 0) {
    yield violation(
      'bad-end',
      `was told to stop and ended with ${exit ? (exit.code ?? exit.signal) : 'nothing'}`,
    );
    return;
  }
  const stalled = intersect(view.stalls, [{ from: reported, to: endedAt }]);
  const lostMs = stalled.reduce((sum, { from, to }) => sum + to - from, 0);
  if (endedAt - reported > stopMs + lostMs)
    yield violation('bad-end', `took ${ms({ from: reported, to: endedAt })} to stop, bound ${stopMs} ms`);

  const quiet = { from: reported - settings.ttlMs, to: endedAt };
  const wasQuiet =
    covers(process.running, { from: quiet.from, to: reported }) &&
    view.members.every(member => covers(view.usable(process, member), quiet)) &&
    !touches(view.stalls, quiet);
  if (!wasQuiet) return;
  const left = (view.standing[slot] ?? []).find(
    ({ from, to, lease }) => process.leases.has(lease) && from < endedAt && to > endedAt + watchLagMs,
  );
  if (left) yield violation('left-behind', `ended in quiet times and left its key under ${left.lease}`);
}

const crashMarks = /unhandled|uncaught|internal error|^\s+at .+:\d+:\d+\)?$|\(node:\d+\)|FATAL ERROR/i;

/** (e) Nobody speaks of a crash; and nobody calls an app down that answered. */
function* checkWords(view: View, { name, slot }: Process): Generator<Violation> {
  for (const { at, stream, text, message } of ofKind(view.history, 'line').filter(
    ({ instance }) => instance === name,
  )) {
    const violation = (invariant: Invariant, words: string): Violation => ({
      invariant,
      slot,
      span: { from: at, to: at },
      message: `${name} ${words}: ${text}`,
    });
    if (stream === 'stderr' || crashMarks.test(text)) yield violation('crash', 'is not well');
    const asked = { from: at - settings.timeoutMs - slackMs, to: at };
    const sure = covers(view.able[slot] ?? [], asked) && !touches(view.stalls, asked);
    if (sure && message.startsWith('app down')) yield violation('false-verdict', 'called a healthy app down');
  }
}

function ms({ from, to }: Span): string {
  return `${Math.round(to - from)} ms`;
}
