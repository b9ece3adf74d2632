/**
 * Where the demo's story is played: on containers of a real Docker engine, or on plain processes where no engine can
 * be started. The story does not know which.
 */

import type { EtcdCluster } from '../test/support/etcd.ts';

export interface Stage {
  /** In a sentence, for the person who watches. */
  readonly description: string;
  readonly etcd: EtcdCluster;
  start(name: string): Promise<Instance>;
  /** Commands to look around with, for as long as the stage is kept. */
  lookAround(): readonly string[];
  /** Ends all that was started. May be called again. */
  close(): Promise<void>;
}

export interface Instance {
  readonly name: string;
  /** Where others reach the app: `10.1.0.101:49155`. */
  readonly address: string;
  /** When the app began to listen, in ms since 1970; undefined before. */
  listeningSince(): Promise<number | undefined>;
  /** What `docker stop` does: a signal, time to end in good order, then force. */
  stop(): Promise<void>;
  /** What a lost host or `docker kill` does: gone without a word. */
  kill(): Promise<void>;
}

/** When the example app said that it listens, by its own words in its log; in ms since 1970. */
export function listeningIn(log: string): number | undefined {
  const line = log.split('\n').find(text => text.includes('example: listening'));
  return line === undefined ? undefined : Date.parse(line.split(' ')[0] ?? '');
}
