/**
 * The two hosts of the demo, the Vagrantfile and the partition tests, inside the bed (bed.sh): host-1 and host-2, each
 * with a Docker Engine and a member of etcd, and a witness that is only a third member, so that one host can be lost.
 * scripts/host.sh makes all three, as it makes the virtual machines.
 */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { atProcessEnd } from './children.ts';
import {
  ask,
  decode,
  type GatewayTarget,
  prefixRange,
  type RawKeyValue,
  type ResponseHeader,
} from './etcd-gateway.ts';
import { Watcher } from './etcd-watcher.ts';
import { imageArchive, pruneImages } from './images.ts';
import { type CommandOptions, type Host, run, startHost } from './lan.ts';
import { eventually } from './wait.ts';

export const hostNames = ['host-1', 'host-2'] as const;
export type HostName = (typeof hostNames)[number];
export const memberNames = [...hostNames, 'witness'] as const;
export type MemberName = (typeof memberNames)[number];

/** The same as in the Vagrantfile. */
export const addresses: Readonly<Record<MemberName, string>> = {
  'host-1': '10.1.0.101',
  'host-2': '10.1.0.102',
  witness: '10.1.0.103',
};

/** The client URLs of all members, as dockreg and etcdctl take them. */
export const endpoints = memberNames.map(endpointOf).join(',');

const project = fileURLToPath(new URL('../../../', import.meta.url));

/** Makes and starts everything. Rejects with the output of a part that does not start. */
export async function startTwoHosts(): Promise<TwoHosts> {
  const hosts = new TwoHosts();
  try {
    await hosts.start();
    return hosts;
  } catch (error) {
    await hosts.stop();
    throw error;
  }
}

export class TwoHosts {
  readonly #hosts = new Map<HostName, Host>();
  readonly #watchers = new Set<Watcher>();
  readonly #forget = atProcessEnd(() => this.#endWitness());

  async start(): Promise<void> {
    await Promise.all(memberNames.map(name => rm(folderOf(name), { recursive: true, force: true })));
    // The witness is a process at the switch. It needs an address, but no engine and no cable.
    await run('ip', ['addr', 'replace', `${addresses.witness}/24`, 'dev', 'lan']);
    await provision('witness', run, ['--no-docker']);
    await Promise.all(hostNames.map(name => this.powerOn(name)));
    await eventually(
      'a leader that all members know',
      async () => {
        const known = new Set(await Promise.all(memberNames.map(async name => (await status(name)).leader)));
        return known.size === 1 && !known.has(undefined);
      },
      { timeoutMs: 30_000 },
    );
  }

  /** The host as it runs now. Throws while it is switched off. */
  host(name: HostName): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`${name} is switched off`);
    return host;
  }

  /** Whether the machine of the member is on; that of the witness always is. */
  isOn(name: MemberName): boolean {
    return name === 'witness' || this.#hosts.has(name);
  }

  /** Starts a host and runs scripts/host.sh on it. It keeps its etcd data; its containers are gone. */
  async powerOn(name: HostName): Promise<void> {
    const host = await startHost({ name, ip: addresses[name] });
    this.#hosts.set(name, host);
    await this.provision(name, ['--image', await imageArchive(host)]);
    await pruneImages(host);
  }

  /** Runs scripts/host.sh on the host, once more. */
  async provision(
    name: HostName,
    options: readonly string[],
    env: CommandOptions['env'] = {},
  ): Promise<void> {
    const host = this.host(name);
    const all = { ...host.dockerEnvironment, ...env };
    await provision(name, (command, args, rest) => host.run(command, args, rest), options, all);
  }

  /** Switches the power of a host off: everything is gone at once and silently. */
  async powerOff(name: HostName): Promise<void> {
    await this.host(name).powerOff();
    this.#hosts.delete(name);
    // A real machine keeps this file in /run.
    await rm(join(folderOf(name), 'etcd.pid'), { force: true });
  }

  /** Records every change under the prefix from now on, from the members that can be reached. */
  async watch(prefix: string): Promise<Watcher> {
    const { header } = await ask<RangeAnswer>(targetOf('witness'), '/v3/kv/range', prefixRange(prefix));
    const sources = memberNames.map(name => ({
      target: targetOf(name),
      isAlive: () => this.isOn(name),
      token: () => Promise.resolve(undefined),
    }));
    const watcher = new Watcher(prefix, header, sources);
    this.#watchers.add(watcher);
    await watcher.ready();
    return watcher;
  }

  /** The keys under the prefix, read linearizably from this member. Rejects when it has no majority. */
  async keysAt(name: MemberName, prefix: string): Promise<string[]> {
    const { kvs = [] } = await ask<RangeAnswer>(targetOf(name), '/v3/kv/range', prefixRange(prefix));
    return kvs.map(({ key }) => decode(key));
  }

  /** Resolves when each of these members shows exactly these keys. Rejects with what one of them showed last. */
  async showAt(names: readonly MemberName[], prefix: string, keys: readonly string[]): Promise<void> {
    const expected = keys.toSorted().join(' ');
    for (const name of names) {
      await eventually(
        `${expected} in etcd on ${name}`,
        async () => {
          const found = (await this.keysAt(name, prefix)).join(' ');
          if (found !== expected) throw new Error(`it shows ${found}`);
          return true;
        },
        // A read during an election is answered late, or never.
        { timeoutMs: 15_000, everyMs: 100 },
      );
    }
  }

  /** The member that leads, as the witness knows it. */
  async leader(): Promise<MemberName> {
    return eventually('an etcd leader', async () => {
      const { leader } = await status('witness');
      const states = await Promise.allSettled(memberNames.map(status));
      return memberNames.find((_, at) => {
        const state = states[at];
        return state?.status === 'fulfilled' && state.value.header.member_id === leader;
      });
    });
  }

  /** Makes a member the leader. */
  async makeLeader(name: MemberName): Promise<void> {
    const { header } = await status(name);
    await eventually(`${name} leads`, async () => {
      const leader = await this.leader();
      if (leader === name) return true;
      const target = { targetID: header.member_id };
      await ask(targetOf(leader), '/v3/maintenance/transfer-leadership', target, { timeoutMs: 5_000 });
      return false;
    });
  }

  /** Ends everything. Idempotent. */
  async stop(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    await Promise.all([...this.#hosts.values()].map(host => host.stop()));
    this.#hosts.clear();
    this.#endWitness();
    this.#forget();
  }

  #endWitness(): void {
    try {
      process.kill(Number(readFileSync(join(folderOf('witness'), 'etcd.pid'), 'utf8')), 'SIGKILL');
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    }
  }
}

interface RangeAnswer {
  readonly header: ResponseHeader;
  readonly kvs?: readonly RawKeyValue[];
}

interface MemberStatus {
  readonly header: ResponseHeader;
  /** Missing while the member knows none. */
  readonly leader?: string;
}

function status(name: MemberName): Promise<MemberStatus> {
  return ask<MemberStatus>(targetOf(name), '/v3/maintenance/status', {}, { timeoutMs: 1_000 });
}

function endpointOf(name: MemberName): string {
  return `http://${addresses[name]}:2379`;
}

function targetOf(name: MemberName): GatewayTarget {
  return { endpoint: endpointOf(name) };
}

/** The folder where as-host.sh keeps the files of a host. It is gone with the bed. */
function folderOf(name: MemberName): string {
  return join('/run/dockreg', name, 'files');
}

async function provision(
  name: MemberName,
  runThere: (command: string, args: readonly string[], options: CommandOptions) => Promise<string>,
  options: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const peers = memberNames.filter(other => other !== name).map(other => `${other}=${addresses[other]}`);
  const script = [join(project, 'scripts/host.sh'), '--name', name, '--address', addresses[name]];
  const args = [
    ...[join(project, 'test/support/as-host.sh'), folderOf(name)],
    ...['sh', ...script, '--peers', peers.join(','), ...options],
  ];
  await runThere('sh', args, { env, timeoutMs: 300_000 });
}
