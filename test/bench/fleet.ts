/**
 * The instances of the scale bench, spread over processes of test/bench/sessions.ts, and which of them are away from etcd.
 */
import { fileURLToPath } from 'node:url';
import { Child, cleanEnvironment } from '../support/children.ts';
import type { Load, News } from './sessions.ts';

/** The most sessions that one process serves without being late itself. */
const sessionsPerProcess = 2500;
const entry = fileURLToPath(new URL('sessions.js', import.meta.url));

export class Fleet {
  readonly processes: readonly Child[];
  /** The causes of failures since `forget`, each with its count. */
  readonly causes = new Map<string, number>();
  readonly #away = new Set<number>();
  readonly #everAway = new Set<number>();
  readonly #backAt = new Map<number, number>();

  private constructor(processes: readonly Child[]) {
    this.processes = processes;
    for (const child of processes) child.process.on('message', (news: News) => this.#note(news));
  }

  static async start(instances: number, load: Omit<Load, 'first' | 'count' | 'total'>): Promise<Fleet> {
    const groups = Math.ceil(instances / sessionsPerProcess);
    const processes: Child[] = [];
    for (let part = 0; part < groups; part++) {
      const [first, next] = [part, part + 1].map(at => Math.floor((at * instances) / groups)) as [
        number,
        number,
      ];
      const own: Load = { ...load, first, count: next - first, total: instances };
      const child = await Child.spawn(process.execPath, [entry, JSON.stringify(own)], {
        env: cleanEnvironment(),
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      processes.push(child);
    }
    return new Fleet(processes);
  }

  /** How many instances had a failure since `forget`. */
  get everAway(): number {
    return this.#everAway.size;
  }

  get away(): number {
    return this.#away.size;
  }

  /** When the instances with a failure since `forget` came back last, in `performance.now()` ms; sorted. */
  get backAt(): readonly number[] {
    return [...this.#backAt.values()].toSorted((a, b) => a - b);
  }

  /** Starts a new measurement. */
  forget(): void {
    this.causes.clear();
    this.#everAway.clear();
    this.#backAt.clear();
  }

  stop(): void {
    for (const child of this.processes) child.signal('SIGKILL');
  }

  #note({ kind, instance, cause = '' }: News): void {
    if (kind === 'away') {
      this.#away.add(instance);
      this.#everAway.add(instance);
      const plain = cause.replaceAll(/\d[\d.:]*/g, '…');
      this.causes.set(plain, (this.causes.get(plain) ?? 0) + 1);
    } else if (this.#away.delete(instance)) {
      this.#backAt.set(instance, performance.now());
    }
  }
}
