/**
 * Draws a schedule of faults from a seed: storms, in which every part of the system has its own faults at the same
 * time, and calms, in which everything must become right again. Pure: one seed is one schedule, on every machine.
 */
import { Random } from '../support/random.ts';
import type { Auth } from '../support/auth.ts';

export type LinkTrouble = 'refuse' | 'silent' | 'silent-up' | 'silent-down' | { readonly delayMs: number };

export type Tempo = 'quick' | 'lasting';

export type Fault =
  /**
   * One member is killed and started again, paused and resumed, cut off from its peers, or replaced by an empty one.
   */
  | {
      readonly kind: 'member';
      readonly how: 'kill' | 'pause' | 'isolate' | 'replace';
      readonly member: number;
    }
  /** The member that leads at that moment. */
  | { readonly kind: 'leader'; readonly how: 'kill' | 'pause' | 'isolate' }
  /** So many members, beginning with `first`, that the rest is not a majority. */
  | { readonly kind: 'quorum'; readonly how: 'kill' | 'pause' | 'isolate'; readonly first: number }
  /** The only member comes back without its data. */
  | { readonly kind: 'wipe' }
  | { readonly kind: 'compact' }
  | { readonly kind: 'nospace' }
  /** All tokens become invalid: a user is added, or the program's password is set again to the same value. */
  | { readonly kind: 'auth'; readonly how: 'user' | 'password' }
  /** The links from one program to these members. */
  | {
      readonly kind: 'link';
      readonly slot: number;
      readonly members: readonly number[];
      readonly trouble: LinkTrouble;
    }
  | { readonly kind: 'app'; readonly slot: number; readonly how: 'crash' | 'hang' | 'error' }
  /** `successor`: another takes the address `overlapMs` before (negative: after) the old one receives SIGTERM. */
  | { readonly kind: 'program'; readonly slot: number; readonly how: 'pause' | 'restart' | 'kill' }
  | { readonly kind: 'program'; readonly slot: number; readonly how: 'successor'; readonly overlapMs: number }
  /**
   * What another client does to the key: revokes its lease, deletes it, or overwrites it without a lease or under its
   * own.
   */
  | {
      readonly kind: 'others';
      readonly slot: number;
      readonly how: 'revoke' | 'delete' | 'overwrite' | 'take';
    };

export interface ScheduleStep {
  /** When it begins, in milliseconds from the start of the run. */
  readonly atMs: number;
  /** How long it lasts; 0 if it is over at once. */
  readonly forMs: number;
  readonly fault: Fault;
}

/** Steps one after the other. Different tracks run at the same time. */
export interface Track {
  readonly name: string;
  readonly steps: readonly ScheduleStep[];
}

export interface Shape {
  readonly members: 1 | 3 | 5;
  readonly auth: Auth;
  /**
   * `lasting`: faults, storms and the quiet between faults are three times as long, and fewer parts have faults. A
   * fault that is over before its bound shows nothing, and neither does one that is hidden behind another fault.
   */
  readonly tempo: Tempo;
  /** Number of addresses, each with its app and its program. */
  readonly slots: number;
  readonly storms: number;
  readonly stormMs: number;
  readonly calmMs: number;
}

export interface Schedule extends Shape {
  readonly seed: number;
  readonly tracks: readonly Track[];
  /** When the last calm is over. */
  readonly endMs: number;
}

/** The usual shape: one storm of 25 s and a calm that is longer than any bound of the checker. */
export const usualShape: Shape = {
  members: 3,
  auth: 'none',
  tempo: 'quick',
  slots: 3,
  storms: 1,
  stormMs: 25_000,
  calmMs: 13_000,
};

/** By the first storm every program has registered. */
const startMs = 3000;

export function drawSchedule(seed: number, shape: Shape): Schedule {
  const dice = new Dice(seed);
  const times = shape.tempo === 'lasting' ? 3 : 1;
  const stormMs = shape.stormMs * times;
  const cycleMs = stormMs + shape.calmMs;
  const storms = Array.from({ length: shape.storms }, (_, index) => ({
    from: startMs + index * cycleMs,
    to: startMs + index * cycleMs + stormMs,
  }));
  // Not every schedule has every fault, so that some schedules consist of faults that are rare in the others.
  const tracks = tracksOf(shape)
    .map(({ name, quietMs, kinds }) => {
      const chosen = kinds.filter(() => dice.happens(0.6));
      const active = dice.happens(shape.tempo === 'lasting' ? 0.4 : 0.75) && chosen.length > 0;
      const steps = active ? storms.flatMap(storm => fill(dice, storm, quietMs, chosen, times)) : [];
      return { name, steps };
    })
    .filter(({ steps }) => steps.length > 0);
  return { ...shape, seed, tracks, endMs: startMs + shape.storms * cycleMs };
}

/** A kind of fault: how long it lasts (in ms, least and most) and what it is. */
interface Kind {
  readonly lasts: readonly [number, number];
  readonly draw: (dice: Dice) => Fault;
}

interface TrackPlan {
  readonly name: string;
  /** The quiet time before each step, in ms, least and most. */
  readonly quietMs: readonly [number, number];
  readonly kinds: readonly Kind[];
}

function tracksOf(shape: Shape): TrackPlan[] {
  const slots = Array.from({ length: shape.slots }, (_, slot) => slot);
  return [
    {
      name: 'etcd',
      quietMs: [500, 4000],
      kinds: shape.members === 1 ? singleMemberKinds : clusterKinds(shape.members),
    },
    ...(shape.auth === 'none' ? [] : [{ name: 'auth', quietMs: [1000, 10_000] as const, kinds: authKinds }]),
    ...slots.flatMap(slot => [
      { name: `links ${slot}`, quietMs: [500, 8000] as const, kinds: linkKinds(slot, shape.members) },
      { name: `app ${slot}`, quietMs: [1000, 10_000] as const, kinds: appKinds(slot) },
      { name: `program ${slot}`, quietMs: [1000, 12_000] as const, kinds: programKinds(slot) },
      { name: `others ${slot}`, quietMs: [1000, 12_000] as const, kinds: othersKinds(slot) },
    ]),
  ];
}

/** Shorter than a TTL of 5 s, and longer. */
const briefly = [300, 4000] as const;
const long = [6000, 12_000] as const;
const atOnce = [0, 0] as const;

const always = (lasts: Kind['lasts'], fault: Fault): Kind => ({ lasts, draw: () => fault });

const singleMemberKinds: readonly Kind[] = [
  always(briefly, { kind: 'member', how: 'kill', member: 0 }),
  always(long, { kind: 'member', how: 'kill', member: 0 }),
  always(briefly, { kind: 'member', how: 'pause', member: 0 }),
  always(long, { kind: 'member', how: 'pause', member: 0 }),
  always(atOnce, { kind: 'wipe' }),
  always(atOnce, { kind: 'compact' }),
  always(long, { kind: 'nospace' }),
];

const authKinds: readonly Kind[] = [
  always(atOnce, { kind: 'auth', how: 'user' }),
  always(atOnce, { kind: 'auth', how: 'password' }),
];

function clusterKinds(members: number): Kind[] {
  const ofMember = (how: 'kill' | 'pause' | 'isolate' | 'replace'): Kind['draw'] => {
    return dice => ({ kind: 'member', how, member: dice.below(members) });
  };
  const ofQuorum = (how: 'kill' | 'pause' | 'isolate'): Kind => ({
    lasts: [3000, 10_000],
    draw: dice => ({ kind: 'quorum', how, first: dice.below(members) }),
  });
  return [
    { lasts: [300, 10_000], draw: ofMember('kill') },
    { lasts: [300, 12_000], draw: ofMember('pause') },
    { lasts: [1000, 12_000], draw: ofMember('isolate') },
    { lasts: atOnce, draw: ofMember('replace') },
    always([1000, 8000], { kind: 'leader', how: 'kill' }),
    always([1000, 10_000], { kind: 'leader', how: 'pause' }),
    always([1000, 10_000], { kind: 'leader', how: 'isolate' }),
    ofQuorum('kill'),
    ofQuorum('pause'),
    ofQuorum('isolate'),
    always(atOnce, { kind: 'compact' }),
    always(long, { kind: 'nospace' }),
  ];
}

function linkKinds(slot: number, members: number): Kind[] {
  const trouble = (name: LinkTrouble): Kind => ({
    lasts: [500, 12_000],
    draw: dice => ({ kind: 'link', slot, members: dice.some(members), trouble: name }),
  });
  const delay: Kind = {
    lasts: [1000, 10_000],
    draw: dice => ({
      kind: 'link',
      slot,
      members: dice.some(members),
      trouble: { delayMs: 20 + dice.below(180) },
    }),
  };
  return [trouble('refuse'), trouble('silent'), trouble('silent-up'), trouble('silent-down'), delay];
}

function appKinds(slot: number): Kind[] {
  const how = (name: 'crash' | 'hang' | 'error'): Kind[] => [
    always([100, 3000], { kind: 'app', slot, how: name }),
    always([8000, 16_000], { kind: 'app', slot, how: name }),
  ];
  return [...how('crash'), ...how('hang'), ...how('error')];
}

function programKinds(slot: number): Kind[] {
  return [
    always(briefly, { kind: 'program', slot, how: 'pause' }),
    always(long, { kind: 'program', slot, how: 'pause' }),
    always([0, 6000], { kind: 'program', slot, how: 'restart' }),
    always([0, 8000], { kind: 'program', slot, how: 'kill' }),
    {
      lasts: atOnce,
      draw: dice => ({ kind: 'program', slot, how: 'successor', overlapMs: dice.below(4000) - 1000 }),
    },
  ];
}

function othersKinds(slot: number): Kind[] {
  return [
    always(atOnce, { kind: 'others', slot, how: 'revoke' }),
    always(atOnce, { kind: 'others', slot, how: 'delete' }),
    always(atOnce, { kind: 'others', slot, how: 'overwrite' }),
    always([1000, 6000], { kind: 'others', slot, how: 'take' }),
  ];
}

/** Steps until the storm is over. None lasts into the calm. */
function fill(
  dice: Dice,
  storm: { readonly from: number; readonly to: number },
  quietMs: readonly [number, number],
  kinds: readonly Kind[],
  times: number,
): ScheduleStep[] {
  const steps: ScheduleStep[] = [];
  const quiet = (): number => dice.between(quietMs) * times;
  for (let at = storm.from + quiet(); at < storm.to; at += quiet()) {
    const { lasts, draw } = dice.pick(kinds);
    const forMs = Math.min(dice.between(lasts) * times, storm.to - at);
    steps.push({ atMs: at, forMs, fault: draw(dice) });
    at += forMs;
  }
  return steps;
}

/** The draws of a schedule. */
class Dice extends Random {
  happens(probability: number): boolean {
    return this.next() < probability;
  }

  between([least, most]: readonly [number, number]): number {
    return least + this.below(most - least + 1);
  }

  /** Some of the numbers below `limit`, at least one; all of them in one case of three. */
  some(limit: number): number[] {
    const all = Array.from({ length: limit }, (_, number) => number);
    if (this.happens(1 / 3)) return all;
    const some = all.filter(() => this.happens(0.5));
    return some.length > 0 ? some : [this.below(limit)];
  }
}

/** The fault in one line. */
export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'member':
      return `${fault.how} member ${fault.member}`;
    case 'leader':
      return `${fault.how} the leader`;
    case 'quorum':
      return `${fault.how} a majority from member ${fault.first}`;
    case 'wipe':
      return 'wipe the only member';
    case 'compact':
      return 'compact';
    case 'nospace':
      return 'raise NOSPACE';
    case 'auth':
      return `change users (${fault.how})`;
    case 'link': {
      const trouble =
        typeof fault.trouble === 'string' ? fault.trouble : `delayed by ${fault.trouble.delayMs} ms`;
      return `links of ${fault.slot} to members ${fault.members.join(' ')}: ${trouble}`;
    }
    case 'app':
      return `app ${fault.slot}: ${fault.how}`;
    case 'program':
      return `program ${fault.slot}: ${fault.how}${fault.how === 'successor' ? ` (overlap ${fault.overlapMs} ms)` : ''}`;
    case 'others':
      return `another client: ${fault.how} key ${fault.slot}`;
  }
}
