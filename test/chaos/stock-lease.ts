/**
 * The same job done in the way that the etcd3 package suggests: its own `Lease`, a put when the app passes, a delete
 * when the app fails. It exists to be caught: a checker that finds nothing here finds nothing anywhere.
 */
import { Etcd3, type Lease } from 'etcd3';

import { pause } from '../support/wait.ts';

const variable = (name: string): string => process.env[`DOCKREG_${name}`] ?? '';
const intervalMs = Number.parseInt(variable('INTERVAL'), 10);
const timeoutMs = Number.parseInt(variable('TIMEOUT'), 10);
const ttlSeconds = Number.parseInt(variable('TTL'), 10);
const key = `/service/${variable('ADVERTISE')}`;
const stop = new AbortController();

const client = new Etcd3({
  hosts: variable('ETCD').split(','),
  grpcOptions: { 'grpc.enable_http_proxy': 0 },
});
const state: { lease: Lease | null; registered: boolean } = { lease: null, registered: false };

function say(message: string, fields = ''): void {
  console.log(`level=info msg=${JSON.stringify(message)} ${fields}`);
}

async function appAnswers(): Promise<boolean> {
  try {
    const { ok } = await fetch(`http://127.0.0.1:${variable('PORT')}/`, {
      signal: AbortSignal.timeout(timeoutMs),
    });
    return ok;
  } catch {
    return false;
  }
}

async function register(): Promise<void> {
  state.lease ??= client.lease(ttlSeconds).on('lost', () => {
    say('lost');
    state.lease = null;
    state.registered = false;
  });
  const { lease } = state;
  const id = await lease.grant();
  await lease.put(key).value('running');
  state.registered = true;
  say(`registered ${key}`, `lease=${BigInt(id).toString(16)}`);
}

async function unregister(): Promise<void> {
  state.registered = false;
  say('app down');
  await client.delete().key(key);
}

async function loop(): Promise<void> {
  let busy = false;
  while (!stop.signal.aborted) {
    const isUp = await appAnswers();
    if (isUp !== state.registered && !busy && !stop.signal.aborted) {
      busy = true;
      const work = isUp ? register() : unregister();
      void work.catch((error: unknown) => say(String(error))).finally(() => (busy = false));
    }
    await pause(intervalMs, stop.signal);
  }
}

process.once('SIGTERM', () => stop.abort());
say('started');
await loop();
await state.lease?.revoke().catch((error: unknown) => say(String(error)));
process.exit(0);
