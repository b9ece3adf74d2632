/**
 * Many instances against one etcd: our own session code, each session with a connection and a lease of its own, all in
 * this process; the checks are played, each instance at a phase of its own. Prints what it costs etcd, how long it
 * takes until all are registered, and how long until all are back after etcd was killed and started again.
 * usage: node build/test/bench/scale.js [--auth simple|jwt] [INSTANCES…]
 */
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { systemClock as clock } from '../../src/clock.ts';
import { connectMember } from '../../src/etcd/member.ts';
import { openSession, type Session } from '../../src/etcd/session.ts';
import { createTokenKeeper } from '../../src/etcd/token.ts';
import { enableAuth, tokenArguments, user as authUser, type Auth } from '../support/auth.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { eventually, pause } from '../support/wait.ts';

const { values, positionals } = parseArgs({ options: { auth: { type: 'string' } }, allowPositionals: true });
const sizes = positionals.length > 0 ? positionals.map(Number) : [100, 1000];
const intervalMs = 5000;
const ttlSeconds = 20;
const steadySeconds = 30;
/** The containers of a fleet do not start in the same millisecond; all of them start within so long. */
const startWithinMs = 5000;

interface Result {
  readonly instances: number;
  readonly registerSeconds: number;
  readonly cpuMsPerInstanceMinute: number;
  readonly memoryMiB: number;
  readonly proposals: number;
  readonly downSeconds: number;
  readonly firstBackSeconds: number;
  readonly allBackSeconds: number;
  readonly keysLost: number;
}

async function measure(instances: number): Promise<Result> {
  const auth = (values.auth ?? 'none') as Auth;
  const { extraArgs, remove } = await tokenArguments(auth);
  const etcd = await startEtcd({ extraArgs });
  if (auth !== 'none') await enableAuth(etcd, '/service/');
  const user = auth === 'none' ? undefined : authUser;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const recovered = new Map<number, number>();
  const sessions: Session[] = [];
  const watcher = await etcd.watch('/service/');
  try {
    const begun = performance.now();
    for (let index = 0; index < instances; index++) {
      const session = openInstance(etcd, user, () => recovered.set(index, performance.now()));
      sessions.push(session);
      void keepPassing(session, index, (index / instances) * startWithinMs, stop.signal);
    }
    await allKeys(watcher, instances, 'registered');
    const registerSeconds = (performance.now() - begun) / 1000;

    await pause(intervalMs);
    const [cpu, proposals] = [await cpuMs(etcd), await committed(etcd)];
    await pause(steadySeconds * 1000);
    const cpuMsPerInstanceMinute = (((await cpuMs(etcd)) - cpu) / instances) * (60 / steadySeconds);
    const proposed = (await committed(etcd)) - proposals;
    const memoryMiB = (await etcd.metric('process_resident_memory_bytes')) / 2 ** 20;

    // Failures while all registered are no part of what follows.
    recovered.clear();
    const killed = performance.now();
    await etcd.members[0]!.kill();
    await pause(8000);
    const back = performance.now();
    await etcd.members[0]!.start();
    const servesSeconds = (performance.now() - back) / 1000;
    // A session that answers again has renewed its lease; one that had no failure was never without it.
    await eventually('all sessions are back', () => recovered.size >= instances * 0.999, {
      timeoutMs: 180_000,
    });
    const times = [...recovered.values()].map(at => (at - back) / 1000).toSorted((a, b) => a - b);
    await allKeys(watcher, instances, 'back');
    const keysLost = watcher.events.filter(({ type }) => type === 'delete').length;
    return {
      instances,
      registerSeconds,
      cpuMsPerInstanceMinute,
      memoryMiB,
      proposals: proposed,
      downSeconds: (back - killed) / 1000 + servesSeconds,
      firstBackSeconds: times[0] ?? Number.NaN,
      allBackSeconds: times.at(-1) ?? Number.NaN,
      keysLost,
    };
  } finally {
    watcher.close();
    stop.abort();
    await Promise.all(sessions.map(session => session.close(1)));
    await etcd.stop();
    remove();
  }
}

function openInstance(
  etcd: EtcdCluster,
  user: { readonly name: string; readonly password: string } | undefined,
  onRecovered: () => void,
): Session {
  const tls = { ca: undefined, cert: undefined, key: undefined };
  const tokens = createTokenKeeper(user && { name: user.name, password: { text: user.password } });
  return openSession({
    endpoints: etcd.endpoints,
    connect: endpoint => connectMember(endpoint, { clock, tls, tokens }),
    ttlSeconds,
    rules: { renewGapMs: intervalMs * 0.8, freshForMs: 2 * intervalMs },
    clock,
    chance: Math.random,
    tell: event => {
      if (event.kind === 'recovered') onRecovered();
    },
    // The played checks go on at their own pace.
    askForCheck: () => undefined,
  });
}

/** Plays the checks of a healthy app. */
async function keepPassing(
  session: Session,
  index: number,
  afterMs: number,
  signal: AbortSignal,
): Promise<void> {
  await pause(afterMs, signal);
  const records = [
    { key: `/service/10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:8000`, value: 'running' },
  ];
  while (!signal.aborted) {
    session.publish(records, clock.now());
    await pause(intervalMs, signal);
  }
}

/** Resolves when so many keys stand, by what the watcher saw. */
async function allKeys(watcher: Watcher, instances: number, what: string): Promise<void> {
  const keys = new Set<string>();
  let seen = 0;
  const count = (): boolean => {
    for (const { type, key } of watcher.events.slice(seen)) {
      if (type === 'put') keys.add(key);
      else keys.delete(key);
    }
    seen = watcher.events.length;
    return keys.size >= instances;
  };
  await eventually(`${instances} keys are ${what}`, count, { timeoutMs: 180_000 });
}

async function committed(etcd: EtcdCluster): Promise<number> {
  return etcd.metric('etcd_server_proposals_committed_total');
}

/** User and system time of etcd so far; the kernel counts in hundredths of a second. */
async function cpuMs(etcd: EtcdCluster): Promise<number> {
  const stat = await readFile(`/proc/${etcd.members[0]!.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

console.log(
  `one etcd, interval ${intervalMs / 1000} s, TTL ${ttlSeconds} s, auth ${values.auth ?? 'none'}\n`,
);
console.log(
  '| instances | all registered, s | etcd CPU, ms per instance and minute | etcd memory, MiB | proposals in 30 s | etcd down, s | first back, s after its start | all back, s | keys lost |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const size of sizes) {
  const r = await measure(size);
  const cells = [
    r.instances,
    r.registerSeconds.toFixed(1),
    r.cpuMsPerInstanceMinute.toFixed(1),
    r.memoryMiB.toFixed(0),
    r.proposals,
    r.downSeconds.toFixed(1),
    r.firstBackSeconds.toFixed(1),
    r.allBackSeconds.toFixed(1),
    r.keysLost,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
process.exit(0);
