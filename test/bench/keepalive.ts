/**
 * What it costs etcd to keep leases alive: a stream for each renewal, as the session does it, against one long stream
 * for all renewals. Prints etcd's CPU time, memory and proposals side by side, and how soon each way notices a member
 * that went silent. usage: node build/test/bench/keepalive.js [instances] [seconds]
 */
import { setMaxListeners } from 'node:events';
import { noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { cpuMs } from '../support/proc.ts';
import { startProxy } from '../support/proxy.ts';
import { inTime, pause } from '../support/wait.ts';

const [instances = 1000, seconds = 30] = process.argv.slice(2).map(Number);
const everyMs = 5000;
const deadlineMs = 3000;
const ttlSeconds = 20;

/** Renews one lease once; rejects when there is no answer within the deadline. */
type Renew = () => Promise<void>;
type Way = (client: Etcd3, lease: string) => Renew;

const streamPerRenewal: Way = (client, lease) => async () => {
  const stream = await client.leaseClient.leaseKeepAlive({ deadline: Date.now() + deadlineMs });
  await new Promise<void>((resolve, reject) => {
    stream.on('data', () => resolve());
    stream.on('error', reject);
    stream.write({ ID: lease });
  }).finally(() => stream.end());
};

const longStream: Way = (client, lease) => {
  type Stream = Awaited<ReturnType<typeof client.leaseClient.leaseKeepAlive>>;
  let opened: Promise<Stream> | undefined;
  let answered: (() => void) | undefined;
  return async () => {
    opened ??= client.leaseClient.leaseKeepAlive().then(stream => {
      stream.on('data', () => answered?.());
      stream.on('error', () => (opened = undefined));
      return stream;
    });
    const stream = await opened;
    const answer = new Promise<void>(resolve => (answered = resolve));
    stream.write({ ID: lease });
    await inTime(answer, deadlineMs, 'the stream did not answer');
  };
};

interface Cost {
  readonly cpuMsPerInstanceMinute: number;
  readonly memoryMiB: number;
  readonly proposals: number;
  readonly noticedMs: number;
}

async function measure(way: Way): Promise<Cost> {
  const etcd = await startEtcd();
  const clients: Etcd3[] = [];
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  try {
    const renewals = await Promise.all(
      Array.from({ length: instances }, async (_, index) => {
        const client = connect(etcd.endpoints[0]!);
        clients.push(client);
        await pause((index / instances) * everyMs);
        const { ID } = await client.leaseClient.leaseGrant(
          { TTL: ttlSeconds },
          { deadline: Date.now() + 20_000 },
        );
        const renew = way(client, ID);
        return keepRenewing(renew, stop.signal);
      }),
    );
    await pause(everyMs);
    const cpu = await cpuMs(etcd.members[0]!.pid);
    const proposals = await etcd.metric('etcd_server_proposals_committed_total');
    await pause(seconds * 1000);
    const usedMs = (await cpuMs(etcd.members[0]!.pid)) - cpu;
    const memoryMiB = (await etcd.metric('process_resident_memory_bytes')) / 2 ** 20;
    const proposed = (await etcd.metric('etcd_server_proposals_committed_total')) - proposals;
    stop.abort();
    await Promise.all(renewals.map(({ done }) => done));
    return {
      cpuMsPerInstanceMinute: (usedMs / instances) * (60 / seconds),
      memoryMiB,
      proposals: proposed,
      noticedMs: await timeToNotice(etcd, way),
    };
  } finally {
    for (const client of clients) client.close();
    await etcd.stop();
  }
}

function keepRenewing(renew: Renew, signal: AbortSignal): { readonly done: Promise<void> } {
  const loop = async (): Promise<void> => {
    while (!signal.aborted) {
      await renew();
      await pause(everyMs, signal);
    }
  };
  return { done: loop() };
}

/** Returns the time from a member's silence to the failure of a renewal that is due at once, in ms. */
async function timeToNotice(etcd: EtcdCluster, way: Way): Promise<number> {
  const proxy = await startProxy(etcd.members[0]!.port);
  const client = connect(`http://127.0.0.1:${proxy.port}`);
  try {
    const { ID } = await client.leaseClient.leaseGrant({ TTL: ttlSeconds });
    const renew = way(client, ID);
    await renew();
    await proxy.set('silent');
    const since = performance.now();
    await renew().catch(() => undefined);
    return performance.now() - since;
  } finally {
    client.close();
    proxy.close();
  }
}

function connect(endpoint: string): Etcd3 {
  const options = { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1 };
  return new Etcd3({
    hosts: endpoint,
    grpcOptions: options,
    faultHandling: { host: () => noop, global: noop },
  });
}

const idle = await measure(() => () => Promise.resolve());
const one = await measure(streamPerRenewal);
const long = await measure(longStream);

console.log(`${instances} instances, a renewal every ${everyMs / 1000} s, ${seconds} s measured, one etcd\n`);
console.log('| | connections only | a stream a renewal | one long stream | ratio |');
console.log('| --- | --- | --- | --- | --- |');
const row = (name: string, value: (cost: Cost) => number, digits: number): void => {
  const [a, b, c] = [idle, one, long].map(value) as [number, number, number];
  const ratio = c > 0 ? (b / c).toFixed(2) : '';
  console.log(`| ${name} | ${a.toFixed(digits)} | ${b.toFixed(digits)} | ${c.toFixed(digits)} | ${ratio} |`);
};
row('etcd CPU, ms per instance and minute', cost => cost.cpuMsPerInstanceMinute, 2);
row('etcd memory, MiB', cost => cost.memoryMiB, 0);
row('proposals while measured', cost => cost.proposals, 0);
row('a silent member is noticed after, ms', cost => cost.noticedMs, 0);
