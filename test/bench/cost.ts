/**
 * What dockreg costs: CPU, memory and writes to etcd in the steady state, and the time to start. A Node that does
 * nothing and a Node with only a timer are measured at the same time, as references.
 */
import { readFile } from 'node:fs/promises';
import { pause } from '../support/wait.ts';
import { median, type Row } from './table.ts';
import { type Bench, changed, pidOf, repeat, startNode, startVersion, type Version } from './versions.ts';

/** A process whose cost is measured. */
interface Subject {
  readonly what: string;
  readonly version?: Version['name'];
  readonly container: string;
  /** Part of its command line. */
  readonly program: string;
}

const idle = { what: 'a bare Node', container: 'idle', program: 'setInterval' };
const timer = { what: 'a bare timer, 4 times a second', container: 'timer', program: 'setInterval' };

/**
 * Measures CPU, memory and raft proposals. All containers run at the same time, several per version, because the memory
 * of equal processes differs. They first settle; then CPU is measured for `seconds`.
 */
export async function measureCost(
  bench: Bench,
  settleSeconds: number,
  seconds: number,
): Promise<readonly Row[]> {
  const { host, etcd, versions, runs } = bench;
  const subjects: Subject[] = [];
  const keys: string[] = [];
  for (let count = 0; count < Math.min(runs, 3); count++) {
    // In turn from either end, so that the containers of no version are older, and have settled longer.
    for (const version of count % 2 === 0 ? versions : versions.toReversed()) {
      for (const watch of ['on', 'off']) {
        const container = `watch-${watch}-${version.name}-${count}`;
        keys.push(await startVersion(bench, version, container, { DOCKREG_WATCH: watch }));
        const what = `dockreg, --watch ${watch}`;
        subjects.push({ what, version: version.name, container, program: 'dockreg.js' });
      }
    }
  }
  const head = versions.at(-1)!;
  await startNode(bench, head, idle.container, 'setInterval(() => {}, 1 << 30)');
  await startNode(bench, head, timer.container, 'setInterval(() => {}, 250)');
  subjects.push(idle, timer);
  for (const key of keys) await changed(bench, 'put', key, 0);
  const pids = await Promise.all(subjects.map(({ container, program }) => pidOf(bench, container, program)));

  await pause(settleSeconds * 1000);
  const memory = await Promise.all(pids.map(memoryMiB));
  const proposals = await etcd.metric('etcd_server_proposals_committed_total');
  const before = await Promise.all(pids.map(cpuSeconds));
  await pause(seconds * 1000);
  const after = await Promise.all(pids.map(cpuSeconds));
  const proposed = (await etcd.metric('etcd_server_proposals_committed_total')) - proposals;
  await host.docker(['rm', '--force', ...subjects.map(({ container }) => container)]);

  const minutes = seconds / 60;
  const cpu = after.map((value, index) => (value - before[index]!) / minutes);
  const rss = memory.map(each => each.rss);
  const rows: Row[] = [
    { what: 'raft proposals, instance and minute', unit: '', values: [proposed / keys.length / minutes] },
    ...rowsOf(subjects, 'CPU, steady', 's a minute', cpu, timer),
    ...rowsOf(subjects, 'RSS', 'MiB', rss, idle),
    ...rowsOf(
      subjects,
      'private memory',
      'MiB',
      memory.map(each => each.priv),
    ),
  ];
  return rows;
}

/** Returns one row per kind of subject, with the values of all its processes. */
function rowsOf(
  subjects: readonly Subject[],
  what: string,
  unit: string,
  values: readonly number[],
  reference?: Subject,
): readonly Row[] {
  const rows = new Map<string, Row & { readonly values: number[] }>();
  for (const [index, subject] of subjects.entries()) {
    const value = values[index]!;
    const same = rows.get(`${subject.what} ${subject.version}`);
    if (same) {
      same.values.push(value);
      continue;
    }
    const { version } = subject;
    rows.set(`${subject.what} ${version}`, {
      what: `${what}: ${subject.what}`,
      unit,
      values: [value],
      ...(version && { version }),
      ...(reference && { reference: values[subjects.indexOf(reference)]! }),
    });
  }
  return [...rows.values()];
}

/**
 * A script for a container. It starts a program and prints the ms until the program connects to the port in its
 * arguments, which is the first check; without such an argument, the ms until the program ends.
 */
const timeStart = `
  const { createServer } = require('node:net');
  const { spawn } = require('node:child_process');
  const [program, ...args] = process.argv.slice(1);
  let begun, child;
  const done = () => {
    console.log(performance.now() - begun);
    child.removeAllListeners('exit').on('exit', () => process.exit()).kill();
  };
  const server = createServer(done).listen(0, '127.0.0.1', () => {
    const words = args.map(word => word.replace('PORT', server.address().port));
    begun = performance.now();
    child = spawn(program, words, { stdio: 'ignore' });
    child.on('exit', () => { console.log(performance.now() - begun); process.exit(); });
  });`;

/** Measures the time from exec to the first check of an app that listens, against the start of a bare Node. */
export async function measureStart(bench: Bench): Promise<readonly Row[]> {
  const { host, versions } = bench;
  const node = '/opt/dockreg/bin/node';
  const time = async (version: Version, ...words: string[]): Promise<number> =>
    Number(await host.docker(['exec', startContainer(version), node, '-e', timeStart, ...words]));
  const dockreg = ['/opt/dockreg/bin/dockreg', '--port', 'PORT', '--advertise', '10.1.0.1:1'];
  const timeDockreg = (version: Version): Promise<number> =>
    time(version, ...dockreg, '--etcd', 'http://127.0.0.1:1');

  for (const version of versions) {
    await startNode(bench, version, startContainer(version), 'setInterval(() => {}, 1 << 30)');
    // The first start reads the files from the disk.
    await timeDockreg(version);
  }
  const reference: number[] = [];
  const starts = await repeat(bench, 'exec → first check', async version => {
    reference.push(await time(version, node, '-e', '0'));
    return timeDockreg(version);
  });
  await host.docker(['rm', '--force', ...versions.map(startContainer)]);
  const rows: Row[] = [{ what: "a bare Node's start", unit: 'ms', values: reference }];
  for (const row of starts) rows.push({ ...row, reference: median(reference) });
  return rows;
}

function startContainer({ name }: Version): string {
  return `start-${name}`;
}

/** User and system time of all threads of a process, in s. The kernel counts hundredths of a second. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function memoryMiB(pid: number): Promise<{ readonly rss: number; readonly priv: number }> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
  return { rss: kib('Rss') / 1024, priv: (kib('Private_Clean') + kib('Private_Dirty')) / 1024 };
}
