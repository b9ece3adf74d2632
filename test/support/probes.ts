/** Opens the probe of a check in the test's own process, as the program does. */
import assert from 'node:assert/strict';
import { readCommand } from '../../src/cli.ts';
import { systemClock } from '../../src/clock.ts';
import type { Config } from '../../src/config/config.ts';
import { openProbe } from '../../src/probe/open.ts';
import type { Probe, ProbeOptions } from '../../src/probe/probe.ts';
import { cleanEnvironment } from './children.ts';

/** @param argv the check and its options, as on the command line */
export async function openCheck(
  argv: readonly string[],
  options: Partial<ProbeOptions> & { readonly port: number },
): Promise<Probe> {
  const line = ['--etcd', 'http://h1:2379', '--port', String(options.port), ...argv];
  const command = await readCommand(line, {});
  assert.equal(command.kind, 'run');
  const [service] = (command as { config: Config }).config.services;
  assert.ok(service);
  return openProbe(service.check, {
    host: '127.0.0.1',
    clock: systemClock,
    timeoutMs: 500,
    userAgent: 'dockreg/test',
    env: cleanEnvironment(),
    inspect: () => Promise.reject(new Error('Docker is not asked')),
    ...options,
  });
}
