/**
 * The faults that are measured, one row each: what is done to a program that has registered, or that is about to.
 */
import { ask, encode } from '../support/etcd-gateway.ts';
import type { EtcdMember } from '../support/etcd.ts';
import { eventually, pause } from '../support/wait.ts';
import type { Bed } from './bed.ts';

/** When the fault was over, in `performance.now()` milliseconds: from then on it is the program's turn. */
type HealedAt = number;

export type Row = {
  readonly name: string;
  readonly members: 1 | 3;
  /** What the row means, for people. */
  readonly means: string;
} & (
  | { readonly kind: 'fault'; readonly hurt: (bed: Bed) => Promise<HealedAt> }
  /** The fault is there before the program starts. */
  | {
      readonly kind: 'start';
      readonly prepare: (bed: Bed) => Promise<void>;
      readonly heal: (bed: Bed) => Promise<HealedAt>;
    }
  /** What is measured is the end of the program. */
  | {
      readonly kind: 'stop';
      readonly hurt: (bed: Bed) => Promise<void>;
      readonly heal: (bed: Bed) => Promise<void>;
    }
);

const now = (): number => performance.now();

export const rows: readonly Row[] = [
  {
    kind: 'fault',
    name: 'etcd is killed and back after 8 s',
    means: 'The lease is on disk and begins anew; the program asks until somebody answers.',
    members: 1,
    hurt: bed => killFor(bed.member, 8000),
  },
  {
    kind: 'fault',
    name: 'etcd is killed and back after 60 s',
    means: 'The same; a lease does not run out while etcd is down.',
    members: 1,
    hurt: bed => killFor(bed.member, 60_000),
  },
  {
    kind: 'fault',
    name: 'etcd is stopped (SIGSTOP) for 30 s',
    means: 'Its clock went on: it drops the lease when it wakes. The app is checked, then registered again.',
    members: 1,
    hurt: bed => stopFor(bed.member, 30_000),
  },
  {
    kind: 'fault',
    name: 'the follower that holds our connection is stopped for 40 s, the others are well',
    means: 'A call that is not answered in 3 s is made to the next member, long before the TTL is over.',
    members: 3,
    hurt: async bed => {
      await bed.leadElsewhere();
      return stopFor(bed.connected(), 40_000);
    },
  },
  {
    kind: 'fault',
    name: 'the leader is killed and back after 10 s',
    means: 'The new leader renews every lease.',
    members: 3,
    hurt: async bed => killFor(await bed.etcd.leader(), 10_000),
  },
  {
    kind: 'fault',
    name: 'the lease is revoked by others',
    means: 'Seen at the next renewal, which follows the next check.',
    members: 1,
    hurt: async bed => {
      await bed.etcd.ctl(['lease', 'revoke', await bed.lease()]);
      return now();
    },
  },
  {
    kind: 'fault',
    name: 'the key is deleted by others',
    means: 'Seen at the next renewal, which looks at the key.',
    members: 1,
    hurt: async bed => {
      await ask(bed.member.target, '/v3/kv/deleterange', { key: encode(bed.key) });
      return now();
    },
  },
  {
    kind: 'fault',
    name: "etcd's data is wiped",
    means: 'An empty etcd knows no lease: the app is checked, then registered again.',
    members: 1,
    hurt: async bed => {
      await bed.member.kill();
      await bed.member.wipe();
      bed.noteWipe();
      await bed.member.start();
      return now();
    },
  },
  {
    kind: 'fault',
    name: 'the program is stopped (SIGSTOP) for 30 s',
    means:
      'Nobody vouches for the app meanwhile, so the lease takes the key; the app is checked before it is back.',
    members: 1,
    hurt: async bed => {
      bed.program.signal('SIGSTOP');
      await pause(30_000);
      bed.program.signal('SIGCONT');
      return now();
    },
  },
  {
    kind: 'fault',
    name: 'packets to and from etcd are dropped for 45 s',
    means: 'Longer than the TTL: etcd drops the lease. A channel that went deaf is not used again.',
    members: 1,
    hurt: async bed => {
      await bed.setLinks('silent');
      await pause(45_000);
      // What was lost is not delivered later.
      await bed.setLinks('pass', { held: 'drop' });
      return now();
    },
  },
  {
    kind: 'start',
    name: 'etcd refuses connections at the start, for 10 s',
    means: 'Tried again every 1 to 2 s.',
    members: 1,
    prepare: bed => bed.setLinks('refuse'),
    heal: async bed => {
      await pause(10_000);
      await bed.setLinks('pass');
      return now();
    },
  },
  {
    kind: 'start',
    name: 'etcd takes connections and is silent at the start, for 10 s',
    means: 'A try ends after 3 s, whatever the socket says.',
    members: 1,
    prepare: bed => bed.setLinks('silent'),
    heal: async bed => {
      await pause(10_000);
      await bed.setLinks('pass');
      return now();
    },
  },
  {
    kind: 'stop',
    name: 'the program is told to stop, all is well',
    means: 'The lease is revoked, and the key is gone before the process is.',
    members: 1,
    hurt: () => Promise.resolve(),
    heal: () => Promise.resolve(),
  },
  {
    kind: 'stop',
    name: 'the program is told to stop while etcd hangs (SIGSTOP)',
    means:
      "It does not wait for ever. The revocation lies in etcd's socket, or else the lease takes the key.",
    members: 1,
    hurt: bed => bed.member.pause(),
    heal: async bed => {
      bed.member.resume();
      await eventually('etcd back', () => bed.etcd.revision(), { timeoutMs: 20_000 });
    },
  },
];

async function killFor(member: EtcdMember, ms: number): Promise<HealedAt> {
  await member.kill();
  await pause(ms);
  await member.start();
  return now();
}

async function stopFor(member: EtcdMember, ms: number): Promise<HealedAt> {
  await member.pause();
  await pause(ms);
  member.resume();
  return now();
}
