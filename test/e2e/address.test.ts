/**
 * However a container is started, dockreg finds it and its address, on a real Docker Engine. All containers run at
 * once, so that one that mistakes itself for another would be registered as that one. Runs in the bed (bed.sh).
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { exampleOptions, logsOf } from '../support/example.ts';
import { defaultEngine, isShort } from '../support/engines.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, run, startHost, type Host } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';

/** The addresses of the host and the switch in an IPv6 network beside the bed's own. */
const [hostSix, lanSix] = ['fd00:1::101', 'fd00:1::1'];
/** A second address of the host. */
const hostTwo = '10.1.0.201';

let host: Host;
let etcd: EtcdCluster;
let watcher: Watcher;

interface Case {
  /** Options of `docker run`. Default: `--publish 8000`. */
  readonly options?: readonly string[];
  /** Default: the host's address as `--ip`. */
  readonly variables?: Readonly<Record<string, string>>;
  /** A further network that it is connected to. */
  readonly second?: string;
  /** A network that it is connected to when it is registered. */
  readonly later?: string;
  /** The container whose network it uses. Default: its own. */
  readonly owner?: string;
  /** What the log must say beside the address. Default: no warning about it. */
  readonly warning?: RegExp;
  /** The address where it must be registered. Default: the mapped port on all IPv4 addresses of the host. */
  readonly address?: (container: string) => string | Promise<string>;
  /** Whether it depends on the engine's version, and so is tested in the short suite too. */
  readonly ofEngine?: true;
}

const isSid = defaultEngine() === 'docker-sid';
const gatewayMode = 'com.docker.network.bridge.gateway_mode_ipv4';

const published = ['--publish', '8000'];
const ipOfHost = { DOCKREG_IP: '10.1.0.101' };

const cases: Readonly<Record<string, Case>> = {
  'under another hostname': { options: [...published, '--hostname', 'web.example'] },
  'in a private cgroup namespace': {
    ofEngine: true,
    options: [...published, '--cgroupns', 'private'],
  },
  'in a private cgroup namespace, under a hostname that looks like an id': {
    options: [...published, '--cgroupns', 'private', '--hostname', 'deadbeefdead'],
  },
  "under the host's own hostname": { options: [...published, '--uts', 'host'] },
  "with the host's /etc/hostname": {
    options: [...published, '--volume', '/etc/hostname:/etc/hostname:ro'],
  },
  'with --init and a read-only root': {
    options: [...published, '--init', '--read-only', '--tmpfs', '/run', '--tmpfs', '/tmp'],
  },
  'published on one address of the host, without --ip': {
    ofEngine: true,
    options: ['--publish', '10.1.0.101:28007:8000'],
    variables: {},
    address: async container => `10.1.0.101:${await mappedPort(container, '10.1.0.101')}`,
  },
  'published on two addresses of the host, without --ip': {
    options: ['--publish', '10.1.0.101:28004:8000', '--publish', `${hostTwo}:28004:8000`],
    variables: {},
    address: async container => `10.1.0.101:${await mappedPort(container, '10.1.0.101')}`,
    warning:
      /10\.1\.0\.101:\d+ is one of several: .* published on 10\.1\.0\.101:\d+, 10\.1\.0\.201:\d+; name one with --ip/,
  },
  'published on two addresses of the host, with the second one as --ip': {
    options: ['--publish', '10.1.0.101:28005:8000', '--publish', `${hostTwo}:28005:8000`],
    variables: { DOCKREG_IP: hostTwo },
    address: async container => `${hostTwo}:${await mappedPort(container, hostTwo)}`,
  },
  'published at two ports, with --ip': {
    options: ['--publish', '10.1.0.101:28001:8000', '--publish', '10.1.0.101:28002:8000'],
    address: () => '10.1.0.101:28001',
    warning:
      /10\.1\.0\.101:28001 is one of several: .*; publish it once, or name one: --advertise 10\.1\.0\.101:28001/,
  },
  'with host.docker.internal as --ip, which --add-host gives an address of the host': {
    options: [...published, '--add-host', 'host.docker.internal:10.1.0.101'],
    variables: { DOCKREG_IP: 'host.docker.internal' },
    warning: /may not be reached by other hosts: host\.docker\.internal is a name that every Docker host has/,
  },
  'on a second network since it runs, with --advertise container': {
    options: ['--network', 'metrics'],
    variables: { DOCKREG_ADVERTISE: 'container' },
    address: async container => `${await ipOn('metrics', container)}:8000`,
    later: 'backend',
    warning:
      /172\.30\.1\.\d+:8000 is kept, although container \S+ is on several networks \(backend, metrics\); name one/,
  },
  "published on all, with an IPv6 --ip: at IPv6's port": {
    ofEngine: true,
    variables: { DOCKREG_IP: hostSix },
    async address(container) {
      const port = await mappedPort(container, '[::]');
      // Docker 28 takes one port for both.
      if (!isSid) assert.notEqual(port, await mappedPort(container, '0.0.0.0'));
      return `[${hostSix}]:${port}`;
    },
  },
  "on the host's network": {
    ofEngine: true,
    options: ['--network', 'host'],
    variables: { ...ipOfHost, DOCKREG_PORT: '8001' },
    address: () => '10.1.0.101:8001',
  },
  "on the host's network, with an interface as --ip": {
    options: ['--network', 'host'],
    variables: { DOCKREG_IP: 'eth0', DOCKREG_PORT: '8002' },
    address: () => '10.1.0.101:8002',
    warning: /10\.1\.0\.101:8002 is one of several: interface eth0 stands for 10\.1\.0\.101, 10\.1\.0\.201/,
  },
  "on another container's network": {
    ofEngine: true,
    options: ['--network', 'container:owner'],
    owner: 'owner',
    address: async () => `10.1.0.101:${await mappedPort('owner', '0.0.0.0')}`,
  },
  'on a network of the LAN, with --advertise container': {
    options: ['--network', 'wire'],
    variables: { DOCKREG_ADVERTISE: 'container' },
    address: async container => `${await ipOn('wire', container)}:8000`,
  },
  'on two networks, with --advertise container:metrics': {
    ofEngine: true,
    options: ['--network', 'backend'],
    second: 'metrics',
    variables: { DOCKREG_ADVERTISE: 'container:metrics' },
    address: async container => `${await ipOn('metrics', container)}:8000`,
  },
};
/** Docker 27 and newer. */
const routedCases: typeof cases = {
  'on a network that is routed instead of mapped, without --ip': {
    options: [...published, '--network', 'routed'],
    variables: {},
    address: async container => `${await ipOn('routed', container)}:8000`,
  },
  "on a network of which only IPv6 is routed, at IPv4's port": {
    options: [...published, '--network', 'mixed'],
  },
};
const rows = Object.entries(cases).filter(([, { ofEngine }]) => ofEngine === true || !isShort);
const containers = [...rows, ...Object.entries(isSid ? routedCases : {})].map(([name, options], at) => ({
  name,
  id: `web-${at}`,
  options,
}));

before(async () => {
  host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  // Without `nodad` the kernel would first check whether another host has the address.
  await host.run('ip', ['addr', 'add', `${hostSix}/64`, 'dev', 'eth0', 'nodad']);
  await host.run('ip', ['addr', 'add', `${hostTwo}/24`, 'dev', 'eth0']);
  await run('ip', ['addr', 'add', `${lanSix}/64`, 'dev', 'lan', 'nodad']);
  await host.docker(['network', 'create', '--subnet', '172.30.0.0/24', 'backend']);
  // Docker 28 lets other hosts reach a container on a bridge only if the network says so.
  const open = isSid ? ['--opt', `${gatewayMode}=nat-unprotected`] : [];
  await host.docker(['network', 'create', ...open, '--subnet', '172.30.1.0/24', 'metrics']);
  if (isSid) {
    const routed = ['--opt', `${gatewayMode}=routed`, '--subnet', '172.30.4.0/24', 'routed'];
    await host.docker(['network', 'create', ...routed]);
    const mixed = [
      '--opt',
      gatewayMode.replace(/4$/, '6=routed'),
      '--ipv6',
      '--subnet',
      'fd00:5::/64',
      'mixed',
    ];
    await host.docker(['network', 'create', ...mixed]);
    await run('ip', ['route', 'add', '172.30.4.0/24', 'via', host.ip]);
  }
  await host.docker([
    ...['network', 'create', '--driver', 'macvlan', '--opt', 'parent=eth0', '--subnet', '10.1.0.0/24'],
    ...['--gateway', lanAddress, '--ip-range', '10.1.0.208/28', 'wire'],
  ]);
  // The bed reaches the host's bridges through the host.
  await run('ip', ['route', 'add', '172.30.1.0/24', 'via', host.ip]);
  await host.run('iptables', ['--insert', 'DOCKER-USER', '--jump', 'ACCEPT']);

  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/service/');
  // Docker counts the random ports of each family separately.
  await runIdle('spacer', ['--publish', '0.0.0.0::8000']);
  await runIdle('owner', published);
  await Promise.all(containers.map(({ id, options }) => start(id, options)));
});
after(async () => {
  watcher.close();
  await etcd.stop();
  await host.stop();
  await run('ip', ['addr', 'del', `${lanSix}/64`, 'dev', 'lan']);
  await run('ip', ['route', 'del', '172.30.1.0/24', 'via', host.ip]);
  if (isSid) await run('ip', ['route', 'del', '172.30.4.0/24', 'via', host.ip]);
});

async function start(name: string, options: Case): Promise<void> {
  const variables = {
    DOCKREG_ETCD: `http://${lanAddress}:${etcd.members[0]!.port}`,
    ...(options.variables ?? ipOfHost),
  };
  const words = [...exampleOptions(host, variables), ...(options.options ?? published)];
  await host.docker(['create', '--name', name, ...words, images.example]);
  if (options.second !== undefined) await host.docker(['network', 'connect', options.second, name]);
  await host.docker(['start', name]);
}

async function runIdle(name: string, options: readonly string[]): Promise<void> {
  await host.docker(['run', '--detach', '--name', name, ...options, images.debian, 'sleep', 'infinity']);
}

async function mappedPort(name: string, hostIp: string): Promise<string> {
  const lines = (await host.docker(['port', name, '8000/tcp'])).split('\n');
  const line = lines.find(text => text.startsWith(hostIp));
  assert.ok(line, `${name} is published on ${hostIp}: ${lines.join(' ')}`);
  return line.slice(hostIp.length + 1);
}

async function ipOn(network: string, name: string): Promise<string> {
  return inspected(name, `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`);
}

async function inspected(name: string, format: string): Promise<string> {
  return host.docker(['inspect', '--format', format, name]);
}

describe('a container is registered at its own address', () => {
  const registered = new Set<string>();

  it('on the engine of this suite', async t =>
    t.diagnostic(`Docker ${await host.docker(['version', '--format', '{{.Server.Version}}'])}`));

  for (const { name, id, options } of containers) {
    it(name, async () => {
      const address = (await options.address?.(id)) ?? `${host.ip}:${await mappedPort(id, '0.0.0.0')}`;
      const key = `/service/${address}`;
      await watcher.first(event => event.type === 'put' && event.key === key, { timeoutMs: 90_000 });
      registered.add(key);

      const answer = await fetch(`http://${address}/`, { signal: AbortSignal.timeout(5000) });
      const hostname = await host.docker(['exec', id, 'cat', '/proc/sys/kernel/hostname']);
      assert.equal(await answer.text(), `Hello from ${hostname}\n`);
      const found = (await inspected(options.owner ?? id, '{{.Id}}')).slice(0, 12);
      assert.ok((await logsOf(host, id)).includes(`container ${found} by mountinfo`));

      if (options.later !== undefined) await host.docker(['network', 'connect', options.later, id]);
      const { warning } = options;
      if (warning === undefined)
        return assert.doesNotMatch(await logsOf(host, id), /level=warn msg="address/);
      await eventually('the warning', async () => warning.test(await logsOf(host, id)), {
        timeoutMs: 45_000,
      });
      assert.ok((await etcd.keys('/service/')).has(key), 'the key stays');
    });
  }

  it('and nowhere else', async () => {
    assert.deepEqual(new Set((await etcd.keys('/service/')).keys()), registered);
    assert.equal(watcher.events.length, registered.size);
  });
});

describe('a container is not registered', () => {
  const refused: Readonly<Record<string, Pick<Case, 'options' | 'variables'> & { readonly says: RegExp }>> = {
    'at an --ip where nothing listens': {
      options: ['--publish', '10.1.0.101:28006:8000'],
      variables: { DOCKREG_IP: hostTwo },
      says: /published on 10\.1\.0\.101:\d+ only, so nothing listens at 10\.1\.0\.201 .*--advertise 10\.1\.0\.201:\d+/,
    },
    'at the gateway, as host.docker.internal': {
      options: [...published, '--add-host', 'host.docker.internal:host-gateway'],
      variables: { DOCKREG_IP: 'host.docker.internal' },
      says: /172\.18\.101\.1 \(name host\.docker\.internal, published\) is the gateway of network bridge: every Docker host/,
    },
    'at the gateway, as the only address where it is published': {
      options: ['--publish', '172.18.101.1:28003:8000'],
      variables: {},
      says: /172\.18\.101\.1 \(published\) is the gateway of network bridge/,
    },
    "at the bridge of Docker, on the host's network": {
      options: ['--network', 'host'],
      variables: { DOCKREG_IP: 'docker0', DOCKREG_PORT: '8004' },
      says: /172\.18\.101\.1 \(interface docker0, host network\) is the address of the bridge docker0/,
    },
    'on two networks with --advertise container': {
      options: ['--network', 'backend'],
      variables: { DOCKREG_ADVERTISE: 'container' },
      says: /is on several networks \(backend, metrics\); name one/,
    },
  };
  for (const [name, { says, ...options }] of Object.entries(refused))
    it(name, async () => {
      const id = `refused-${Object.keys(refused).indexOf(name)}`;
      const keys = (await etcd.keys('/service/')).size;
      await start(id, name.includes('two networks') ? { ...options, second: 'metrics' } : options);
      await eventually('the refusal', async () => says.test(await logsOf(host, id)), { timeoutMs: 40_000 });
      assert.equal((await etcd.keys('/service/')).size, keys);
    });
});
