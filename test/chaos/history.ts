/**
 * What happened in one run, as a list of facts on one clock (`performance.now()` milliseconds): whether the app could
 * answer, what the programs did and logged, what etcd showed, and the faults. Facts contain no judgement.
 */

export type LinkMode = 'pass' | 'delay' | 'refuse' | 'silent' | 'silent-up' | 'silent-down';

/** A change of the slot's key. */
interface KeyChange<K extends string> {
  readonly kind: K;
  readonly slot: number;
  /** The lease of the value, or of the deleted one, in 16 hexadecimal digits; '0' is none. */
  readonly lease: string;
  readonly value: string;
  readonly revision: number;
}

export type Fact = { readonly at: number } &
  /** From now on the app answers correctly, or does not. */
  (
    | { readonly kind: 'app'; readonly slot: number; readonly able: boolean }
    /** A request arrived at the app while the app was able to answer it correctly, or was not. */
    | { readonly kind: 'asked'; readonly slot: number; readonly able: boolean }
    | {
        readonly kind: 'program';
        readonly slot: number;
        /** One process, unique in the run. */
        readonly instance: string;
        /** `stopping`: received SIGTERM. `killed`: received SIGKILL from the test. */
        readonly what: 'started' | 'paused' | 'resumed' | 'stopping' | 'killed';
      }
    | {
        readonly kind: 'ended';
        readonly slot: number;
        readonly instance: string;
        readonly code: number | null;
        readonly signal: string | null;
      }
    /** A line of its log or of its standard error. */
    | {
        readonly kind: 'line';
        readonly slot: number;
        readonly instance: string;
        readonly stream: 'log' | 'stderr';
        readonly text: string;
        readonly message: string;
        /** The lease that the line names, in 16 hexadecimal digits. */
        readonly lease: string | null;
      }
    | KeyChange<'put'>
    | KeyChange<'delete'>
    /** The only member lost its data: every key is gone. */
    | { readonly kind: 'wiped' }
    /** A linearizable read, sent to a member at `at`, was answered at `until`, or failed. */
    | {
        readonly kind: 'pulse';
        readonly member: number;
        readonly until: number;
        readonly ok: boolean;
        readonly term: number | null;
      }
    /** The link from a program to a member; `pass` until the first of these facts. */
    | { readonly kind: 'link'; readonly instance: string; readonly member: number; readonly mode: LinkMode }
    | { readonly kind: 'nospace'; readonly on: boolean }
    /** Another client changed the key or revoked a lease, some time between `at` and `until`. */
    | {
        readonly kind: 'others';
        readonly slot: number;
        readonly how: 'revoke' | 'delete' | 'overwrite' | 'take' | 'leave';
        readonly until: number;
        /** The revoked lease; or the lease under which the other client took the key, or that it gave back. */
        readonly lease: string | null;
      }
    /** The recording process did not run until `until`: nothing that needs an answer in time is certain. */
    | { readonly kind: 'stall'; readonly until: number }
    /** What the run did, for readers. */
    | { readonly kind: 'note'; readonly text: string }
  );

export interface History {
  readonly facts: readonly Fact[];
  readonly members: number;
  readonly slots: number;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** The facts of one kind, in order. */
export function ofKind<K extends Fact['kind']>({ facts }: History, kind: K): Extract<Fact, { kind: K }>[] {
  return facts.filter((fact): fact is Extract<Fact, { kind: K }> => fact.kind === kind);
}

/** The part of a history that shows what went wrong, one line a fact. */
export function renderWindow(history: History, from: number, to: number, slot: number | null): string {
  const lastPulse = new Map<number, boolean>();
  return history.facts
    .filter(fact => {
      if (fact.kind !== 'pulse') return isOf(fact, slot);
      const hasChanged = (lastPulse.get(fact.member) ?? true) !== fact.ok;
      lastPulse.set(fact.member, fact.ok);
      return hasChanged;
    })
    .filter(fact => from <= fact.at && fact.at <= to)
    .map(fact => `${((fact.at - history.startedAt) / 1000).toFixed(3).padStart(9)}  ${renderFact(fact)}`)
    .join('\n');
}

function isOf(fact: Fact, slot: number | null): boolean {
  if (slot === null) return true;
  if (fact.kind === 'link') return fact.instance.startsWith(`${slot}.`);
  return !('slot' in fact) || fact.slot === slot;
}

function renderFact(fact: Fact): string {
  switch (fact.kind) {
    case 'app':
      return `app ${fact.slot} ${fact.able ? 'answers' : 'does not answer'}`;
    case 'asked':
      return `app ${fact.slot} receives a request${fact.able ? '' : ' and cannot answer'}`;
    case 'program':
      return `program ${fact.instance} ${fact.what}`;
    case 'ended':
      return `program ${fact.instance} ended with ${fact.code ?? fact.signal}`;
    case 'line':
      return `program ${fact.instance} ${fact.stream === 'log' ? 'logs' : 'writes to stderr'}: ${fact.text}`;
    case 'put':
      return `key ${fact.slot} put under ${fact.lease}: ${fact.value} (revision ${fact.revision})`;
    case 'delete':
      return `key ${fact.slot} deleted, was under ${fact.lease} (revision ${fact.revision})`;
    case 'wiped':
      return 'etcd lost its data';
    case 'pulse':
      return `member ${fact.member} ${fact.ok ? 'serves again' : 'does not serve'}`;
    case 'link':
      return `link of ${fact.instance} to member ${fact.member}: ${fact.mode}`;
    case 'nospace':
      return `NOSPACE ${fact.on ? 'raised' : 'disarmed'}`;
    case 'others':
      return `another client: ${fact.how} key ${fact.slot}${fact.lease ? `, lease ${fact.lease}` : ''} within ${Math.round(fact.until - fact.at)} ms`;
    case 'stall':
      return `the recorder itself did not run for ${Math.round(fact.until - fact.at)} ms`;
    case 'note':
      return fact.text;
  }
}
