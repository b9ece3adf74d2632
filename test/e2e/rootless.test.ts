/**
 * Containers of podman 5 without root, on each network that it offers: registered where another host reaches them. Runs
 * in the bed (bed.sh).
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Child } from '../support/children.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { exampleOptions, logsOf } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, run, startHost, type Host } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';

const ip = '10.1.0.104';
/** The port of the host at which etcd answers, besides the LAN. */
const etcdPort = 2379;

interface Case {
  readonly options?: readonly string[];
  /** Default: the host's address as `--ip`. */
  readonly variables?: Readonly<Record<string, string>>;
  /** The container whose ports are published. Default: its own. */
  readonly owner?: string;
  readonly address?: string;
}

const published = ['--publish', '8000'];
const port8001 = { DOCKREG_IP: ip, DOCKREG_PORT: '8001' };

const cases: Readonly<Record<string, Case>> = {
  'on the default network, pasta': {},
  'on pasta, published on one address of the host, without --ip': {
    options: ['--publish', `${ip}::8000`],
    variables: {},
  },
  "on pasta, with the host's interface as --ip": { variables: { DOCKREG_IP: 'eth0' } },
  'on pasta, in a pod': { options: ['--pod', 'pod'], owner: 'infra' },
  "on pasta, where etcd is on the container's own host": {
    variables: { DOCKREG_IP: ip, DOCKREG_ETCD: `http://host.containers.internal:${etcdPort}` },
  },
  'on slirp4netns': { options: [...published, '--network', 'slirp4netns'] },
  'on slirp4netns with its own port handler': {
    options: [...published, '--network', 'slirp4netns:port_handler=slirp4netns'],
  },
  'on a network of the user': { options: [...published, '--network', 'backend'] },
  "on the host's network": {
    options: ['--network', 'host'],
    variables: port8001,
    address: `${ip}:8001`,
  },
};
const containers = Object.entries(cases).map(([name, options], at) => ({
  name,
  id: `web-${at}`,
  its: options,
}));

let host: Host;
let etcd: EtcdCluster;
let watcher: Watcher;
let forwarder: Child;

before(async () => {
  host = await startHost({ name: 'host-4', ip: ip, engine: 'podman-sid' });
  await loadImages(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/service/');
  const at = etcd.members[0]!.port;
  const forward = `require('node:net').createServer(c => { const s = require('node:net').connect(${at}, '${lanAddress}');
    c.pipe(s).pipe(c); c.on('error', () => s.destroy()); s.on('error', () => c.destroy()); }).listen(${etcdPort});`;
  forwarder = await host.spawn(process.execPath, ['--eval', forward]);
  await host.docker(['network', 'create', 'backend']);
  await host.docker(['pod', 'create', '--name', 'pod', '--infra-name', 'infra', ...published]);
  await Promise.all([
    start('refused', { DOCKREG_IP: ip, DOCKREG_ETCD: `http://${ip}:${etcdPort}` }, published),
    ...containers.map(({ id, its: { variables = { DOCKREG_IP: ip }, options = published } }) =>
      start(id, { DOCKREG_ETCD: `http://${lanAddress}:${at}`, ...variables }, options),
    ),
  ]);
});
after(async () => {
  watcher.close();
  forwarder.signal('SIGKILL');
  await etcd.stop();
  await host.stop();
});

async function start(
  name: string,
  variables: Readonly<Record<string, string>>,
  options: readonly string[],
): Promise<void> {
  const common = exampleOptions(host, { DOCKREG_INTERVAL: '2s', DOCKREG_TIMEOUT: '1s', ...variables });
  await host.docker(['run', '--detach', '--name', name, ...common, ...options, images.example]);
}

/** What podman says of the container's port. */
async function publishedAt(name: string): Promise<string> {
  return (await host.docker(['port', name, '8000/tcp'])).replace('0.0.0.0', host.ip);
}

describe('a container of podman without root is registered where another host reaches it', () => {
  const registered = new Set<string>();

  it('on the podman of this suite', async t =>
    t.diagnostic(`podman ${await host.docker(['version', '--format', '{{.Server.Version}}'])}`));

  for (const { name, id, its } of containers) {
    it(name, async () => {
      const expected = its.address ?? (await publishedAt(its.owner ?? id));
      const key = `/service/${expected}`;
      await watcher.first(event => event.type === 'put' && event.key === key, { timeoutMs: 60_000 });
      registered.add(key);
      const answer = await fetch(`http://${expected}/`, { signal: AbortSignal.timeout(10_000) });
      const hostname = await host.docker(['exec', id, 'cat', '/proc/sys/kernel/hostname']);
      assert.equal(await answer.text(), `Hello from ${hostname}\n`);
    });
  }

  it('and nowhere else', async () => {
    assert.deepEqual(new Set((await etcd.keys('/service/')).keys()), registered);
  });

  it('and its key goes at once when it is stopped', async () => {
    const key = `/service/${await publishedAt('web-0')}`;
    const since = watcher.events.length;
    const stopping = host.docker(['stop', 'web-0']);
    await watcher.first(event => event.type === 'delete' && event.key === key, { since, timeoutMs: 20_000 });
    await stopping;
    assert.match(await logsOf(host, 'web-0'), /msg="withdrawn: stopping"/);
  });
});

describe("the host's address on pasta, which means the container itself", () => {
  it('as the address of etcd is refused, and the log says how to reach the host', async () => {
    const text =
      /etcd: grant: .*ECONNREFUSED 10\.1\.0\.104:2379; .*10\.1\.0\.104 is our own address: with podman's network pasta.*host\.containers\.internal \(169\.254\.1\.2\)/;
    await eventually('the message', async () => text.test(await logsOf(host, 'refused')), {
      timeoutMs: 30_000,
      everyMs: 250,
    });
  });

  it('does not make doctor report a fault', async () => {
    const words = ['exec', '"$0"', '/opt/dockreg/bin/dockreg', 'doctor'].join(' ');
    const report = await run('sh', ['-c', `docker ${words}; echo "exit $?"`, 'web-2'], {
      env: host.dockerEnvironment,
    });
    assert.match(report, /^exit 0$/m, report);
    assert.match(
      report,
      /address {4}10\.1\.0\.104:\d+ cannot be tried from here: with podman's network pasta/,
    );
  });
});
