/**
 * Real etcd for tests: one or several members on loopback, each a process that can be killed, paused, wiped, started
 * again, cut off from the others, and inspected. Everything is gone after `stop()` or when the test process ends.
 */
import { execFile } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { atProcessEnd, Child, cleanEnvironment } from './children.ts';
import {
  ask,
  decode,
  type GatewayTarget,
  getText,
  leaseHex,
  prefixRange,
  type RawKeyValue,
  type ResponseHeader,
} from './etcd-gateway.ts';
import { Watcher } from './etcd-watcher.ts';
import { Link, listen, type ProxyMode } from './proxy.ts';
import type { TlsFiles } from './tls.ts';
import { eventually, freePort, pause, stopwatch } from './wait.ts';

const run = promisify(execFile);

/** Runs the whole suite against another etcd. */
const defaultBinary = process.env['DOCKREG_TEST_ETCD'] ?? 'etcd';

export interface EtcdOptions {
  /** Number of members. Default: 1. */
  readonly members?: number;
  /**
   * The etcd command, or a command with its first arguments. It must become etcd itself (exec), because signals go to
   * its pid. Default: `DOCKREG_TEST_ETCD` or `etcd`.
   */
  readonly binary?: string | readonly string[];
  /** The etcdctl command. Default: `etcdctl`. */
  readonly etcdctl?: string;
  /** An address of the machine, beside 127.0.0.1, where clients are served on the same ports. */
  readonly alsoListenOn?: string;
  /** Clients must use TLS. Peers never do. */
  readonly tls?: TlsFiles;
  /** Clients must have a certificate of the authority. Needs `tls`. */
  readonly clientCertAuth?: boolean;
  readonly quotaBackendBytes?: number;
  /** Peers reach each other through `EtcdCluster.link`, so that members can be cut off from one another. */
  readonly peerProxies?: boolean;
  readonly extraArgs?: readonly string[];
  /** Milliseconds until the whole cluster must serve. Default: 20,000. */
  readonly timeoutMs?: number;
}

export interface KeyState {
  readonly value: string;
  /** In hexadecimal, as etcdctl prints it; '0' for none. */
  readonly lease: string;
  readonly modRevision: number;
  readonly createRevision: number;
  /** Number of writes since the key was created, starting with 1. */
  readonly version: number;
}

export interface CtlOptions {
  /** The endpoint to ask. Default: all members that are alive. */
  readonly endpoint?: string;
  /** `name:password`. Default: the cluster's `user`. */
  readonly user?: string;
  /** Milliseconds. Default: 10,000. */
  readonly timeoutMs?: number;
}

interface MemberPlan {
  readonly name: string;
  readonly folder: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** The port where the other members find it: its peer port, or that of a proxy. */
  readonly advertisedPeerPort: number;
  readonly metricsPort: number;
}

/** Another process took the port between the choice and the start. */
class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/** One member: its data, and its process while it runs. */
export class EtcdMember {
  readonly index: number;
  readonly name: string;
  /** The URL for clients. */
  readonly endpoint: string;
  /** The port in `endpoint`, the target of a fault proxy. */
  readonly port: number;
  readonly target: GatewayTarget;
  readonly #plan: MemberPlan;
  readonly #cluster: EtcdCluster;
  #child: Child | undefined;
  #paused = false;

  constructor(index: number, plan: MemberPlan, cluster: EtcdCluster) {
    this.index = index;
    this.name = plan.name;
    this.port = plan.clientPort;
    this.endpoint = `${cluster.options.tls ? 'https' : 'http'}://127.0.0.1:${plan.clientPort}`;
    this.target = { endpoint: this.endpoint, tls: cluster.options.tls };
    this.#plan = plan;
    this.#cluster = cluster;
  }

  get state(): 'running' | 'paused' | 'stopped' {
    if (this.#child === undefined || this.#child.exit !== undefined) return 'stopped';
    return this.#paused ? 'paused' : 'running';
  }

  /** Throws while it is stopped. */
  get pid(): number {
    return this.#running().pid;
  }

  /**
   * Starts it again, with the same data and ports. Resolves when it serves, or, if the cluster has no majority, when
   * the process is up. Rejects with etcd's last output when it ends instead.
   */
  async start({ timeoutMs = 20_000 }: { readonly timeoutMs?: number } = {}): Promise<void> {
    const elapsed = stopwatch();
    for (;;) {
      await this.launch();
      try {
        return await this.serving({ timeoutMs: timeoutMs - elapsed() });
      } catch (error) {
        // The process before it may still have the port for a moment.
        if (!(error instanceof PortTakenError) || elapsed() > timeoutMs) throw error;
        await pause(100);
      }
    }
  }

  /** Starts the process without waiting for anything. */
  async launch(): Promise<void> {
    if (this.state !== 'stopped') throw new Error(`${this.name} runs already`);
    const [command = 'etcd', ...args] = [this.#cluster.options.binary ?? defaultBinary].flat();
    const log = openSync(join(this.#plan.folder, 'log'), 'w');
    try {
      this.#child = await Child.spawn(command, [...args, ...this.#cluster.argumentsFor(this.#plan)], {
        env: cleanEnvironment(),
        stdio: ['ignore', log, log],
      });
      this.#paused = false;
    } finally {
      closeSync(log);
    }
  }

  /** Resolves when it serves (see `start`). */
  async serving({ timeoutMs = 20_000 }: { readonly timeoutMs?: number } = {}): Promise<void> {
    const elapsed = stopwatch();
    for (;;) {
      if (this.state === 'stopped') throw await this.#ending();
      const serves = this.#cluster.hasMajority ? this.#knowsLeader() : this.#answersMetrics();
      if (await serves.catch(() => false)) return;
      if (elapsed() > timeoutMs)
        throw new Error(`${this.name} did not serve in ${timeoutMs} ms:\n${await this.log()}`);
      await pause(30);
    }
  }

  /** SIGKILL. Resolves when the process is gone. The data stays. */
  async kill(): Promise<void> {
    const child = this.#running();
    child.signal('SIGKILL');
    await child.exited(5_000);
  }

  /** SIGTERM. Resolves when it has ended by itself. */
  async terminate(timeoutMs = 10_000): Promise<void> {
    const child = this.#running();
    if (this.#paused) this.resume();
    child.signal('SIGTERM');
    await child.exited(timeoutMs);
  }

  /** SIGSTOP: connections stay, nothing answers. Resolves when the kernel has stopped every thread. */
  async pause(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGSTOP');
    this.#paused = true;
    await eventually(`${this.name} stopped`, () => processState(pid) === 'T', { everyMs: 1 });
  }

  /** SIGCONT. */
  resume(): void {
    process.kill(this.pid, 'SIGCONT');
    this.#paused = false;
  }

  /** Removes its data. It must be stopped and the only member: it comes back as a new cluster with new revisions. */
  async wipe(): Promise<void> {
    if (this.#cluster.members.length > 1) throw new Error('a wiped member cannot join its old cluster again');
    await this.empty();
    this.#cluster.newGeneration();
  }

  /** Only removes its data; see `wipe` and `EtcdCluster.replace`. It must be stopped. */
  async empty(): Promise<void> {
    if (this.state !== 'stopped') throw new Error(`${this.name} must be stopped to be emptied`);
    await rm(join(this.#plan.folder, 'data'), { recursive: true, force: true });
  }

  /**
   * A number from its metrics page: the sum over all series of that name, or one series with its labels
   * (`name{label="x"}`). 0 when there is none, as for a counter without an event.
   */
  async metric(name: string): Promise<number> {
    const page = await getText(`http://127.0.0.1:${this.#plan.metricsPort}/metrics`);
    const numbers = page
      .split('\n')
      .filter(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .map(line => Number(line.slice(line.lastIndexOf(' ') + 1)));
    return numbers.reduce((sum, number) => sum + number, 0);
  }

  /** The end of etcd's output, at most 4,000 characters. */
  async log(): Promise<string> {
    return (await readFile(join(this.#plan.folder, 'log'), 'utf8')).slice(-4_000);
  }

  /** The raft term in which it leads, or undefined if it does not lead. Rejects if it does not answer. */
  async leadingTerm(): Promise<number | undefined> {
    const status = await this.#status();
    return status.leader === status.header.member_id ? Number(status.raftTerm) : undefined;
  }

  /** SIGKILL, without waiting. */
  abandon(): void {
    this.#child?.signal('SIGKILL');
  }

  #running(): Child {
    if (this.#child === undefined || this.#child.exit !== undefined)
      throw new Error(`${this.name} is stopped`);
    return this.#child;
  }

  async #knowsLeader(): Promise<boolean> {
    const { leader = '0' } = await this.#status();
    return leader !== '0';
  }

  async #answersMetrics(): Promise<boolean> {
    await this.metric('etcd_server_has_leader');
    return true;
  }

  #status(): Promise<MemberStatus> {
    return ask<MemberStatus>(this.target, '/v3/maintenance/status', {}, { timeoutMs: 1_000 });
  }

  async #ending(): Promise<Error> {
    const log = await this.log();
    const Kind = log.includes('address already in use') ? PortTakenError : Error;
    return new Kind(`${this.name} ended with ${JSON.stringify(this.#child?.exit)}:\n${log}`);
  }
}

interface MemberStatus {
  readonly header: ResponseHeader;
  readonly leader?: string;
  readonly raftTerm?: string;
}

export class EtcdCluster {
  readonly options: EtcdOptions;
  readonly members: readonly EtcdMember[];
  /** `name:password` of the tests' own requests. Set it before authentication is enabled. */
  user: string | undefined;
  readonly #plans: readonly MemberPlan[];
  readonly #folder: string;
  readonly #unsafeNoFsync: boolean;
  readonly #watchers = new Set<Watcher>();
  readonly #links = new Map<string, Link>();
  readonly #fronts: Server[] = [];
  readonly #forget: () => void;
  /** The members that joined an existing cluster. */
  readonly #joined = new Set<string>();
  #generation = 1;

  constructor(options: EtcdOptions, folder: string, plans: readonly MemberPlan[], unsafeNoFsync: boolean) {
    this.options = options;
    this.#folder = folder;
    this.#plans = plans;
    this.#unsafeNoFsync = unsafeNoFsync;
    this.members = plans.map((plan, index) => new EtcdMember(index, plan, this));
    this.#forget = atProcessEnd(() => {
      for (const member of this.members) member.abandon();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  /** The URLs of all members, including stopped ones. */
  get endpoints(): string[] {
    return this.members.map(member => member.endpoint);
  }

  /** Whether more than half of the members run and are not paused. */
  get hasMajority(): boolean {
    return this.#alive().length * 2 > this.members.length;
  }

  /** Runs etcdctl. Resolves with its output, rejects with its error output in the message. */
  async ctl(
    args: readonly string[],
    { endpoint, user, timeoutMs = 10_000 }: CtlOptions = {},
  ): Promise<string> {
    const { tls, etcdctl = 'etcdctl' } = this.options;
    const endpoints =
      endpoint ??
      this.#alive()
        .map(member => member.endpoint)
        .join(',');
    const secure = tls ? ['--cacert', tls.ca, '--cert', tls.client.cert, '--key', tls.client.key] : [];
    const login = user ?? this.user;
    const common = ['--endpoints', endpoints, `--command-timeout=${timeoutMs}ms`, ...secure];
    const all = [...common, ...(login === undefined ? [] : ['--user', login]), ...args];
    const env = { ...cleanEnvironment(), ETCDCTL_API: '3' };
    const { stdout } = await run(etcdctl, all, { env, timeout: timeoutMs + 1_000, killSignal: 'SIGKILL' });
    return stdout;
  }

  /** All keys with that prefix, read linearizably from the first member that answers. */
  async keys(prefix: string): Promise<Map<string, KeyState>> {
    const { kvs = [] } = await this.#ask<RangeAnswer>('/v3/kv/range', prefixRange(prefix));
    return new Map(
      kvs.map(kv => [
        decode(kv.key),
        {
          value: decode(kv.value),
          lease: leaseHex(kv.lease),
          modRevision: Number(kv.mod_revision),
          createRevision: Number(kv.create_revision),
          version: Number(kv.version),
        },
      ]),
    );
  }

  /** The revision of the last change to any key. */
  async revision(): Promise<number> {
    const { header } = await this.#ask<RangeAnswer>('/v3/kv/range', prefixRange('/'));
    return Number(header.revision);
  }

  /**
   * Records every change under the prefix from now on, or from a past revision. Resolves when the first member has
   * confirmed the watch.
   */
  async watch(prefix: string, { fromRevision }: { readonly fromRevision?: number } = {}): Promise<Watcher> {
    const { header: now } = await this.#ask<RangeAnswer>('/v3/kv/range', prefixRange(prefix));
    const header = fromRevision === undefined ? now : { ...now, revision: String(fromRevision - 1) };
    const sources = this.members.map(member => ({
      target: member.target,
      isAlive: () => member.state !== 'stopped',
      token: () => this.#token(member),
    }));
    const watcher = new Watcher(prefix, header, sources);
    this.#watchers.add(watcher);
    await watcher.ready();
    return watcher;
  }

  /** The ids of all leases, in hexadecimal as etcdctl prints them. */
  async leases(): Promise<string[]> {
    const { leases = [] } = await this.#ask<{ readonly leases?: { readonly ID: string }[] }>(
      '/v3/lease/leases',
      {},
    );
    return leases.map(lease => leaseHex(lease.ID));
  }

  /** A number from the metrics of a member, by default the first that is alive. See `EtcdMember.metric`. */
  metric(name: string, member: EtcdMember = this.#firstAlive()): Promise<number> {
    return member.metric(name);
  }

  /** The member that leads; if two believe that they do, the one with the later term. Waits for one. */
  leader(timeoutMs = 10_000): Promise<EtcdMember> {
    return eventually(
      'an etcd leader',
      async () => {
        const terms = await Promise.all(
          this.#alive().map(async member => ({
            member,
            term: (await member.leadingTerm().catch(() => 0)) ?? 0,
          })),
        );
        return terms.filter(({ term }) => term > 0).toSorted((a, b) => b.term - a.term)[0]?.member;
      },
      { timeoutMs },
    );
  }

  /** The members that do not lead. */
  async followers(): Promise<EtcdMember[]> {
    const leader = await this.leader();
    return this.members.filter(member => member !== leader);
  }

  /**
   * The link of the connections that `from` opens to `to`; bytes flow in both directions. Members use connections that
   * either side opened, so separating two members takes both links. Needs `peerProxies`.
   */
  link(from: EtcdMember, to: EtcdMember): Link {
    const link = this.#links.get(`${from.index}→${to.index}`);
    if (link === undefined) throw new Error('no such link: start the cluster with peerProxies');
    return link;
  }

  /** Cuts the member off from all other members. Clients still reach it. */
  async isolate(member: EtcdMember, mode: ProxyMode = 'silent'): Promise<void> {
    for (const other of this.members) {
      if (other === member) continue;
      await this.link(member, other).set(mode);
      await this.link(other, member).set(mode);
    }
  }

  /** Ends all isolation. Held connections are reset, since both sides have long given them up. */
  async heal(): Promise<void> {
    for (const link of this.#links.values()) {
      if (link.mode !== 'pass') await link.set('pass', { held: 'drop' });
    }
  }

  /**
   * Sends SIGKILL to the member, removes it from the cluster, and lets an empty one join instead, on the same ports.
   * The others must be a majority. If they do not agree to the removal within `timeoutMs`, the member comes back and
   * the call rejects.
   */
  async replace(member: EtcdMember, { timeoutMs = 15_000 } = {}): Promise<void> {
    await member.kill();
    // For 5 s after another fault, the others refuse to change the membership.
    const insist = { timeoutMs, everyMs: 500 };
    try {
      await eventually(
        `${member.name} removed`,
        async () => {
          const list = await this.ctl(['member', 'list']);
          const id = list
            .split('\n')
            .find(line => line.includes(` ${member.name},`))
            ?.split(',')[0];
          if (id !== undefined) await this.ctl(['member', 'remove', id]);
          return true;
        },
        insist,
      );
    } catch (error) {
      await member.start();
      throw error;
    }
    await member.empty();
    const plan = this.#plans[member.index] as MemberPlan;
    await eventually(
      `${member.name} added`,
      async () => {
        const list = await this.ctl(['member', 'list']);
        if (!list.includes(peerUrl(plan)))
          await this.ctl(['member', 'add', member.name, `--peer-urls=${peerUrl(plan)}`]);
        return true;
      },
      insist,
    );
    this.#joined.add(plan.name);
    await member.start();
  }

  /** Ends every process by its pid and removes all data. Idempotent. */
  async stop(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    for (const front of this.#fronts) front.close();
    await Promise.all(this.members.filter(({ state }) => state !== 'stopped').map(member => member.kill()));
    for (const link of this.#links.values()) link.dropConnections();
    await rm(this.#folder, { recursive: true, force: true });
    this.#forget();
  }

  /** Starts all members. Rejects with a PortTakenError when another process has taken a port. */
  async start(): Promise<void> {
    if (this.options.peerProxies) await this.#openLinks();
    await Promise.all(this.members.map(member => member.launch()));
    const timeoutMs = this.options.timeoutMs ?? 20_000;
    await Promise.all(this.members.map(member => member.serving({ timeoutMs })));
  }

  /** Makes the next start from empty data a different cluster, so that no watcher confuses it with the old one. */
  newGeneration(): void {
    this.#generation++;
  }

  argumentsFor(plan: MemberPlan): string[] {
    const { alsoListenOn, tls, clientCertAuth, quotaBackendBytes, extraArgs = [] } = this.options;
    const clients = ['127.0.0.1', ...(alsoListenOn === undefined ? [] : [alsoListenOn])]
      .map(address => `${tls ? 'https' : 'http'}://${address}:${plan.clientPort}`)
      .join(',');
    return [
      ['--name', plan.name, '--data-dir', join(plan.folder, 'data')],
      ['--listen-client-urls', clients, '--advertise-client-urls', clients],
      ['--listen-peer-urls', `http://127.0.0.1:${plan.peerPort}`],
      ['--initial-advertise-peer-urls', peerUrl(plan)],
      ['--initial-cluster', this.#plans.map(each => `${each.name}=${peerUrl(each)}`).join(',')],
      ['--initial-cluster-state', this.#joined.has(plan.name) ? 'existing' : 'new'],
      ['--initial-cluster-token', `dockreg-test-${this.#generation}`],
      ['--listen-metrics-urls', `http://127.0.0.1:${plan.metricsPort}`],
      ['--logger', 'zap', '--log-level', 'warn'],
      quotaBackendBytes === undefined ? [] : ['--quota-backend-bytes', String(quotaBackendBytes)],
      this.#unsafeNoFsync ? ['--unsafe-no-fsync'] : [],
      tls ? ['--cert-file', tls.server.cert, '--key-file', tls.server.key] : [],
      tls && clientCertAuth ? ['--client-cert-auth', '--trusted-ca-file', tls.ca] : [],
      extraArgs,
    ].flat();
  }

  async #openLinks(): Promise<void> {
    for (const to of this.members) {
      const plan = this.#plans[to.index] as MemberPlan;
      for (const from of this.members) {
        if (from !== to) this.#links.set(`${from.index}→${to.index}`, new Link(plan.peerPort));
      }
      const front = await listen(plan.advertisedPeerPort, socket => {
        socket.on('error', () => undefined);
        const inode = clientSocket(socket.remotePort ?? 0, plan.advertisedPeerPort);
        const from =
          inode && this.members.find(member => member.state !== 'stopped' && holdsSocket(member.pid, inode));
        const link = from && this.#links.get(`${from.index}→${to.index}`);
        if (link) link.accept(socket);
        else socket.destroy();
      });
      this.#fronts.push(front);
    }
  }

  #alive(): EtcdMember[] {
    return this.members.filter(member => member.state === 'running');
  }

  #firstAlive(): EtcdMember {
    const [first] = this.#alive();
    if (first === undefined) throw new Error('no etcd member is alive');
    return first;
  }

  async #ask<T>(path: string, body: object): Promise<T> {
    return eventually(
      `etcd's answer to ${path}`,
      async () => {
        const errors: unknown[] = [];
        for (const member of this.#alive()) {
          try {
            return await ask<T>(member.target, path, body, { token: await this.#token(member) });
          } catch (error) {
            errors.push(error);
          }
        }
        throw errors[0] ?? new Error('no etcd member is alive');
      },
      { timeoutMs: 15_000, everyMs: 100 },
    );
  }

  // A token ends with its member's process and with changes of the users, so each request gets its own.
  async #token(member: EtcdMember): Promise<string | undefined> {
    if (this.user === undefined) return undefined;
    const [name, ...password] = this.user.split(':');
    const body = { name, password: password.join(':') };
    try {
      return (await ask<{ readonly token: string }>(member.target, '/v3/auth/authenticate', body)).token;
    } catch (error) {
      if (String(error).includes('authentication is not enabled')) return undefined;
      throw error;
    }
  }
}

interface RangeAnswer {
  readonly header: ResponseHeader;
  readonly kvs?: readonly RawKeyValue[];
}

/** Starts a cluster with empty data. Rejects with etcd's output when it does not start. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdCluster> {
  const unsafeNoFsync = await hasUnsafeNoFsync(options.binary ?? defaultBinary);
  for (let attempt = 1; ; attempt++) {
    const folder = await mkdtemp(join(tmpdir(), 'dockreg-etcd-'));
    const plans: MemberPlan[] = [];
    for (let index = 0; index < (options.members ?? 1); index++)
      plans.push(await planMember(folder, index, options));
    const cluster = new EtcdCluster(options, folder, plans, unsafeNoFsync);
    try {
      await cluster.start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      if (!(error instanceof PortTakenError) || attempt === 5) throw error;
    }
  }
}

async function planMember(root: string, index: number, { peerProxies }: EtcdOptions): Promise<MemberPlan> {
  const peerPort = await freePort();
  return {
    name: `etcd-${index + 1}`,
    folder: await mkdtemp(join(root, `${index + 1}-`)),
    clientPort: await freePort(),
    peerPort,
    advertisedPeerPort: peerProxies ? await freePort() : peerPort,
    metricsPort: await freePort(),
  };
}

function peerUrl(plan: MemberPlan): string {
  return `http://127.0.0.1:${plan.advertisedPeerPort}`;
}

async function hasUnsafeNoFsync(binary: string | readonly string[]): Promise<boolean> {
  const [command = 'etcd', ...args] = [binary].flat();
  const { stdout } = await run(command, [...args, '--version'], { env: cleanEnvironment(), timeout: 10_000 });
  const [, major = '0', minor = '0'] = /etcd Version: (\d+)\.(\d+)/.exec(stdout) ?? [];
  return Number(major) * 100 + Number(minor) >= 305;
}

/** The state letter of /proc/<pid>/stat; undefined when the process is gone. */
function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0];
  } catch {
    return undefined;
  }
}

/** A port on 127.0.0.1 as /proc/net/tcp writes it. */
function procAddress(port: number): string {
  return `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The inode of the client's socket of a loopback connection; undefined when the client has closed it. */
function clientSocket(localPort: number, remotePort: number): string | undefined {
  const inode = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .find(fields => fields[1] === procAddress(localPort) && fields[2] === procAddress(remotePort))?.[9];
  return inode === '0' ? undefined : inode;
}

function holdsSocket(pid: number, inode: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some(fd => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch {
      return false;
    }
  });
}
