/**
 * A part of the instances of the scale bench (test/bench/scale.ts), in a process of its own: real sessions, each with
 * its own connection and lease, and simulated checks, each instance at a phase of its own. The parent hears what happens
 * to a session.
 */
import { setMaxListeners } from 'node:events';
import { systemClock as clock } from '../../src/clock.ts';
import type { Security } from '../../src/core/settings/process.ts';
import { connectClient } from '../../src/etcd/client.ts';
import { openSession, type Session } from '../../src/etcd/session.ts';
import { TokenKeeper } from '../../src/etcd/auth.ts';
import { pause } from '../support/wait.ts';

/** The first argument, in JSON. */
export interface Load {
  readonly endpoints: readonly string[];
  readonly security: Security;
  /** The number of the first instance here, and how many there are, here and in all processes. */
  readonly first: number;
  readonly count: number;
  readonly total: number;
  readonly intervalMs: number;
  readonly ttlSeconds: number;
  /** The time within which all instances start: the containers of a fleet do not start in the same millisecond. */
  readonly startWithinMs: number;
}

/** A message to the parent. `back`: registered, or etcd answers again. `away`: a request failed, or the lease is lost. */
export interface News {
  readonly kind: 'away' | 'back';
  readonly instance: number;
  readonly cause?: string;
}

const load = JSON.parse(process.argv[2] ?? '') as Load;

function openInstance(instance: number): Session {
  const { tls, user } = load.security;
  const tokens = new TokenKeeper(user, clock, Math.random);
  const send = (news: Omit<News, 'instance'>): void => void process.send?.({ ...news, instance });
  return openSession({
    endpoints: load.endpoints,
    connect: endpoint => connectClient(endpoint, { clock, tls, tokens }),
    ttlSeconds: load.ttlSeconds,
    rules: { renewGapMs: load.intervalMs * 0.8, freshForMs: 2 * load.intervalMs },
    clock,
    random: Math.random,
    emit: event => {
      if (event.kind === 'failing' || event.kind === 'lost') send({ kind: 'away', cause: event.cause });
      if (event.kind === 'recovered' || event.kind === 'registered') send({ kind: 'back' });
    },
    // The simulated checks keep their own rhythm.
    requestCheck: () => undefined,
  });
}

/** Simulates the checks of a healthy app. */
async function keepPassing(instance: number, signal: AbortSignal): Promise<void> {
  const key = `/service/10.${instance >> 16}.${(instance >> 8) & 255}.${instance & 255}:8000`;
  const session = openInstance(instance);
  await pause((instance / load.total) * load.startWithinMs, signal);
  while (!signal.aborted) {
    session.publish([{ key, value: 'running' }], clock.now());
    await pause(load.intervalMs, signal);
  }
}

// The parent ends this process by a signal, and etcd with it, so there is nothing to clean up.
const stop = new AbortController();
setMaxListeners(0, stop.signal);
for (let index = 0; index < load.count; index++) void keepPassing(load.first + index, stop.signal);
