/** TLS and authentication against a real etcd: what works, what heals by itself, and what the log says otherwise. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { startEtcd, type EtcdCluster, type EtcdOptions } from '../support/etcd.ts';
import { literal, literalKey as key, startProgram, type Program } from '../support/program.ts';
import { makeTls } from '../support/tls.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually, stopwatch } from '../support/wait.ts';

let web: App;
let folder: string;
let etcd: EtcdCluster | undefined;
let programs: Program[] = [];

before(async () => {
  web = await startApp();
});
after(() => web.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-security-'));
});
afterEach(async () => {
  for (const program of programs) await program.stop();
  for (const program of programs) program.assertClean();
  programs = [];
  await etcd?.stop();
  etcd = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function dockreg(env: Record<string, string>): Promise<Program> {
  const common = literal(etcd!.endpoints.join(','), web.port);
  const program = await startProgram({ env: { ...common, ...env } });
  programs.push(program);
  return program;
}

/** Starts etcd with authentication and a user `app` with the least permissions, as the README says. */
async function startWithAuth(options: EtcdOptions = {}): Promise<EtcdCluster> {
  const cluster = await startEtcd(options);
  etcd = cluster;
  for (const line of [
    'user add root:root',
    'user grant-role root root',
    'role add dockreg',
    'role grant-permission dockreg readwrite --prefix=true /service/',
    'user add app:secret',
    'user grant-role app dockreg',
  ]) {
    await cluster.ctl(line.split(' ')).catch((error: unknown) => {
      // 3.4 has no role root before it is added.
      if (!line.startsWith('user grant-role root')) throw error;
    });
  }
  await cluster.ctl(['role', 'add', 'root']).catch(() => undefined);
  await cluster.ctl(['user', 'grant-role', 'root', 'root']).catch(() => undefined);
  cluster.user = 'root:root';
  await cluster.ctl(['auth', 'enable']);
  return cluster;
}

async function passwordFile(text: string): Promise<string> {
  const path = join(folder, 'password');
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
}

async function authentications(): Promise<number> {
  return etcd!
    .metric(
      'grpc_server_handled_total{grpc_code="OK",grpc_method="Authenticate",grpc_service="etcdserverpb.Auth",grpc_type="unary"}',
    )
    .catch(() => 0);
}

const app = { DOCKREG_ETCD_USER: 'app', DOCKREG_ETCD_PASSWORD: 'secret' };

describe('a user with the least permissions', () => {
  it('registers and withdraws, and renewals do not authenticate', async () => {
    await startWithAuth();
    const watcher = await etcd!.watch('/');
    const program = await dockreg(app);
    await watcher.next(({ type, key: put }) => type === 'put' && put === key);
    const first = await authentications();
    await web.request(10_000, web.requests.length + 6);
    assert.equal(await authentications(), first);
    await program.stop();
    await watcher.next(({ type }) => type === 'delete', 3000);
    watcher.close();
  });

  it('takes the password from a file, and a changed one too', async () => {
    await startWithAuth();
    const DOCKREG_ETCD_PASSWORD_FILE = await passwordFile('wrong');
    const program = await dockreg({ DOCKREG_ETCD_USER: 'app', DOCKREG_ETCD_PASSWORD_FILE });
    const line = await program.waitForLine('authenticate as app');
    assert.match(line.raw, /invalid user ID or password; check --etcd-user and its password/);
    await passwordFile('secret');
    await program.waitForLine('registered', 30_000);
  });

  it('survives a restart of etcd, which forgets its tokens', async () => {
    await startWithAuth();
    const program = await dockreg(app);
    await program.waitForLine('registered');
    await etcd!.members[0]!.kill();
    await etcd!.members[0]!.start();
    const watcher = await etcd!.watch('/');
    await etcd!.ctl(['del', key]);
    await watcher.next(({ type }) => type === 'put', 20_000);
    watcher.close();
  });

  it('survives a change of the auth store and the end of its JWT', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(join(folder, 'pub.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    await writeFile(join(folder, 'priv.pem'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
    const jwt = `jwt,pub-key=${folder}/pub.pem,priv-key=${folder}/priv.pem,sign-method=RS256,ttl=3s`;
    await startWithAuth({ extraArgs: ['--auth-token', jwt] });
    const program = await dockreg(app);
    await program.waitForLine('registered');
    const watcher = await etcd!.watch('/');
    await etcd!.ctl(['user', 'add', 'another:x']);
    const expected = (await authentications()) + 2;
    await eventually('new tokens', async () => (await authentications()) >= expected, { timeoutMs: 20_000 });
    await etcd!.ctl(['del', key]);
    await watcher.next(({ type }) => type === 'put', 10_000);
    assert.deepEqual(
      program.lines.filter(({ raw }) => raw.includes('lost')),
      [],
    );
    watcher.close();
  });

  it('reads in the log what is denied when a permission is revoked, and recovers when it is granted again', async () => {
    await startWithAuth();
    const program = await dockreg(app);
    await program.waitForLine('registered');
    await etcd!.ctl(['role', 'revoke-permission', 'dockreg', '/service/', '--prefix=true']);
    const line = await program.waitForLine('permission denied', 20_000);
    assert.match(line.raw, /readwrite on the prefix of the keys/);
    await etcd!.ctl(['role', 'grant-permission', 'dockreg', 'readwrite', '--prefix=true', '/service/']);
    await program.waitForLine('etcd answers again', 40_000);
    await eventually('the key', async () => (await etcd!.keys('/')).has(key));
  });

  it('keeps its key while a permission is missing: the lease is kept alive without it', async () => {
    await startWithAuth();
    const program = await dockreg(app);
    await program.waitForLine('registered');
    await etcd!.ctl(['role', 'revoke-permission', 'dockreg', '/service/', '--prefix=true']);
    await program.waitForLine('permission denied', 20_000);
    // Twice the TTL.
    await web.request(20_000, web.requests.length + 20);
    assert.ok((await etcd!.keys('/')).has(key));
    assert.equal(program.lines.filter(({ raw }) => raw.includes('lost our lease')).length, 0);
  });

  it('keeps its lease while writes are denied, and logs that once', async () => {
    await startWithAuth();
    const program = await dockreg(app);
    await program.waitForLine('registered');
    await etcd!.ctl(['role', 'grant-permission', 'dockreg', 'read', '--prefix=true', '/service/']);
    await etcd!.ctl(['del', key]);
    await program.waitForLine('permission denied', 20_000);
    // Twice the TTL.
    await web.request(20_000, web.requests.length + 20);
    const lines = program.lines.filter(({ raw }) => raw.includes('msg="etcd'));
    assert.equal(lines.length, 1, lines.map(({ raw }) => raw).join('\n'));
    await etcd!.ctl(['role', 'grant-permission', 'dockreg', 'readwrite', '--prefix=true', '/service/']);
    await eventually('the key', async () => (await etcd!.keys('/')).has(key), { timeoutMs: 20_000 });
  });

  it('is asked for when none is configured', async () => {
    await startWithAuth();
    const program = await dockreg({});
    await program.waitForLine(/etcd wants a user: --etcd-user/, 20_000);
  });

  it('does not delay a stop while etcd is silent', async () => {
    etcd = await startEtcd();
    const proxy = await startProxy(etcd.members[0]!.port);
    await proxy.set('silent');
    const program = await dockreg({ ...app, DOCKREG_ETCD: `http://127.0.0.1:${proxy.port}` });
    await proxy.arrival();
    program.signal('SIGTERM');
    const elapsed = stopwatch();
    assert.equal((await program.exitWithin(10_000)).code, 0);
    assert.ok(elapsed() < 3000, `${elapsed()} ms`);
    proxy.close();
  });

  it('may be configured where authentication is not enabled', async () => {
    etcd = await startEtcd();
    const program = await dockreg(app);
    await program.waitForLine('registered');
  });
});

describe('TLS', () => {
  let tls: Awaited<ReturnType<typeof makeTls>>;
  beforeEach(async () => {
    tls = await makeTls();
  });
  afterEach(() => tls.authority.remove());

  const certificates = (): Record<string, string> => ({
    DOCKREG_ETCD_CA: tls.ca,
    DOCKREG_ETCD_CERT: tls.client.cert,
    DOCKREG_ETCD_KEY: tls.client.key,
  });

  it('with a client certificate registers', async () => {
    etcd = await startEtcd({ tls, clientCertAuth: true });
    const program = await dockreg(certificates());
    await program.waitForLine('registered');
  });

  it('works together with a user', async () => {
    await startWithAuth({ tls });
    const program = await dockreg({ DOCKREG_ETCD_CA: tls.ca, ...app });
    await program.waitForLine('registered');
  });

  it('without a client certificate logs that etcd requires one', async () => {
    etcd = await startEtcd({ tls, clientCertAuth: true });
    const program = await dockreg({ DOCKREG_ETCD_CA: tls.ca });
    await program.waitForLine(
      /etcd: .*(certificate required|bad certificate|handshake failure|alert)/i,
      20_000,
    );
  });

  it('refuses a server of an unknown authority, and logs why', async () => {
    etcd = await startEtcd({ tls });
    const program = await dockreg({});
    await program.waitForLine(/etcd: .*(self.signed certificate|unable to verify|unable to get)/i, 20_000);
    assert.equal((await etcd.keys('/')).size, 0);
  });

  it('refuses a server with another name, and logs why', async () => {
    await tls.authority.issue('server', { names: ['elsewhere.example'] });
    etcd = await startEtcd({ tls });
    const program = await dockreg({ DOCKREG_ETCD_CA: tls.ca });
    await program.waitForLine(/etcd: .*(altnames|does not match)/i, 20_000);
    assert.equal((await etcd.keys('/')).size, 0);
  });

  it('uses certificates of a new authority without a restart', async () => {
    etcd = await startEtcd({ tls, clientCertAuth: true });
    const program = await dockreg(certificates());
    await program.waitForLine('registered');
    const next = await makeTls();
    for (const [from, to] of [
      [next.ca, tls.ca],
      [next.server.cert, tls.server.cert],
      [next.server.key, tls.server.key],
      [next.client.cert, tls.client.cert],
      [next.client.key, tls.client.key],
    ] as const) {
      await copyFile(from, to);
    }
    await next.authority.remove();
    await etcd.members[0]!.kill();
    await etcd.members[0]!.start();
    await program.waitForLine('etcd answers again', 20_000);
    const watcher = await etcd.watch('/');
    await etcd.ctl(['del', key]);
    await watcher.next(({ type }) => type === 'put', 10_000);
    watcher.close();
  });

  it('with a file that is missing or broken ends at the start: 78', async () => {
    const broken = join(folder, 'broken.pem');
    await writeFile(broken, 'garbage');
    for (const [path, text] of [
      [join(folder, 'none.pem'), /--etcd-ca .*none\.pem cannot be read: ENOENT/],
      [broken, /--etcd-ca .*broken\.pem is not usable PEM/],
    ] as const) {
      const program = await startProgram({
        args: ['--etcd', 'https://127.0.0.1:1', '--port', '1', '--etcd-ca', path],
      });
      assert.equal((await program.exitWithin(10_000)).code, 78);
      assert.match(program.stderr, text);
    }
  });
});
