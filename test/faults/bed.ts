/**
 * The parts that one row needs: its own etcd cluster, an app, and the built program with its default times, which
 * reaches each member through a fault proxy. Measures when the key was there and when everything was right again.
 */
import { type App, startApp } from '../support/app.ts';
import { ask } from '../support/etcd-gateway.ts';
import { type EtcdCluster, type EtcdMember, startEtcd } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { type Program, startProgram } from '../support/program.ts';
import { type Proxy, type ProxyMode, type SetModeOptions, startProxy } from '../support/proxy.ts';
import { eventually } from '../support/wait.ts';

/** The program's defaults. */
export const settings = { ttlSeconds: 20, intervalSeconds: 5, timeoutSeconds: 3 } as const;

const address = '10.9.0.1:8000';

export class Bed {
  readonly etcd: EtcdCluster;
  readonly key = `/service/${address}`;
  readonly #app: App;
  readonly #proxies: readonly Proxy[];
  readonly #watcher: Watcher;
  readonly #wipes: number[] = [];
  #program: Program | undefined;

  private constructor(etcd: EtcdCluster, app: App, proxies: readonly Proxy[], watcher: Watcher) {
    this.etcd = etcd;
    this.#app = app;
    this.#proxies = proxies;
    this.#watcher = watcher;
  }

  static async make(members: number): Promise<Bed> {
    const etcd = await startEtcd({ members });
    const proxies = await Promise.all(etcd.members.map(({ port }) => startProxy(port)));
    return new Bed(etcd, await startApp(), proxies, await etcd.watch('/'));
  }

  get program(): Program {
    if (this.#program === undefined) throw new Error('the program was not started');
    return this.#program;
  }

  /** The first member. A cluster of one has no other. */
  get member(): EtcdMember {
    return this.etcd.members[0] as EtcdMember;
  }

  async start(): Promise<void> {
    this.#program = await startProgram({
      env: {
        DOCKREG_ETCD: this.#proxies.map(proxy => `http://${proxy.address}`).join(','),
        DOCKREG_PORT: String(this.#app.port),
        DOCKREG_ADVERTISE: address,
        DOCKREG_TTL: `${settings.ttlSeconds}s`,
        DOCKREG_INTERVAL: `${settings.intervalSeconds}s`,
        DOCKREG_TIMEOUT: `${settings.timeoutSeconds}s`,
      },
    });
  }

  async setLinks(mode: ProxyMode, options: SetModeOptions = {}): Promise<void> {
    for (const proxy of this.#proxies) await proxy.set(mode, options);
  }

  /** The lease of the key, in hexadecimal. */
  async lease(): Promise<string> {
    const { lease } = (await this.etcd.keys('/')).get(this.key) ?? {};
    if (lease === undefined) throw new Error('no key');
    return lease;
  }

  /** The member that the program last logged as reached. */
  connected(): EtcdMember {
    const line = this.program.lines.findLast(({ raw }) => /registered|answers again/.test(raw));
    const index = this.#proxies.findIndex(proxy => line?.fields['endpoint'] === `http://${proxy.address}`);
    const member = this.etcd.members[index];
    if (member === undefined) throw new Error(`no member behind ${line?.raw}`);
    return member;
  }

  /** Makes another member the leader if the program is connected to the leader. */
  async leadElsewhere(): Promise<void> {
    const connected = this.connected();
    const leader = await this.etcd.leader();
    if (leader !== connected) return;
    const other = this.etcd.members.find(member => member !== connected) as EtcdMember;
    const { header } = await ask<{ header: { member_id: string } }>(
      other.target,
      '/v3/maintenance/status',
      {},
    );
    await ask(leader.target, '/v3/maintenance/transfer-leadership', { targetID: header.member_id });
    await eventually('another leader', async () => (await this.etcd.leader()) !== connected);
  }

  noteWipe(): void {
    this.#wipes.push(performance.now());
  }

  /** How long the key was away since `from`, in ms. At `from` it was there. */
  absentSince(from: number): number {
    const changes = [
      ...this.#watcher.events.map(({ at, type }) => ({ at, there: type === 'put' })),
      ...this.#wipes.map(at => ({ at, there: false })),
    ].toSorted((a, b) => a.at - b.at);
    let absent = 0;
    let goneAt: number | null = null;
    for (const { at, there } of changes.filter(change => change.at >= from)) {
      if (there && goneAt !== null) absent += at - goneAt;
      goneAt = there ? null : (goneAt ?? at);
    }
    return goneAt === null ? absent : absent + performance.now() - goneAt;
  }

  /** When the last repair after `healedAt` was done: the last good line, or the last put. */
  rightAgainAt(healedAt: number): number {
    const good = this.program.lines.findLast(({ raw }) => success.test(raw))?.at ?? 0;
    const put = this.#watcher.events.findLast(({ type }) => type === 'put')?.at ?? 0;
    return Math.max(healedAt, good, put);
  }

  /** Whether the key is there and the program has logged no failure of etcd since its last success. */
  async isRight(): Promise<boolean> {
    const last = this.program.lines.findLast(({ raw }) => success.test(raw) || failure.test(raw));
    if (last === undefined || failure.test(last.raw)) return false;
    return (await this.etcd.keys('/')).get(this.key)?.value === 'running';
  }

  async close(): Promise<void> {
    await this.#program?.stop();
    for (const proxy of this.#proxies) proxy.close();
    this.#app.close();
    this.#watcher.close();
    await this.etcd.stop();
  }
}

const success = /registered|restored|etcd answers again/;
const failure = /etcd: |etcd still fails|lost our lease/;
