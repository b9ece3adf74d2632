/**
 * The output of a demo: its steps line by line and, on a terminal, a table of the current keys below them. If the
 * output is not a terminal, each change of a key is a line.
 */
import { styleText } from 'node:util';

export interface KeyRow {
  readonly key: string;
  readonly value: string;
  readonly lease: string;
}

export class Screen {
  readonly #live = process.stdout.isTTY;
  readonly #rows = new Map<string, KeyRow & { readonly since: number }>();
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    if (this.#live) this.#timer = setInterval(() => this.#redraw(), 500);
  }

  /** Prints a heading. */
  chapter(text: string): void {
    this.#print(`\n${styleText('bold', text)}`);
  }

  say(text: string): void {
    this.#print(`  ${text}`);
  }

  /** Prints an event that was observed and how long it took. */
  measured(what: string, ms: number): void {
    this.#print(`  ${styleText('green', '✓')} ${what.padEnd(58)} ${formatMs(ms).padStart(8)}`);
  }

  failed(what: string): void {
    this.#print(`  ${styleText('red', '✗')} ${what}`);
  }

  put(row: KeyRow): void {
    this.#rows.set(row.key, { ...row, since: Date.now() });
    this.#change(`+ ${row.key} = ${row.value}`);
  }

  removed(key: string): void {
    this.#rows.delete(key);
    this.#change(`- ${key}`);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #change(text: string): void {
    if (this.#live) this.#redraw();
    else this.#print(`    etcd: ${text}`);
  }

  #print(text: string): void {
    this.#clear();
    process.stdout.write(`${text}\n`);
    this.#draw();
  }

  #redraw(): void {
    this.#clear();
    this.#draw();
  }

  #clear(): void {
    if (this.#drawn > 0) process.stdout.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#live || this.#timer === undefined) return;
    const rows = [...this.#rows.values()].toSorted((a, b) => a.key.localeCompare(b.key));
    const lines = [
      '',
      styleText('dim', `  ${'key in etcd'.padEnd(36)} ${'value'.padEnd(10)} ${'lease'.padEnd(18)} since`),
      ...rows.map(({ key, value, lease, since }) => {
        const age = `${Math.round((Date.now() - since) / 1000)} s`;
        return `  ${styleText('cyan', key.padEnd(36))} ${value.padEnd(10)} ${lease.padEnd(18)} ${age}`;
      }),
      ...(rows.length === 0 ? [styleText('dim', '  (none)')] : []),
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }
}

export function formatMs(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
