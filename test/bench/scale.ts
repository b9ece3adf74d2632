/**
 * Measures many instances against one etcd: real sessions, each with its own connection and lease, spread over several
 * processes. Prints what they cost etcd, how long it takes until all are registered, and what happens when etcd is
 * killed and started again (with several members, the leader).
 * usage: node build/test/bench/scale.js [--auth simple|jwt|certificates] [--bcrypt-cost N] [--members N] [--proxies N]
 *          [--interval SECONDS] [--ttl SECONDS] [--within SECONDS] [INSTANCES…]
 */
import { parseArgs } from 'node:util';
import type { Security } from '../../src/core/settings/process.ts';
import { enableAuth, tokenArguments, user } from '../support/auth.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { startEtcd, type EtcdCluster, type EtcdMember } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { acceptedConnections, cpuMs, machineMs } from '../support/proc.ts';
import { makeTls } from '../support/tls.ts';
import { eventually, freePort, pause, stopwatch } from '../support/wait.ts';
import { Fleet } from './fleet.ts';

const { values: flags, positionals } = parseArgs({
  options: {
    auth: { type: 'string', default: 'none' },
    'bcrypt-cost': { type: 'string', default: '10' },
    members: { type: 'string', default: '1' },
    proxies: { type: 'string', default: '0' },
    interval: { type: 'string', default: '5' },
    ttl: { type: 'string', default: '20' },
    within: { type: 'string', default: '5' },
  },
  allowPositionals: true,
});
const sizes = positionals.length > 0 ? positionals.map(Number) : [50, 1000];
const auth = flags.auth as 'none' | 'simple' | 'jwt' | 'certificates';
const intervalMs = Number(flags.interval) * 1000;
const ttlSeconds = Number(flags.ttl);
const [members, proxies] = [Number(flags.members), Number(flags.proxies)];

/** Containers do not start in the same millisecond. The starts are spread over this time. */
const startWithinMs = Number(flags.within) * 1000;
const steadySeconds = 30;
const downMs = 8000;
/** The deadline until all are registered, or registered again. */
const limitMs = 300_000;

/** A column of the table: each measure with its value, in the order of the lines. */
type Figures = Map<string, string>;

interface Servers {
  readonly etcd: EtcdCluster;
  readonly proxies: readonly Child[];
  /** The endpoints of the sessions. */
  readonly endpoints: readonly string[];
  readonly security: Security;
  readonly stop: () => Promise<void>;
}

async function measure(instances: number): Promise<Figures> {
  const figures: Figures = new Map();
  const servers = await startServers();
  const { etcd, endpoints, security } = servers;
  const watcher = await etcd.watch('/service/');
  const idle = await openFiles(etcd);
  const connections = async (): Promise<string> =>
    sum((await openFiles(etcd)).map((count, index) => Math.max(0, count - (idle[index] ?? 0))));
  let fleet: Fleet | undefined;
  try {
    const before = await etcdMs(servers);
    const begun = stopwatch();
    fleet = await Fleet.start(instances, { endpoints, security, intervalMs, ttlSeconds, startWithinMs });
    await allKeys(watcher, instances, 'registered');
    figures.set('all registered, s', (begun() / 1000).toFixed(1));
    figures.set(
      'etcd CPU until then, ms per instance',
      (((await etcdMs(servers)) - before) / instances).toFixed(1),
    );
    await eventually('all sessions are steady', () => fleet?.away === 0, { timeoutMs: limitMs });
    await pause(intervalMs);

    fleet.forget();
    await measureSteadyState(servers, fleet, instances, figures);
    figures.set('connections', await connections());

    const broken = members === 1 ? etcd.members[0]! : await etcd.leader();
    const events = watcher.events.length;
    fleet.forget();
    await broken.kill();
    const down = stopwatch();
    await pause(downMs);
    const awayWhileDown = fleet.everAway;
    if (members > 1) figures.set('connections while one member is down', await connections());
    const rush = await watchRush(servers);
    const started = performance.now();
    await broken.start();
    figures.set('down, s', (down() / 1000).toFixed(1));
    // A session without a pending request notices at its next one.
    await pause(intervalMs);
    await eventually('all sessions are back', () => fleet?.away === 0, { timeoutMs: limitMs });
    await allKeys(watcher, instances, 'back');
    const { backAt } = fleet;
    const after = (at: number | undefined): string =>
      at === undefined ? '' : ((at - started) / 1000).toFixed(1);
    figures.set(
      'instances that had a failure',
      `${fleet.everAway}, ${awayWhileDown} of them while it was down`,
    );
    figures.set('first back, s after the start', after(backAt[0]));
    figures.set('half of them back, s', after(backAt[Math.floor(backAt.length / 2)]));
    figures.set('all back, s', after(backAt.at(-1)));
    for (const [what, value] of await rush.stop(instances)) figures.set(what, value);
    if (members > 1) figures.set('connections after its return', await connections());
    const lost = watcher.events.slice(events).filter(({ type }) => type === 'delete').length;
    figures.set('keys lost', String(lost));
    console.error(`${instances} instances, failures after the kill:`, Object.fromEntries(fleet.causes));
    return figures;
  } finally {
    watcher.close();
    fleet?.stop();
    await servers.stop();
  }
}

async function startServers(): Promise<Servers> {
  const tokens = await tokenArguments(auth === 'jwt' ? 'jwt' : 'none', '24h');
  const tls = auth === 'certificates' ? await makeTls() : undefined;
  // The watcher uses etcd's gateway, which refuses a certificate that names a user.
  const unnamed = await tls?.authority.issue('unnamed', { commonName: '' });
  const extraArgs = [...tokens.extraArgs, '--bcrypt-cost', flags['bcrypt-cost']];
  const etcd = await startEtcd({
    members,
    extraArgs,
    ...(tls && unnamed && { tls: { ...tls, client: unnamed }, clientCertAuth: true }),
  });
  const own = await tls?.authority.issue(user.name);
  const opened: Child[] = [];
  const endpoints: string[] = [];
  const stop = async (): Promise<void> => {
    for (const proxy of opened) proxy.signal('SIGKILL');
    await etcd.stop();
    await tls?.authority.remove();
    tokens.remove();
  };
  if (auth !== 'none') await enableAuth(etcd, '/service/');
  for (let count = 0; count < proxies; count++) {
    const address = `127.0.0.1:${await freePort()}`;
    const args = ['grpc-proxy', 'start', '--endpoints', etcd.endpoints.join(','), '--listen-addr', address];
    opened.push(await Child.spawn('etcd', args, { env: cleanEnvironment(), stdio: 'ignore' }));
    endpoints.push(`http://${address}`);
  }
  return {
    etcd,
    proxies: opened,
    endpoints: proxies > 0 ? endpoints : etcd.endpoints,
    security: {
      tls: { ca: tls?.ca, cert: own?.cert, key: own?.key },
      user:
        auth === 'simple' || auth === 'jwt'
          ? { name: user.name, password: { text: user.password } }
          : undefined,
    },
    stop,
  };
}

async function measureSteadyState(
  servers: Servers,
  fleet: Fleet,
  instances: number,
  figures: Figures,
): Promise<void> {
  const { etcd } = servers;
  const count = async () => ({
    etcd: await etcdMs(servers),
    members: await Promise.all(etcd.members.map(({ pid }) => cpuMs(pid))),
    sessions: total(await Promise.all(fleet.processes.map(({ pid }) => cpuMs(pid)))),
    machine: await machineMs(),
    proposals: await etcd.metric('etcd_server_proposals_committed_total'),
    requests: total(await requestsSoFar(etcd)),
  });
  const before = await count();
  await pause(steadySeconds * 1000);
  const after = await count();
  const perInstanceMinute = (ms: number): string => (ms / instances / (steadySeconds / 60)).toFixed(1);
  const memory = await Promise.all(
    etcd.members.map(member => member.metric('process_resident_memory_bytes')),
  );
  const idle = (after.machine.idle - before.machine.idle) / (after.machine.all - before.machine.all);
  figures.set(`proposals in ${steadySeconds} s`, String(after.proposals - before.proposals));
  figures.set('requests a second', ((after.requests - before.requests) / steadySeconds).toFixed(0));
  figures.set('etcd CPU, ms per instance and minute', perInstanceMinute(after.etcd - before.etcd));
  if (members > 1) {
    const ofEach = after.members.map((ms, index) => perInstanceMinute(ms - (before.members[index] ?? 0)));
    figures.set('of it, each member', ofEach.join(' + '));
  }
  figures.set('etcd memory, MiB', sum(memory.map(bytes => bytes / 2 ** 20)));
  figures.set(
    'sessions CPU, ms per instance and minute',
    perInstanceMinute(after.sessions - before.sessions),
  );
  figures.set('machine idle meanwhile, %', (idle * 100).toFixed(0));
  figures.set('instances that had a failure meanwhile', String(fleet.everAway));
}

/** From now on, records the maximum of requests and connections per second, and etcd's CPU time. */
async function watchRush(
  servers: Servers,
): Promise<{ readonly stop: (instances: number) => Promise<Figures> }> {
  const { etcd } = servers;
  const stopped = new AbortController();
  let [mostRequests, mostConnections] = [0, 0];
  const [survivors, connectionsBefore] = [await etcdMs(servers), await acceptedConnections()];
  const watching = async (): Promise<void> => {
    let before = { requests: await requestsSoFar(etcd), accepted: await acceptedConnections() };
    while (!stopped.signal.aborted) {
      const elapsed = stopwatch();
      await pause(1000, stopped.signal);
      const now = { requests: await requestsSoFar(etcd), accepted: await acceptedConnections() };
      const perSecond = 1000 / elapsed();
      // A restarted member counts from 0.
      const requests = total(
        now.requests.map((count, index) => Math.max(0, count - (before.requests[index] ?? 0))),
      );
      mostRequests = Math.max(mostRequests, requests * perSecond);
      mostConnections = Math.max(mostConnections, (now.accepted - before.accepted) * perSecond);
      before = now;
    }
  };
  const done = watching();
  return {
    async stop(instances) {
      stopped.abort();
      await done;
      const usedMs = (await etcdMs(servers)) - survivors;
      const made = (await acceptedConnections()) - connectionsBefore;
      return new Map([
        ['most requests in a second', mostRequests.toFixed(0)],
        ['most new connections in a second', mostConnections.toFixed(0)],
        ['new connections in all', made.toFixed(0)],
        ['etcd CPU after its start, ms per instance', (usedMs / instances).toFixed(1)],
      ]);
    },
  };
}

/** Resolves when the watcher has observed so many keys. */
async function allKeys(watcher: Watcher, instances: number, what: string): Promise<void> {
  const keys = new Set<string>();
  let counted = 0;
  const count = (): boolean => {
    for (const { type, key } of watcher.events.slice(counted)) {
      if (type === 'put') keys.add(key);
      else keys.delete(key);
    }
    counted = watcher.events.length;
    return keys.size >= instances;
  };
  await eventually(`${instances} keys are ${what}`, count, { timeoutMs: limitMs });
}

/** The CPU time of all running members and proxies of etcd, in ms. */
async function etcdMs({ etcd, proxies: opened }: Servers): Promise<number> {
  const pids = [...etcd.members.filter(({ state }) => state !== 'stopped'), ...opened].map(({ pid }) => pid);
  return total(await Promise.all(pids.map(cpuMs)));
}

/** The number of requests that each member has received; 0 for a member that does not answer. */
function requestsSoFar(etcd: EtcdCluster): Promise<readonly number[]> {
  return each(etcd, 'grpc_server_started_total');
}

function openFiles(etcd: EtcdCluster): Promise<readonly number[]> {
  return each(etcd, 'process_open_fds');
}

function each(etcd: EtcdCluster, metric: string): Promise<readonly number[]> {
  return Promise.all(etcd.members.map((member: EtcdMember) => member.metric(metric).catch(() => 0)));
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0);
}

function sum(numbers: readonly number[]): string {
  return numbers.map(number => number.toFixed(0)).join(' + ');
}

const columns: Figures[] = [];
for (const size of sizes) columns.push(await measure(size));
const cost = auth === 'simple' || auth === 'jwt' ? `, bcrypt cost ${flags['bcrypt-cost']}` : '';
console.log(
  `etcd members: ${members}, grpc-proxies: ${proxies}, interval ${intervalMs / 1000} s, TTL ${ttlSeconds} s, started within ${flags.within} s, auth ${auth}${cost}\n`,
);
console.log(`| instances | ${sizes.join(' | ')} |`);
console.log(`| --- |${' --- |'.repeat(sizes.length)}`);
for (const what of columns[0]?.keys() ?? [])
  console.log(`| ${what} | ${columns.map(figures => figures.get(what) ?? '').join(' | ')} |`);
process.exit(0);
