/**
 * What the demo of one host runs on: containers of a real Docker engine, or plain processes where no engine can be
 * started. The demo is the same on both.
 */
import type { Instance } from '../instance.ts';
import type { Stage } from '../show.ts';

export interface OneHost extends Stage {
  start(name: string): Promise<Instance>;
}

/** The names of the instances. */
export const names = ['web-1', 'web-2', 'web-3'] as const;
