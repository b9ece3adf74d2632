/**
 * Runs a schedule on real parts: etcd members, apps, and the built program as processes, each process with its own
 * fault proxies to every member. Records what happens as facts, and does not judge them.
 */
import { type App, startApp } from '../support/app.ts';
import { ask, encode, leaseHex } from '../support/etcd-gateway.ts';
import { type EtcdCluster, type EtcdMember, startEtcd } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { type Program, startProgram } from '../support/program.ts';
import { type Proxy, startProxy } from '../support/proxy.ts';
import { eventually, pause } from '../support/wait.ts';
import { enableAuth, root, tokenArguments, user } from '../support/auth.ts';
import { settings, stallMs } from './bounds.ts';
import type { Fact, History, LinkMode } from './history.ts';
import { describeFault, type Fault, type LinkTrouble, type Schedule, type Track } from './schedule.ts';

export interface WorldOptions {
  /** The script to run as the program. Default: `dist/dockreg.js` of this repository. */
  readonly entry?: string | undefined;
  /** Receives a line for every step when it begins. */
  readonly say?: ((text: string) => void) | undefined;
}

const prefix = '/service/';
/** The time between two reads that show whether a member serves, and the limit of one, in ms. */
const pulseEveryMs = 250;
const pulseLimitMs = 1000;
/** How long to wait for the end of a program, in ms. The checker judges how long it took. */
const endingMs = 15_000;
/** No run is longer, in ms. */
const runLimitMs = 3_600_000;
/** How long etcd may still carry out a failed request of another client, in ms: etcd's own request timeout. */
const afterlifeMs = 8000;

/** Runs a schedule from an empty cluster to the end of all programs. Ends everything that it has started. */
export async function runSchedule(schedule: Schedule, options: WorldOptions = {}): Promise<History> {
  const { members, auth } = schedule;
  const { extraArgs, remove } = await tokenArguments(auth);
  const etcd = await startEtcd({ members, peerProxies: members > 1, extraArgs });
  const world = new World(etcd, schedule, options);
  try {
    return await world.run();
  } finally {
    await world.close();
    remove();
  }
}

interface Instance {
  readonly name: string;
  readonly program: Program;
  readonly proxies: readonly Proxy[];
}

interface Slot {
  readonly index: number;
  readonly key: string;
  readonly address: string;
  readonly app: App;
  /** The processes that run, the newest last. */
  readonly instances: Instance[];
  count: number;
}

class World {
  readonly #etcd: EtcdCluster;
  readonly #schedule: Schedule;
  readonly #options: WorldOptions;
  readonly #facts: Fact[] = [];
  readonly #slots: Slot[] = [];
  readonly #all: { readonly slot: Slot; readonly instance: Instance }[] = [];
  readonly #ended = new AbortController();
  /** By member: the last token that it gave the test. */
  readonly #tokens = new Map<number, string>();
  #watcher: Watcher | undefined;
  #startedAt = 0;

  constructor(etcd: EtcdCluster, schedule: Schedule, options: WorldOptions) {
    this.#etcd = etcd;
    this.#schedule = schedule;
    this.#options = options;
  }

  async run(): Promise<History> {
    const { members, slots, tracks, endMs } = this.#schedule;
    if (this.#hasAuth) await enableAuth(this.#etcd, prefix);
    const watcher = await this.#etcd.watch(prefix);
    this.#watcher = watcher;
    for (let index = 0; index < slots; index++) {
      const address = `10.9.0.${index + 1}:8000`;
      const app = await startApp();
      this.#slots.push({ index, address, key: prefix + address, app, instances: [], count: 0 });
    }
    this.#startedAt = performance.now();
    for (const { index } of this.#slots) this.#note({ kind: 'app', slot: index, able: true });
    const pulses = this.#etcd.members.map(member => this.#takePulse(member));
    const stalls = this.#recordStalls();
    await Promise.all(this.#slots.map(slot => this.#startInstance(slot)));
    await Promise.all(tracks.map(track => this.#play(track)));
    await this.#until(endMs);
    await this.#stopAll();
    await this.#awaitLastChange(watcher);
    const endedAt = performance.now();
    this.#ended.abort();
    await Promise.all([...pulses, stalls]);
    this.#collect(watcher);
    const facts = this.#facts.toSorted((a, b) => a.at - b.at);
    return { facts, members, slots, startedAt: this.#startedAt, endedAt };
  }

  async close(): Promise<void> {
    this.#ended.abort();
    for (const { instance } of this.#all) {
      if (instance.program.exit === undefined) instance.program.signal('SIGKILL');
      for (const proxy of instance.proxies) proxy.close();
    }
    for (const { app } of this.#slots) app.close();
    this.#watcher?.close();
    await this.#etcd.stop();
  }

  get #hasAuth(): boolean {
    return this.#schedule.auth !== 'none';
  }

  #note(fact: FactBody, at = performance.now()): void {
    this.#facts.push({ at, ...fact });
  }

  #until(ms: number): Promise<void> {
    return pause(Math.max(0, this.#startedAt + ms - performance.now()));
  }

  async #play({ steps }: Track): Promise<void> {
    for (const { atMs, forMs, fault } of steps) {
      await this.#until(atMs);
      const what = describeFault(fault);
      this.#options.say?.(`${(atMs / 1000).toFixed(1)} s: ${what}${forMs > 0 ? ` for ${forMs} ms` : ''}`);
      this.#note({ kind: 'note', text: `>> ${what}${forMs > 0 ? ` for ${forMs} ms` : ''}` });
      try {
        const undo = await this.#begin(fault);
        if (undo === undefined) continue;
        await this.#until(atMs + forMs);
        this.#note({ kind: 'note', text: `<< ${what}` });
        await undo();
      } catch (error) {
        this.#options.say?.(`failed: ${what}: ${String(error)}`);
        this.#note({ kind: 'note', text: `!! ${what}: ${String(error)}` });
      }
    }
  }

  /** Resolves with a function that ends the fault, if the fault lasts. */
  async #begin(fault: Fault): Promise<(() => Promise<void>) | undefined> {
    switch (fault.kind) {
      case 'member':
        if (fault.how === 'replace') return this.#replace(this.#member(fault.member));
        return this.#hurt(fault.how, [this.#member(fault.member)]);
      case 'leader':
        return this.#hurt(fault.how, [await this.#etcd.leader(3000)]);
      case 'quorum': {
        const { members } = this.#schedule;
        const count = Math.ceil(members / 2);
        const chosen = Array.from({ length: count }, (_, index) =>
          this.#member((fault.first + index) % members),
        );
        return this.#hurt(fault.how, chosen);
      }
      case 'wipe':
        return this.#wipe();
      case 'compact':
        return this.#compact();
      case 'nospace':
        return this.#raiseNospace();
      case 'auth':
        return this.#changeUsers(fault.how);
      case 'link':
        return this.#troubleLinks(this.#slot(fault.slot), fault.members, fault.trouble);
      case 'app':
        return this.#troubleApp(this.#slot(fault.slot), fault.how);
      case 'program':
        return this.#troubleProgram(this.#slot(fault.slot), fault);
      case 'others':
        return this.#meddle(this.#slot(fault.slot), fault.how);
    }
  }

  #member(index: number): EtcdMember {
    return this.#etcd.members[index] as EtcdMember;
  }

  #slot(index: number): Slot {
    return this.#slots[index] as Slot;
  }

  // etcd

  async #hurt(
    how: 'kill' | 'pause' | 'isolate',
    members: readonly EtcdMember[],
  ): Promise<() => Promise<void>> {
    switch (how) {
      case 'kill':
        await Promise.all(members.map(member => member.kill()));
        return async () => {
          for (const member of members) await member.launch();
          await Promise.all(members.map(member => member.serving()));
        };
      case 'pause':
        await Promise.all(members.map(member => member.pause()));
        return async () => {
          for (const member of members) member.resume();
          await Promise.resolve();
        };
      case 'isolate':
        for (const member of members) await this.#etcd.isolate(member);
        return () => this.#etcd.heal();
    }
  }

  async #replace(member: EtcdMember): Promise<undefined> {
    await this.#etcd.replace(member);
  }

  async #wipe(): Promise<undefined> {
    const member = this.#member(0);
    await member.kill();
    await member.wipe();
    this.#note({ kind: 'wiped' });
    await member.start();
    if (this.#hasAuth) await enableAuth(this.#etcd, prefix);
  }

  async #changeUsers(how: 'user' | 'password'): Promise<undefined> {
    if (how === 'password') await this.#ask('/v3/auth/user/changepw', user);
    else await this.#ask('/v3/auth/user/add', { name: `other-${performance.now()}`, password: 'x' });
  }

  async #compact(): Promise<undefined> {
    // Not beyond what the watcher has observed, or the history would have a hole.
    const revision = this.#watcher?.events.at(-1)?.modRevision;
    if (revision !== undefined) await this.#ask('/v3/kv/compaction', { revision: String(revision) });
  }

  async #raiseNospace(): Promise<() => Promise<void>> {
    const { header } = await this.#ask<{ header: { member_id: string } }>('/v3/maintenance/status', {});
    const alarm = { memberID: header.member_id, alarm: 'NOSPACE' };
    this.#note({ kind: 'nospace', on: true });
    const disarm = async (): Promise<void> => {
      await this.#insist('/v3/maintenance/alarm', { action: 'DEACTIVATE', ...alarm });
      this.#note({ kind: 'nospace', on: false });
    };
    try {
      await this.#ask('/v3/maintenance/alarm', { action: 'ACTIVATE', ...alarm });
    } catch (error) {
      await disarm();
      throw error;
    }
    return disarm;
  }

  // The program, its links and its app

  async #startInstance(slot: Slot): Promise<Instance> {
    const name = `${slot.index}.${++slot.count}`;
    const proxies = await Promise.all(this.#etcd.members.map(({ port }) => startProxy(port)));
    const { entry } = this.#options;
    const program = await startProgram({
      ...(entry !== undefined && { entry }),
      env: {
        DOCKREG_ETCD: proxies.map(proxy => `http://${proxy.address}`).join(','),
        ...(this.#hasAuth && { DOCKREG_ETCD_USER: user.name, DOCKREG_ETCD_PASSWORD: user.password }),
        DOCKREG_PORT: String(slot.app.port),
        DOCKREG_ADVERTISE: slot.address,
        DOCKREG_INTERVAL: `${settings.intervalMs}ms`,
        DOCKREG_TIMEOUT: `${settings.timeoutMs}ms`,
        DOCKREG_TTL: `${settings.ttlMs / 1000}s`,
      },
    });
    const instance: Instance = { name, program, proxies };
    this.#all.push({ slot, instance });
    slot.instances.push(instance);
    void this.#awaitEnd(slot, instance);
    // Before that line a SIGTERM reaches Node and not the program.
    const started = await program.waitForLine('started', 20_000);
    this.#note({ kind: 'program', slot: slot.index, instance: name, what: 'started' }, started.at);
    return instance;
  }

  async #awaitEnd(slot: Slot, instance: Instance): Promise<void> {
    const { name, program, proxies } = instance;
    const { code, signal } = await program.exitWithin(runLimitMs);
    this.#note({ kind: 'ended', slot: slot.index, instance: name, code, signal });
    slot.instances.splice(slot.instances.indexOf(instance), 1);
    for (const proxy of proxies) proxy.close();
  }

  async #terminate(slot: Slot, { name, program }: Instance): Promise<void> {
    this.#note({ kind: 'program', slot: slot.index, instance: name, what: 'stopping' });
    program.signal('SIGTERM');
    await program.exitWithin(endingMs).catch(() => this.#kill(slot, { name, program }));
  }

  async #kill(slot: Slot, { name, program }: Pick<Instance, 'name' | 'program'>): Promise<void> {
    this.#note({ kind: 'program', slot: slot.index, instance: name, what: 'killed' });
    program.signal('SIGKILL');
    await program.exitWithin(5000);
  }

  async #troubleProgram(
    slot: Slot,
    fault: Extract<Fault, { kind: 'program' }>,
  ): Promise<(() => Promise<void>) | undefined> {
    const current = slot.instances.at(-1);
    if (current === undefined) throw new Error('no program runs');
    const restart = async (): Promise<void> => {
      await this.#startInstance(slot);
    };
    const set = (what: 'paused' | 'resumed', signal: 'SIGSTOP' | 'SIGCONT'): void => {
      this.#note({ kind: 'program', slot: slot.index, instance: current.name, what });
      current.program.signal(signal);
    };
    switch (fault.how) {
      case 'pause':
        set('paused', 'SIGSTOP');
        return async () => {
          set('resumed', 'SIGCONT');
          await Promise.resolve();
        };
      case 'restart':
        await this.#terminate(slot, current);
        return restart;
      case 'kill':
        await this.#kill(slot, current);
        return restart;
      case 'successor': {
        const [oldWaitMs, newWaitMs] = [Math.max(0, fault.overlapMs), Math.max(0, -fault.overlapMs)];
        const take = async (): Promise<void> => {
          await pause(newWaitMs);
          await restart();
        };
        const leave = async (): Promise<void> => {
          await pause(oldWaitMs);
          await this.#terminate(slot, current);
        };
        await Promise.all([take(), leave()]);
        return undefined;
      }
    }
  }

  async #troubleLinks(
    slot: Slot,
    members: readonly number[],
    trouble: LinkTrouble,
  ): Promise<() => Promise<void>> {
    // A program that starts meanwhile is another container with its own links.
    const instances = [...slot.instances];
    const set = async (mode: LinkTrouble | 'pass'): Promise<void> => {
      for (const { name, proxies, program } of instances) {
        if (program.exit !== undefined) continue;
        for (const member of members) {
          const named: LinkMode = typeof mode === 'string' ? mode : 'delay';
          this.#note({ kind: 'link', instance: name, member, mode: named });
          await proxies[member]?.set(mode).catch((error: unknown) => {
            if (program.exit === undefined) throw error;
          });
        }
      }
    };
    await set(trouble);
    return () => set('pass');
  }

  async #troubleApp({ index, app }: Slot, how: 'crash' | 'hang' | 'error'): Promise<() => Promise<void>> {
    this.#note({ kind: 'app', slot: index, able: false });
    if (how === 'crash') app.close();
    else app.respond(how === 'hang' ? 'hang' : { status: 500 });
    return async () => {
      app.respond('ok');
      await app.listen();
      this.#note({ kind: 'app', slot: index, able: true });
    };
  }

  // Other clients

  async #meddle(
    slot: Slot,
    how: 'revoke' | 'delete' | 'overwrite' | 'take',
  ): Promise<(() => Promise<void>) | undefined> {
    const key = encode(slot.key);
    switch (how) {
      case 'revoke': {
        const { kvs = [] } = await this.#ask<{ kvs?: { lease?: string }[] }>('/v3/kv/range', { key });
        const lease = kvs[0]?.lease;
        if (lease === undefined) return undefined;
        await this.#meddling(slot, how, leaseHex(lease), () => this.#ask('/v3/lease/revoke', { ID: lease }));
        return undefined;
      }
      case 'delete':
        await this.#meddling(slot, how, null, () => this.#ask('/v3/kv/deleterange', { key }));
        return undefined;
      case 'overwrite':
        await this.#meddling(slot, how, null, () =>
          this.#ask('/v3/kv/put', { key, value: encode('theirs, without a lease') }),
        );
        return undefined;
      case 'take': {
        const { ID: lease } = await this.#ask<{ ID: string }>('/v3/lease/grant', { TTL: '600' });
        const put = { key, value: encode('theirs'), lease };
        const leave = async (): Promise<void> => {
          await this.#meddling(slot, 'leave', leaseHex(lease), () =>
            this.#insist('/v3/lease/revoke', { ID: lease }),
          );
        };
        try {
          await this.#meddling(slot, how, leaseHex(lease), () => this.#ask('/v3/kv/put', put));
        } catch (error) {
          await leave();
          throw error;
        }
        return leave;
      }
    }
  }

  async #meddling(
    slot: Slot,
    how: 'revoke' | 'delete' | 'overwrite' | 'take' | 'leave',
    lease: string | null,
    work: () => Promise<unknown>,
  ): Promise<void> {
    const at = performance.now();
    const done = (laterMs: number): void =>
      this.#note({ kind: 'others', slot: slot.index, how, lease, until: performance.now() + laterMs }, at);
    try {
      await work();
      done(0);
    } catch (error) {
      done(afterlifeMs);
      throw error;
    }
  }

  /** Sends a request to one running member after the other, once each. */
  async #ask<T>(path: string, body: object): Promise<T> {
    let last: unknown = new Error('no member runs');
    for (const member of this.#etcd.members) {
      if (member.state !== 'running') continue;
      try {
        return await this.#askMember<T>(member, path, body, 2000);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  async #askMember<T>(member: EtcdMember, path: string, body: object, timeoutMs: number): Promise<T> {
    const { index, target } = member;
    const token = this.#tokens.get(index);
    try {
      return await ask<T>(target, path, body, { timeoutMs, token });
    } catch (error) {
      if (!this.#hasAuth || !/auth|user name is empty/.test(String(error))) throw error;
      const renewed = await ask<{ readonly token: string }>(target, '/v3/auth/authenticate', root);
      this.#tokens.set(index, renewed.token);
      return ask<T>(target, path, body, { timeoutMs, token: renewed.token });
    }
  }

  /** Repeats a request until it succeeds, or until it is far too late. */
  async #insist(path: string, body: object): Promise<void> {
    await eventually(
      path,
      async () => {
        try {
          await this.#ask(path, body);
        } catch (error) {
          // A repeated request finds the work done.
          if (!String(error).includes('not found')) throw error;
        }
        return true;
      },
      { timeoutMs: 60_000, everyMs: 300 },
    );
  }

  // Observation

  async #takePulse(member: EtcdMember): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const at = performance.now();
      const body = { key: encode('/pulse') };
      const term =
        member.state === 'running'
          ? await this.#askMember<{ header: { raft_term?: string } }>(
              member,
              '/v3/kv/range',
              body,
              pulseLimitMs,
            ).then(
              ({ header }) => Number(header.raft_term ?? 0),
              () => null,
            )
          : null;
      const until = performance.now();
      this.#note({ kind: 'pulse', member: member.index, until, ok: term !== null, term }, at);
      await pause(Math.max(10, pulseEveryMs - (until - at)), signal);
    }
  }

  async #recordStalls(): Promise<void> {
    const { signal } = this.#ended;
    let before = performance.now();
    while (!signal.aborted) {
      await pause(25, signal);
      const now = performance.now();
      if (now - before > stallMs) this.#note({ kind: 'stall', until: now }, before);
      before = now;
    }
  }

  async #stopAll(): Promise<void> {
    const running = this.#slots.flatMap(slot => slot.instances.map(instance => ({ slot, instance })));
    await Promise.all(running.map(({ slot, instance }) => this.#terminate(slot, instance)));
  }

  /** Waits until the watcher has observed the last change. */
  async #awaitLastChange(watcher: Watcher): Promise<void> {
    const revision = await this.#etcd.revision();
    // The last change may be one of another key, or there may be none since a wipe.
    const observed = (): boolean => (watcher.events.at(-1)?.modRevision ?? 0) >= revision;
    await eventually('the last change', observed, { timeoutMs: 1000 }).catch(() => undefined);
  }

  #collect(watcher: Watcher): void {
    const hole = watcher.gaps.find(({ reason }) => reason === 'compacted');
    if (hole) throw new Error(`the history has a hole: ${JSON.stringify(hole)}`);
    const slotOf = new Map(this.#slots.map(({ key, index }) => [key, index]));
    for (const { at, type, key, lease, value, modRevision: revision } of watcher.events) {
      const slot = slotOf.get(key);
      if (slot !== undefined) this.#note({ kind: type, slot, lease, value, revision }, at);
    }
    for (const { index, app } of this.#slots) {
      const changes = this.#facts.filter(fact => fact.kind === 'app' && fact.slot === index);
      for (const { at } of app.requests) {
        const last = changes.findLast(fact => fact.at <= at);
        this.#note({ kind: 'asked', slot: index, able: last?.kind === 'app' && last.able }, at);
      }
    }
    for (const { slot, instance } of this.#all) this.#collectLines(slot, instance);
  }

  #collectLines({ index: slot }: Slot, { name, program }: Instance): void {
    for (const { at, raw: text, fields } of program.lines) {
      const { msg: message = text, lease } = fields;
      const named = lease && /^[\da-f]+$/.test(lease) ? lease.padStart(16, '0') : null;
      this.#note({ kind: 'line', slot, instance: name, stream: 'log', text, message, lease: named }, at);
    }
    const ended = performance.now();
    for (const text of program.stderr.split('\n').filter(line => line.trim() !== '')) {
      this.#note(
        { kind: 'line', slot, instance: name, stream: 'stderr', text, message: text, lease: null },
        ended,
      );
    }
  }
}

type WithoutTime<T> = T extends unknown ? Omit<T, 'at'> : never;
type FactBody = WithoutTime<Fact>;
