/**
 * Runs the program as users get it, as a process in a clean environment, and reads its log line by line.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { Child, cleanEnvironment, type Exit } from './children.ts';
import { Journal } from './wait.ts';

export interface ProgramOptions {
  readonly args?: readonly string[];
  /** Added to PATH, HOME and DOCKREG_CONTROL=off, the only other variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[];
  /** The script. Default: `dist/dockreg.js` of this repository. */
  readonly entry?: string;
  readonly cwd?: string;
  /** The user to run as. Needs root. */
  readonly uid?: number;
  /** Its /etc/resolv.conf, in place of this machine's. Needs root. */
  readonly resolver?: string;
}

export interface Line {
  /** Its index in `lines`, from 0. With `since: index + 1` a wait considers only later lines. */
  readonly index: number;
  /** When it was read, in `performance.now()` milliseconds. */
  readonly at: number;
  readonly raw: string;
  /** Its fields, from JSON or logfmt; numbers and booleans as text. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Times for a test that waits for several checks. */
export const quick = { DOCKREG_INTERVAL: '500ms', DOCKREG_TIMEOUT: '300ms', DOCKREG_TTL: '5s' } as const;

/** The key of a program with the settings of `literal`. */
export const literalKey = '/service/10.1.0.101:49155';

/** Quick settings with a literal address, so that Docker is not asked. */
export function literal(etcd: string, port: number): Record<string, string> {
  return {
    DOCKREG_ETCD: etcd,
    DOCKREG_PORT: String(port),
    DOCKREG_ADVERTISE: '10.1.0.101:49155',
    ...quick,
  };
}

export type LinePattern = string | RegExp | ((line: Line) => boolean);

const defaultEntry = fileURLToPath(new URL('../../../dist/dockreg.js', import.meta.url));
let readable: string | undefined;

/** A copy of the program for other users: they may not be able to read the checkout, such as in /root. */
export function readableEntry(): string {
  if (readable !== undefined) return readable;
  const folder = mkdtempSync(join(tmpdir(), 'dockreg-program-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  cpSync(dirname(defaultEntry), folder, { recursive: true });
  chmodSync(folder, 0o755);
  readable = join(folder, 'dockreg.js');
  return readable;
}

const crashMarks = /unhandled|uncaught|^\s+at .+:\d+:\d+\)?$|\(node:\d+\)|FATAL ERROR/im;

export class Program {
  readonly #child: Child;
  readonly #lines = new Journal<Line>('line');
  readonly #errors: string[] = [];

  constructor(child: Child) {
    this.#child = child;
    const { stdout, stderr } = child.process;
    readLines(stdout, raw => {
      const { length: index } = this.#lines.entries;
      this.#lines.push({ index, at: performance.now(), raw, fields: parseLine(raw) });
    });
    readLines(stderr, line => this.#errors.push(line));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it wrote to standard output. */
  get lines(): readonly Line[] {
    return this.#lines.entries;
  }

  /** What it wrote to standard error. */
  get stderr(): string {
    return this.#errors.join('\n');
  }

  /** How it ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#child.exit;
  }

  /** Resolves when it has ended and its output is read. Rejects after 60 s; see `exitWithin` for other limits. */
  get exited(): Promise<Exit> {
    return this.exitWithin(60_000);
  }

  /** Resolves when it has ended. Rejects with a WaitError after `timeoutMs`. */
  exitWithin(timeoutMs: number): Promise<Exit> {
    const exited = this.#child.exited(timeoutMs);
    exited.catch(() => undefined);
    return exited;
  }

  /**
   * The first line that contains the text, matches the pattern or passes the test, at or after the index `since`
   * (default: 0). Rejects after `timeoutMs` (10,000), or once the program has ended without such a line.
   */
  async waitForLine(pattern: LinePattern, timeoutMs = 10_000, since = 0): Promise<Line> {
    const matches = (line: Line): boolean => {
      if (typeof pattern === 'string') return line.raw.includes(pattern);
      return pattern instanceof RegExp ? pattern.test(line.raw) : pattern(line);
    };
    const ended = new AbortController();
    // The pipes are drained before the exit is reported, so no line can come after it.
    const unsubscribe = this.#child.onExit(exit => {
      const last = this.lines.slice(-10).map(({ raw }) => `\n  ${raw}`);
      const what = `the program ended with ${JSON.stringify(exit)} without a line ${String(pattern)}`;
      ended.abort(new Error(`${what}:${last.join('')}\n${this.stderr}`));
    });
    try {
      return await this.#lines.first(matches, { timeoutMs, since, signal: ended.signal });
    } finally {
      unsubscribe();
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.signal(name);
  }

  /** Ends it with SIGTERM, and with SIGKILL after `graceMs` (5,000). Idempotent. */
  async stop(graceMs = 5_000): Promise<Exit> {
    // A program that a test has paused with SIGSTOP would not receive the SIGTERM.
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    try {
      return await this.#child.exited(graceMs);
    } catch {
      this.signal('SIGKILL');
      return this.#child.exited(5_000);
    }
  }

  /**
   * Throws when standard error has a line that `allowed` does not match, when the log has a line with an unhandled
   * error or a stack, or when the program crashed.
   */
  assertClean(allowed?: RegExp): void {
    const unexpected = this.#errors.filter(line => line.trim() !== '' && !allowed?.test(line));
    const crashes = this.lines.map(({ raw }) => raw).filter(raw => crashMarks.test(raw));
    const found = [...unexpected.map(line => `stderr: ${line}`), ...crashes.map(line => `log: ${line}`)];
    const crashed =
      this.exit?.code === 70 || ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL'].includes(this.exit?.signal ?? '');
    if (crashed) found.push(`it ended with ${JSON.stringify(this.exit)}`);
    if (found.length > 0) throw new Error(`the program is not clean:\n  ${found.join('\n  ')}`);
  }
}

/** Starts the program. Resolves when its process exists, before it is ready. */
export async function startProgram(options: ProgramOptions = {}): Promise<Program> {
  const { args = [], env = {}, nodeFlags = [], cwd, uid, resolver } = options;
  const { entry = uid === undefined ? defaultEntry : readableEntry() } = options;
  const words = [process.execPath, ...nodeFlags, entry, ...args];
  const [command = '', ...rest] = resolver === undefined ? words : withResolver(resolver, words);
  const child = await Child.spawn(command, rest, {
    // Several programs run at once in one file system.
    env: { ...cleanEnvironment(), DOCKREG_CONTROL: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
  });
  return new Program(child);
}

/** Runs the words with their own /etc/resolv.conf, in the same process. */
function withResolver(text: string, words: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'dockreg-resolver-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'resolv.conf');
  writeFileSync(file, text);
  const script = `mount --bind ${file} /etc/resolv.conf && exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', ...words];
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream === null) throw new Error('the program was started without pipes');
  createInterface({ input: stream }).on('line', onLine);
}

function parseLine(raw: string): Record<string, string> {
  if (raw.startsWith('{')) {
    try {
      const json = JSON.parse(raw) as Record<string, unknown>;
      return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, asText(value)]));
    } catch {
      return {};
    }
  }
  const fields: Record<string, string> = {};
  for (const [, key = '', value = ''] of raw.matchAll(/([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)/g)) {
    fields[key] = value.startsWith('"') ? (JSON.parse(value) as string) : value;
  }
  return fields;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
