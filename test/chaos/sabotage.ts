/**
 * What shows that the checker can fail: another program that does the job badly, and copies of the compiled program in
 * which one line was changed so that one rule is broken. The program itself knows nothing of it.
 */
import { rmSync } from 'node:fs';
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { atProcessEnd } from '../support/children.ts';

interface Change {
  /** What breaks, for people. */
  readonly breaks: string;
  /** A compiled file, from the folder of the sources. */
  readonly file: string;
  /** Stands in it exactly once. */
  readonly line: string;
  readonly instead: string;
}

export const changes: Readonly<Record<string, Change>> = {
  'stay-asleep': {
    breaks: 'the check that comes while etcd is away does not wake the session',
    file: 'etcd/session.js',
    line: "desired = { kind: 'records', records, checkedAt };\n            wakeup.wake();",
    instead:
      "const isNews = desired.kind === 'nothing'; desired = { kind: 'records', records, checkedAt };\n            if (isNews || !failover.outage) wakeup.wake();",
  },
  'trust-old-check': {
    breaks:
      'a lease is granted, and written under, for an app that was not checked since the last one was lost',
    file: 'core/lease/lease.js',
    line: 'const isChecked = desired.checkedAt > notBefore && desired.checkedAt === triedAt;',
    instead: 'const isChecked = desired.checkedAt >= 0;',
  },
  'leave-to-lease': {
    breaks: 'an app that fails is not withdrawn, its lease runs out',
    file: 'core/lease/lease.js',
    line: ": { kind: 'revoke', id: lease.id, reason: desired.reason };",
    instead: ": { kind: 'idle' };",
  },
  'look-away': {
    breaks: 'what others did to the key is not noticed',
    file: 'core/lease/lease.js',
    line: 'settleClaim({ ...lease, acknowledgedAt: at, observed, contest }',
    instead: 'settleClaim({ ...lease, acknowledgedAt: at, contest }',
  },
  'one-member': {
    breaks: 'a member that does not answer is asked for ever',
    file: 'core/lease/failover.js',
    line: 'const endpoints = reconnects ? [...others, endpoint] : before.endpoints;',
    instead: 'const { endpoints } = before;',
  },
  'delete-by-name': {
    breaks: 'the key is deleted, whatever lease it is under',
    file: 'etcd/client.js',
    line: 'leases.leaseRevoke({ ID: id }, options)',
    instead:
      'leases.leaseRevoke({ ID: id }, options).then(() => client.delete().key(`/service/${process.env.DOCKREG_ADVERTISE}`))',
  },
};

export const sabotages = ['stock-lease', ...Object.keys(changes)];

/** The compiled sources, beside the compiled tests. */
export const compiledSources = join(import.meta.dirname, '../../src');

/** The script to run instead of the program. `remove` takes away what was made for it. */
export async function prepareSabotage(
  name: string,
): Promise<{ readonly entry: string; readonly remove: () => void }> {
  if (name === 'stock-lease')
    return { entry: join(import.meta.dirname, 'stock-lease.js'), remove: () => undefined };
  const change = changes[name];
  if (change === undefined) throw new Error(`no sabotage ${name}: one of ${sabotages.join(', ')}`);
  // Beside the original, so that it finds the same packages.
  const folder = await mkdtemp(`${compiledSources}-`);
  const erase = (): void => rmSync(folder, { recursive: true, force: true });
  const forget = atProcessEnd(erase);
  const remove = (): void => {
    forget();
    erase();
  };
  await cp(compiledSources, folder, { recursive: true });
  const path = join(folder, change.file);
  await writeFile(path, applyChange(await readFile(path, 'utf8'), change));
  return { entry: join(folder, 'main.js'), remove };
}

/** Throws when the line does not stand there exactly once. */
export function applyChange(source: string, { file, line, instead }: Change): string {
  const [before, after, ...more] = source.split(line);
  if (after === undefined || more.length > 0)
    throw new Error(`${file} has ${more.length > 0 ? 'several times' : 'no longer'}: ${line}`);
  return `${before}${instead}${after}`;
}
