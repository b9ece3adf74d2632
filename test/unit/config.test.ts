/** The command line and the environment: what holds, and what is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Advertise } from '../../src/core/address/advertise.ts';
import type { HostName } from '../../src/core/settings/service.ts';
import { helpText, readCommand } from '../../src/cli.ts';
import { emptyConfig } from '../../src/config/raw.ts';
import { optionNames } from '../../src/config/options.ts';
import { configOf, enough, problemsOf, serviceOf } from '../support/config.ts';

async function allowed(...argv: string[]): Promise<boolean> {
  return (await serviceOf([...enough, ...argv])).allowLoopback;
}

async function engineOf(env: NodeJS.ProcessEnv, ...argv: string[]): Promise<unknown> {
  return (await configOf([...enough, ...argv], env)).engine;
}

/** The options of drain, resume and status. */
async function control(argv: string[], env: NodeJS.ProcessEnv = {}, file = emptyConfig): Promise<unknown[]> {
  const command = await readCommand(argv, env, () => Promise.resolve(file));
  return 'options' in command ? Object.values(command.options) : [];
}

describe('configuration', () => {
  it('has the original defaults', async () => {
    const { withCheckLabels: _, ...config } = await configOf(enough);
    assert.deepEqual(config, {
      endpoints: ['http://h1:2379'],
      security: { tls: { ca: undefined, cert: undefined, key: undefined }, user: undefined },
      engine: { kind: 'unix', path: '/var/run/docker.sock' },
      container: undefined,
      drainMs: 0,
      control: '/run/dockreg.sock',
      listen: undefined,
      logFormat: 'logfmt',
      services: [
        {
          label: '8000',
          localPort: 8000,
          protocol: 'tcp',
          spec: {
            name: undefined,
            host: undefined,
            scheme: 'http',
            tags: undefined,
            weight: undefined,
            zone: undefined,
            meta: new Map(),
            variables: new Map(),
          },
          publication: { layouts: [{ name: 'service', root: 'service' }], own: [] },
          ip: undefined,
          advertise: { kind: 'published' },
          allowLoopback: false,
          allowUnreachable: false,
          check: {
            kind: 'http',
            version: 'HTTP/1.1',
            method: 'GET',
            path: '/',
            headers: [],
            statuses: [{ from: 200, to: 399 }],
            body: undefined,
            tls: undefined,
            socketPath: undefined,
            proxyProtocol: undefined,
          },
          checkHost: undefined,
          checkPort: undefined,
          intervalMs: 5000,
          fastIntervalMs: 5000,
          timeoutMs: 3000,
          rise: 1,
          fall: 1,
          tolerateMs: 0,
          startPeriodMs: 0,
          ttlSeconds: 20,
          watch: true,
        },
      ],
      warnings: [],
    });
  });

  it('takes every option from its variable, and a flag beats it', async () => {
    const env = {
      DOCKREG_ETCD: 'https://h1:2379,https://h2:2379/',
      DOCKREG_ETCD_CA: '/run/ca.pem',
      DOCKREG_ETCD_CERT: '/run/cert.pem',
      DOCKREG_ETCD_KEY: '/run/key.pem',
      DOCKREG_ETCD_USER: 'app',
      DOCKREG_ETCD_PASSWORD: 'secret',
      DOCKREG_PORT: '9000',
      DOCKREG_KEY: '/prod/service',
      DOCKREG_LAYOUT: 'service, kratos',
      DOCKREG_RECORD: '/a/{id}=b=c\n/d/{label:e}={"f":1}\n',
      DOCKREG_NAME: 'web',
      DOCKREG_SCHEME: 'grpc',
      DOCKREG_HOST: 'host-7',
      DOCKREG_TAGS: 'blue,canary',
      DOCKREG_WEIGHT: '50',
      DOCKREG_ZONE: 'eu-1',
      DOCKREG_META: 'version=2.1',
      SERVICE_8000_NAME: 'shop',
      SERVICE_TAGS: 'x',
      SERVICE_SECRET: 'nobody reads this',
      DOCKREG_DOCKER: 'tcp://10.1.0.1:2375',
      DOCKREG_CONTAINER: 'a1b2c3d4a1b2',
      DOCKREG_IP: '10.1.0.101',
      DOCKREG_CHECK: 'tcp',
      DOCKREG_CHECK_HOST: '::1',
      DOCKREG_CHECK_PORT: '9000',
      DOCKREG_ALLOW_UNREACHABLE: 'on',
      DOCKREG_INTERVAL: '10',
      DOCKREG_TIMEOUT: '250ms',
      DOCKREG_RISE: '2',
      DOCKREG_FALL: '3',
      DOCKREG_FAST_INTERVAL: '2s',
      DOCKREG_TOLERATE: '15s',
      DOCKREG_START_PERIOD: '1m',
      DOCKREG_TTL: '1m',
      DOCKREG_DRAIN: '2s',
      DOCKREG_CONTROL: 'off',
      DOCKREG_LISTEN: '127.0.0.1:9142',
      DOCKREG_WATCH: 'off',
      DOCKREG_LOG: 'json',
      DOCKREG_ADVERTISE: '',
    };
    const { withCheckLabels: _, ...config } = await configOf(['--port=8000'], env);
    assert.deepEqual(config, {
      endpoints: ['https://h1:2379', 'https://h2:2379'],
      security: {
        tls: { ca: '/run/ca.pem', cert: '/run/cert.pem', key: '/run/key.pem' },
        user: { name: 'app', password: { text: 'secret' } },
      },
      engine: { kind: 'tcp', host: '10.1.0.1', port: 2375 },
      container: 'a1b2c3d4a1b2',
      drainMs: 2000,
      control: null,
      listen: { ip: '127.0.0.1', port: 9142 },
      logFormat: 'json',
      services: [
        {
          label: 'web',
          localPort: 8000,
          protocol: 'tcp',
          spec: {
            name: 'web',
            host: 'host-7',
            scheme: 'grpc',
            tags: [['blue'], ['canary']],
            weight: 50,
            zone: ['eu-1'],
            meta: new Map([['version', ['2.1']]]),
            variables: new Map([
              ['SERVICE_8000_NAME', 'shop'],
              ['SERVICE_TAGS', 'x'],
            ]),
          },
          publication: {
            layouts: [
              { name: 'service', root: 'prod/service' },
              { name: 'kratos', root: 'microservices' },
            ],
            own: [
              {
                key: ['/a/', { name: 'id', argument: undefined }],
                value: ['b=c'],
                text: '/a/{id}=b=c',
              },
              {
                key: ['/d/', { name: 'label', argument: 'e' }],
                value: ['{"f":1}'],
                text: '/d/{label:e}={"f":1}',
              },
            ],
          },
          ip: { kind: 'ip', ip: '10.1.0.101' },
          advertise: { kind: 'published' },
          allowLoopback: false,
          allowUnreachable: true,
          check: {
            kind: 'tcp',
            send: undefined,
            expect: undefined,
            socketPath: undefined,
            proxyProtocol: undefined,
          },
          checkHost: '::1',
          checkPort: 9000,
          intervalMs: 10_000,
          fastIntervalMs: 2000,
          timeoutMs: 250,
          rise: 2,
          fall: 3,
          tolerateMs: 15_000,
          startPeriodMs: 60_000,
          ttlSeconds: 60,
          watch: false,
        },
      ],
      warnings: [],
    });
  });

  const endpoints: [text: string, list: string[]][] = [
    ['HTTP://H1:2379', ['http://h1:2379']],
    ['http://h1:2379/, http://h2:2379', ['http://h1:2379', 'http://h2:2379']],
    ['http://[2001:db8::1]:2379', ['http://[2001:db8::1]:2379']],
    ['http://h1:80', ['http://h1:80']],
    ['http://h1:2379,http://h1:2379/', ['http://h1:2379']],
  ];
  for (const [text, list] of endpoints) {
    it(`--etcd ${text} is ${list.join(' ')}`, async () => {
      assert.deepEqual((await configOf(['--etcd', text, '--port', '1'])).endpoints, list);
    });
  }

  const advertised: [text: string, advertise: Advertise][] = [
    ['published', { kind: 'published' }],
    ['host', { kind: 'host' }],
    ['swarm', { kind: 'swarm' }],
    ['container', { kind: 'container', network: undefined }],
    ['container:web_net', { kind: 'container', network: 'web_net' }],
    ['10.1.0.101:49155', { kind: 'literal', address: { ip: '10.1.0.101', port: 49155 } }],
    ['[2001:DB8:0::1]:1', { kind: 'literal', address: { ip: '2001:db8::1', port: 1 } }],
  ];
  for (const [text, advertise] of advertised) {
    it(`--advertise ${text}`, async () =>
      assert.deepEqual((await serviceOf([...enough, '--advertise', text])).advertise, advertise));
  }

  const hosts: [text: string, ip: HostName][] = [
    ['10.1.0.101', { kind: 'ip', ip: '10.1.0.101' }],
    ['2001:DB8:0::1', { kind: 'ip', ip: '2001:db8::1' }],
    ['::ffff:10.1.0.101', { kind: 'ip', ip: '10.1.0.101' }],
    ['eth0', { kind: 'name', name: 'eth0' }],
    ['host-1.example.org', { kind: 'name', name: 'host-1.example.org' }],
  ];
  for (const [text, ip] of hosts) {
    it(`--ip ${text}`, async () => assert.deepEqual((await serviceOf([...enough, '--ip', text])).ip, ip));
  }

  it('--port 53/udp', async () => {
    const { localPort, protocol } = await serviceOf(['--etcd', 'http://h1:2379', '--port', '53/udp']);
    assert.deepEqual([localPort, protocol], [53, 'udp']);
  });

  it('--allow-loopback stands alone or has a value', async () => {
    assert.ok(await allowed('--allow-loopback'));
    assert.ok(await allowed('--allow-loopback', '--ip', '127.0.0.1'));
    assert.ok(!(await allowed('--allow-loopback', 'off')));
    assert.ok(await allowed('--advertise', '[::1]:80', '--allow-loopback'));
    assert.ok(await allowed('--allow-loopback', '--ip', '172.17.0.1'));
  });

  const refused: [argv: string[], text: RegExp][] = [
    [[], /^--etcd is missing; .*DOCKREG_ETCD/],
    [['--etcd', 'http://h1:2379', '--advertise', '10.1.0.101:80'], /^--port is missing; .*--port 8000/],
    [[...enough, '--port', '1'], /--port is given 2 times/],
    [['--port'], /--port needs a value; write --port PORT/],
    [['--port', '0'], /--port "0": must be a port number from 1 to 65535/],
    [['--port', '70000'], /"70000": must be a port/],
    [['--port', 'abc'], /"abc": must be a port/],
    [['--port', '80.5'], /"80.5": must be a port/],
    [['--port', '-1'], /--port needs a value|"-1": must be a port/],
    [
      ['--etcd', 'http://h1:2379/v2'],
      /"http:\/\/h1:2379\/v2" must not have a path; write it as http:\/\/h1:2379/,
    ],
    [['--etcd', 'http://h1:2379,'], /empty item/],
    [['--etcd', 'http://h1:2379,https://h2:2379'], /mixes http and https/],
    [['--etcd', 'h1:2379'], /"h1:2379" must begin with http:\/\/ or https:\/\/, such as http:\/\/h1:2379/],
    [['--etcd', 'http://h1'], /must name the port; etcd's is 2379: http:\/\/h1:2379/],
    [['--etcd', 'http://u:p@h1:2379'], /must not carry a user or password/],
    [['--etcd', 'http://:2379'], /has no host/],
    [['--etcd', 'ftp://h1:2379'], /must begin with http/],
    [[...enough, '--etcd-cert', '/c'], /--etcd-cert and --etcd-key go together; add --etcd-key/],
    [[...enough, '--etcd-ca', '/c'], /are for https endpoints/],
    [[...enough, '--etcd-user', 'app'], /^--etcd-user needs a password; .*DOCKREG_ETCD_PASSWORD/],
    [[...enough, '--etcd-user', 'app:secret'], /must be a name alone; everybody can read a command line/],
    [[...enough, '--etcd-password', 'x'], /unknown flag --etcd-password; did you mean --etcd-password-file/],
    [[...enough, '--etcd-password-file', '/p'], /without a user; add --etcd-user/],
    [['--ip', 'not an ip/../x'], /--ip "not an ip\/\.\.\/x": must be an IPv4 or IPv6 address/],
    [[...enough, '--ip', '0.0.0.0'], /means every address and reaches none/],
    [[...enough, '--ip', '::'], /means every address/],
    [[...enough, '--ip', '172.17.0.1'], /--ip 172\.17\.0\.1 is the address of docker0: .*--allow-loopback/],
    [[...enough, '--ip', '::ffff:172.17.0.1'], /--ip 172\.17\.0\.1 is the address of docker0/],
    [[...enough, '--advertise', '172.17.0.1:80'], /--advertise 172\.17\.0\.1 is the address of docker0/],
    [[...enough, '--ip', '169.254.1.2'], /is a link-local address/],
    [[...enough, '--ip', '127.0.0.1'], /is a loopback address/],
    [['--key', 'a//b'], /--key "a\/\/b": must be names separated by single slashes/],
    [['--key', 'a/../b'], /must be names/],
    [['--key', '/'], /must be names/],
    [['--key', 'a b'], /must be names/],
    [['--key', 'a/'], /must be names/],
    [['--container', '../x'], /must be a container id/],
    [['--docker', 'docker.sock'], /must be a socket such as/],
    [['--docker', 'tcp://h1'], /must be a socket such as/],
    [['--advertise', '10.1.0.101'], /or IP:PORT such as/],
    [['--advertise', '2001:db8::1:80'], /or IP:PORT such as/],
    [['--advertise', 'web:80'], /or IP:PORT such as/],
    [['--advertise', '0.0.0.0:80'], /means every address/],
    [['--advertise', '10.1.0.101:0'], /must be a port number/],
    [
      ['--ip', '10.1.0.101', '--advertise', '10.1.0.101:80'],
      /--ip and --advertise both give the address; use one/,
    ],
    [['--interval', '5x'], /must be a duration/],
    [['--interval', '0'], /must be a duration/],
    [[...enough, '--timeout', '6s'], /--timeout 6000 ms is longer than --interval 5000 ms/],
    [[...enough, '--ttl', '9s'], /--ttl 9 s is shorter than two intervals.*--ttl 10s/],
    [['--ttl', '20500ms'], /whole seconds/],
    [['--drain=-1s'], /must be a duration from 1ms to 24h/],
    [['--control', 'dockreg.sock'], /must be the absolute path of a Unix socket/],
    [['--control', `/${'x'.repeat(107)}`], /of 107 bytes at most/],
    [['--listen', '9142'], /must be an address of this container and a port, such as 127\.0\.0\.1:9142/],
    [['--listen', 'localhost:9142'], /must be an address of this container and a port/],
    [['--listen', '127.0.0.1:0'], /must be a port number/],
    [['--rise', '0'], /--rise "0": must be a whole number from 1 to 100/],
    [['--fall', '1.5'], /--fall "1.5": must be a whole number/],
    [['--start-period', '-1s'], /--start-period needs a value/],
    [['--start-period', 'soon'], /must be a duration/],
    [['--log', 'xml'], /must be logfmt or json/],
    [['--layout', 'serivce'], /"serivce" is not a layout; the layouts are service, named, registrator/],
    [['--layout', 'named'], /layout named needs a root, such as named:app\/servers/],
    [['--layout', 'skydns:clus ter'], /root of "skydns:clus ter" must be a domain/],
    [['--layout', 'registrator:a//b'], /root of "registrator:a\/\/b" must be names separated/],
    [['--layout', 'grpc:'], /root of "grpc:" must be names/],
    [['--record', '/x'], /must be KEY=VALUE/],
    [
      ['--record', '/x/{adress}=1'],
      /has the unknown placeholder {adress}; the placeholders are {ip} {port} {address}/,
    ],
    [['--record', '/x/{id}={label}'], /has the unknown placeholder {label}; .*{label:NAME}/],
    [['--record', '/x/{ip:v4}=1'], /has the unknown placeholder {ip:v4}/],
    [['--record', '/x/{service}=1'], /\/x\/{service} is the same for every instance/],
    [['--record', '/x//{id}=1'], /must be names separated by single slashes/],
    [['--name', 'a/b'], /--name "a\/b": must begin with a letter or digit/],
    [['--weight', '0'], /must be a number from 1 to 65535/],
    [['--tags', 'a,,b'], /has an empty tag/],
    [['--meta', 'version'], /"version" must be KEY=VALUE/],
    [['--meta', 'a=1,a=2'], /gives a twice/],
    [['--meta', 'zone=eu'], /zone has an option of its own; use --zone/],
    [['--meta', 'a={weight}'], /has the unknown placeholder {weight}/],
    [['--scheme', 'ftp'], /must be one of http, https/],
    [
      [...enough, '--layout', 'service:a', '--layout', 'service:a'],
      /--layout service:a and --layout service:a both write \/a\//,
    ],
    [
      [...enough, '--layout', 'service', '--layout', 'named:service'],
      /--layout named:service writes .* where --layout service:service is read/,
    ],
    [
      [...enough, '--layout', 'grpc', '--advertise', '10.1.0.1:80'],
      /layout grpc needs the service's name, which is not known without Docker; set it with --name/,
    ],
    [
      [...enough, '--layout', 'named:a', '--advertise', '10.1.0.1:80'],
      /layout named needs our container, about which nothing is known/,
    ],
    [[...enough, '--layout', 'skydns:a', '--name', 'Web_1'], /"Web_1" is not a DNS label/],
    [['ls'], /--etcd is missing/],
    [['ls', '--port', '1'], /unknown flag --port/],
    [
      ['ls', '--etcd', 'http://h1:2379', '--layout', 'grpc'],
      /under its own name; name the service with --name/,
    ],
    [['--prot', '8000'], /unknown flag --prot; did you mean --port\?/],
    [['serve'], /^unknown command "serve"; dockreg without a command registers the app$/],
  ];
  for (const [argv, text] of refused) {
    it(`refuses ${argv.join(' ') || 'nothing at all'}`, async () => {
      assert.ok(
        (await problemsOf(argv)).some(problem => text.test(problem)),
        (await problemsOf(argv)).join('\n') || 'it was accepted',
      );
    });
  }

  it('takes several layouts and records, each in a flag of its own', async () => {
    const more = ['--layout', 'skydns:Cluster.Local.', '--layout', 'go-zero', '--record', '/a/{ip}=1'];
    const { layouts, own } = (await serviceOf([...enough, ...more, '--record', '/b/{ip}=2'])).publication;
    assert.deepEqual(layouts, [
      { name: 'skydns', root: 'cluster.local' },
      { name: 'go-zero', root: '' },
    ]);
    assert.deepEqual(
      own.map(({ text }) => text),
      ['/a/{ip}=1', '/b/{ip}=2'],
    );
  });

  it('writes the default layout only when nothing else is asked for', async () => {
    assert.deepEqual((await serviceOf([...enough, '--record', '/a/{ip}=1'])).publication.layouts, []);
  });

  it('asks ls for no port, and takes no more than it reads', async () => {
    const command = await readCommand(['ls', '--etcd', 'http://h1:2379', '--layout=kratos', '--watch'], {
      DOCKREG_PORT: 'x',
    });
    assert.deepEqual(command, {
      kind: 'ls',
      config: {
        endpoints: ['http://h1:2379'],
        security: { tls: { ca: undefined, cert: undefined, key: undefined }, user: undefined },
        layouts: [{ name: 'kratos', root: 'microservices' }],
        name: undefined,
      },
      json: false,
      watch: true,
    });
  });

  it('has a control socket unless it is switched off', async () => {
    assert.equal((await configOf(enough)).control, '/run/dockreg.sock');
    assert.equal((await configOf([...enough, '--control=/tmp/a.sock'])).control, '/tmp/a.sock');
    assert.equal((await configOf([...enough, '--control=off'])).control, null);
  });

  it('asks drain, resume and status for the control socket alone, also where a file says it', async () => {
    assert.deepEqual(await control(['status', '--json']), ['status', undefined, '/run/dockreg.sock', true]);
    assert.deepEqual(await control(['drain', 'web'], { DOCKREG_CONTROL: '/a', DOCKREG_PORT: 'x' }), [
      ...['drain', 'web', '/a'],
      false,
    ]);
    assert.deepEqual((await control(['resume', '--control=/b'], { DOCKREG_CONTROL: '/a' })).slice(2), [
      '/b',
      false,
    ]);
    const env = { DOCKREG_CONFIG: '/etc/dockreg.yaml' };
    const paths: string[] = [];
    await readCommand(['drain'], env, path => {
      paths.push(path);
      return Promise.resolve(emptyConfig);
    });
    assert.deepEqual(paths, ['/etc/dockreg.yaml']);
    const defaults = new Map([['control', { text: '/c', from: 'control' }]] as const);
    assert.deepEqual((await control(['drain'], env, { ...emptyConfig, defaults })).slice(2), ['/c', false]);
  });

  it('says all problems at once', async () => {
    assert.equal((await problemsOf(['--port', 'x', '--ip', '!', '--prot', 'z'])).length, 4);
  });

  it('takes the variables of the docker CLI, which ours and the flag beat', async () => {
    const tcp = { kind: 'tcp', host: 'h1', port: 2376 };
    assert.deepEqual(await engineOf({ DOCKER_HOST: 'tcp://h1:2376' }), tcp);
    assert.deepEqual(await engineOf({ DOCKER_HOST: 'ssh://h2', DOCKREG_DOCKER: 'tcp://h1:2376' }), tcp);
    assert.deepEqual(await engineOf({ DOCKER_HOST: 'ssh://h2' }, '--docker', 'tcp://h1:2376'), tcp);
    const secure = { DOCKER_HOST: 'tcp://h1:2376', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs' };
    assert.deepEqual(await engineOf(secure), { ...tcp, certificates: '/certs' });
    assert.deepEqual(await engineOf(secure, '--docker', '/s'), { kind: 'unix', path: '/s' });
    for (const [change, text] of [
      [{ DOCKER_CERT_PATH: '' }, /DOCKER_TLS_VERIFY is set without DOCKER_CERT_PATH; name the folder/],
      [{ DOCKER_TLS_VERIFY: '' }, /DOCKER_CERT_PATH is set and DOCKER_TLS_VERIFY is not/],
      [{ DOCKER_TLS_VERIFY: '', DOCKER_TLS: '1' }, /DOCKER_TLS is set and DOCKER_TLS_VERIFY is not/],
    ] as const) {
      assert.match((await problemsOf(enough, { ...secure, ...change })).join(), text);
    }
  });

  it('takes the password from a file or from the variable, not from both', async () => {
    const argv = [...enough, '--etcd-user', 'app', '--etcd-password-file', '/run/password'];
    assert.deepEqual((await configOf(argv)).security.user, {
      name: 'app',
      password: { file: '/run/password' },
    });
    assert.match((await problemsOf(argv, { DOCKREG_ETCD_PASSWORD: 'x' }))[0] ?? '', /both give the password/);
  });

  it('names the variable that a bad value came from', async () => {
    assert.match((await problemsOf(enough, { DOCKREG_IP: 'x y' }))[0] ?? '', /^DOCKREG_IP "x y": /);
  });

  it('answers --help and --version whatever else is there', async () => {
    assert.equal((await readCommand(['--help', '--port', 'x'], {})).kind, 'help');
    assert.equal((await readCommand(['-h'], {})).kind, 'help');
    assert.equal((await readCommand(['--version'], {})).kind, 'version');
  });

  const implied: [argv: string[], timeoutMs: number, fastIntervalMs: number][] = [
    [[], 3000, 5000],
    [['--interval', '1s'], 1000, 1000],
    [['--interval', '100ms'], 100, 100],
    [['--interval', '3s'], 3000, 3000],
    [['--interval', '8s'], 3000, 8000],
    [['--interval', '1s', '--timeout', '500ms'], 500, 1000],
    [['--timeout', '5s'], 5000, 5000],
    [['--interval', '8s', '--fast-interval', '1s'], 3000, 1000],
  ];
  for (const [argv, ...expected] of implied)
    it(`takes the smaller of 3 s and the interval for the timeout that is left out: ${argv.join(' ')}`, async () => {
      const { timeoutMs, fastIntervalMs } = await serviceOf([...enough, ...argv]);
      assert.deepEqual([timeoutMs, fastIntervalMs], expected);
    });

  const pairs: [argv: string[], problem: string][] = [
    [
      ['--interval', '1s', '--timeout', '3s'],
      '--timeout 3000 ms is longer than --interval 1000 ms: a check must end before the next begins; lower --timeout, leave it out, or raise --interval',
    ],
    [
      ['--timeout', '6s'],
      '--timeout 6000 ms is longer than --interval 5000 ms (by default): a check must end before the next begins; lower --timeout, leave it out, or raise --interval',
    ],
    [
      ['--interval', '30s', '--fall', '5'],
      '--ttl 20 s (by default) is shorter than two intervals of 30000 ms: one late renewal would lose the key; use --ttl 60s or more, or lower --interval',
    ],
    [
      ['--interval', '13h'],
      '--ttl 20 s (by default) is shorter than two intervals of 46800000 ms: one late renewal would lose the key; lower --interval: --ttl is at most 24h',
    ],
    [
      ['--ttl', '9s'],
      '--ttl 9 s is shorter than two intervals of 5000 ms (by default): one late renewal would lose the key; use --ttl 10s or more, or lower --interval',
    ],
    [
      ['--interval', '1s', '--ttl', '2s', '--fall', '2'],
      '--ttl 2 s is shorter than --interval 1000 ms, --timeout 1000 ms (by default) and 1 s together: with --fall 2 a lease is renewed after a check that failed; use --ttl 3s or more, or lower --interval',
    ],
    [
      ['--fast-interval', '6s'],
      '--fast-interval 6000 ms is longer than --interval 5000 ms (by default): checks that fail come no later than others; lower --fast-interval, or leave it out',
    ],
    [
      ['--tolerate', '21s'],
      '--tolerate 21000 ms is longer than --ttl 20 s (by default): a key outlives its app by no more than that; lower --tolerate or raise --ttl',
    ],
    [
      ['--tolerate', '5s', '--check-socket', '/run/app.sock'],
      '--tolerate is for a port on which nothing listens, and --check-socket checks something else; leave --tolerate out, or give a greater --fall instead',
    ],
    [
      ['--tolerate', '5s', '--check', 'exec:true'],
      '--tolerate is for http, https, h2c, h2, tcp, grpc, grpcs checks, and the check is exec; leave it out',
    ],
    // A value that is wrong by itself is not compared with another.
    [
      ['--timeout', '3x', '--interval', '1s', '--ttl', '2s', '--fall', '2'],
      '--timeout "3x": must be a duration from 10ms to 24h, such as 5s, 250ms, 1m or plain seconds',
    ],
    [
      ['--interval', '1x', '--fast-interval', '9s', '--timeout', '9s', '--ttl', '1s'],
      '--interval "1x": must be a duration from 100ms to 24h, such as 5s, 250ms, 1m or plain seconds',
    ],
    [
      ['--fast-interval', '1ms'],
      '--fast-interval "1ms": must be a duration from 100ms to 24h, such as 5s, 250ms, 1m or plain seconds',
    ],
    [
      ['--ttl', '20x', '--tolerate', '1h'],
      '--ttl "20x": must be a duration from 1s to 24h, such as 5s, 250ms, 1m or plain seconds',
    ],
    [
      ['--tolerate', 'some'],
      '--tolerate "some": must be a duration from 1ms to 24h, such as 5s, 250ms, 1m or plain seconds',
    ],
  ];
  for (const [argv, problem] of pairs)
    it(`says once what is wrong with ${argv.join(' ')}`, async () => {
      assert.deepEqual(await problemsOf([...enough, ...argv]), [problem]);
    });

  const accepted: string[][] = [
    ['--interval', '1s'],
    ['--interval', '1s', '--ttl', '2s'],
    ['--interval', '1s', '--ttl', '3s', '--fall', '2'],
    ['--interval', '30s', '--ttl', '60s', '--fall', '5'],
    ['--interval', '12h', '--ttl', '24h', '--fall', '2'],
    ['--tolerate', '20s'],
    ['--tolerate', '0', '--check-socket', '/run/app.sock'],
    ['--fast-interval', '5s'],
    ['--fast-interval', '100ms'],
  ];
  for (const argv of accepted)
    it(`accepts ${argv.join(' ')}`, async () => {
      assert.deepEqual(await problemsOf([...enough, ...argv]), []);
    });

  it('has a help text of one screen that names every option', () => {
    const text = helpText('1.2.3');
    assert.ok(text.split('\n').length <= 72, `${text.split('\n').length} lines`);
    assert.ok(text.split('\n').every(line => line.length <= 100));
    for (const name of optionNames) assert.ok(text.includes(`--${name} `), name);
  });
});
