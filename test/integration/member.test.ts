/**
 * A client of one member of a real etcd: what becomes of password checks, and of a connection whose member is slow.
 */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, it } from 'node:test';
import { systemClock as clock } from '../../src/clock.ts';
import { DeniedError, RequestError, SlowError } from '../../src/etcd/errors.ts';
import { connectClient, type Access } from '../../src/etcd/client.ts';
import { TokenKeeper } from '../../src/etcd/auth.ts';
import { enableAuth, user } from '../support/auth.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { eventually, freePort, pause, stopwatch } from '../support/wait.ts';

let etcd: EtcdCluster | undefined;
let proxy: Proxy | undefined;

afterEach(async () => {
  proxy?.close();
  await etcd?.stop();
  [etcd, proxy] = [undefined, undefined];
});

/** Without a user. */
const access: Access = {
  clock,
  tls: { ca: undefined, cert: undefined, key: undefined },
  tokens: new TokenKeeper(undefined, clock, Math.random),
};

/** etcd with users, behind a proxy. */
async function start(): Promise<{
  readonly endpoint: string;
  readonly named: Access;
  readonly tokens: TokenKeeper;
}> {
  // A password check takes half a second and more.
  etcd = await startEtcd({ extraArgs: ['--bcrypt-cost', '13'] });
  await enableAuth(etcd, '/service/');
  proxy = await startProxy(etcd.members[0]!.port);
  const named = { name: user.name, password: { text: user.password } };
  const tokens = new TokenKeeper(named, clock, Math.random);
  return { endpoint: `http://127.0.0.1:${proxy.port}`, named: { ...access, tokens }, tokens };
}

function passwordChecks(): Promise<number> {
  return etcd!.metric(
    'grpc_server_started_total{grpc_method="Authenticate",grpc_service="etcdserverpb.Auth",grpc_type="unary"}',
  );
}

describe('a password check', () => {
  it('whose caller gave up continues, also after its connection was closed, and its token is used', async () => {
    const { endpoint, named, tokens } = await start();
    const client = await connectClient(endpoint, named);
    await client.grant('1', 20, { ms: 10_000 });
    tokens.drop(tokens.known());
    const before = await passwordChecks();
    const unwanted = new AbortController();
    const grant = client.grant('2', 20, { ms: 30_000, signal: unwanted.signal });
    await eventually('a password check', async () => (await passwordChecks()) > before, { everyMs: 5 });
    unwanted.abort(new Error('no longer wanted'));
    await assert.rejects(grant, /no longer wanted/);
    client.close();
    assert.equal(tokens.known(), undefined);
    await eventually('the token', () => tokens.known() !== undefined, { timeoutMs: 30_000 });
    assert.equal(await passwordChecks(), before + 1);
  });

  it('waits while etcd is slow to answer, and the connection is kept', async () => {
    const { endpoint, named } = await start();
    await proxy!.set({ delayMs: 200 });
    const before = await passwordChecks();
    const client = await connectClient(endpoint, named);
    const elapsed = stopwatch();
    await assert.rejects(client.grant('1', 20, { ms: 2000 }), {
      name: 'SlowError',
      message: 'authenticate: no answer in time',
    });
    await client.grant('1', 20, { ms: 60_000 });
    // Answers in 400 ms are prompt enough for the fourth attempt, after waits of 0.5, 1 and 2 s at least.
    assert.ok(elapsed() > 3500, `${elapsed()} ms`);
    assert.equal(await passwordChecks(), before + 1);
    client.close();
  });
});

describe('a member that does not answer in time', () => {
  it('is alive when its connection came up meanwhile, and not when it stays silent', async () => {
    etcd = await startEtcd();
    proxy = await startProxy(etcd.members[0]!.port);
    const client = await connectClient(`http://127.0.0.1:${proxy.port}`, access);
    const unanswered = async (id: string): Promise<RequestError> => {
      const error: unknown = await client.grant(id, 20, { ms: 1500 }).catch((reason: unknown) => reason);
      assert.ok(error instanceof RequestError, String(error));
      return error;
    };
    await proxy.set({ delayMs: 500 });
    const slow = await unanswered('1');
    assert.deepEqual([slow.message, slow instanceof SlowError], ['grant: no answer in time', true]);
    await proxy.set('silent');
    await unanswered('2');
    const silent = await unanswered('3');
    assert.deepEqual([silent.message, silent instanceof SlowError], ['grant: no answer in time', false]);
    client.close();
  });

  it('is refused at an address of our own: on pasta that is not the host', async t => {
    const own = Object.values(networkInterfaces()).flatMap(list => list ?? []);
    const ip = own.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
    if (ip === undefined) return t.skip('this machine has no address but loopback');
    const client = await connectClient(`http://${ip}:${await freePort()}`, access);
    await assert.rejects(
      client.grant('1', 20, { ms: 3000 }),
      error =>
        error instanceof RequestError &&
        !(error instanceof DeniedError) &&
        new RegExp(`ECONNREFUSED ${ip}:\\d+; .*our own address.*pasta.*host\\.containers\\.internal`).test(
          error.message,
        ),
    );
    client.close();
  });

  it('leaves no connection behind that comes up after the client was closed', async () => {
    etcd = await startEtcd();
    proxy = await startProxy(etcd.members[0]!.port);
    await proxy.set('refuse');
    for (let time = 0; time < 5; time++) {
      const client = await connectClient(`http://127.0.0.1:${proxy.port}`, access);
      await assert.rejects(client.grant('1', 20, { ms: 3000 }), /ECONNREFUSED/);
      client.close();
    }
    // gRPC's own wait would be a second.
    await pause(300);
    await proxy.set('pass');
    await pause(2000);
    assert.equal(proxy.stats.accepted, 0);
  });

  it('was not reached: there is no connection', async () => {
    etcd = await startEtcd();
    proxy = await startProxy(etcd.members[0]!.port);
    await proxy.set('silent');
    const client = await connectClient(`http://127.0.0.1:${proxy.port}`, access);
    await assert.rejects(client.grant('1', 20, { ms: 300 }), {
      name: 'RequestError',
      message: 'grant: no connection in time; check the network of this container, the firewall, and --etcd',
    });
    client.close();
  });
});
