/** `dockreg doctor` on setups that are broken in one way each: the diagnosis is right, and nothing is left behind. */
import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { enableAuth, user } from '../support/auth.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startEtcd, type EtcdCluster, type EtcdOptions } from '../support/etcd.ts';
import { startProgram, type ProgramOptions } from '../support/program.ts';
import { makeTls } from '../support/tls.ts';
import { eventually, freePort } from '../support/wait.ts';

interface Finding {
  readonly step: string;
  readonly ok: boolean | null;
  readonly detail: string;
  readonly hint?: string;
}

const id = 'c0ffee00'.repeat(8);
const dist = fileURLToPath(new URL('../../../dist', import.meta.url));

let web: App;
let docker: DockerSocket;
let etcd: EtcdCluster;
let others: EtcdCluster[] = [];

before(async () => {
  etcd = await startEtcd();
});
after(() => etcd.stop());
beforeEach(async () => {
  web = await startApp({ host: '0.0.0.0' });
  docker = await startDockerSocket({
    containers: { [id]: inspectAnswer({ id, name: 'web', ports: published(web.port, web.port) }) },
  });
});
afterEach(async () => {
  web.close();
  await docker.stop();
  for (const cluster of others.splice(0)) await cluster.stop();
});

async function another(options: EtcdOptions): Promise<EtcdCluster> {
  const cluster = await startEtcd(options);
  others.push(cluster);
  return cluster;
}

/** Runs the doctor in a setup without a fault, except for `args` and `env`. */
async function run(
  { args = [], env = {}, ...options }: ProgramOptions,
  format: readonly string[],
): Promise<{ code: number | null; text: string }> {
  const program = await startProgram({
    ...options,
    args: ['doctor', ...format, ...args],
    env: {
      DOCKREG_ETCD: etcd.endpoints.join(','),
      DOCKREG_PORT: String(web.port),
      DOCKREG_DOCKER: docker.socketPath,
      DOCKREG_CONTAINER: id,
      DOCKREG_IP: '127.0.0.1',
      DOCKREG_ALLOW_LOOPBACK: 'on',
      DOCKREG_TIMEOUT: '300ms',
      ...env,
    },
  });
  const { code } = await program.exitWithin(30_000);
  program.assertClean();
  return { code, text: program.lines.map(({ raw }) => raw).join('\n') };
}

async function examine(options: ProgramOptions = {}): Promise<{ code: number | null; findings: Finding[] }> {
  const { code, text } = await run(options, ['--json']);
  return { code, findings: JSON.parse(text) as Finding[] };
}

/** The faults are exactly these: step and text, in order. Each has a hint of its own field. */
async function assertFaults(
  options: ProgramOptions,
  expected: readonly [step: string, text: RegExp][],
): Promise<Finding[]> {
  const { code, findings } = await examine(options);
  const faults = findings.filter(({ ok }) => ok === false);
  const shown = JSON.stringify(findings, null, 2);
  assert.deepEqual(
    faults.map(({ step }) => step),
    expected.map(([step]) => step),
    shown,
  );
  for (const [at, [, text]] of expected.entries()) {
    const { detail, hint } = faults[at]!;
    assert.match(`${detail}; ${hint}`, text);
    assert.ok(hint !== undefined && hint !== '', shown);
  }
  assert.equal(code, 1);
  return findings;
}

async function traces(cluster: EtcdCluster): Promise<unknown> {
  return {
    revision: await cluster.revision(),
    keys: [...(await cluster.keys('/'))],
    leases: await cluster.leases(),
  };
}

function endpoints(...urls: string[]): { env: { DOCKREG_ETCD: string } } {
  return { env: { DOCKREG_ETCD: urls.join(',') } };
}

describe('a setup without a fault', () => {
  it('passes every step, with exit code 0, and nothing is left behind', async () => {
    const traced = await traces(etcd);
    const { code, findings } = await examine();
    assert.deepEqual(
      findings.map(({ step, ok }) => [step, ok]),
      ['docker', 'container', 'port', 'app', 'check', 'address', 'etcd', 'cluster', 'record'].map(step => [
        step,
        true,
      ]),
      JSON.stringify(findings, null, 2),
    );
    assert.equal(code, 0);
    assert.deepEqual(await traces(etcd), traced);
    assert.ok(docker.requests.length > 0);
    for (const { method, path } of docker.requests)
      assert.match(`${method} ${path}`, /^GET \/containers\/[0-9a-f]{64}\/json$/);
    assert.ok(web.requests.every(({ reused }) => !reused));
  });

  it('is shown to a person in one line for each step', async () => {
    const { code, text } = await run({}, []);
    assert.equal(code, 0);
    const lines = text.split('\n');
    assert.equal(lines.length, 9, text);
    for (const [at, pattern] of [
      /^✓ docker {5}unix:\/\/\S+ answers after \d+ ms$/,
      /^✓ container {2}c0ffee00c0ff \(web\), found by --container$/,
      new RegExp(
        `^✓ port {7}${web.port}/tcp of c0ffee00c0ff \\(web\\) is reached at 127\\.0\\.0\\.1:${web.port}, `,
      ),
      new RegExp(
        `^✓ app {8}process ${process.pid} \\(\\S+\\) listens on 0\\.0\\.0\\.0:${web.port}; the check asks 127\\.0\\.0\\.1:${web.port}$`,
      ),
      /^✓ check {6}passes: HTTP 200 after \d+ ms$/,
      new RegExp(
        `^✓ address {4}127\\.0\\.0\\.1:${web.port} accepts a connection from this container after \\d+ ms$`,
      ),
      /^✓ etcd {7}http:\S+: etcd \d\S+, without TLS, without a user, would take a write under \/service\/, in \d+ ms$/,
      /^✓ cluster {4}1 of 1 endpoints answer, with a leader, without an alarm$/,
      new RegExp(
        `under a lease of 20 s: /service/127\\.0\\.0\\.1:${web.port} = running; it is not there now$`,
      ),
    ].entries()) {
      assert.match(lines[at]!, pattern);
    }
  });

  it('passes beside dockreg itself, whose key it does not touch', async () => {
    const dockreg = await startProgram({
      args: ['--etcd', etcd.endpoints.join(','), '--port', String(web.port)],
      env: { DOCKREG_ADVERTISE: `127.0.0.1:${web.port}`, DOCKREG_ALLOW_LOOPBACK: 'on' },
    });
    await dockreg.waitForLine('registered');
    const traced = await traces(etcd);
    const { code, findings } = await examine();
    assert.equal(code, 0);
    assert.match(findings.at(-1)!.detail, /it is there now$/);
    assert.deepEqual(await traces(etcd), traced);
    await dockreg.stop();
  });

  it('may have a user with the least permissions, TLS, and an address of --advertise', async () => {
    const tls = await makeTls();
    const cluster = await another({ tls });
    await enableAuth(cluster, '/service/');
    const revision = await cluster.revision();
    const { code, findings } = await examine({
      env: {
        DOCKREG_ETCD: cluster.endpoints.join(','),
        DOCKREG_ETCD_CA: tls.ca,
        DOCKREG_ETCD_CERT: tls.client.cert,
        DOCKREG_ETCD_KEY: tls.client.key,
        DOCKREG_ETCD_USER: user.name,
        DOCKREG_ETCD_PASSWORD: user.password,
        DOCKREG_ADVERTISE: `127.0.0.1:${web.port}`,
        DOCKREG_IP: '',
      },
    });
    assert.equal(code, 0, JSON.stringify(findings, null, 2));
    assert.deepEqual(findings[0], {
      step: 'docker',
      ok: null,
      detail: `not asked: --advertise gives 127.0.0.1:${web.port}`,
    });
    assert.match(
      findings.find(({ step }) => step === 'etcd')!.detail,
      /TLS verified by .*ca\.pem.* as user app/,
    );
    assert.equal(await cluster.revision(), revision);
    assert.deepEqual(docker.requests, []);
    await tls.authority.remove();
  });
});

describe('the path to the address', () => {
  it('no Docker socket', async () => {
    const findings = await assertFaults({ env: { DOCKREG_DOCKER: '/run/none.sock' } }, [
      ['docker', /^no Docker socket at \/run\/none\.sock; mount it with -v/],
    ]);
    const skipped = findings.filter(({ ok }) => ok === null).map(({ step }) => step);
    assert.deepEqual(skipped, ['container', 'port', 'address', 'record']);
  });

  it('a Docker socket that we may not open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dockreg-nobody-'));
    await chmod(folder, 0o755);
    await cp(dist, folder, { recursive: true });
    const isRoot = process.getuid?.() === 0;
    // The fake made the folder; only the socket in it is closed.
    await chmod(join(docker.socketPath, '..'), 0o755);
    await chmod(docker.socketPath, isRoot ? 0o660 : 0o020);
    if (isRoot) await chown(docker.socketPath, 0, 998);
    await assertFaults({ entry: join(folder, 'dockreg.js'), ...(isRoot && { uid: 65_534 }) }, [
      [
        'docker',
        /^may not open the Docker socket .*; run dockreg as root or in the socket's group \(docker run --group-add \d+\)/,
      ],
    ]);
    await rm(folder, { recursive: true });
  });

  it('a socket that is not a Docker API', async () => {
    docker.mode = 'garbage';
    await assertFaults({}, [['docker', /the answer is not of a Docker API.*do without Docker: --advertise/]]);
  });

  it('the socket of another engine', async () => {
    await assertFaults({ env: { DOCKREG_CONTAINER: 'deadbeefdead' } }, [
      [
        'container',
        /^Docker knows no running container deadbeefdead \(--container\); mount the socket of the engine/,
      ],
    ]);
  });

  it('a port that is not published', async () => {
    docker.publish(id, { [`${web.port}/tcp`]: null });
    await assertFaults({}, [['port', /exposed but not published; start it with -p/]]);
  });

  it('a wildcard mapping without --ip', async () => {
    await assertFaults({ env: { DOCKREG_IP: '' } }, [
      ['port', /is published on every address of the host.*--ip/],
    ]);
  });

  it('a host port at which nobody answers', async () => {
    docker.publish(id, published(web.port, await freePort()));
    await assertFaults({}, [
      ['address', /accepts no connection from this container: .*ECONNREFUSED.*an address of this host/],
    ]);
  });
});

describe('the app', () => {
  it('does not listen', async () => {
    web.close();
    await assertFaults({}, [
      ['app', /^nothing listens on port \d+ in this container; start the app, or give its port in --port/],
      ['check', /fails after \d+ ms: connect ECONNREFUSED/],
      ['address', /ECONNREFUSED/],
    ]);
  });

  it('listens on 127.0.0.1 only', async () => {
    web.close();
    const local = await startApp({ port: web.port, host: '127.0.0.1' });
    const elsewhere = { DOCKREG_ALLOW_LOOPBACK: 'off', DOCKREG_IP: '192.0.2.7' };
    await assertFaults({ env: elsewhere }, [
      ['app', /listens on 127\.0\.0\.1:\d+ only.*let it listen on 0\.0\.0\.0, or set --allow-unreachable/],
      ['address', /192\.0\.2\.7:\d+ accepts no connection/],
    ]);
    const { code, findings } = await examine();
    assert.equal(code, 0, 'not allowed, although the registered address may be loopback');
    assert.match(findings.find(({ step }) => step === 'app')!.detail, /only, which is allowed/);
    local.close();
  });

  it('answers 500', async () => {
    web.respond({ status: 500 });
    await assertFaults({}, [
      ['check', /fails after \d+ ms: HTTP 500 .* the app must pass --check http:\/ within 300 ms/],
    ]);
  });

  it('is checked by a HEALTHCHECK that the container does not have', async () => {
    await assertFaults({ env: { DOCKREG_CHECK: 'docker' } }, [
      ['check', /could not be made after \d+ ms: container .* has no HEALTHCHECK/],
    ]);
  });

  it('does not answer in time', async () => {
    web.respond('hang');
    await assertFaults({}, [['check', /fails after \d+ ms: no answer .* within 300 ms/]]);
  });
});

describe('etcd', () => {
  it('is down at one endpoint of two', async () => {
    const [alive] = etcd.endpoints as [string];
    const down = `http://127.0.0.1:${await freePort()}`;
    const findings = await assertFaults(endpoints(down, alive), [
      ['etcd', new RegExp(`^${down}: .*ECONNREFUSED.*start etcd there`)],
    ]);
    assert.match(findings.find(({ step }) => step === 'cluster')!.detail, /^1 of 2 endpoints answer/);
    assert.ok(findings.some(({ step, ok, detail }) => step === 'etcd' && ok && detail.startsWith(alive)));
  });

  it('is of two clusters', async () => {
    const stranger = await another({});
    await assertFaults(endpoints(...etcd.endpoints, ...stranger.endpoints), [
      ['cluster', /are of different clusters; name members of one cluster/],
    ]);
  });

  it('has no majority', async () => {
    const cluster = await another({ members: 2 });
    await cluster.members[1]!.kill();
    const [left] = cluster.members as [(typeof cluster.members)[0]];
    await eventually(
      'the end of its leader',
      async () => (await left.metric('etcd_server_has_leader')) === 0,
    );
    await assertFaults(endpoints(left.endpoint), [
      ['etcd', /answers, but .*; bring a majority of the members back/],
      ['cluster', /no member that answers knows a leader/],
    ]);
  });

  it('is of an unknown authority, or has another name, or wants a certificate', async () => {
    const [tls, other] = await Promise.all([makeTls(), makeTls()]);
    const cluster = await another({ tls, clientCertAuth: true });
    const secure = {
      ...endpoints(...cluster.endpoints).env,
      DOCKREG_ETCD_CERT: tls.client.cert,
      DOCKREG_ETCD_KEY: tls.client.key,
    };
    await assertFaults({ env: { ...secure, DOCKREG_ETCD_CA: other.ca } }, [
      ['etcd', /certificate.*; name the authority of its certificate in --etcd-ca/],
    ]);
    await assertFaults({ env: { ...endpoints(...cluster.endpoints).env, DOCKREG_ETCD_CA: tls.ca } }, [
      ['etcd', /it wants a certificate of ours: give --etcd-cert and --etcd-key/],
    ]);
    await assertFaults({ env: { ...secure, DOCKREG_ETCD_CA: '/run/none.pem' } }, [
      ['etcd', /--etcd-ca \/run\/none\.pem cannot be read.*name a file that is in this container/],
    ]);
    await tls.authority.issue('server', { names: ['elsewhere.example'] });
    await cluster.members[0]!.kill();
    await cluster.members[0]!.launch();
    await eventually('etcd', () => cluster.members[0]!.metric('etcd_server_has_leader'));
    await assertFaults({ env: { ...secure, DOCKREG_ETCD_CA: tls.ca } }, [
      ['etcd', /altnames.*name it in --etcd as its certificate does/],
    ]);
    await Promise.all([tls.authority.remove(), other.authority.remove()]);
  });

  it('does not speak TLS, or speaks it where the endpoint is http', async () => {
    await assertFaults(endpoints(etcd.endpoints[0]!.replace('http', 'https')), [
      // Which of the two depends on whether etcd's answer or its hanging up is read first.
      ['etcd', /; (it does not speak TLS there:|does it speak TLS there\? If not,) write http:/],
    ]);
    const tls = await makeTls();
    const cluster = await another({ tls });
    await assertFaults(endpoints(cluster.endpoints[0]!.replace('https', 'http')), [
      ['etcd', /; does it speak TLS\? Then write https:/],
    ]);
    await tls.authority.remove();
  });

  it('has another password for the user, or refuses the write, or wants a user', async () => {
    const cluster = await another({});
    await enableAuth(cluster, '/elsewhere/');
    const env = { ...endpoints(...cluster.endpoints).env, DOCKREG_ETCD_USER: user.name };
    await assertFaults({ env: { ...env, DOCKREG_ETCD_PASSWORD: 'wrong' } }, [
      ['etcd', /authenticate as app: .*; check --etcd-user and its password/],
    ]);
    await assertFaults({ env: { ...env, DOCKREG_ETCD_PASSWORD: user.password } }, [
      ['etcd', /answers, but .*permission denied; give the role of the user readwrite on the prefix/],
    ]);
    await assertFaults(endpoints(...cluster.endpoints), [['etcd', /etcd wants a user: --etcd-user/]]);
    const { code } = await examine({
      env: { ...env, DOCKREG_ETCD_PASSWORD: user.password, DOCKREG_KEY: 'elsewhere' },
    });
    assert.equal(code, 0, 'there is no fault where the user may write');
  });

  it('grants reads and refuses writes', async () => {
    const cluster = await another({});
    await enableAuth(cluster, '/elsewhere/');
    await cluster.ctl(['role', 'grant-permission', 'dockreg', 'read', '--prefix=true', '/service/']);
    const env = { ...endpoints(...cluster.endpoints).env, DOCKREG_ETCD_USER: user.name };
    await assertFaults({ env: { ...env, DOCKREG_ETCD_PASSWORD: user.password } }, [
      ['etcd', /permission denied/],
    ]);
  });

  it('is full', async () => {
    const cluster = await another({ quotaBackendBytes: 200_000 });
    await eventually('the alarm', async () => {
      await cluster.ctl(['put', '/filler', 'x'.repeat(60_000)]).catch(() => undefined);
      return (await cluster.ctl(['alarm', 'list'])).includes('NOSPACE');
    });
    await assertFaults(endpoints(...cluster.endpoints), [
      ['etcd', /answers, but .*space exceeded; compact it, etcdctl defrag/],
      ['cluster', /the alarm NOSPACE is raised; compact it, etcdctl defrag, then etcdctl alarm disarm/],
    ]);
  });
});

describe('a wrong command line', () => {
  it('is refused as dockreg itself refuses it', async () => {
    const program = await startProgram({ args: ['doctor', '--port', 'x', '--jsno'] });
    assert.equal((await program.exitWithin(10_000)).code, 64);
    assert.match(program.stderr, /unknown flag --jsno; did you mean --json\?/);
    assert.match(program.stderr, /--etcd is missing/);
  });

  it('the command comes first', async () => {
    const program = await startProgram({ args: ['--port', '1', '--etcd', 'http://h:1', 'doctor'] });
    assert.equal((await program.exitWithin(10_000)).code, 64);
    assert.match(program.stderr, /"doctor" must come first; write dockreg doctor/);
  });

  it('--json is no flag of dockreg itself', async () => {
    const program = await startProgram({ args: ['--json', '--port', '1', '--etcd', 'http://h:1'] });
    assert.equal((await program.exitWithin(10_000)).code, 64);
    assert.match(program.stderr, /unknown flag --json/);
  });
});
