/** Connecting to the Docker API: DOCKER_HOST, and TLS by the docker CLI's conventions. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import {
  inspectAnswer,
  published,
  startDockerSocket,
  type DockerSocket,
  type DockerSocketOptions,
} from '../support/docker-socket.ts';
import { startProgram, type Program } from '../support/program.ts';
import { makeTls } from '../support/tls.ts';

const id = 'c0ffee00'.repeat(8);

let web: App;
let docker: DockerSocket;
let folder: string;
let programs: Program[] = [];
/** What a test expects on standard error. */
let allowed: RegExp | undefined;

before(async () => {
  web = await startApp();
  folder = await mkdtemp(join(tmpdir(), 'dockreg-engine-'));
});
after(async () => {
  web.close();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  const ended = programs.splice(0);
  await Promise.all(ended.map(program => program.stop()));
  for (const program of ended) program.assertClean(allowed);
  allowed = undefined;
  await docker.stop();
});

async function startDocker(options: DockerSocketOptions = {}): Promise<void> {
  const containers = { [id]: inspectAnswer({ id, ports: published(web.port, 49155) }) };
  docker = await startDockerSocket({ tcp: true, containers, ...options });
}

/** Nothing here needs etcd: the address is found without it. */
async function dockreg(env: Record<string, string>, args: string[] = []): Promise<Program> {
  const program = await startProgram({
    args: ['--etcd', 'http://127.0.0.1:1', '--container', id, '--ip', '10.1.0.101', ...args],
    env: { DOCKREG_PORT: String(web.port), ...env },
  });
  programs.push(program);
  return program;
}

describe('DOCKER_HOST', () => {
  beforeEach(() => startDocker());

  it('says where Docker is: unix://', async () => {
    const program = await dockreg({ DOCKER_HOST: `unix://${docker.socketPath}` });
    await program.waitForLine('address 10.1.0.101:49155');
  });

  it('says where Docker is: tcp://', async () => {
    const program = await dockreg({ DOCKER_HOST: `tcp://127.0.0.1:${docker.port}` });
    await program.waitForLine('address 10.1.0.101:49155');
  });

  it('gives way to --docker and to DOCKREG_DOCKER, whatever its value', async () => {
    for (const DOCKER_HOST of ['tcp://127.0.0.1:1', 'unix:///run/none.sock', 'ssh://host', 'not a host']) {
      const flag = await dockreg({ DOCKER_HOST }, ['--docker', docker.socketPath]);
      await flag.waitForLine('address 10.1.0.101:49155');
      const variable = await dockreg({ DOCKER_HOST, DOCKREG_DOCKER: `tcp://127.0.0.1:${docker.port}` });
      await variable.waitForLine('address 10.1.0.101:49155');
    }
  });

  it('of an unsupported kind is refused by name', async () => {
    const program = await dockreg({ DOCKER_HOST: 'ssh://host' });
    assert.equal((await program.exitWithin(10_000)).code, 64);
    assert.match(program.stderr, /^dockreg: DOCKER_HOST "ssh:\/\/host": must be a socket such as/);
    programs = [];
  });
});

describe('DEBUG=*', () => {
  it('prints nothing of what Docker answers', async () => {
    const answer = inspectAnswer({ id, ports: published(web.port, 49155), labels: { token: 'hunter2' } });
    await startDocker({ containers: { [id]: answer } });
    const program = await dockreg({ DEBUG: '*', DOCKREG_DOCKER: docker.socketPath });
    await program.waitForLine('address 10.1.0.101:49155');
    assert.equal(program.stderr, '');
    assert.ok(!program.lines.some(({ raw }) => raw.includes('hunter2')));
  });
});

const variables = (): Record<string, string> => ({
  DOCKER_HOST: `tcp://127.0.0.1:${docker.port}`,
  DOCKER_TLS_VERIFY: '1',
  DOCKER_CERT_PATH: folder,
});

describe('TLS to the engine', () => {
  let tls: Awaited<ReturnType<typeof makeTls>>;
  beforeEach(async () => {
    tls = await makeTls();
    await startDocker({ tls });
    await useCertificates(tls);
  });
  afterEach(() => tls.authority.remove());

  async function useCertificates({ ca, client }: Pick<typeof tls, 'ca' | 'client'>): Promise<void> {
    await copyFile(ca, join(folder, 'ca.pem'));
    await copyFile(client.cert, join(folder, 'cert.pem'));
    await copyFile(client.key, join(folder, 'key.pem'));
  }

  it('works with the certificates of DOCKER_CERT_PATH', async () => {
    const program = await dockreg(variables());
    await program.waitForLine('address 10.1.0.101:49155');
    assert.deepEqual(
      docker.requests.map(({ method, path }) => `${method} ${path}`),
      [`GET /containers/${id}/json`],
    );
  });

  it('is verified against the name in --docker, and uses renewed certificates', async () => {
    await tls.authority.issue('server', { names: ['elsewhere.example'] });
    docker.close();
    await docker.listen();
    const program = await dockreg(variables());
    const line = await program.waitForLine('waiting for the address');
    assert.match(
      line.raw,
      /IP: 127\.0\.0\.1 is not in the cert's list.*name it in --docker as its certificate/,
    );
    await tls.authority.issue('server');
    docker.close();
    await docker.listen();
    await program.waitForLine('address 10.1.0.101:49155');
  });

  it('refuses an engine of an unknown authority, until it is known', async () => {
    const other = await makeTls();
    await useCertificates({ ca: other.ca, client: tls.client });
    await other.authority.remove();
    const program = await dockreg(variables());
    const line = await program.waitForLine('waiting for the address');
    assert.match(line.raw, /its certificate is not of the authority in .*\/ca\.pem/);
    assert.deepEqual(docker.requests, []);
    await useCertificates(tls);
    await program.waitForLine('address 10.1.0.101:49155');
  });

  it('is verified also when the app switches verification off: NODE_TLS_REJECT_UNAUTHORIZED=0', async () => {
    allowed = /NODE_TLS_REJECT_UNAUTHORIZED|--trace-warnings/;
    const other = await makeTls();
    await useCertificates({ ca: other.ca, client: tls.client });
    await other.authority.remove();
    const program = await dockreg({ ...variables(), NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    const line = await program.waitForLine('waiting for the address');
    assert.match(line.raw, /its certificate is not of the authority in .*\/ca\.pem/);
    assert.deepEqual(docker.requests, []);
  });

  it('to a port of plain HTTP says so', async () => {
    await docker.stop();
    await startDocker();
    const program = await dockreg(variables());
    await program.waitForLine(/it does not speak TLS there; use its TLS port, or unset DOCKER_TLS_VERIFY/);
  });

  const refusals: [
    name: string,
    change: () => Promise<Record<string, string>>,
    code: number,
    text: RegExp,
  ][] = [
    [
      'without DOCKER_CERT_PATH',
      () => Promise.resolve({ DOCKER_CERT_PATH: '' }),
      64,
      /DOCKER_TLS_VERIFY is set without DOCKER_CERT_PATH; name the folder/,
    ],
    [
      'without verification',
      () => Promise.resolve({ DOCKER_TLS_VERIFY: '' }),
      64,
      /DOCKER_CERT_PATH is set and DOCKER_TLS_VERIFY is not.*set DOCKER_TLS_VERIFY=1/,
    ],
    [
      'without ca.pem',
      async () => {
        await unlink(join(folder, 'ca.pem'));
        return {};
      },
      78,
      /DOCKER_CERT_PATH: .*\/ca\.pem cannot be read: ENOENT/,
    ],
    [
      'with a certificate without its key',
      async () => {
        await unlink(join(folder, 'key.pem'));
        return {};
      },
      78,
      /DOCKER_CERT_PATH: .*\/key\.pem cannot be read: ENOENT/,
    ],
    [
      'with a broken ca.pem',
      async () => {
        await writeFile(join(folder, 'ca.pem'), 'garbage');
        return {};
      },
      78,
      /DOCKER_CERT_PATH: .*\/ca\.pem is not usable PEM/,
    ],
  ];
  for (const [name, change, code, text] of refusals) {
    it(`${name} ends at the start: ${code}`, async () => {
      const program = await dockreg({ ...variables(), ...(await change()) });
      assert.equal((await program.exitWithin(10_000)).code, code);
      assert.match(program.stderr, text);
      programs = [];
    });
  }
});
