/** What the command line and the environment configure, for tests of the configuration. */
import assert from 'node:assert/strict';
import { readCommand } from '../../src/cli.ts';
import type { Config } from '../../src/config/config.ts';
import type { ServiceConfig } from '../../src/core/settings/service.ts';
import { formatProblem, ProblemError } from '../../src/errors.ts';

/** The fewest options that are accepted. */
export const enough = ['--etcd', 'http://h1:2379', '--port', '8000'];

export async function configOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Config> {
  const command = await readCommand(argv, env);
  assert.equal(command.kind, 'run');
  return (command as { config: Config }).config;
}

/** The only service. */
export async function serviceOf(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<ServiceConfig> {
  const { services } = await configOf(argv, env);
  assert.equal(services.length, 1);
  return services[0]!;
}

/** The problems, each on one line; none when the command line is accepted. */
export async function problemsOf(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<readonly string[]> {
  try {
    await readCommand(argv, env);
  } catch (error) {
    if (error instanceof ProblemError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}
