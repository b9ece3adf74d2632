/** Reads the configuration from a command line and an environment, for tests. */
import assert from 'node:assert/strict';
import { parseCommand } from '../../src/cli.ts';
import type { Config } from '../../src/config/config.ts';
import type { ServiceConfig } from '../../src/core/settings/service.ts';
import { formatProblem, ProblemError } from '../../src/errors.ts';

/** The required options. */
export const enough = ['--etcd', 'http://h1:2379', '--port', '8000'];

export function configOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Config {
  const command = parseCommand(argv, env);
  assert.equal(command.kind, 'run');
  return (command as { config: Config }).config;
}

/** The only service. */
export function serviceOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): ServiceConfig {
  const { services } = configOf(argv, env);
  assert.equal(services.length, 1);
  return services[0]!;
}

export function problemsOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): readonly string[] {
  try {
    parseCommand(argv, env);
  } catch (error) {
    if (error instanceof ProblemError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}
