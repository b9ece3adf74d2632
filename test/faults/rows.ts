/**
 * The faults to measure, one a row: what happens to a program that has registered, or that is about to.
 */
import { ask, encode } from '../support/etcd-gateway.ts';
import type { EtcdMember } from '../support/etcd.ts';
import { eventually, pause } from '../support/wait.ts';
import type { Bed } from './bed.ts';

/** When the fault was over, in `performance.now()` milliseconds. From then on the program can repair. */
type HealedAt = number;

export type Row = {
  readonly name: string;
  readonly members: 1 | 3;
  /** The last column of the table: why the numbers are as they are. */
  readonly means: string;
} & (
  | { readonly kind: 'fault'; readonly hurt: (bed: Bed) => Promise<HealedAt> }
  /** The fault is there before the program starts. */
  | {
      readonly kind: 'start';
      readonly prepare: (bed: Bed) => Promise<void>;
      readonly heal: (bed: Bed) => Promise<HealedAt>;
    }
  /** The row measures the end of the program. */
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
    means: 'The lease is on disk and gets its full time again; dockreg asks until a member answers.',
    members: 1,
    hurt: bed => killFor(bed.member, 8000),
  },
  {
    kind: 'fault',
    name: 'etcd is killed and back after 60 s',
    means: 'The same; a lease does not expire while etcd is down.',
    members: 1,
    hurt: bed => killFor(bed.member, 60_000),
  },
  {
    kind: 'fault',
    name: 'etcd is stopped (SIGSTOP) for 30 s',
    means:
      "etcd's clock went on, so it drops the lease when it continues. dockreg checks the app, then registers it again.",
    members: 1,
    hurt: bed => stopFor(bed.member, 30_000),
  },
  {
    kind: 'fault',
    name: 'the follower that dockreg is connected to is stopped for 40 s, the others are well',
    means: 'A request without an answer after 3 s goes to the next member, long before the TTL is over.',
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
    means: 'Noticed at the next renewal, which follows the next check.',
    members: 1,
    hurt: async bed => {
      await bed.etcd.ctl(['lease', 'revoke', await bed.lease()]);
      return now();
    },
  },
  {
    kind: 'fault',
    name: 'the key is deleted by others',
    means: 'Noticed at the next renewal, which reads the key.',
    members: 1,
    hurt: async bed => {
      await ask(bed.member.target, '/v3/kv/deleterange', { key: encode(bed.key) });
      return now();
    },
  },
  {
    kind: 'fault',
    name: "etcd's data is wiped",
    means: 'An empty etcd knows no lease. dockreg checks the app, then registers it again.',
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
    name: 'dockreg is stopped (SIGSTOP) for 30 s',
    means:
      'Nothing checks the app meanwhile, so the key goes with its lease; dockreg checks the app before it registers again.',
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
    means: 'Longer than the TTL, so etcd drops the lease. A connection that went silent is not used again.',
    members: 1,
    hurt: async bed => {
      await bed.setLinks('silent');
      await pause(45_000);
      // Lost packets are not delivered later.
      await bed.setLinks('pass', { held: 'drop' });
      return now();
    },
  },
  {
    kind: 'start',
    name: 'etcd refuses connections at the start, for 10 s',
    means: 'dockreg tries again every 1 to 2 s.',
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
    name: 'etcd accepts connections and is silent at the start, for 10 s',
    means: 'An attempt ends after 3 s, whatever the socket says.',
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
    name: 'dockreg receives SIGTERM, all is well',
    means: 'The lease is revoked; the key is gone before the process is.',
    members: 1,
    hurt: () => Promise.resolve(),
    heal: () => Promise.resolve(),
  },
  {
    kind: 'stop',
    name: 'dockreg receives SIGTERM while etcd hangs (SIGSTOP)',
    means:
      'It does not wait for ever. etcd reads the revocation from its socket later, or the key goes with its lease.',
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
