/** Several services: every source means the same, defaults hold for each service, and bad input is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommand } from '../../src/cli.ts';
import type { Config, ConfigByLabels } from '../../src/config/config.ts';
import type { ListConfig } from '../../src/core/settings/process.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import { serviceOptionNames, type OptionName } from '../../src/config/options.ts';
import type { ServiceConfig } from '../../src/core/settings/service.ts';
import {
  failure,
  formatProblem,
  ProblemError,
  SetupError,
  success,
  UsageError,
  type Result,
} from '../../src/errors.ts';

const etcd = ['--etcd', 'http://h1:2379'];

type Outcome<T = Config | ConfigByLabels> = Result<T> & { readonly error?: ProblemError };

/** The configuration, or the error with its problems. */
async function outcomeOf(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = {},
  yaml?: string,
): Promise<Outcome> {
  try {
    const command =
      yaml === undefined
        ? await readCommand([...etcd, ...argv], env)
        : await readCommand([...argv, '--config', 'x.yaml'], env, async path =>
            parseConfigFile(yaml, path, env),
          );
    assert.ok(command.kind === 'run');
    return success(command.config);
  } catch (error) {
    if (error instanceof ProblemError) return { ...failure(...error.problems), error };
    throw error;
  }
}

function servicesIn(outcome: Outcome): readonly ServiceConfig[] {
  assert.ok(outcome.ok, problemsIn(outcome));
  assert.ok('services' in outcome.value, 'labels are wanted');
  return outcome.value.services;
}

function problemsIn(outcome: Outcome): string {
  return outcome.ok ? 'it was accepted' : outcome.problems.map(formatProblem).join('\n');
}

async function withLabels(
  labels: Readonly<Record<string, string>>,
  argv: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
  yaml?: string,
): Promise<Outcome<Config>> {
  const outcome = await outcomeOf(argv, env, yaml);
  assert.ok(outcome.ok, problemsIn(outcome));
  assert.ok('withLabels' in outcome.value, 'labels are not wanted');
  return outcome.value.withLabels(new Map(Object.entries(labels)));
}

type Texts = { readonly [Name in OptionName]?: string };

/** Each source with the same services; `name` is the first option of each. */
const sources: Readonly<
  Record<string, (services: readonly Texts[], env?: NodeJS.ProcessEnv) => Promise<Outcome>>
> = {
  '--service': (services, env) =>
    outcomeOf(
      services.flatMap(service => ['--service', inFlag(service)]),
      env,
    ),
  DOCKREG_SERVICE: (services, env) =>
    outcomeOf([], { ...env, DOCKREG_SERVICE: services.map(inFlag).join('\n') }),
  labels: (services, env) => {
    const labels = services.flatMap(({ name = '', ...others }) =>
      Object.entries(others).map(([option, text]) => [`dockreg.${name}.${option}`, text]),
    );
    return withLabels(Object.fromEntries(labels) as Record<string, string>, [], env);
  },
  '--config': (services, env) => {
    const entries = services.map(({ name = '', ...others }) => [name, others]);
    // JSON is YAML.
    const file = { etcd: 'http://h1:2379', services: Object.fromEntries(entries) as object };
    return outcomeOf([], env, JSON.stringify(file).replaceAll('${', '$${'));
  },
};

function inFlag(service: Texts): string {
  return Object.entries(service)
    .map(([option, text]) => `${option}=${/[,\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text}`)
    .join(',');
}

/** For each option of a service two values that are not its default, the second with what a notation might trip over. */
const samples: Readonly<Partial<Record<OptionName, readonly [text: string, more: Texts]>>> = {
  port: ['53/udp', {}],
  key: ['/prod/service', {}],
  layout: ['service,kratos', {}],
  record: ['/a/{id}={"b":1,"c":"d"}\n/e/{address}=x=y', {}],
  scheme: ['grpc', {}],
  host: ['host-7', {}],
  tags: ['blue,canary', {}],
  weight: ['50', {}],
  zone: ['eu-1', {}],
  meta: ['version=2.1,build=7', {}],
  ip: ['10.1.0.101', {}],
  advertise: ['container:web_net', {}],
  'allow-loopback': ['on', {}],
  'allow-unreachable': ['on', {}],
  check: ['exec:test -e /a,b && echo "x"', {}],
  'check-host': ['::1', {}],
  'check-port': ['9000', { check: 'tcp' }],
  'check-method': ['HEAD', {}],
  'check-header': ['Host: web.example\nAccept: text/html, */*', {}],
  'check-status': ['200-299,301', {}],
  'check-body': ['/"status": ?"UP",(x|y){1,3}$/i', {}],
  'check-send': ['PING "1",\\r\\n', { check: 'tcp', 'check-expect': '+PONG' }],
  'check-expect': ['/^[+],"/', { check: 'tcp' }],
  'check-ca': ['/run/ca.pem', { check: 'https:/' }],
  'check-cert': ['/run/own.pem', { check: 'https:/', 'check-key': '/run/own.pem' }],
  'check-key': ['/run/own-key.pem', { check: 'grpcs', 'check-cert': '/run/own.pem' }],
  'check-server-name': ['web.example', { check: 'https:/' }],
  'check-insecure': ['on', { check: 'grpcs:my.Service' }],
  'check-socket': ['/run/app.sock', {}],
  'check-proxy-protocol': ['v2', { check: 'h2c:/' }],
  interval: ['10s', {}],
  timeout: ['250ms', {}],
  rise: ['2', {}],
  fall: ['3', {}],
  'fast-interval': ['1s', {}],
  tolerate: ['10s', {}],
  'start-period': ['1m', {}],
  ttl: ['1m', {}],
  watch: ['off', {}],
};

const serviceOptions = serviceOptionNames.filter(name => name !== 'name');

describe('every option of a service', () => {
  for (const name of serviceOptions) {
    it(`${name} means the same in every source as it does alone`, async () => {
      const [text, more] = samples[name] ?? ['', {}];
      const texts = { name: 'web', port: '8000', ...more, [name]: text };
      const expected = servicesIn(
        await outcomeOf(Object.entries(texts).flatMap(([option, value]) => [`--${option}`, value])),
      );
      const plain = servicesIn(await outcomeOf(['--port', '8000', '--name', 'web']));
      assert.notDeepEqual(expected, plain);
      for (const [source, give] of Object.entries(sources))
        assert.deepEqual(servicesIn(await give([texts])), expected, source);
    });
  }

  it('may be an option for all of them instead', async () => {
    for (const name of serviceOptions) {
      const [text, more] = samples[name] ?? ['', {}];
      const own = { name: 'web', port: '8000', ...more, [name]: text };
      const { [name]: _, ...rest } = own;
      const expected = servicesIn(await outcomeOf(['--service', inFlag(own)]));
      const flag = await outcomeOf(['--service', inFlag(rest), `--${name}`, text]);
      assert.deepEqual(servicesIn(flag), expected, name);
      const yaml = JSON.stringify({ etcd: 'http://h1:2379', [name]: text, services: { web: rest } });
      assert.deepEqual(servicesIn(await outcomeOf([], {}, yaml)), expected, name);
    }
  });
});

async function labelsOf(...texts: string[]): Promise<string[]> {
  return servicesIn(await outcomeOf(texts.flatMap(text => ['--service', text]))).map(({ label }) => label);
}

describe('several services', () => {
  const three: Texts[] = [
    { name: 'web', port: '8000', check: 'http:/healthz', tags: 'blue,canary' },
    { name: 'my.api', port: '9000', check: 'grpc', rise: '2' },
    { name: 'dns', port: '53/udp', check: 'docker', interval: '10s' },
  ];
  for (const [source, give] of Object.entries(sources)) {
    it(`stand in ${source}, each with its own options and those of all`, async () => {
      const env = { DOCKREG_INTERVAL: '6s', DOCKREG_TAGS: 'all', SERVICE_9000_ID: 'x' };
      const services = servicesIn(await give(three, env));
      assert.deepEqual(
        services.map(({ label, spec, localPort, protocol, check, rise, intervalMs }) => [
          label,
          spec.name,
          `${localPort}/${protocol}`,
          check.kind,
          rise,
          intervalMs,
          spec.tags?.flat().map(String).join(),
          spec.variables.get('SERVICE_9000_ID'),
        ]),
        [
          ['web', 'web', '8000/tcp', 'http', 1, 6000, 'blue,canary', 'x'],
          ['my.api', 'my.api', '9000/tcp', 'grpc', 2, 6000, 'all', 'x'],
          ['dns', 'dns', '53/udp', 'docker', 1, 10_000, 'all', 'x'],
        ],
      );
    });
  }

  it('take a repeated option and one without a value as flags do', async () => {
    const [service] = servicesIn(
      await outcomeOf([
        '--service',
        'port=443, check=https:/ ,check-insecure,tags=a,tags="b,c",check-header="A: 1"',
      ]),
    );
    const again = await outcomeOf([
      ...['--port', '443', '--check', 'https:/', '--check-insecure', '--tags', 'a', '--tags', 'b,c'],
      ...['--check-header', 'A: 1'],
    ]);
    assert.deepEqual([service], servicesIn(again));
    const file = 'port: 443\ncheck: https:/\ncheck-insecure:\ntags: [a, "b,c"]\ncheck-header: ["A: 1"]';
    assert.deepEqual(servicesIn(await outcomeOf(etcd, {}, file)), [service]);
    const labels = { 'dockreg.port': '443', 'dockreg.check': 'https:/', 'dockreg.check-insecure': '' };
    const [labelled] = servicesIn(
      await withLabels({ ...labels, 'dockreg.tags': 'a,b,c', 'dockreg.check-header': 'A: 1' }),
    );
    assert.deepEqual(labelled, service);
  });

  it('need no name, and are then called by their ports; namesakes by both', async () => {
    assert.deepEqual(await labelsOf('port=8000', 'port=53/udp'), ['8000', '53/udp']);
    assert.deepEqual(await labelsOf('port=1,name=web', 'port=2,name=web', 'port=3,name=db'), [
      'web:1',
      'web:2',
      'db',
    ]);
  });

  it('may be named otherwise than they are called', async () => {
    const [service] = servicesIn(await withLabels({ 'dockreg.blue.port': '1', 'dockreg.blue.name': 'web' }));
    assert.deepEqual([service?.label, service?.spec.name], ['blue', 'web']);
  });

  it('ignore defaults that do not apply to their own check and address', async () => {
    const argv = [
      '--check-status',
      '200',
      '--check-ca',
      '/ca.pem',
      '--check',
      'https:/',
      '--ip',
      '10.1.0.101',
    ];
    const services = servicesIn(
      await outcomeOf([
        ...argv,
        ...['--service', 'port=1', '--service', 'port=2,check=tcp', '--service', 'port=3,check=http:/x'],
        ...['--service', 'port=4,advertise=container', '--service', 'port=5,advertise=10.1.0.7:80'],
      ]),
    );
    assert.deepEqual(
      services.map(({ check, ip }) => [
        check.kind === 'http' ? [check.path, check.statuses, check.tls?.ca] : check.kind,
        ip?.kind,
      ]),
      [
        [['/', [{ from: 200, to: 200 }], '/ca.pem'], 'ip'],
        ['tcp', 'ip'],
        [['/x', [{ from: 200, to: 200 }], undefined], 'ip'],
        [['/', [{ from: 200, to: 200 }], '/ca.pem'], undefined],
        [['/', [{ from: 200, to: 200 }], '/ca.pem'], undefined],
      ],
    );
  });
});

describe('next to each other may stand', () => {
  const pairs: [what: string, texts: string[]][] = [
    ['one port of TCP and of UDP', ['name=a,port=53', 'name=b,port=53/udp']],
    ['one port at two addresses', ['name=a,port=1,ip=10.1.0.1', 'name=b,port=1,ip=10.1.0.2']],
    ['one port, published and in the container', ['name=a,port=1', 'name=b,port=1,advertise=container']],
    ['one port under two parents', ['name=a,port=1,key=x', 'name=b,port=1,key=y']],
    ['one name', ['name=a,port=1,layout=kratos', 'name=a,port=2,layout=kratos']],
    [
      'one key that is told apart by its lease',
      ['name=a,port=1,layout=go-zero', 'name=a,port=2,layout=go-zero'],
    ],
    [
      'domains of which one is in the other',
      ['name=a,port=1,layout=skydns:x', 'name=b,port=2,layout=skydns:y.x'],
    ],
    ['a router of Traefik', ['name=a,port=1,layout=traefik', 'name=b,port=2,record=traefik/r/{id}=1']],
  ];
  for (const [what, texts] of pairs) it(what, async () => assert.equal((await labelsOf(...texts)).length, 2));
});

describe('what holds', () => {
  const yaml = 'etcd: http://h1:2379\ninterval: 7s\ntimeout: 1s\nttl: 1m\nrise: 4\n';
  const labels = {
    'dockreg.port': '1',
    'dockreg.interval': '8s',
    'dockreg.timeout': '2s',
    'dockreg.rise': '5',
  };
  it('is a flag before a variable before a label before the file', async () => {
    const outcome = await withLabels(
      labels,
      ['--rise', '7'],
      { DOCKREG_TIMEOUT: '3s', DOCKREG_RISE: '6' },
      yaml,
    );
    const [service] = servicesIn(outcome);
    assert.deepEqual(
      [service?.rise, service?.timeoutMs, service?.intervalMs, service?.ttlSeconds],
      [7, 3000, 8000, 60],
    );
  });

  it('is --port, --service or --config before labels, which are then not asked for', async () => {
    for (const outcome of [
      await outcomeOf(['--port', '1']),
      await outcomeOf([], { DOCKREG_PORT: '1' }),
      await outcomeOf(['--service', 'port=1']),
      await outcomeOf([], {}, `${yaml}port: 1`),
      await outcomeOf([], {}, `${yaml}services: {web: {port: 1}}`),
    ])
      assert.equal(servicesIn(outcome).length, 1);
    for (const outcome of [await outcomeOf([], {}, yaml), await outcomeOf(['--advertise', 'container:8080'])])
      assert.ok(outcome.ok && 'withLabels' in outcome.value);
    assert.match(problemsIn(await outcomeOf(['--advertise', '10.1.0.1:80'])), /^--port is missing/);
  });

  it('is for the timeout that is left out the interval of the service, in every source', async () => {
    const fast = { 'dockreg.port': '1', 'dockreg.interval': '1s' };
    for (const outcome of [
      await outcomeOf(['--port', '1', '--interval', '1s']),
      await outcomeOf(['--port', '1'], { DOCKREG_INTERVAL: '1s' }),
      await outcomeOf(['--service', 'port=1,interval=1s']),
      await outcomeOf(['--interval', '1s', '--service', 'port=1']),
      await outcomeOf([], {}, 'etcd: http://h1:2379\nservices: {web: {port: 1, interval: 1s}}'),
      await withLabels(fast),
    ])
      assert.deepEqual(
        servicesIn(outcome).map(({ timeoutMs, fastIntervalMs }) => [timeoutMs, fastIntervalMs]),
        [[1000, 1000]],
      );
  });

  it('is --tolerate for all only where a service checks its port', async () => {
    const services = servicesIn(
      await outcomeOf([
        ...['--tolerate', '10s', '--service', 'port=1', '--service', 'port=2,check=exec:true'],
        ...['--service', 'port=3,check-socket=/run/app.sock'],
      ]),
    );
    assert.deepEqual(
      services.map(({ tolerateMs }) => tolerateMs),
      [10_000, 0, 0],
    );
  });

  it('is --check-host, --check-port or --check-socket for all only where they do not contradict', async () => {
    const where = ['--check-host', '::1', '--check-port', '9000'];
    const services = servicesIn(
      await outcomeOf([...where, '--service', 'port=1', '--service', 'port=2,check-socket=/run/app.sock']),
    );
    assert.deepEqual(
      services.map(({ checkHost, checkPort }) => [checkHost, checkPort]),
      [
        ['::1', 9000],
        [undefined, undefined],
      ],
    );
    const [own] = servicesIn(
      await outcomeOf(['--check-socket', '/run/app.sock', '--service', 'port=1,check-port=9000']),
    );
    assert.deepEqual([own?.checkPort, own?.check], [9000, services[0]?.check]);
  });

  it('is a service of its own before the port for all', async () => {
    const services = servicesIn(
      await outcomeOf(['--port', '1', '--service', 'name=a', '--service', 'port=2']),
    );
    assert.deepEqual(
      services.map(({ localPort }) => localPort),
      [1, 2],
    );
  });
});

/** What a value in a file is resolved to: the command of the check that it is, or the problems. */
async function resolved(value: string, env: NodeJS.ProcessEnv): Promise<string> {
  const outcome = await outcomeOf(
    [],
    env,
    JSON.stringify({ etcd: 'http://h1:2379', port: '1', check: value }),
  );
  if (!outcome.ok) return problemsIn(outcome);
  const { check } = servicesIn(outcome)[0]!;
  return check.kind === 'exec' ? check.command : check.kind;
}

describe('a reference to the environment', () => {
  const rows: [value: string, env: NodeJS.ProcessEnv, answer: string | RegExp][] = [
    ['exec:${A} ${B:-c d}', { A: 'a' }, 'a c d'],
    ['exec:${B:-}x', {}, 'x'],
    ['${A}', { A: 'exec:$x "${y}"' }, 'exec:$x "${y}"'.slice(5)],
    ['exec:$A $$ $${A} $', { A: 'a' }, '$A $$ ${A} $'],
    [
      'exec:${A}',
      {},
      /^x\.yaml: check "exec:\*\*\*": names the variable A, which is not set; .*\$\{A:-a default\}$/,
    ],
    ['exec:${A}', { A: '' }, /names the variable A, which is not set/],
    ['exec:${A', { A: 'a' }, /has "\$\{" without a variable; write \$\{NAME\}, or \$\$\{/],
    ['exec:${1}', {}, /has "\$\{" without a variable/],
  ];
  for (const [value, env, answer] of rows) {
    it(`${value} with ${JSON.stringify(env)}`, async () => {
      const text = await resolved(value, env);
      if (typeof answer === 'string') assert.equal(text, answer);
      else assert.match(text, answer);
    });
  }
});

describe('refused', () => {
  const flags: [texts: string[], text: RegExp][] = [
    [['name=web,prot=8000'], /^--service web: prot is not an option of a service; did you mean port\?$/m],
    [
      ['name=web,etcd=http://h1:1'],
      /^--service web: etcd is for the whole process .*; set it with --etcd or DOCKREG_ETCD$/m,
    ],
    [['name=web,log=json'], /--service web: log is for the whole process and not for one service/],
    [['name=web,service=x'], /--service web: service is for the whole process/],
    [['name=web'], /^--service web: port is missing; give the app's port, such as port 8000$/],
    [['rise=2'], /^--service number 1: port is missing/],
    [['port=1,port=2'], /^--service number 1: port is given 2 times; give it once$/m],
    [['name=web,port='], /^--service web: port needs a value; write port=PORT\[\/udp\]$/m],
    [['name=web,port'], /^--service web: port needs a value/m],
    [['name=web,port=x'], /^--service web: port "x": must be a port number/],
    [['name=a b,port=1'], /^--service a b: name "a b": must begin with a letter/],
    [['port=1,,rise=2'], /has an item without an option; separate options by single commas/],
    [['port=1,'], /has an item without an option/],
    [['=1'], /has an item without an option/],
    [
      ['port=1,tags="a,b'],
      /has quotes that do not go around a whole value \(tags="a,b\); .*tags="blue,canary"/,
    ],
    [['port=1,tags="a"b'], /has quotes that do not go around a whole value/],
    [['a b=1'], /must be OPTION=VALUE,… and not a\*\*\*=\*\*\*/],
    [['\n'], /must describe a service, such as name=web,port=8000/],
    [
      ['name=web,port=1,check=tcp,check-status=200'],
      /^--service web: check-status is for http, https, h2c, h2 checks, and the check is tcp/,
    ],
    [['name=web,port=1,timeout=9s'], /^--service web: --timeout 9000 ms is longer than --interval 5000 ms/],
    [
      ['name=web,port=1,check-method=HEAD,check-body=x'],
      /^--service web: --check-method HEAD brings no body/,
    ],
    [['name=Web,port=1,layout=skydns:a'], /^--service Web: layout skydns: "Web" is not a DNS label/],
    [
      ['port=1', 'port=1'],
      /^--layout service:service of 1:1 and --layout service:service of 1:1 both write \/service\//,
    ],
    [['name=a,port=1', 'name=b,port=1/tcp'], /service of a and --layout service:service of b both write/],
    [
      ['name=a,port=1,layout=named:x', 'name=b,port=2,layout=named:x'],
      /--layout named:x of a and --layout named:x of b both write \/x\//,
    ],
    [
      ['name=a,port=1,record=/x/{id}=1', 'name=b,port=2,record=/x/{id}=2'],
      /--record \/x\/\{id\}=1 of a and --record .* of b both write/,
    ],
    [
      ['name=a,port=1,layout=service:x', 'name=b,port=2,layout=kratos:x'],
      /kratos:x of b writes .* where --layout service:x of a is read/,
    ],
  ];
  for (const [texts, text] of flags) {
    it(JSON.stringify(texts), async () => {
      const outcome = await outcomeOf(texts.flatMap(service => ['--service', service]));
      assert.match(problemsIn(outcome), text);
      assert.ok(outcome.error instanceof UsageError);
    });
  }

  it('a bad option for all, once', async () => {
    const outcome = await outcomeOf(['--interval', 'x', '--service', 'port=1', '--service', 'port=2,rise=0']);
    assert.match(problemsIn(outcome), /^--interval "x": .*\n--service number 2: rise "0": .*$/);
    assert.match(problemsIn(await outcomeOf(['--interval', 'x'])), /^--interval "x": [^\n]*$/);
  });

  it('services in the flag and in the file', async () => {
    const outcome = await outcomeOf(
      ['--service', 'port=1'],
      {},
      'etcd: http://h1:1\nservices: {web: {port: 2}}',
    );
    assert.match(
      problemsIn(outcome),
      /--service and the file of --config both list services; use one of the two/,
    );
  });

  const labels: [labels: Record<string, string>, text: RegExp][] = [
    [{}, /^no service is configured; .*dockreg\.port=8000$/],
    [{ 'com.example.port': '1', dockregs: 'x', 'dockreg.interval': '2s' }, /^no service is configured/],
    [
      { 'dockreg.web.prot': '1' },
      /^label dockreg\.web\.prot is not an option of a service; did you mean port\?/,
    ],
    [{ 'dockreg.web': '1' }, /^label dockreg\.web is not an option of a service/],
    [
      { 'dockreg.intervall': '1' },
      /^label dockreg\.intervall is not an option of a service; did you mean interval\?/,
    ],
    [{ 'dockreg.port': '1', 'dockreg.etcd': 'x' }, /^label dockreg\.etcd is for the whole process/],
    [
      { 'dockreg.web.container': 'x', 'dockreg.web.port': '1' },
      /label dockreg\.web\.container is for the whole process/,
    ],
    [{ 'dockreg.web.port': 'x' }, /^label dockreg\.web\.port "x": must be a port number/],
    [{ 'dockreg.web.port': '' }, /^label dockreg\.web\.port needs a value; write dockreg\.web\.port=PORT/],
    [{ 'dockreg.web.rise': '2' }, /^labels dockreg\.web\.\*: port is missing/],
    [{ 'dockreg.web.port': '1', 'dockreg.web.ttl': '5s' }, /^labels dockreg\.web\.\*: --ttl 5 s is shorter/],
    [{ 'dockreg.a/b.port': '1' }, /^labels dockreg\.a\/b\.\*: name "a\/b": must begin with a letter/],
    [{ 'dockreg.port': '1', 'dockreg.rise': 'x' }, /^label dockreg\.rise "x": must be a whole number/],
    [{ 'dockreg.a.port': '1', 'dockreg.b.port': '1' }, /of a and .* of b both write/],
  ];
  for (const [given, text] of labels) {
    it(JSON.stringify(given), async () => assert.match(problemsIn(await withLabels(given)), text));
  }

  const files: [yaml: string, text: RegExp][] = [
    ['prot: 1', /^x\.yaml: prot is not an option; did you mean port\?/],
    ['service: {web: {port: 1}}', /^x\.yaml: service is not an option; did you mean services\?/],
    ['service: x', /^x\.yaml: service is not an option; did you mean services\?/],
    ['config: y', /^x\.yaml: config is not an option of the file itself; leave it out$/],
    [
      'services: {web: {prot: 1}}',
      /^x\.yaml: services\.web\.prot is not an option of a service; did you mean port\?/,
    ],
    ['services: {web: {docker: /s, port: 1}}', /^x\.yaml: services\.web\.docker is for the whole process/],
    ['services: {web: {port: x}}', /^x\.yaml: services\.web\.port "x": must be a port number/],
    ['services: {web: {port: [1, 2]}}', /^x\.yaml: services\.web\.port is given 2 times/],
    [
      'services: {web: {port: {a: 1}}}',
      /^x\.yaml: services\.web\.port must be a text; write port: PORT\[\/udp\], in one line/,
    ],
    [
      'services: {web: }',
      /^x\.yaml: services\.web is empty, and must have entries; write port: 8000, indented below it$/m,
    ],
    [
      'services: [{port: 1}]',
      /^x\.yaml: services is a list, and must have entries; write web: \{port: 8000\}, without a dash$/m,
    ],
    ['services: {web: {rise: 2}}', /^x\.yaml: services\.web: port is missing/],
    ['services: {web: {port: 1, watch: true}}', /services\.web\.watch "true": must be on or off/],
    ['- port: 1', /^x\.yaml is a list, and must have entries; write port: 8000, without a dash$/m],
    ['port: 1\nport: 2', /^x\.yaml is not valid YAML: duplicated mapping key in line 2, column 1$/],
    ['port: [1', /^x\.yaml is not valid YAML: .* in line 1/],
    ['port: !!js/function x', /^x\.yaml is not valid YAML: unknown scalar tag/],
    ['', /^x\.yaml is not valid YAML: .*empty/],
    ['port: 1\nservices: {a: {port: 1}, b: {port: 1}}', /of a and .* of b both write/],
  ];
  for (const [yaml, text] of files) {
    it(yaml === '' ? 'an empty file' : yaml, async () => {
      const outcome = await outcomeOf(etcd, {}, yaml);
      assert.match(problemsIn(outcome), text);
      assert.ok(outcome.error instanceof SetupError);
    });
  }
});

describe('the file', () => {
  it('is asked for by its path, also by doctor and ls, unless help is wanted', async () => {
    const paths: string[] = [];
    const read = async (path: string) => {
      paths.push(path);
      return parseConfigFile('etcd: http://h1:2379', path, {});
    };
    for (const word of [[], ['doctor'], ['ls']])
      await readCommand([...word, '--config', '/x.yaml'], {}, read);
    await readCommand([], { DOCKREG_CONFIG: '/y.yaml' }, read);
    assert.equal((await readCommand(['--config', '/z.yaml', '--help'], {}, read)).kind, 'help');
    assert.deepEqual(paths, ['/x.yaml', '/x.yaml', '/x.yaml', '/y.yaml']);
  });

  it('says to ls where etcd is, and which layouts', async () => {
    const yaml = 'etcd: http://h1:2379\nlayout: [service, kratos]\nport: 1';
    const command = await readCommand(['ls', '--config', 'x.yaml', '--key', 'prod'], {}, async path =>
      parseConfigFile(yaml, path, {}),
    );
    assert.equal(command.kind, 'ls');
    const { config } = command as { config: ListConfig };
    assert.deepEqual(config.endpoints, ['http://h1:2379']);
    assert.deepEqual(config.layouts, [
      { name: 'service', root: 'prod' },
      { name: 'kratos', root: 'microservices' },
    ]);
  });

  it('keeps every text as it is written', async () => {
    const yaml = 'etcd: http://h1:2379\nport: 8000\nzone: 1.10\ntags: [yes, 0x1F, ~, 2026-01-02]\nwatch: off';
    const [service] = servicesIn(await outcomeOf([], {}, yaml));
    assert.deepEqual(
      [service?.spec.zone, service?.spec.tags, service?.watch],
      [['1.10'], [['yes'], ['0x1F'], ['~'], ['2026-01-02']], false],
    );
  });
});
