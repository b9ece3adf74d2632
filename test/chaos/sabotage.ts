/**
 * Shows that the checker can fail: another program that does the job badly, and copies of the compiled program in which
 * one changed line breaks one rule. The program itself contains nothing for it.
 */
import { rmSync } from 'node:fs';
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { atProcessEnd } from '../support/children.ts';

interface Change {
  /** The rule that it breaks, in words. */
  readonly breaks: string;
  /** A compiled file, relative to the folder of the sources. */
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly line: string;
  readonly instead: string;
}

export const changes: Readonly<Record<string, Change>> = {
  'stay-asleep': {
    breaks: 'the check that comes while etcd is away does not wake the session',
    file: 'etcd/session.js',
    line: 'wake?.();\n            // A try',
    instead: 'if (news || !outage) wake?.();\n            // A try',
  },
  'trust-old-check': {
    breaks: 'a lease is granted and used for an app whose last check was before the loss of the old lease',
    file: 'core/lease/lease.js',
    line: 'if (desired.checkedAt <= notBefore)',
    instead: 'if (desired.checkedAt < 0)',
  },
  'leave-to-lease': {
    breaks: 'a failed app is not withdrawn; its lease expires',
    file: 'core/lease/lease.js',
    line: "lease.kind === 'none' ? { kind: 'idle' } : { kind: 'revoke', id: lease.id };",
    instead: "{ kind: 'idle' };",
  },
  'look-away': {
    breaks: 'changes of the key by other clients are not noticed',
    file: 'core/lease/lease.js',
    line: 'acknowledgedAt: at,\n        observed,',
    instead: 'acknowledgedAt: at,',
  },
  'one-member': {
    breaks: 'a member that does not answer is asked again for ever',
    file: 'etcd/session.js',
    line: 'at = (at + 1) % endpoints.length;',
    instead: '',
  },
  'delete-by-name': {
    breaks: 'the key is deleted even if another lease owns it',
    file: 'etcd/member.js',
    line: 'await client.leaseClient.leaseRevoke({ ID: id }, options);',
    instead:
      'await client.leaseClient.leaseRevoke({ ID: id }, options); await client.delete().key(`/service/${process.env.DOCKREG_ADVERTISE}`);',
  },
};

export const sabotages = ['stock-lease', ...Object.keys(changes)];

/** The compiled sources, beside the compiled tests. */
export const compiledSources = join(import.meta.dirname, '../../src');

/** The script to run instead of the program. `remove` deletes the files that were made for it. */
export async function prepareSabotage(
  name: string,
): Promise<{ readonly entry: string; readonly remove: () => void }> {
  if (name === 'stock-lease')
    return { entry: join(import.meta.dirname, 'stock-lease.js'), remove: () => undefined };
  const change = changes[name];
  if (change === undefined) throw new Error(`no sabotage ${name}; there are ${sabotages.join(', ')}`);
  // Beside the original, so that the copy finds the same packages.
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

/** Throws when the line does not occur exactly once. */
export function applyChange(source: string, { file, line, instead }: Change): string {
  const [before, after, ...more] = source.split(line);
  if (after === undefined || more.length > 0)
    throw new Error(`${file} contains ${more.length > 0 ? 'more than once' : 'no longer'}: ${line}`);
  return `${before}${instead}${after}`;
}
