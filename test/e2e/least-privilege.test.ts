/** Alternatives to the Docker socket in the container, on a real engine: a socket proxy, and TLS. Runs in the bed. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { logsOf } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, run, startHost, type Host } from '../support/lan.ts';
import { makeTls, type TlsFiles } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const example = fileURLToPath(new URL('../../../examples/socket-proxy', import.meta.url));
/** The folder of the proxy's socket on the host. */
const proxyFolder = '/run/dockreg-proxy';

let host: Host;
let etcd: EtcdCluster;
let tls: Awaited<ReturnType<typeof makeTls>>;
let folder: string;
const started: string[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dockreg-least-'));
  tls = await makeTls({ names: ['10.1.0.101'] });
  host = await startHost({ name: 'host-1', ip: '10.1.0.101', tls });
  await loadImages(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
});
after(async () => {
  await etcd.stop();
  await host.stop();
  await tls.authority.remove();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const name of started.splice(0)) await host.docker(['rm', '--force', name]);
});

async function start(
  name: string,
  env: Readonly<Record<string, string>>,
  options: readonly string[],
): Promise<void> {
  started.push(name);
  const variables = {
    DOCKREG_IP: host.ip,
    DOCKREG_ETCD: `http://${lanAddress}:${etcd.members[0]!.port}`,
    DOCKREG_TTL: '10s',
    ...env,
  };
  const flags = Object.entries(variables).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
  await host.docker([
    ...['run', '--detach', '--name', name, '--publish', '8000'],
    ...[...flags, ...options, images.example],
  ]);
}

/** The key of the container at its mapped port. */
async function registered(name: string): Promise<void> {
  const mapped = (await host.docker(['port', name, '8000/tcp'])).split('\n')[0]!.split(':').at(-1);
  await eventually('the key', async () => (await etcd.keys('/')).has(`/service/${host.ip}:${mapped}`), {
    timeoutMs: 20_000,
  });
}

async function says(name: string, text: RegExp): Promise<void> {
  await eventually(`${name} says ${text}`, async () => text.test(await logsOf(host, name)), {
    timeoutMs: 20_000,
  });
}

async function certificates(
  name: string,
  { ca, client }: Pick<TlsFiles, 'ca' | 'client'>,
): Promise<string[]> {
  const place = join(folder, name);
  await mkdir(place);
  await copyFile(ca, join(place, 'ca.pem'));
  await copyFile(client.cert, join(place, 'cert.pem'));
  await copyFile(client.key, join(place, 'key.pem'));
  return ['--volume', `${place}:/certs:ro`];
}

describe('the socket proxy', () => {
  /** Debian's HAProxy, with the options of the example's README. */
  before(async () => {
    const files = '/usr/sbin/haproxy $(ldd /usr/sbin/haproxy | grep -o "/[^ ]*")';
    await run('sh', ['-c', `tar -chPf - ${files} | docker import - e2e:haproxy`], {
      env: host.dockerEnvironment,
    });
    const volumes = {
      [host.dockerSocket]: '/var/run/docker.sock',
      [proxyFolder]: '/run/dockreg',
      [example]: '/usr/local/etc/haproxy:ro',
    };
    await host.docker([
      ...['run', '--detach', '--name', 'docker-proxy', '--user', '0:0', '--network', 'none'],
      ...['--read-only', '--cap-drop', 'ALL'],
      ...Object.entries(volumes).flatMap(([outside, inside]) => ['--volume', `${outside}:${inside}`]),
      ...['e2e:haproxy', 'haproxy', '-W', '-db', '-f', '/usr/local/etc/haproxy/haproxy.cfg'],
    ]);
    await eventually('the socket of the proxy', () => existsSync(join(proxyFolder, 'docker.sock')));
  });

  it('is enough to register', async () => {
    await start('web', { DOCKREG_DOCKER: '/run/dockreg/docker.sock' }, [
      '--volume',
      `${proxyFolder}:/run/dockreg`,
    ]);
    await registered('web');
  });

  it('does not let containers be created, listed or entered', async () => {
    await start('web', {}, []);
    const socket = join(proxyFolder, 'docker.sock');
    for (const args of [
      ['ps'],
      ['run', images.debian],
      ['exec', 'web', 'id'],
      ['logs', 'web'],
      ['stop', 'web'],
    ]) {
      await assert.rejects(
        run('docker', args, { env: { ...host.dockerEnvironment, DOCKER_HOST: `unix://${socket}` } }),
        /403 Forbidden/,
        args.join(' '),
      );
    }
    const log = await eventually('the whole log of the proxy', async () => {
      const text = await host.docker(['logs', 'docker-proxy']);
      return /^POST \/v1\.\d+\/containers\/web\/stop 403 PR$/m.test(text) && text;
    });
    assert.doesNotMatch(log, /\/json 200/, 'what is allowed is not logged');
  });
});

describe('an engine with --tlsverify', () => {
  const remote = { DOCKREG_DOCKER: 'tcp://10.1.0.101:2376' };
  const secure = { ...remote, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs' };

  it('is enough to register', async () => {
    await start('web', secure, await certificates('right', tls));
    await registered('web');
  });

  it('is refused with a certificate of another authority', async () => {
    const other = await makeTls();
    await start('web', secure, await certificates('stranger', { ca: tls.ca, client: other.client }));
    await other.authority.remove();
    await says(
      'web',
      /it refuses us; cert\.pem and key\.pem in \/certs must be of an authority that it knows/,
    );
  });

  it('requires a certificate', async () => {
    await certificates('none', tls);
    for (const name of ['cert.pem', 'key.pem']) await rm(join(folder, 'none', name));
    await start('web', secure, ['--volume', `${join(folder, 'none')}:/certs:ro`]);
    await says(
      'web',
      /it refuses us; cert\.pem and key\.pem in \/certs must be of an authority that it knows/,
    );
  });

  it('is not asked without TLS', async () => {
    await start('web', remote, []);
    await says('web', /it speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH/);
  });
});
