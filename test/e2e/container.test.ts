/** The images on a real Docker Engine: real supervisord, real containers, real etcd. Runs in the bed (bed.sh). */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { isShort } from '../support/engines.ts';
import { logsOf } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, run, startHost, type Host } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';

let host: Host;
let etcd: EtcdCluster;
let endpoint: string;
let watcher: Watcher;
const started: string[] = [];

before(async () => {
  host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  endpoint = `http://${lanAddress}:${etcd.members[0]!.port}`;
  watcher = await etcd.watch('/service/');
});
after(async () => {
  watcher.close();
  await etcd.stop();
  await host.stop();
});
afterEach(async () => {
  for (const name of started.splice(0)) await host.docker(['rm', '--force', name]);
  await etcd.ctl(['del', '--prefix', '/service/']);
  watcher.skipToNow();
});

/** What does not depend on the engine's version is left out of the short suite. */
const longer = {
  describe(name: string, body: () => void): void {
    if (!isShort) void describe(name, body);
  },
  it(name: string, body: () => Promise<void>): void {
    if (!isShort) void it(name, body);
  },
};

interface RunOptions {
  readonly options?: readonly string[];
  readonly publish?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly command?: readonly string[];
}

/** `docker run` as in the README. */
async function start(
  name: string,
  {
    options = [],
    publish = ['--publish', '8000'],
    env = {},
    image = images.example,
    command = [],
  }: RunOptions = {},
): Promise<string> {
  started.push(name);
  const variables = {
    DOCKREG_IP: host.ip,
    DOCKREG_ETCD: endpoint,
    DOCKREG_INTERVAL: '1s',
    DOCKREG_TIMEOUT: '1s',
    ...env,
  };
  return host.docker([
    ...[
      'run',
      '--detach',
      '--name',
      name,
      ...publish,
      '--volume',
      `${host.dockerSocket}:/var/run/docker.sock`,
    ],
    ...Object.entries(variables).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
    ...[...options, image, ...command],
  ]);
}

async function mappedPort(name: string, port = '8000/tcp'): Promise<string> {
  return (await host.docker(['port', name, port]))
    .split('\n')
    .find(line => line.startsWith('0.0.0.0'))!
    .split(':')[1]!;
}

async function doctor(name: string): Promise<string> {
  const command = 'docker exec "$0" /opt/dockreg/bin/dockreg doctor; echo "exit $?"';
  return run('sh', ['-c', command, name], { env: host.dockerEnvironment });
}

async function keyOf(name: string): Promise<string> {
  return `/service/${host.ip}:${await mappedPort(name)}`;
}

/** The result of the container's HEALTHCHECK. */
function healthOf(name: string): Promise<string> {
  return host.docker(['inspect', '--format', '{{.State.Health.Status}}', name]);
}

async function get(url: string): Promise<string> {
  return (await fetch(url, { signal: AbortSignal.timeout(5000) })).text();
}

describe('a container of the example image', () => {
  it('is registered at its mapped port while it runs, and removed at once when it is stopped', async () => {
    // The default settings: interval 5 s, TTL 20 s.
    await start('web', { env: { DOCKREG_INTERVAL: '5s', DOCKREG_TIMEOUT: '3s' } });
    const put = await watcher.next(({ type }) => type === 'put', 20_000);
    assert.equal(put.key, await keyOf('web'));
    assert.equal(put.value, 'running');
    assert.equal(await etcd.ctl(['get', '--prefix', '/service']), `${put.key}\nrunning\n`);
    assert.match(
      await etcd.ctl(['lease', 'timetolive', put.lease, '--keys']),
      new RegExp(`granted with TTL\\(20s\\).*attached keys\\(\\[${put.key}\\]\\)`),
    );
    assert.match(await get(`http://${put.key.slice('/service/'.length)}/`), /^Hello from [0-9a-f]{12}\n$/);

    const stopping = host.docker(['stop', 'web']);
    await watcher.next(({ type, key: gone }) => type === 'delete' && gone === put.key, 5000);
    await stopping;
    const text = await logsOf(host, 'web');
    const sequence = ['withdrawn', 'msg=stopped', 'example: stopping'].map(part => text.indexOf(part));
    assert.ok(
      sequence.every((position, at) => position > (sequence[at - 1] ?? 0)),
      `dockreg stops before the app:\n${text}`,
    );
  });

  longer.it(
    'loses its key when the app crashes, and gets it back when supervisord has restarted the app',
    async () => {
      await start('web');
      const put = await watcher.next(({ type }) => type === 'put', 20_000);
      await get(`http://${put.key.slice('/service/'.length)}/play/crash?seconds=3`);
      await watcher.next(({ type }) => type === 'delete');
      await watcher.next(({ type, key: back }) => type === 'put' && back === put.key, 20_000);
    },
  );

  longer.it('loses its key with its lease when it is killed', async () => {
    await start('web', { env: { DOCKREG_TTL: '5s' } });
    const put = await watcher.next(({ type }) => type === 'put', 20_000);
    await host.docker(['kill', 'web']);
    const gone = await watcher.next(({ type }) => type === 'delete', 15_000);
    assert.equal(gone.key, put.key);
  });

  longer.it('loses its key with its lease when it is paused, and gets it back afterwards', async () => {
    await start('web', { env: { DOCKREG_TTL: '5s' } });
    const put = await watcher.next(({ type }) => type === 'put', 20_000);
    await host.docker(['pause', 'web']);
    await watcher.next(({ type }) => type === 'delete', 15_000);
    await host.docker(['unpause', 'web']);
    const back = await watcher.next(({ type }) => type === 'put', 15_000);
    assert.equal(back.key, put.key);
    assert.notEqual(back.lease, put.lease);
  });

  it('moves its key when its network is connected again', async () => {
    await start('web');
    const { key, lease } = await watcher.next(({ type }) => type === 'put', 20_000);
    await host.docker(['network', 'disconnect', 'bridge', 'web']);
    await host.docker(['network', 'connect', 'bridge', 'web']);
    const moved = await keyOf('web');
    assert.notEqual(moved, key);
    const put = await watcher.next(({ type }) => type === 'put', 20_000);
    const gone = await watcher.next(({ type }) => type === 'delete', 20_000);
    assert.deepEqual([put.key, gone.key, put.lease], [moved, key, lease]);
    assert.equal(put.modRevision, gone.modRevision, 'one transaction');
  });

  longer.it('is registered at its new port when it is restarted', async () => {
    await start('web');
    await watcher.next(({ type }) => type === 'put', 20_000);
    await host.docker(['restart', 'web']);
    await watcher.next(({ type }) => type === 'delete');
    const again = await watcher.next(({ type }) => type === 'put', 20_000);
    assert.equal(again.key, await keyOf('web'));
  });

  longer.it('has supervisorctl', async () => {
    await start('web');
    await watcher.next(({ type }) => type === 'put', 20_000);
    await eventually('both programs run', async () =>
      /dockreg\s+RUNNING[^]*example\s+RUNNING/.test(
        await host.docker(['exec', 'web', 'supervisorctl', 'status']),
      ),
    );
  });
});

longer.describe('a container with a wrong set-up says so', () => {
  const cases: [name: string, options: RunOptions, text: RegExp][] = [
    [
      'an exposed port that is not published',
      { publish: [] },
      /8000\/tcp of container web is exposed but not published; start it with -p 8000/,
    ],
    [
      'no address',
      { env: { DOCKREG_IP: '' } },
      /published on every address of the host .* give the host's address with --ip/,
    ],
    [
      'no network',
      { publish: [], options: ['--network', 'none'] },
      /container web has no network \(--network none\), so nobody can reach port 8000\/tcp/,
    ],
    ['no etcd', { env: { DOCKREG_ETCD: '' } }, /--etcd is missing/],
  ];
  for (const [name, options, text] of cases) {
    it(name, async () => {
      await start('web', options);
      await eventually('the message', async () => text.test(await logsOf(host, 'web')), {
        timeoutMs: 20_000,
        everyMs: 250,
      });
    });
  }

  it('and keeps trying without the Docker socket', async () => {
    await start('web', { options: ['--env', 'DOCKREG_DOCKER=/run/none.sock'] });
    const text = /waiting for the address: no Docker socket at \/run\/none\.sock; mount it with -v/;
    await eventually('the message', async () => text.test(await logsOf(host, 'web')), {
      timeoutMs: 20_000,
      everyMs: 250,
    });
    await eventually('it runs', async () =>
      /RUNNING/.test(await host.docker(['exec', 'web', 'supervisorctl', 'status', 'dockreg'])),
    );
  });
});

describe('doctor', () => {
  it('finds no problem in a container that is registered', async () => {
    await start('web');
    const put = await watcher.next(({ type }) => type === 'put', 20_000);
    const text = await doctor('web');
    assert.match(text, /^exit 0$/m, text);
    assert.doesNotMatch(text, /^✗/m);
    assert.ok(text.includes(`${put.key} = running; it is there now`), text);
  });

  longer.it('says why a container is not registered', async () => {
    await start('web', { publish: [] });
    const text = await eventually('the app to be up', async () => {
      const output = await doctor('web');
      return output.includes('✓ check') && output;
    });
    assert.match(text, /^exit 1$/m);
    assert.equal(text.match(/^✗/gm)?.length, 1, text);
    assert.match(text, /^✓ container {2}[0-9a-f]{12} \(web\), found by mountinfo$/m, text);
    assert.match(text, /^✗ port {7}port 8000\/tcp of container web is exposed but not published; start it/m);
  });
});

longer.describe('a HEALTHCHECK that asks dockreg', () => {
  const perl =
    'perl -MSocket -e \'socket(S,PF_UNIX,SOCK_STREAM,0);connect(S,sockaddr_un("/run/dockreg.sock"))or exit 1;send(S,"status\\n",0);$_=join"",<S>;exit(!/"health"/||/"health":"(?!up")/)\'';
  for (const [name, command] of [
    ['by its command', '/opt/dockreg/bin/dockreg status'],
    ['by its socket', perl],
  ] as const) {
    it(`${name} follows the health of the app`, async () => {
      const when = ['--health-interval', '1s', '--health-retries', '1', '--health-timeout', '10s'];
      await start('web', {
        options: ['--health-cmd', command, ...when],
      });
      const { key } = await watcher.next(({ type }) => type === 'put', 20_000);
      const app = `http://${key.slice('/service/'.length)}`;
      await eventually('healthy', async () => (await healthOf('web')) === 'healthy', { timeoutMs: 20_000 });
      await get(`${app}/play/fail`);
      await eventually('unhealthy', async () => (await healthOf('web')) === 'unhealthy', {
        timeoutMs: 20_000,
      });
      await get(`${app}/play/heal`);
      await eventually('healthy again', async () => (await healthOf('web')) === 'healthy', {
        timeoutMs: 20_000,
      });
      await host.docker(['exec', 'web', 'supervisorctl', 'stop', 'dockreg']);
      await eventually('unhealthy', async () => (await healthOf('web')) === 'unhealthy', {
        timeoutMs: 20_000,
      });
    });
  }
});

longer.describe('the layer', () => {
  /** Debian with Python and the layer, for an app that is not Node. */
  const dockerfile = `FROM ${images.debian}\nCOPY --from=${images.layer} /opt/dockreg /opt/dockreg\n`;
  const script = 'python3 -m http.server 8000 & exec /opt/dockreg/bin/dockreg --port 8000';

  it('works in an image without Node, beside an app that is not Node', async () => {
    await host.docker(['build', '--quiet', '--tag', 'e2e:python', '-'], { input: dockerfile });
    await start('python', { image: 'e2e:python', command: ['sh', '-c', script] });
    const put = await watcher.next(({ type }) => type === 'put', 20_000);
    assert.match(await get(`http://${put.key.slice('/service/'.length)}/`), /Directory listing/);
  });

  it("registers in an environment that is only good for the app's Node", async () => {
    await host.docker(['build', '--quiet', '--tag', 'e2e:python', '-'], { input: dockerfile });
    const proxy = 'http://127.0.0.1:1';
    await start('poisoned', {
      image: 'e2e:python',
      env: {
        NODE_OPTIONS: '--require /app/trace.js --inspect=0.0.0.0:9229',
        LD_PRELOAD: '/app/libtrace.so',
        OPENSSL_CONF: '/app/openssl.cnf',
        http_proxy: proxy,
        grpc_proxy: proxy,
        DOCKREG_CHECK: `exec:test "$NODE_OPTIONS" = "--require /app/trace.js --inspect=0.0.0.0:9229"`,
      },
      command: ['sh', '-c', script],
    });
    await watcher.next(({ type }) => type === 'put', 20_000);
    const logs = await logsOf(host, 'poisoned');
    assert.doesNotMatch(logs, /Debugger|Cannot find/);
    // The first shell, python and the launcher's shell try to load the library. Node does not.
    assert.equal(logs.match(/^ERROR: ld\.so/gm)?.length, 3);
    await host.docker(['exec', 'poisoned', 'sh', '-c', 'kill -USR1 1']);
    await watcher.next(({ type }) => type === 'delete', 20_000);
  });

  it('registers the services of the labels, and withdraws each by itself', async () => {
    await host.docker(['build', '--quiet', '--tag', 'e2e:python', '-'], { input: dockerfile });
    const apps = 'python3 -m http.server 8000 & python3 -m http.server 9000 & echo $! >/tmp/admin';
    await start('box', {
      image: 'e2e:python',
      publish: ['--publish', '8000', '--publish', '9000'],
      options: ['--label', 'dockreg.web.port=8000', '--label', 'dockreg.admin.port=9000'],
      command: ['sh', '-c', `${apps}; exec /opt/dockreg/bin/dockreg`],
    });
    const first = await watcher.next(({ type }) => type === 'put', 20_000);
    const second = await watcher.next(({ type }) => type === 'put', 20_000);
    const keys = await Promise.all(
      ['8000/tcp', '9000/tcp'].map(async port => `/service/${host.ip}:${await mappedPort('box', port)}`),
    );
    assert.deepEqual([first.key, second.key].toSorted(), keys.toSorted());
    assert.notEqual(first.lease, second.lease);
    await host.docker(['exec', 'box', 'sh', '-c', 'kill $(cat /tmp/admin)']);
    const gone = await watcher.next(({ type }) => type === 'delete');
    assert.equal(gone.key, keys[1]);
    assert.match(await logsOf(host, 'box'), /msg="app down[^\n]*service=admin/);
    assert.equal(await etcd.ctl(['get', '--prefix', '--keys-only', '/service']), `${keys[0]}\n\n`);
  });

  it('refuses a DOCKREG_NODE that is not a Node, in one line', async () => {
    await host.docker(['build', '--quiet', '--tag', 'e2e:python', '-'], { input: dockerfile });
    await start('python', {
      image: 'e2e:python',
      env: { DOCKREG_NODE: '/bin/true' },
      command: ['/opt/dockreg/bin/dockreg'],
    });
    assert.equal(await host.docker(['wait', 'python']), '78');
    assert.match(await logsOf(host, 'python'), /DOCKREG_NODE=\/bin\/true is not a node/);
  });
});
