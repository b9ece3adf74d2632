/**
 * Measures what each fault costs: how long the key of a healthy app was away, how soon after the fault everything was
 * right again, and how long a stop took. Prints the table of docs/faults.md.
 */
import { parseArgs } from 'node:util';

import { eventually, pause } from '../support/wait.ts';
import { Bed, settings } from './bed.ts';
import { rows, type Row } from './rows.ts';

const usage = `usage: node build/test/faults/faults.js [--times N] [--at-once N] [--row TEXT]
  --times N    how many times to measure each row; default 3
  --at-once N  how many rows to measure at the same time, each on its own cluster; default 5
  --row TEXT   only the rows whose name contains TEXT`;

/** The time in which the next check and renewal happen, in ms: an interval and some room. */
const nextRenewalMs = settings.intervalSeconds * 1000 + 2000;

interface Measured {
  readonly absentMs: number;
  readonly backMs: number | null;
  readonly stopMs: number | null;
}

async function measure(row: Row): Promise<Measured> {
  const bed = await Bed.make(row.members);
  try {
    if (row.kind === 'start') await row.prepare(bed);
    await bed.start();
    const measured = row.kind === 'stop' ? await measureStop(bed, row) : await measureFault(bed, row);
    await bed.program.stop();
    bed.program.assertClean();
    return measured;
  } finally {
    await bed.close();
  }
}

async function measureFault(bed: Bed, row: Extract<Row, { kind: 'fault' | 'start' }>): Promise<Measured> {
  if (row.kind === 'fault') await awaitRegistration(bed);
  const from = performance.now();
  const healedAt = row.kind === 'fault' ? await row.hurt(bed) : await row.heal(bed);
  await eventually('all right again', () => bed.isRight(), { timeoutMs: 120_000 });
  await pause(nextRenewalMs);
  await eventually('all right again', () => bed.isRight(), { timeoutMs: 120_000 });
  return { absentMs: bed.absentSince(from), backMs: bed.rightAgainAt(healedAt) - healedAt, stopMs: null };
}

async function measureStop(bed: Bed, row: Extract<Row, { kind: 'stop' }>): Promise<Measured> {
  await awaitRegistration(bed);
  await row.hurt(bed);
  const stoppedAt = performance.now();
  bed.program.signal('SIGTERM');
  await bed.program.exitWithin(60_000);
  const stopMs = performance.now() - stoppedAt;
  await row.heal(bed);
  await eventually('the key gone', async () => (await bed.etcd.keys('/')).size === 0, { timeoutMs: 60_000 });
  return { absentMs: 0, backMs: null, stopMs };
}

/** Resolves at a random moment between two checks after the registration. */
async function awaitRegistration(bed: Bed): Promise<void> {
  await bed.program.waitForLine('registered', 20_000);
  await pause(Math.random() * settings.intervalSeconds * 1000);
}

function tableOf(measured: ReadonlyMap<Row, readonly Measured[]>): string {
  const lines = [...measured].map(([row, all]) => {
    const away = row.kind === 'fault' ? range(all.map(({ absentMs }) => absentMs)) : '';
    const back = range(all.flatMap(({ backMs }) => backMs ?? []));
    const stop = range(all.flatMap(({ stopMs }) => stopMs ?? []));
    return `| ${[row.name, away, back, stop, row.means].join(' | ')} |`;
  });
  const head = ['what happens', 'the key was away', 'all right again after', 'the stop took', 'why'];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...lines].join('\n');
}

/** The least and the most, in seconds; one number if both look the same. */
function range(all: readonly number[]): string {
  if (all.length === 0) return '';
  const [least, most] = [Math.min(...all), Math.max(...all)].map(seconds);
  if (most === '0.0') return '0 s';
  return least === most ? `${most} s` : `${least} – ${most} s`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(ms < 950 ? 2 : 1).replace(/^0\.00$/, '0.0');
}

function count(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`${flag} ${text}: must be a whole number\n${usage}`);
  return number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      times: { type: 'string', default: '3' },
      'at-once': { type: 'string', default: '5' },
      row: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const chosen = rows.filter(({ name }) => name.includes(values.row));
  const times = count('--times', values.times);
  const queue = Array.from({ length: times }, () => chosen).flat();
  const measured = new Map<Row, Measured[]>(chosen.map(row => [row, []]));
  let failures = 0;
  const work = async (): Promise<void> => {
    for (let row = queue.shift(); row !== undefined; row = queue.shift()) {
      try {
        const result = await measure(row);
        measured.get(row)?.push(result);
        console.error(`${row.name}: ${JSON.stringify(result)}`);
      } catch (error) {
        failures++;
        console.error(`${row.name}: ${String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: count('--at-once', values['at-once']) }, work));
  console.log(tableOf(measured));
  return failures === 0 ? 0 : 1;
}

process.exit(await main());
