/**
 * Child processes of the tests, and everything else that must be gone when the test process ends. However it ends (a
 * failed test, an exception, Ctrl-C), each child's process group receives SIGKILL, and each clean-up runs.
 */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import type { Socket } from 'node:net';

import { inTime, stopwatch } from './wait.ts';

/** How a process ended: its code or the signal that ended it, and how long it lived in milliseconds. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly afterMs: number;
}

export interface SpawnOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly stdio: StdioOptions;
  readonly cwd?: string;
  /** The user to run as; default: the same. Needs root. */
  readonly uid?: number;
}

const cleanUps = new Set<() => void>();
let listening = false;

/** Runs `cleanUp` (synchronous) when this process ends. Returns a function that cancels that. */
export function atProcessEnd(cleanUp: () => void): () => void {
  if (!listening) {
    listening = true;
    process.on('exit', runCleanUps);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      // A listener that exists already cleans up and then exits.
      if (process.listenerCount(signal) > 0) continue;
      process.once(signal, () => {
        runCleanUps();
        process.kill(process.pid, signal);
      });
    }
  }
  cleanUps.add(cleanUp);
  return () => void cleanUps.delete(cleanUp);
}

function runCleanUps(): void {
  for (const cleanUp of [...cleanUps].toReversed()) {
    cleanUps.delete(cleanUp);
    try {
      cleanUp();
    } catch (error) {
      console.error(`clean-up failed: ${String(error)}`);
    }
  }
}

/** The variables that a child may need from this process: no proxy variables above all. */
export function cleanEnvironment(): Record<string, string> {
  const { PATH = '/usr/local/bin:/usr/bin:/bin', HOME = '/' } = process.env;
  return { PATH, HOME };
}

/** A child process that does not outlive this one, and does not by itself keep this one alive. */
export class Child {
  readonly pid: number;
  readonly process: ChildProcess;
  readonly #exited: Promise<Exit>;
  #exit: Exit | undefined;

  private constructor(child: ChildProcess, pid: number) {
    this.process = child;
    this.pid = pid;
    const elapsed = stopwatch();
    // Each child leads a process group, so that its own children end too.
    const forget = atProcessEnd(() => this.#exit === undefined && process.kill(-pid, 'SIGKILL'));
    this.#exited = new Promise(resolve => {
      // 'close' comes after the last byte of the pipes, 'exit' may come before it.
      child.once('close', (code, signal) => {
        forget();
        this.#exit = { code, signal, afterMs: elapsed() };
        resolve(this.#exit);
      });
    });
    child.unref();
    for (const pipe of child.stdio) (pipe as Socket | null)?.unref();
  }

  /**
   * Starts a process in its own session: Ctrl-C reaches only the test process, which then ends it in order.
   * Rejects when the process cannot be started.
   */
  static async spawn(command: string, args: readonly string[], options: SpawnOptions): Promise<Child> {
    const child = spawn(command, args, { ...options, detached: true });
    if (child.pid !== undefined) return new Child(child, child.pid);
    return new Promise((_, reject) => {
      child.once('error', cause => reject(new Error(`cannot start ${command}: ${cause.message}`, { cause })));
    });
  }

  /** How it ended, or undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Calls back when it has ended; soon, if it has already. Returns a function that cancels that. */
  onExit(listener: (exit: Exit) => void): () => void {
    let wanted = true;
    void this.#exited.then(exit => wanted && listener(exit));
    return () => void (wanted = false);
  }

  /** Resolves when the process has ended and its pipes are drained. Rejects with a WaitError after `timeoutMs`. */
  exited(timeoutMs: number): Promise<Exit> {
    return inTime(this.#exited, timeoutMs, `process ${this.pid} (${this.process.spawnfile}) did not end`);
  }

  /** Sends a signal; a process that is gone is not an error. */
  signal(name: NodeJS.Signals): void {
    if (this.#exit === undefined) this.process.kill(name);
  }
}
