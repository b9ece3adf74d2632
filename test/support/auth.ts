/**
 * Authentication for a cluster: a user with the fewest permissions for the program, and both kinds of tokens.
 */
import { generateKeyPairSync } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { atProcessEnd } from './children.ts';
import type { EtcdCluster } from './etcd.ts';

/** Whether etcd authenticates, and how its tokens are made. */
export type Auth = 'none' | 'simple' | 'jwt';

/** The program's user. */
export const user = { name: 'app', password: 'secret' } as const;
/** The tests' user. */
export const root = { name: 'root', password: 'root' } as const;

/**
 * etcd's arguments for that kind of token, and a function that removes the files they name. `ttl` is the lifetime of a
 * JWT.
 */
export async function tokenArguments(
  auth: Auth,
  ttl = '20s',
): Promise<{ readonly extraArgs: readonly string[]; readonly remove: () => void }> {
  if (auth !== 'jwt') return { extraArgs: [], remove: () => undefined };
  const folder = await mkdtemp(join(tmpdir(), 'dockreg-jwt-'));
  const erase = (): void => rmSync(folder, { recursive: true, force: true });
  const forget = atProcessEnd(erase);
  const remove = (): void => {
    forget();
    erase();
  };
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [pub, priv] = [join(folder, 'public.pem'), join(folder, 'private.pem')];
  await writeFile(pub, publicKey.export({ type: 'spki', format: 'pem' }));
  await writeFile(priv, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  const token = `jwt,pub-key=${pub},priv-key=${priv},sign-method=RS256,ttl=${ttl}`;
  return { extraArgs: ['--auth-token', token], remove };
}

/** Creates the users and enables authentication. The program may write below the prefix. */
export async function enableAuth(etcd: EtcdCluster, prefix: string): Promise<void> {
  etcd.user = undefined;
  // Newer versions of etcd bring the role root with them.
  await etcd.ctl(['role', 'add', 'root']).catch(() => undefined);
  await etcd.ctl(['user', 'add', login(root)]);
  await etcd.ctl(['user', 'grant-role', 'root', 'root']);
  await etcd.ctl(['role', 'add', 'dockreg']);
  await etcd.ctl(['role', 'grant-permission', 'dockreg', 'readwrite', '--prefix=true', prefix]);
  await etcd.ctl(['user', 'add', login(user)]);
  await etcd.ctl(['user', 'grant-role', user.name, 'dockreg']);
  etcd.user = login(root);
  await etcd.ctl(['auth', 'enable']);
}

function login({ name, password }: { readonly name: string; readonly password: string }): string {
  return `${name}:${password}`;
}
