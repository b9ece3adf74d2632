/**
 * What a user sees and pays, measured on real containers in the bed: how soon a key appears and disappears, and what
 * dockreg costs in CPU, memory and time to start. `npm run bench` runs it (scripts/bench.sh).
 * usage: sh test/support/bed.sh node build/test/bench/container.js [--runs N] [--settle N] [--seconds N] [--base FOLDER]
 *        --settle, --seconds   for how many seconds the containers settle, and are then measured
 *        --base                the folder of another commit, with its dist/; it is measured in turn with this one
 */
import { parseArgs } from 'node:util';
import { startEtcd } from '../support/etcd.ts';
import { interrupted, Interruption } from '../support/interruption.ts';
import { lanAddress, startHost } from '../support/lan.ts';
import { measureCost, measureStart } from './cost.ts';
import { printComparison, printTable, type Row } from './table.ts';
import { measureTimes } from './times.ts';
import { type Bench, bundleKib, prepareVersions } from './versions.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '10' },
    settle: { type: 'string', default: '60' },
    seconds: { type: 'string', default: '60' },
    base: { type: 'string' },
  },
});

/** What ends the parts that were started, in the order of their start. */
const cleanups: (() => unknown)[] = [];

async function measure(): Promise<void> {
  const host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  cleanups.push(() => host.stop());
  const versions = await prepareVersions(host, values.base, remove => cleanups.push(remove));
  const etcd = await startEtcd({ alsoListenOn: lanAddress });
  cleanups.push(() => etcd.stop());
  const watcher = await etcd.watch('/service/');
  cleanups.push(() => watcher.close());
  const bench: Bench = { host, etcd, watcher, versions, runs: Number(values.runs) };

  const rows: Row[] = [
    ...(await measureStart(bench)),
    ...(await measureTimes(bench)),
    ...(await measureCost(bench, Number(values.settle), Number(values.seconds))),
  ];
  for (const version of versions)
    rows.push({
      what: 'dist/, compressed',
      unit: 'KiB',
      version: version.name,
      values: [await bundleKib(version)],
    });
  if (values.base === undefined) return printTable(rows);
  printComparison(rows);
  console.log('\nMeasured at the same time, and the same for both:\n');
  printTable(rows.filter(({ version }) => version === undefined));
}

let code = 0;
try {
  await Promise.race([measure(), interrupted()]);
} catch (error) {
  if (error instanceof Interruption) code = error.exitCode;
  else {
    console.error(error);
    code = 1;
  }
}
for (const cleanup of cleanups.toReversed()) {
  try {
    await cleanup();
  } catch (error) {
    console.error(error);
    code ||= 1;
  }
}
process.exit(code);
