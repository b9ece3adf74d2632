/**
 * What all fuzzers share: cases that one seed repeats, a bound on the time of a case, and the check that the process has
 * the same descriptors and about the same memory afterwards.
 */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Random, seedOfRun } from '../support/random.ts';

export interface Fuzzer {
  /** As in the name of its file: `docker` for fuzz/docker.test.ts. */
  readonly name: string;
  /** How many cases the short run makes. */
  readonly cases: number;
  /** How many cases run at the same time. */
  readonly atOnce: number;
  /** The most that one case may take, in ms. */
  readonly caseMs: number;
  readonly open: () => Promise<FuzzBed>;
}

export interface FuzzBed {
  /** Makes one case out of `random` and throws, with the input in the message, when something is wrong. */
  readonly run: (random: Random) => Promise<void>;
  /** Checks what only shows at the end, and stops what `open` started. */
  readonly close: () => Promise<void>;
}

/** The extra resident memory that a whole run may leave, in MiB: far above what garbage collection leaves to chance. */
const memoryMiB = 200;

/** The number of open descriptors of this process. */
function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // It was that of the folder.
    return '';
  }
}

/** What each open descriptor is, by its number. */
export function openDescriptors(): ReadonlyMap<string, string> {
  const all = readdirSync('/proc/self/fd').map(fd => [fd, targetOf(fd)] as const);
  // Node opens /dev/null with its first stream, and keeps it.
  return new Map(all.filter(([, target]) => target !== '' && target !== '/dev/null'));
}

/** Runs cases `from` and up until `isOver`. Rejects at the first that fails, and says how to repeat it. */
export async function fuzz(
  fuzzer: Fuzzer,
  seed: number,
  from: number,
  isOver: (index: number) => boolean,
): Promise<number> {
  const descriptors = openDescriptors();
  collectGarbage();
  const memory = process.memoryUsage.rss();
  const bed = await fuzzer.open();
  let next = from;
  const work = async (): Promise<void> => {
    while (!isOver(next)) {
      const index = next++;
      await within(fuzzer.caseMs, bed.run(new Random(mixed(seed, index)))).catch((error: unknown) => {
        const again = `npm run fuzz -- --only ${fuzzer.name} --seed ${seed} --case ${index}`;
        throw new Error(`case ${index}: ${String(error)}\nagain: ${again}`, { cause: error });
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: fuzzer.atOnce }, work));
  } finally {
    await bed.close();
  }
  const left = (): string[] =>
    [...openDescriptors()].filter(([fd]) => !descriptors.has(fd)).map(([, target]) => target);
  for (let tries = 0; left().length > 0 && tries < 50; tries++) await sleep(100);
  assert.deepEqual(left(), [], 'descriptors are left open');
  collectGarbage();
  const grown = (process.memoryUsage.rss() - memory) / 2 ** 20;
  assert.ok(grown < memoryMiB, `${Math.round(grown)} MiB of memory are left in use`);
  return next - from;
}

const gc = ((): (() => void) => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

/** Twice, because what is freed at the end of the first collection can hold more. */
function collectGarbage(): void {
  gc();
  gc();
}

/** Declares the short run as a test of node:test. `npm run fuzz` imports the same file and makes the long one. */
export function declare(fuzzer: Fuzzer): Fuzzer {
  if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
    const seed = seedOfRun();
    it(`${fuzzer.name}: ${fuzzer.cases} cases, DOCKREG_SEED=${seed}`, async () => {
      await fuzz(fuzzer, seed, 0, index => index >= fuzzer.cases);
    });
  }
  return fuzzer;
}

/** One seed for each case, so that a case can be repeated alone. */
function mixed(seed: number, index: number): number {
  return (Math.imul(seed, 0x9e3779b1) + Math.imul(index + 1, 0x85ebca6b)) | 0;
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still running after ${ms} ms`)), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
