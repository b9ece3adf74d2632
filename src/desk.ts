/**
 * Where questions from outside are answered, whichever way they come: by the control socket or over HTTP.
 */
import type { Agent } from './agent/agent.ts';
import type { Clock } from './clock.ts';
import type { ProcessStatus } from './core/registration/status.ts';

export interface Desk {
  readonly agents: readonly Agent[];
  /** What these of them look like. */
  readonly status: (agents: readonly Agent[]) => ProcessStatus;
  readonly clock: Clock;
}
