/**
 * An agent that another one may replace before anything of it is registered: some labels of the container, which only
 * Docker knows, decide how the app is checked.
 */
import { startAgent, type Agent, type AgentOptions } from './agent.ts';

/**
 * @param first runs at once
 * @param replacement resolves with what the next agent needs, if there will be one
 */
export function startReplaceable(
  first: AgentOptions,
  replacement: Promise<AgentOptions>,
  stop: AbortSignal,
): Agent {
  const replaced = new AbortController();
  let agent = startAgent(first, AbortSignal.any([stop, replaced.signal]));
  const run = async (): Promise<number> => {
    const next = await Promise.race([replacement, agent.ended.then(() => null)]);
    if (next === null) return agent.ended;
    const { drained } = agent.status();
    replaced.abort();
    await agent.ended;
    agent = startAgent(next, stop);
    if (drained) agent.drain();
    return agent.ended;
  };
  return {
    get name() {
      return agent.name;
    },
    get otherNames() {
      return agent.otherNames;
    },
    ended: run(),
    drain: () => agent.drain(),
    resume: () => agent.resume(),
    status: () => agent.status(),
  };
}
