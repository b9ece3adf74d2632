/**
 * The environment of the container, which was written for the app: the built program with the launcher of the layer and
 * without it, in each shell that an image may have as /bin/sh.
 */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { literal, literalKey, Program, startProgram } from '../support/program.ts';
import { makeTls } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const shells = ['dash', 'bash --posix', 'bash', 'busybox sh'];

/** Whether the launcher keeps this Node from opening its debugger. */
const isQuiet = Number(process.versions.node.split('.')[0]) >= 24;

/** The layer in a folder of its own, with the Node that runs this test. */
const layer = mkdtempSync(join(tmpdir(), 'dockreg-layer-'));
const nowhere = 'http://127.0.0.1:1';
let app: App;
let etcd: EtcdCluster;
let programs: Program[] = [];
let files = 0;

before(async () => {
  for (const folder of ['bin', 'lib']) mkdirSync(join(layer, folder));
  const launcher = readFileSync(join(root, 'layer/dockreg'), 'utf8');
  assert.match(launcher, /^home=\/opt\/dockreg$/m);
  writeFileSync(join(layer, 'bin/dockreg'), launcher.replace(/^home=.*$/m, `home=${layer}`));
  symlinkSync(process.execPath, join(layer, 'bin/node'));
  writeFileSync(join(layer, 'lib/node.version'), `${process.version}\n`);
  symlinkSync(join(root, 'dist'), join(layer, 'app'));
  [app, etcd] = await Promise.all([startApp(), startEtcd()]);
});
after(async () => {
  app.close();
  await etcd.stop();
  rmSync(layer, { recursive: true });
});
afterEach(async () => {
  for (const program of programs) await program.stop();
  programs = [];
});

type Variables = Readonly<Record<string, string>>;

/** Starts the program as an image with this shell does. */
async function launch(env: Variables, { shell = 'sh', args = [] as readonly string[] } = {}) {
  const [command = '', ...flags] = shell.split(' ');
  const child = await Child.spawn(command, [...flags, join(layer, 'bin/dockreg'), ...args], {
    env: { ...cleanEnvironment(), DOCKREG_CONTROL: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return started(new Program(child));
}

/** Starts the program as `npx dockreg` does. */
async function startBare(env: Variables, args: readonly string[] = []): Promise<Program> {
  return started(await startProgram({ env, args }));
}

function started(program: Program): Program {
  programs.push(program);
  return program;
}

/** The environment of the process, or of the process that wrote it into a file. */
function readEnvironment(path: string): Map<string, string> {
  const entries = readFileSync(path, 'utf8').split('\0');
  return new Map(
    entries
      .filter(entry => entry !== '')
      .map(entry => {
        const end = entry.indexOf('=');
        return [entry.slice(0, end), entry.slice(end + 1)];
      }),
  );
}

/** Starts the program with an exec check that writes its environment into a file, and returns what it wrote. */
async function checkEnvironment(start: (env: Variables) => Promise<Program>, env: Variables) {
  const path = join(layer, `environment-${files++}`);
  const command = `exec:cat /proc/$$/environ >${path}.part && mv ${path}.part ${path}`;
  const program = await start({ ...literal(endpoints(), app.port), ...env, DOCKREG_CHECK: command });
  await eventually('the check ran', () => existsSync(path), { timeoutMs: 20_000 });
  return { program, environment: readEnvironment(path) };
}

const endpoints = (): string => etcd.endpoints.join(',');

const registered = (): Promise<unknown> =>
  eventually('it is registered', async () => (await etcd.keys(literalKey)).size === 1);

async function oddNameIn(start: (env: Variables) => Promise<Program>): Promise<string | undefined> {
  const { environment } = await checkEnvironment(start, { 'my.var': '1' });
  return environment.get('my.var');
}

/** Variables of an app, each of which would change Node, gRPC, OpenSSL, the allocator or the loader. */
const poison: Variables = {
  NODE_OPTIONS: '--require /app/trace.js --inspect=0.0.0.0:9229 --max-old-space-size=8',
  NODE_EXTRA_CA_CERTS: '/app/ca.pem',
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
  NODE_DEBUG: 'net,http,tls',
  NODE_DEBUG_NATIVE: 'INSPECTOR_SERVER',
  NODE_V8_COVERAGE: join(layer, 'coverage'),
  NODE_PATH: '/app/node_modules',
  NODE_PENDING_DEPRECATION: '1',
  NODE_CHANNEL_FD: '3',
  NODE_UNIQUE_ID: '1',
  NODE_ICU_DATA: '/app/icu',
  NODE_USE_ENV_PROXY: '1',
  NODE_REDIRECT_WARNINGS: join(layer, 'warnings'),
  NODE_NO_WARNINGS: '0',
  NODE_COMPILE_CACHE: join(layer, 'cache'),
  DEBUG: '*',
  GRPC_VERBOSITY: 'DEBUG',
  GRPC_TRACE: 'all',
  GRPC_NODE_VERBOSITY: 'DEBUG',
  GRPC_NODE_TRACE: 'all',
  GRPC_DNS_RESOLVER: 'native',
  GRPC_SSL_CIPHER_SUITES: 'NONE',
  GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: '/app/roots.pem',
  GRPC_NODE_USE_ALTERNATIVE_RESOLVER: 'true',
  grpc_proxy: 'http://127.0.0.1:1',
  http_proxy: 'http://127.0.0.1:1',
  https_proxy: 'http://127.0.0.1:1',
  no_proxy: 'localhost',
  HTTP_PROXY: 'http://127.0.0.1:1',
  HTTPS_PROXY: 'http://127.0.0.1:1',
  ALL_PROXY: 'socks5://127.0.0.1:1',
  all_proxy: 'socks5://127.0.0.1:1',
  NO_PROXY: 'localhost',
  SSL_CERT_FILE: '/app/roots.pem',
  SSL_CERT_DIR: '/app/certs',
  SSLKEYLOGFILE: join(layer, 'keys'),
  OPENSSL_CONF: '/app/openssl.cnf',
  OPENSSL_MODULES: '/app/modules',
  UV_THREADPOOL_SIZE: '1',
  UV_USE_IO_URING: '1',
  LD_PRELOAD: '/app/libtrace.so',
  LD_LIBRARY_PATH: '/app/lib',
  LD_DEBUG_OUTPUT: join(layer, 'loader'),
  GLIBC_TUNABLES: 'glibc.malloc.arena_max=8',
  MALLOC_ARENA_MAX: '8',
  MALLOC_TRIM_THRESHOLD_: '1',
  MALLOC_PERTURB_: '165',
  ICU_DATA: '/app/icu',
  RES_OPTIONS: 'attempts:9',
  LOCALDOMAIN: 'example.com',
  HOSTALIASES: '/app/hosts',
  TZDIR: '/app/zones',
  PYTHONPATH: '/app/python',
  DOTNET_EnableDiagnostics: '0',
};

/** Values that a shell could break. */
const oddValues: Variables = {
  EMPTY: '',
  LINES: "a\nexport PATH=/nowhere\nexport $(false)='x'\n",
  QUOTES: `'"\`$(exit 1)\${x}\\ * ~ # & ; | \t`,
  EQUALS: '=a==b=',
  UMLAUT: 'Grüße 🎉',
  // The words of the launcher itself.
  home: '/app',
  node: 'v1',
  version: '3.0',
  major: '2',
  feedback: 'on',
  quiet: 'yes',
  _private: '1',
  lower_case9: '2',
};

const isPreload = /^ERROR: ld\.so: object '\/app\/libtrace\.so' from LD_PRELOAD cannot be preloaded/;

describe("the app's environment", () => {
  for (const shell of shells) {
    it(
      `reaches exec checks, and nothing of it reaches dockreg, in ${shell}`,
      { timeout: 60_000 },
      async () => {
        const big = 'x'.repeat(100_000);
        const env = { ...poison, ...oddValues, BIG: big, TZ: 'Europe/Berlin', SERVICE_NAME: 'web' };
        const { program, environment } = await checkEnvironment(each => launch(each, { shell }), env);
        for (const [name, text] of Object.entries(env)) assert.equal(environment.get(name), text, name);
        assert.equal(environment.get('DOCKREG_PORT'), String(app.port));
        const ours = [...environment.keys()].filter(name => /DOCKREG_(ORIGINAL|LAUNCHER)/.test(name));
        assert.deepEqual(ours, []);

        const own = readEnvironment(`/proc/${program.pid}/environ`);
        for (const name of Object.keys({ ...poison, ...oddValues }))
          if (!name.startsWith('MALLOC_')) assert.equal(own.get(name), undefined, name);
        const { MALLOC_ARENA_MAX: arenas, MALLOC_PERTURB_: perturb, TZ: zone } = Object.fromEntries(own);
        assert.deepEqual([arenas, perturb, zone], ['1', undefined, 'Europe/Berlin']);

        // The loader of the shell has already tried the library. Node's has not.
        program.assertClean(isPreload);
        assert.ok(
          program.stderr.split('\n').filter(line => isPreload.test(line)).length <= 1,
          program.stderr,
        );
        assert.equal((await program.stop()).code, 0);
      },
    );

    it(`a variable as large as the kernel allows does not keep it from starting, in ${shell}`, async () => {
      // 128 KiB with the name, the equals sign and the NUL.
      const env = { BIG: 'x'.repeat(131_067), UMLAUTS: 'ä'.repeat(65_531), LC_ALL: 'C.UTF-8', AFTER: '1' };
      const { environment } = await checkEnvironment(each => launch(each, { shell }), env);
      assert.equal(environment.get('AFTER'), '1');
      assert.equal(environment.get('BIG') ?? '', '');
    });
  }

  for (const [what, env] of [
    ['options that trace, export, or end at a failure', { SHELLOPTS: 'xtrace:allexport:keyword:errexit' }],
    ['a function in place of printf', { 'BASH_FUNC_printf%%': '() { echo forged >&2; }' }],
    ['a function in place of read', { 'BASH_FUNC_read%%': '() { echo forged >&2; }' }],
    ['a function with the name of its Node', { 'BASH_FUNC_node%%': '() { echo v1; }', DOCKREG_NODE: 'node' }],
    ['a mode of its own', { POSIXLY_CORRECT: '', BASH_COMPAT: '3.2', BASHOPTS: 'nocasematch:failglob' }],
  ] as const) {
    it(`does not change the launcher in bash with ${what}`, async () => {
      const secret = { APP_SECRET: 'geheim' };
      for (const shell of ['bash --posix', 'bash']) {
        const { program, environment } = await checkEnvironment(each => launch(each, { shell }), {
          ...secret,
          ...env,
        });
        program.assertClean();
        assert.deepEqual(
          [...environment.keys()].filter(name => /^dockreg_|^home$|^version$|ORIGINAL/.test(name)),
          [],
        );
        for (const [name, text] of Object.entries({ ...secret, ...env }))
          if (!/%%$|OPTS$/.test(name)) assert.equal(environment.get(name), text, name);
        await program.stop();
      }
    });
  }

  it('functions with the names of commands do not change the launcher in bash', async () => {
    const names = ['set', 'unset', 'export', 'eval', 'exec', 'exit', 'continue', '['];
    const env = Object.fromEntries(
      names.map(name => [`BASH_FUNC_${name}%%`, '() { echo forged >&2; }'] as const),
    );
    const program = await launch(env, { shell: 'bash', args: ['--version'] });
    assert.equal((await program.exited).code, 0);
    program.assertClean();
  });

  it('DOCKREG_NODE cannot steer a terminal', async () => {
    for (const shell of shells) {
      const program = await launch({ DOCKREG_NODE: '/nowhere\u001B[2J\nforged' }, { shell });
      assert.equal((await program.exited).code, 78);
      assert.match(program.stderr, /^dockreg: DOCKREG_NODE=\(not printable\) is not a node [^\n]*$/);
    }
  });

  it('a layer that this user cannot read is named', async () => {
    const file = join(layer, 'lib/node.version');
    renameSync(file, `${file}.away`);
    try {
      for (const shell of shells) {
        const program = await launch({}, { shell });
        assert.equal((await program.exited).code, 78);
        assert.match(program.stderr, /^dockreg: \S+node\.version cannot be read; copy [^\n]*$/);
      }
    } finally {
      renameSync(`${file}.away`, file);
    }
  });

  it('reaches exec checks without the launcher too', async () => {
    // Node acts on these before dockreg begins, or removes them.
    const ofNode =
      /^(NODE_(OPTIONS|CHANNEL_FD|UNIQUE_ID|DEBUG|DEBUG_NATIVE|V8_COVERAGE)|OPENSSL_CONF|LD_PRELOAD)$/;
    const rest = Object.fromEntries(Object.entries(poison).filter(([name]) => !ofNode.test(name)));
    const env = { ...rest, ...oddValues };
    const { program, environment } = await checkEnvironment(startBare, env);
    for (const [name, text] of Object.entries(env)) assert.equal(environment.get(name), text, name);
    assert.doesNotMatch(program.stderr, /grpc|TLS/i);
  });

  it('a name that no shell can have reaches exec checks if the shell keeps it', async () => {
    assert.equal(await oddNameIn(startBare), '1');
    assert.equal(await oddNameIn(env => launch(env, { shell: 'bash --posix' })), '1');
    assert.equal(await oddNameIn(env => launch(env, { shell: 'dash' })), undefined);
  });

  const optionsOfApps = [
    '--require /app/trace.js',
    '--inspect=127.0.0.1:0',
    '--not-a-flag',
    '--inspect-brk=0',
  ];
  for (const options of optionsOfApps) {
    it(`NODE_OPTIONS of the app neither kills dockreg nor opens a debugger in it: ${options}`, async () => {
      const program = await launch({ ...literal(endpoints(), app.port), NODE_OPTIONS: options });
      await registered();
      program.assertClean();
    });
  }

  it('NODE_OPTIONS opens no debugger in it without the launcher', async () => {
    const program = await startBare({
      ...literal(endpoints(), app.port),
      NODE_OPTIONS: '--inspect=127.0.0.1:0',
    });
    await registered();
    const [, address = ''] = /ws:\/\/([\d.:]+)\//.exec(program.stderr) ?? [];
    await eventually('it is closed', () =>
      fetch(`http://${address}/json`).then(
        () => false,
        () => true,
      ),
    );
    assert.ok(!program.lines.some(({ raw }) => /drain/.test(raw)), 'it took the debugger for a SIGUSR1');
  });

  it('SIGUSR1 drains and opens no debugger', async () => {
    const program = await launch(literal(endpoints(), app.port));
    await registered();
    program.signal('SIGUSR1');
    await program.waitForLine(/drain/);
    program.assertClean();
    program.signal('SIGUSR2');
    await registered();
  });

  it(
    'a SIGUSR1 during the start drains and opens no debugger on Node 24 and newer',
    { skip: !isQuiet },
    async () => {
      const program = await launch(literal(endpoints(), app.port));
      // Until Node blocks the signal, the shell or Node would be ended by it.
      await eventually(
        'Node blocks it',
        () => /^SigBlk:\s*0*200$/m.test(readFileSync(`/proc/${program.pid}/status`, 'utf8')),
        { everyMs: 1 },
      );
      program.signal('SIGUSR1');
      await program.waitForLine(/drain/);
      program.assertClean();
    },
  );

  for (const [version, isPassed] of [
    ['v20.19.0', false],
    ['v22.23.3', false],
    ['v24.0.0', true],
    ['v26.10.0', true],
  ] as const) {
    it(`Node ${version} ${isPassed ? 'is told not to open its debugger' : 'gets no flag that it may not know'}`, async () => {
      const node = join(layer, `node-${version}`);
      const script = `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo "flags: $*"\n`;
      writeFileSync(node, script, { mode: 0o755 });
      const program = await launch({ DOCKREG_NODE: node });
      const { raw } = await program.waitForLine(/^flags: /);
      assert.equal(/ --disable-sigusr1 --prof --no-prof /.test(raw), isPassed, raw);
    });
  }

  for (const [how, start] of [
    ['with the launcher', (env: Variables, args: readonly string[]) => launch(env, { args })],
    ['without the launcher', startBare],
  ] as const) {
    it(`NODE_TLS_REJECT_UNAUTHORIZED=0 does not turn off verification, ${how}`, async t => {
      const tls = await makeTls();
      const server = createTlsServer({
        cert: readFileSync(tls.server.cert),
        key: readFileSync(tls.server.key),
        ALPNProtocols: ['h2'],
      });
      let accepted = 0;
      server.on('secureConnection', socket => {
        socket.on('error', () => undefined);
        accepted++;
      });
      server.listen(0, '127.0.0.1');
      t.after(() => server.close());
      await eventually('it listens', () => server.listening);
      const { port } = server.address() as AddressInfo;
      const program = await start({ NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_EXTRA_CA_CERTS: '/app/ca.pem' }, [
        'ls',
        '--etcd',
        `https://127.0.0.1:${port}`,
      ]);
      assert.equal((await program.exited).code, 69);
      assert.match(program.stderr, /authority|certificate/);
      assert.equal(accepted, 0);
    });

    it(`a proxy for the app is not used, ${how}`, async t => {
      let connections = 0;
      const proxy = createServer(socket => {
        connections++;
        socket.destroy();
      });
      proxy.listen(0, '127.0.0.1');
      t.after(() => proxy.close());
      await eventually('it listens', () => proxy.listening);
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const names = [
        'http_proxy',
        'https_proxy',
        'grpc_proxy',
        'all_proxy',
        'HTTP_PROXY',
        'HTTPS_PROXY',
        'ALL_PROXY',
      ];
      const proxies = Object.fromEntries(names.map(name => [name, url]));
      const program = await start({ ...literal(endpoints(), app.port), ...proxies }, []);
      await registered();
      assert.equal(connections, 0);
      program.assertClean();
    });

    it(`traces that are turned on for the app are not written, ${how}`, async () => {
      const env = { GRPC_TRACE: 'all', GRPC_VERBOSITY: 'DEBUG', DEBUG: '*' };
      const program = await start({ ...literal(endpoints(), app.port), ...env }, []);
      await registered();
      program.assertClean();
    });
  }
});

describe('secrets', () => {
  it('are not in the environment of an exec check', async () => {
    const path = join(layer, `environment-${files++}`);
    const script = join(layer, 'script');
    writeFileSync(script, `cat /proc/$$/environ >${path}.part && mv ${path}.part ${path}`);
    await launch({
      DOCKREG_ETCD: nowhere,
      DOCKREG_ETCD_USER: 'app',
      DOCKREG_ETCD_PASSWORD: 'geheim-1',
      DOCKREG_CHECK_HEADER: 'Authorization: Bearer geheim-2',
      DOCKREG_CHECK_SEND: 'AUTH geheim-3',
      DOCKREG_CHECK_EXPECT: 'OK',
      DOCKREG_SERVICE: [
        `name=web,port=${app.port},advertise=10.1.0.101:1,check=exec:sh ${script}`,
        `name=admin,port=${app.port},advertise=10.1.0.101:2,check=http:/,check-header=Authorization: Bearer geheim-4`,
      ].join('\n'),
    });
    await eventually('the check ran', () => existsSync(path));
    assert.doesNotMatch(readFileSync(path, 'utf8'), /geheim/);
    assert.match(readFileSync(path, 'utf8'), /DOCKREG_ETCD_USER=app/);
  });

  it('are not in the report of a crash', async () => {
    const password = 'geheim/1"ä';
    const header = 'Bearer geheim-2';
    const texts = [password, JSON.stringify({ password }), encodeURIComponent(password), header, 'geheim-2'];
    const message = [...texts, Buffer.from(password).toString('base64')].join(' | ');
    const crash = join(layer, 'crash.cjs');
    writeFileSync(crash, `setTimeout(() => { throw new Error(${JSON.stringify(message)}) }, 1500)`);
    const program = started(
      await startProgram({
        nodeFlags: ['--require', crash],
        env: {
          ...literal(nowhere, app.port),
          DOCKREG_ETCD_USER: 'app',
          DOCKREG_ETCD_PASSWORD: password,
          DOCKREG_CHECK_HEADER: `Authorization: ${header}`,
        },
      }),
    );
    assert.equal((await program.exited).code, 70);
    const hidden = ['***', '{"password":"***"}', '***', '***', '***', '***'].join(' | ');
    assert.ok(program.stderr.includes(`internal error: Error: ${hidden}\n`), program.stderr);
    assert.doesNotMatch(program.stderr, /geheim/);
  });
});
