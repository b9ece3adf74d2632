/**
 * What a user sees and pays, measured on real containers in the bed: how soon a key comes and goes, and what the
 * sidekick costs in CPU and memory, beside a bare loop and a bare Node in the same run.
 * usage: sh test/support/bed.sh node build/test/bench/container.js [--runs N] [--settle N] [--seconds N]
 *        --settle, --seconds   how long the cost is let settle, and then measured, in seconds
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { startEtcd } from '../support/etcd.ts';
import { listeningIn, startExample } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, startHost } from '../support/lan.ts';
import { eventually, pause } from '../support/wait.ts';
import { median, printTable, type Row } from './table.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '10' },
    settle: { type: 'string', default: '60' },
    seconds: { type: 'string', default: '60' },
  },
});
const [runs, settle, seconds] = [Number(values.runs), Number(values.settle), Number(values.seconds)];

const host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
await loadImages(host);
const etcd = await startEtcd({ alsoListenOn: lanAddress });
const watcher = await etcd.watch('/service/');
const rows: Row[] = [];
try {
  await measureTimes();
  await measureCost();
  await measureStart();
  printTable(rows);
} finally {
  watcher.close();
  await etcd.stop();
  await host.stop();
}

async function start(name: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const endpoint = `http://${lanAddress}:${etcd.members[0]!.port}`;
  const { address } = await startExample(host, name, { DOCKREG_ETCD: endpoint, ...env });
  return `/service/${address}`;
}

async function startNode(name: string, script: string): Promise<void> {
  await host.docker([
    ...['run', '--detach', '--name', name],
    ...[images.example, '/opt/dockreg/bin/node', '-e', script],
  ]);
}

/** The pid, as the bed sees it, of the container's process whose command line has this text. */
async function pidOf(name: string, text: string): Promise<number> {
  return eventually(`${text} in ${name}`, async () => {
    const lines = (await host.docker(['top', name, '-eo', 'pid,args'])).split('\n');
    return Number(
      lines
        .find(line => line.includes(text))
        ?.trim()
        .split(/\s+/)[0],
    );
  });
}

/** When the key changed so after `since`, both in performance.now() ms. */
async function changed(type: 'put' | 'delete', key: string, since: number): Promise<number> {
  return (
    await watcher.first(event => event.type === type && event.key === key && event.at >= since, {
      timeoutMs: 30_000,
    })
  ).at;
}

async function repeat(what: string, run: () => Promise<number>): Promise<void> {
  const ms: number[] = [];
  for (let count = 0; count < runs; count++) ms.push(await run());
  rows.push({ what, unit: 'ms', values: ms });
}

async function measureTimes(): Promise<void> {
  const key = await start('web');
  await changed('put', key, 0);
  const supervisorctl = (...args: string[]): Promise<string> =>
    host.docker(['exec', 'web', 'supervisorctl', ...args]);
  const get = (path: string): Promise<Response> => fetch(`http://${key.slice('/service/'.length)}${path}`);
  /** Waits for the key, and then for a moment in the middle of an interval, another one each time. */
  const settledAt = async (): Promise<void> => {
    await eventually('the key', async () => (await etcd.keys(key)).has(key), { timeoutMs: 30_000 });
    await pause(1500 + Math.random() * 3000);
  };

  await repeat('app listens → key visible', async () => {
    await supervisorctl('stop', 'example');
    await eventually('no key', async () => !(await etcd.keys(key)).has(key));
    await pause(1000 + Math.random() * 4000);
    const since = performance.now();
    await supervisorctl('start', 'example');
    const visible = await changed('put', key, since);
    const log = await host.docker([
      'logs',
      '--since',
      new Date(performance.timeOrigin + since).toISOString(),
      'web',
    ]);
    return performance.timeOrigin + visible - (listeningIn(log) ?? Number.NaN);
  });

  let unseen = 0;
  await repeat('app killed (and restarted by supervisord) → key gone', async () => {
    await settledAt();
    const pid = await pidOf('web', '/app/server.js');
    const since = performance.now();
    process.kill(pid, 'SIGKILL');
    const gone = await changed('delete', key, since).catch(() => Number.NaN);
    if (Number.isNaN(gone)) unseen++;
    return gone - since;
  });
  rows.push({ what: 'app killed and restarted: not seen', unit: `of ${runs}`, values: [unseen] });

  await repeat('app stopped (state T) → key gone', async () => {
    await settledAt();
    const pid = await pidOf('web', '/app/server.js');
    const since = performance.now();
    process.kill(pid, 'SIGSTOP');
    const gone = await changed('delete', key, since);
    process.kill(pid, 'SIGCONT');
    return gone - since;
  });

  const [ip, port] = key.slice('/service/'.length).split(':');
  for (const [traffic, clients] of [
    ['no traffic', 0],
    ['three clients waiting', 3],
  ] as const) {
    await repeat(`app hangs in a busy loop, ${traffic} → key gone`, async () => {
      await settledAt();
      const since = performance.now();
      await get('/play/busy?seconds=12');
      const waiting = Array.from({ length: clients }, () => connect(Number(port), ip).on('error', () => {}));
      const gone = await changed('delete', key, since);
      for (const client of waiting) client.destroy();
      return gone - since;
    });
  }

  await repeat('SIGTERM to dockreg → key gone', async () => {
    await settledAt();
    const pid = await pidOf('web', 'dockreg.js');
    const since = performance.now();
    process.kill(pid, 'SIGTERM');
    return (await changed('delete', key, since)) - since;
  });
  await host.docker(['rm', '--force', 'web']);
}

async function measureCost(): Promise<void> {
  const keys = [await start('watching'), await start('plain', { DOCKREG_WATCH: 'off' })];
  await startNode('bare', 'setInterval(() => {}, 1 << 30)');
  await startNode('ticking', 'setInterval(() => {}, 250)');
  for (const key of keys) await changed('put', key, 0);
  const pids = {
    'dockreg, watch on': await pidOf('watching', 'dockreg.js'),
    'dockreg, --watch off': await pidOf('plain', 'dockreg.js'),
    'a bare Node': await pidOf('bare', 'setInterval'),
    'a bare loop, 4 times a second': await pidOf('ticking', 'setInterval'),
  };
  await pause(settle * 1000);
  const memory = await Promise.all(Object.values(pids).map(memoryMiB));
  const proposals = await etcd.metric('etcd_server_proposals_committed_total');
  const before = await Promise.all(Object.values(pids).map(cpuSeconds));
  await pause(seconds * 1000);
  const used = (await Promise.all(Object.values(pids).map(cpuSeconds))).map(
    (after, at) => after - (before[at] ?? 0),
  );
  const proposed = (await etcd.metric('etcd_server_proposals_committed_total')) - proposals;
  rows.push({
    what: 'raft proposals, instance and minute',
    unit: '',
    values: [(proposed / 2) * (60 / seconds)],
  });

  const names = Object.keys(pids);
  const [bareNode, loop] = [names.indexOf('a bare Node'), names.indexOf('a bare loop, 4 times a second')];
  for (const [at, what] of names.entries()) {
    const { rss, priv } = memory[at]!;
    rows.push(
      {
        what: `CPU, steady: ${what}`,
        unit: 's a minute',
        values: [used[at]! * (60 / seconds)],
        ratio: used[at]! / used[loop]!,
      },
      { what: `RSS: ${what}`, unit: 'MiB', values: [rss], ratio: rss / memory[bareNode]!.rss },
      { what: `private memory: ${what}`, unit: 'MiB', values: [priv] },
    );
  }
  for (const name of ['watching', 'plain', 'bare', 'ticking']) await host.docker(['rm', '--force', name]);
}

/** From exec to the first check, of an app that answers, against the start of a Node that does nothing. */
async function measureStart(): Promise<void> {
  await start('web', { DOCKREG_WATCH: 'off' });
  const time = async (script: string): Promise<number> =>
    Number(await host.docker(['exec', 'web', 'sh', '-c', script]));
  const dockreg =
    "s=$(date +%s%N); /opt/dockreg/bin/dockreg --advertise 10.1.0.1:1 --etcd http://127.0.0.1:1 | { sed -n '/app up/q'; e=$(date +%s%N); echo $(( (e - s) / 1000 )); }";
  const node = 's=$(date +%s%N); /opt/dockreg/bin/node -e 0; e=$(date +%s%N); echo $(( (e - s) / 1000 ))';
  const [ours, bareNode]: [number[], number[]] = [[], []];
  await eventually('the app listens', async () =>
    (await host.docker(['logs', 'web'])).includes('example: listening'),
  );
  for (let count = 0; count < runs; count++) {
    ours.push((await time(dockreg)) / 1000);
    bareNode.push((await time(node)) / 1000);
    await host.docker(['exec', 'web', 'sh', '-c', "pkill -f '[a]dvertise 10.1.0.1:1' || true"]);
  }
  rows.push({
    what: 'exec → first check done',
    unit: 'ms',
    values: ours,
    ratio: median(ours) / median(bareNode),
  });
  rows.push({ what: "a bare Node's start", unit: 'ms', values: bareNode });
  await host.docker(['rm', '--force', 'web']);
}

/** User and system time of all its threads; the kernel counts in hundredths of a second. */
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
