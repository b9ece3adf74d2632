/**
 * Where the story is played: on containers of a real Docker engine, or on plain processes where no engine can be
 * started. The story does not know which.
 */
import type { Instance } from '../instance.ts';
import type { Stage } from '../show.ts';

export interface OneHost extends Stage {
  start(name: string): Promise<Instance>;
}

/** Who plays. */
export const names = ['web-1', 'web-2', 'web-3'] as const;
