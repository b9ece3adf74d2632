/** What is too long, too many, too small or too odd is refused in a moment, whatever the source. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readCommand } from '../../src/cli.ts';
import { limits } from '../../src/config/parse/limits.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import { nearest } from '../../src/config/sources/suggest.ts';
import { recordsOf } from '../../src/core/layouts/records.ts';
import { formatProblem, formatProblems, ProblemError, SetupError, UsageError } from '../../src/errors.ts';
import { enough, problemsOf, serviceOf } from '../support/config.ts';

const long = 'x'.repeat(1_000_000);
const many = (count: number, item: string): string => Array.from({ length: count }, () => item).join(',');

describe('refused in a moment', () => {
  const rows: [argv: string[], text: RegExp][] = [
    [['--interval', '1ms'], /--interval "1ms": must be a duration from 100ms to 24h/],
    [['--interval', '99.4ms'], /from 100ms to 24h/],
    [['--interval', '25h'], /from 100ms to 24h/],
    [['--timeout', '9ms'], /--timeout "9ms": must be a duration from 10ms to 24h/],
    [['--timeout', '0.0000001s'], /from 10ms to 24h/],
    [['--ttl', '0.5s'], /--ttl "0.5s": must be a duration from 1s to 24h/],
    [['--ttl', '100000000000000000000'], /from 1s to 24h/],
    [['--drain', '1e9h'], /from 1ms to 24h/],
    [['--start-period', '1e309'], /from 1ms to 24h/],
    [['--port', '0x10'], /--port "0x10": must be a port/],
    [['--port', ' 5'], /--port " 5": must be a port/],
    [['--port', '٥'], /--port "٥": must be a port/],
    [['--port=-0'], /--port "-0": must be a port/],
    [['--port', 'NaN'], /must be a port/],
    [['--port', '000080'], /must be a port/],
    [['--rise', '101'], /1 to 100/],
    [['--weight', '65536'], /1 to 65535/],
    [['--port', long], /--port has 1000000 characters, and at most 1024 are allowed/],
    [['--name', long], /--name has 1000000 characters, and at most 255/],
    [['--etcd', long], /--etcd has 1000000 characters, and at most 8192/],
    [['--check-header', `A: ${long}`], /--check-header has 1000003 characters/],
    [['--service', long], /--service has 1000000 characters, and at most 65536/],
    [['--etcd', many(33, 'http://h:1')], /has 33 endpoints, and at most 32/],
    [['--etcd', `http://${'h'.repeat(254)}:1`], /of 253 characters at most/],
    [['--etcd', 'http://h\u00e9:1'], /must name hosts of letters/],
    [['--etcd', 'http://[::::1]:1'], /or IPv6 addresses in brackets/],
    [['--layout', many(17, 'grpc')], /has 17 layouts, and at most 16/],
    [['--tags', many(65, 'a')], /has 65 tags, and at most 64/],
    [['--meta', many(65, 'a=1')], /has 65 items, and at most 64/],
    [['--check-status', many(33, '200')], /has 33 items, and at most 32/],
    [['--check-header', 'A: b\n'.repeat(33)], /has 33 headers, and at most 32/],
    [['--record', '/a/{id}=1\n'.repeat(33)], /has 33 records, and at most 32/],
    [['--key', many(33, 'a').replaceAll(',', '/')], /has 33 names, and at most 32/],
    [['--key', 'a'.repeat(513)], /has 513 characters, and at most 512/],
    [['--key', 'a\uD800'], /must be names/],
    [['--docker', `/${'s'.repeat(107)}`], /must be a socket/],
    [Array.from({ length: 1001 }, () => 'x'), /the command line has \d+ words, and at most 1000/],
    [['--service', 'port=1\n'.repeat(101)], /101 services are given, and at most 100/],
    [['--check-header', `A:${' '.repeat(8000)}\u0001`], /must be Name: value/],
    [['--service', `x=${' '.repeat(60_000)}\r`], /must be OPTION=VALUE/],
    [['--service', `${' '.repeat(60_000)}"`], /must be OPTION=VALUE|quotes/],
  ];
  for (const [argv, text] of rows) {
    it(`${argv.join(' ').slice(0, 60)}: ${text.source.slice(0, 60)}`, async () => {
      const { user } = process.cpuUsage();
      const problems = await problemsOf([...enough.slice(0, argv[0] === '--etcd' ? 0 : 2), ...argv]);
      assert.ok((process.cpuUsage().user - user) / 1000 < 500);
      assert.ok(
        problems.some(problem => text.test(problem)),
        problems.join('\n') || 'it was accepted',
      );
      for (const problem of problems) assert.ok(problem.length < 2000);
    });
  }

  it('a thousand records of all services together', async () => {
    const services = Array.from(
      { length: 80 },
      (_, n) =>
        `name=s${n},port=${n + 1},layout="${Array.from({ length: 13 }, (__, k) => `service:r${n}-${k}`).join()}"`,
    );
    const [problem] = await problemsOf([...enough.slice(0, 2), '--service', services.join('\n')]);
    assert.match(problem ?? '', /the services have 1040 records, and at most 1000 are allowed/);
  });
});

describe('a record that Docker makes too long', () => {
  it('is refused with the limit', async () => {
    const service = await serviceOf([
      ...enough,
      '--record',
      '/a/{id}={label:big}',
      '--record',
      '/b/{label:big}=1',
    ]);
    const container = {
      id: 'c0ffee00'.repeat(8),
      name: 'box',
      image: 'web',
      labels: { get: () => 'v'.repeat(100_000) },
      publishedPorts: 1,
    };
    const records = recordsOf({ ...service, address: { ip: '10.1.0.1', port: 1 }, container });
    assert.ok(!records.ok);
    const [problem = ''] = records.problems.map(formatProblem);
    assert.match(
      problem,
      /^--record \/a\/\{id\}=\{label:big\} writes a value of 100000 characters, and at most 65536/,
    );
  });
});

describe('odd words and times of the command line', () => {
  const rows: [argv: string[], text: RegExp][] = [
    [['--__proto__=1'], /^unknown flag --__proto__; dockreg --help/],
    [['--constructor', 'x'], /^unknown flag --constructor; dockreg --help/],
    [['--toString', 'x'], /^unknown flag --toString/],
    [['--no-watch'], /^unknown flag --no-watch/],
    [['--no-allow-loopback'], /^unknown flag --no-allow-loopback/],
    [['--', '--rise', '2'], /^unexpected argument "--"/],
    [['-'], /^unexpected argument "-"/],
    [[''], /^unexpected argument ""/],
    [['-port', '1'], /^unknown flag -port; did you mean --port\?/],
    [['—port', '1'], /^unknown flag —port; did you mean --port\?/],
    [['-p8000'], /^unknown flag -p8000;/],
    [['--help=yes'], /^--help takes no value; write --help/],
    [['--port.x=1'], /^unknown flag --port\*\*\*/],
    [['--rise='], /^--rise needs a value/],
    [['--rise=1', '--rise', '2'], /^--rise is given 2 times; give it once/],
    [['doctor'], /^"doctor" must come first/],
    [['--interval', '24h'], /is shorter than two intervals of .*; lower --interval: --ttl is at most 24h/],
    [['--interval', '1m'], /use --ttl 120s or more/],
    [['docter'], /^unexpected argument "docter"; did you mean dockreg doctor\?/],
    [['help'], /^unexpected argument "help"; write dockreg --help/],
    [
      ['--tags', 'a', '--check-header', 'Authorization:', 'statsu'],
      /^unexpected argument after --check-header, word 9;/,
    ],
    [
      ['--json'],
      /^unknown flag --json: dockreg without a command .*; it is for dockreg doctor, dockreg ls, dockreg status$/,
    ],
    [['--PORT', '1'], /^unknown flag --PORT; did you mean --port\?/],
    [['--port', 'tcp://10.0.0.1:80'], /^--port is given 2 times/],
  ];
  for (const [argv, text] of rows) {
    it(argv.join(' ') || 'an empty word', async () =>
      assert.match((await problemsOf([...enough, ...argv])).join('\n') || 'accepted', text),
    );
  }
});

describe('what a wrong word was meant to be', () => {
  const known = ['port', 'ip', 'check', 'etcd', 'etcd-password-file', 'interval'];
  const rows: [word: string, meant: string | undefined][] = [
    ['prot', 'port'],
    ['pot', 'port'],
    ['ipp', 'ip'],
    ['pi', 'ip'],
    ['IP', 'ip'],
    ['CHEKC', 'check'],
    ['list', undefined],
    ['tags', undefined],
    ['intervall', 'interval'],
    ['etcd-password', 'etcd-password-file'],
    ['x', undefined],
    ['zz', undefined],
    ['tls', undefined],
    ['healthcheck', undefined],
    ['intreavl', undefined],
    [long, undefined],
  ];
  for (const [word, meant] of rows)
    it(`${word.slice(0, 20)}: ${meant ?? 'nobody knows'}`, () => assert.equal(nearest(word, known), meant));
});

async function warningsOf(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const command = await readCommand(enough, env);
  return 'warnings' in command ? command.warnings : [];
}

describe('a variable DOCKREG_… that dockreg does not know', () => {
  it('of a link or a service of Kubernetes that has the name dockreg is named, with the way out', async () => {
    const env = { DOCKREG_PORT: 'tcp://10.0.0.1:80', DOCKREG_NAME: '/web/dockreg' };
    const [port, name] = await problemsOf(enough.slice(0, 2), env);
    assert.match(
      port ?? '',
      /^DOCKREG_PORT "tcp:.*: must be a port, .*services of Kubernetes.*; give --port, which wins$/,
    );
    assert.match(
      name ?? '',
      /^DOCKREG_NAME "\/web\/dockreg": .*; links of Docker .*; give --name, which wins$/,
    );
    assert.deepEqual(await problemsOf([...enough, '--name', 'web'], env), []);
  });

  it('is a warning, with a guess for one or two wrong letters', async () => {
    assert.deepEqual(
      await warningsOf({ DOCKREG_INTERVALL: '1', DOCKREG_TLS_THING: '1', DOCKREG_prot: '1' }),
      [
        'DOCKREG_INTERVALL is not a variable of dockreg; did you mean DOCKREG_INTERVAL?',
        'DOCKREG_TLS_THING is not a variable of dockreg; nobody reads it',
        'DOCKREG_prot is not a variable of dockreg; did you mean DOCKREG_PORT?',
      ],
    );
  });

  it('is none when the launcher or the image reads it, or when it is empty', async () => {
    const env = {
      DOCKREG_NODE: '/n',
      DOCKREG_ORIGINAL_PATH: '/x',
      DOCKREG_ETCD_PASSWORD_X: '',
      DOCKREG_RISE: '2',
    };
    assert.deepEqual(await warningsOf(env), []);
  });

  it('does not fill the log', async () => {
    const env = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`DOCKREG_X${n}`, '1']));
    const warnings = await warningsOf(env);
    assert.equal(warnings.length, 51);
    assert.equal(warnings.at(-1), 'and 4950 more');
  });
});

describe('the file of --config', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'dockreg-config-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const good = 'etcd: http://h1:2379\nport: 8000\n';
  const files: [what: string, make: (path: string) => unknown, text: RegExp | null][] = [
    ['a plain file', path => writeFileSync(path, good), null],
    ['with a BOM', path => writeFileSync(path, `\uFEFF${good}`), null],
    ['with CRLF', path => writeFileSync(path, good.replaceAll('\n', '\r\n')), null],
    [
      'of exactly the limit',
      path => writeFileSync(path, `${good}#${'x'.repeat(limits.fileBytes - good.length - 1)}`),
      null,
    ],
    [
      'one byte longer',
      path => writeFileSync(path, 'x'.repeat(limits.fileBytes + 1)),
      /it has more than 262144 bytes/,
    ],
    ['a named pipe', path => execFileSync('mkfifo', [path]), /it is not a regular file/],
    ['that is not UTF-8', path => writeFileSync(path, Uint8Array.of(0x61, 0x3a, 0x20, 0xff)), /is not UTF-8/],
    [
      'with NUL',
      path => writeFileSync(path, `${good}zone: a\0b\n`),
      /is not valid YAML: null byte is not allowed/,
    ],
    ['that is not there', () => undefined, /cannot be read: ENOENT: no such file or directory/],
  ];
  for (const [what, make, text] of files) {
    it(`${what} is ${text === null ? 'read' : 'refused'}`, async () => {
      const path = join(folder, what.replaceAll(' ', '-'));
      make(path);
      const problems = await problemsOf(['--config', path]);
      if (text === null) assert.deepEqual(problems, []);
      else assert.match(problems.join('\n'), text);
    });
  }

  for (const path of ['/dev/zero', '/dev/stdin', '/tmp', '/proc/self/mem', 'x\0y', long]) {
    it(`${JSON.stringify(path.slice(0, 20))} is refused`, async () => {
      const problems = await problemsOf(['--config', path]);
      assert.equal(problems.length, 1);
      assert.ok(problems[0]!.length < 1000);
      assert.match(problems[0]!, /cannot be read|has 1000000 characters/);
    });
  }

  const bombs: [what: string, yaml: string, text: RegExp][] = [
    [
      'a billion laughs',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
        .split('')
        .map((name, n) => `${name}: &${name} [${many(9, `*${'abcdefgh'[n]}`)}]`)
        .join('\n')}`,
      /must be a text|is not an option|aliases/,
    ],
    ['very many aliases', `port: &a 1\ntags: [${many(200, '*a')}]`, /aliases exceeded/],
    ['deep nesting', '['.repeat(200_000), /nesting exceeded/],
    ['a merge key', 'a: &a {port: 1}\nservices: {web: {<<: *a}}', /services\.web\.\*\*\* is not an option/],
    ['another type', 'port: !!js/function x', /is not valid YAML: unknown scalar tag/],
    ['a key twice', 'port: 1\nport: 2', /duplicated mapping key in line 2/],
    ['a complex key', '? [a, b]\n: c', /complex keys/],
    [
      'the prototype',
      '__proto__: {port: 1}\nconstructor: 1',
      /__proto__ must be a text|constructor is not an option/,
    ],
    [
      'entries without end',
      Array.from({ length: 20_000 }, (_, n) => `k${n}: v`).join('\n'),
      /has 20000 entries, and at most 1000/,
    ],
    [
      'services without end',
      `services:\n${Array.from({ length: 5000 }, (_, n) => `  s${n}: {port: 1}`).join('\n')}`,
      /x\.yaml: services has 5000 entries, and at most 100/,
    ],
    [
      'references without end',
      `zone: "${'${A}'.repeat(2000)}"`,
      /references to more than|zone has 8000 characters/,
    ],
    ['open references', `check: "exec:${'${a:-'.repeat(1500)}"`, /has "\$\{" without a variable/],
    [
      'a reference to what every object has',
      'zone: "${constructor}"',
      /names the variable constructor, which is not set/,
    ],
  ];
  for (const [what, yaml, text] of bombs) {
    it(`${what} is refused in a moment`, async () => {
      const { user } = process.cpuUsage();
      const shown = await readCommand(['--config', '/x.yaml', '--etcd', 'http://h1:1'], {}, async path =>
        parseConfigFile(yaml, path, { A: 'v'.repeat(100_000) }),
      ).then(
        () => 'accepted',
        (error: unknown) =>
          error instanceof ProblemError ? formatProblems(error.problems).join('\n') : String(error),
      );
      assert.ok((process.cpuUsage().user - user) / 1000 < 1000, 'it takes a moment');
      assert.match(shown, text);
      assert.ok(shown.length < 50_000);
    });
  }

  it('that cannot be read does not hide what is wrong with the flags: 64', async () => {
    const error: unknown = await readCommand(
      ['--config', join(folder, 'none'), '--port', 'x', '--prot', '1'],
      {},
    ).catch((reason: unknown) => reason);
    assert.ok(error instanceof UsageError);
    assert.deepEqual(
      error.problems.map(({ message }) => message.slice(0, 20)),
      ['unknown flag --prot', '--port "x": must be ', `--config ${folder}`.slice(0, 20)],
    );
  });

  it('that cannot be read, with flags that may be completed by it: 78, and nothing else is missing', async () => {
    const error: unknown = await readCommand(['--config', join(folder, 'none'), '--rise', '2'], {}).catch(
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof SetupError);
    assert.equal(error.problems.length, 1);
  });

  it('that is wrong beside a wrong flag: 64, with the problems of both', async () => {
    const path = join(folder, 'wrong');
    writeFileSync(path, `${good}rise: x\n`);
    const error: unknown = await readCommand(['--config', path, '--fall', 'y'], {}).catch(
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof UsageError);
    assert.equal(error.problems.length, 2);
  });
});
