/**
 * npm run fuzz -- [--seed S] [--minutes N] [--only NAME] [--case I]: runs the fuzzers of this folder one after the other, N
 * minutes in all (default 5), with cases drawn from the seed. `--case` runs only that case. Prints how many cases each
 * made; ends with 1 at the first that fails, and says how to repeat it.
 */
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { seedOfRun } from '../support/random.ts';
import { fuzz, type Fuzzer } from './harness.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    only: { type: 'string' },
    case: { type: 'string' },
  },
});
const seed = values.seed === undefined ? seedOfRun() : Number(values.seed);
const minutes = Number(values.minutes);
const only = values.case === undefined ? null : Number(values.case);
if (![seed, minutes, only ?? 0].every(Number.isFinite) || minutes <= 0)
  throw new Error('--seed, --minutes and --case take numbers');

const files = readdirSync(import.meta.dirname).filter(file => file.endsWith('.test.js'));
const chosen = files.filter(file => values.only === undefined || file === `${values.only}.test.js`);
if (chosen.length === 0)
  throw new Error(
    `there is no fuzzer ${values.only}; there are ${files.map(file => file.replace('.test.js', '')).join(', ')}`,
  );

for (const file of chosen) {
  const { fuzzer } = (await import(`./${file}`)) as { fuzzer: Fuzzer };
  const until = performance.now() + (minutes * 60_000) / chosen.length;
  const isOver = only === null ? () => performance.now() >= until : (index: number) => index > only;
  const cases = await fuzz(fuzzer, seed, only ?? 0, isOver);
  process.stdout.write(`${fuzzer.name}: ${cases} cases, seed ${seed}\n`);
}
