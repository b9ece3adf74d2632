/** An image that was made for registrator brings its check along: as variables and as labels, for one port and for all. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommand } from '../../src/cli.ts';
import type { Config, ConfigByLabels } from '../../src/config/config.ts';
import { formatCheck, type Check } from '../../src/core/settings/check.ts';
import { formatProblem } from '../../src/errors.ts';
import { configOf, enough, problemsOf } from '../support/config.ts';

type Texts = Readonly<Record<string, string>>;

interface Read {
  readonly check: string;
  readonly details: Check;
  readonly interval: number;
  readonly timeout: number;
  readonly ttl: number;
  readonly warnings: readonly string[];
}

function readOf({ services, warnings }: Config): Read {
  const [service] = services;
  assert.ok(service && services.length === 1);
  const { check, intervalMs: interval, timeoutMs: timeout, ttlSeconds: ttl } = service;
  return { check: formatCheck(check), details: check, interval, timeout, ttl, warnings };
}

async function fromVariables(texts: Texts, ...argv: string[]): Promise<Read> {
  return readOf(await configOf([...enough, ...argv], texts));
}

/** The labels of a container whose service is given by labels too. */
async function fromLabels(texts: Texts, env: Texts = {}, own: Texts = {}): Promise<Read> {
  const command = await readCommand(['--etcd', 'http://h1:2379'], env);
  const { config } = command as { config: ConfigByLabels };
  const labels = { 'dockreg.port': '8000', ...own, ...texts };
  const result = config.withLabels(new Map(Object.entries(labels)));
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return readOf(result.value);
}

const plain: Read = await fromVariables({});
const http = { check: 'http:/' };

/** What the words after SERVICE_ or SERVICE_8000_ change, and what they are warned of. */
const honoured: [texts: Texts, expected: Partial<Read>, details?: Partial<Record<string, unknown>>][] = [
  [{ CHECK_HTTP: '/health' }, { check: 'http:/health' }],
  [{ CHECK_HTTPS: '/health' }, { check: 'https:/health' }],
  [
    { CHECK_HTTPS: '/h', CHECK_TLS_SKIP_VERIFY: 'true' },
    { check: 'https:/h' },
    { tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined, insecure: true } },
  ],
  [{ CHECK_HTTP: '/h', CHECK_HTTP_METHOD: 'HEAD' }, { check: 'http:/h' }, { method: 'HEAD' }],
  [{ CHECK_HTTPS: '/h', CHECK_HTTPS_METHOD: 'post' }, { check: 'https:/h' }, { method: 'POST' }],
  [{ CHECK_TCP: 'true' }, { check: 'tcp' }],
  [{ CHECK_TCP: 'false' }, http],
  [{ CHECK_GRPC: 'true' }, { check: 'grpc' }],
  [{ CHECK_GRPC: 'true', CHECK_GRPC_USE_TLS: '1' }, { check: 'grpcs' }],
  [{ CHECK_CMD: '/check.sh -q' }, { check: 'exec:/check.sh ***' }, { command: '/check.sh -q' }],
  [
    { CHECK_SCRIPT: 'nc $SERVICE_IP ${SERVICE_PORT} | grep OK' },
    { check: 'exec:nc ***' },
    { command: 'nc 127.0.0.1 8000 | grep OK' },
  ],
  [
    { CHECK_TCP: 'true', CHECK_INTERVAL: '2s' },
    { check: 'tcp', interval: 2000, timeout: 2000 },
  ],
  // The documentation of registrator has this one. The default TTL is too short for it.
  [
    { CHECK_HTTP: '/health/endpoint/path', CHECK_INTERVAL: '15s', CHECK_TIMEOUT: '1s' },
    { check: 'http:/health/endpoint/path', interval: 15_000, timeout: 1000, ttl: 30 },
  ],
  [{ CHECK_INTERVAL: '1m30s' }, { ...http, interval: 90_000, ttl: 180 }],
  [{ CHECK_TIMEOUT: '500ms' }, { ...http, timeout: 500 }],
  [{ CHECK_TIMEOUT: '30s' }, { ...http, timeout: 5000 }],
  [{ CHECK_INITIAL_STATUS: 'critical' }, http],
];

/** What dockreg cannot do, and the option that a user wants instead. */
const refused: [texts: Texts, warning: RegExp][] = [
  [{ CHECK_TTL: '30s' }, /CHECK_TTL is not used: .*takes no heartbeats; give --check$/],
  [{ CHECK_INITIAL_STATUS: 'passing' }, /CHECK_INITIAL_STATUS is not used: .*; give --start-period/],
  [{ CHECK_DEREGISTER_AFTER: '10m' }, /CHECK_DEREGISTER_AFTER is not used: .*; give --fall/],
  [{ CHECK_HTTP_PORT: '9000' }, /CHECK_HTTP_PORT is not used: .*--check-port$/],
  [
    { CHECK_DOCKER: 'x' },
    /CHECK_DOCKER is not used: dockreg knows no check variable of this name; give --check/,
  ],
  [{ CHECK_HTTP: 'health' }, /CHECK_HTTP "http:health": must have a path .*\(it is not used\)/],
  [{ CHECK_HTTP: '/a b' }, /CHECK_HTTP "http:.*": must have a path of printable ASCII/],
  [{ CHECK_INTERVAL: 'often' }, /CHECK_INTERVAL "often": must be a duration .*\(it is not used\)/],
  [{ CHECK_INTERVAL: '1ms' }, /CHECK_INTERVAL "1ms": must be a duration/],
  [{ CHECK_TIMEOUT: '48h' }, /CHECK_TIMEOUT "\d+ms": must be a duration/],
  [{ CHECK_INTERVAL: 'x'.repeat(2000) }, /CHECK_INTERVAL has 2000 characters/],
];

const prefixes = ['SERVICE_', 'SERVICE_8000_'];
const sources: Readonly<Record<string, (texts: Texts) => Promise<Read>>> = {
  variables: texts => fromVariables(texts),
  labels: texts => fromLabels(texts),
};

function named(prefix: string, texts: Texts): Texts {
  return Object.fromEntries(Object.entries(texts).map(([word, text]) => [prefix + word, text]));
}

describe('the check variables of an image for registrator', () => {
  for (const [source, read] of Object.entries(sources))
    for (const prefix of prefixes) {
      for (const [texts, expected, details = {}] of honoured)
        it(`hold as ${source}: ${JSON.stringify(named(prefix, texts))}`, async () => {
          const { details: check, ...others } = await read(named(prefix, texts));
          const { details: _, ...before } = plain;
          assert.deepEqual(others, { ...before, ...expected });
          for (const [name, value] of Object.entries(details))
            assert.deepEqual((check as unknown as Record<string, unknown>)[name], value);
        });
      for (const [texts, warning] of refused)
        it(`are warned of once, as ${source}: ${JSON.stringify(named(prefix, texts)).slice(0, 60)}`, async () => {
          const { warnings, ...others } = await read(named(prefix, texts));
          assert.equal(warnings.length, 1, warnings.join('\n'));
          assert.match(warnings[0] ?? '', warning);
          assert.ok(warnings[0]?.startsWith(prefix), warnings[0]);
          assert.deepEqual({ ...others, warnings: [] }, plain);
        });
    }

  it('of another port have no effect', async () => {
    assert.deepEqual(await fromVariables({ SERVICE_80_CHECK_HTTP: '/x', SERVICE_80_CHECK_TTL: '1s' }), plain);
  });

  it('of the port win over those of all ports, and variables over labels', async () => {
    const both = { SERVICE_CHECK_HTTP: '/all', SERVICE_8000_CHECK_HTTP: '/port' };
    assert.equal((await fromVariables(both)).check, 'http:/port');
    const kinds = { SERVICE_CHECK_HTTP: '/all', SERVICE_8000_CHECK_TCP: 'true' };
    assert.equal((await fromVariables(kinds)).check, 'tcp');
    const label = { SERVICE_CHECK_HTTP: '/label' };
    assert.equal((await fromLabels(label, { SERVICE_CHECK_HTTP: '/variable' })).check, 'http:/variable');
  });

  it('are weaker than every option of dockreg, wherever it is given', async () => {
    const image = {
      SERVICE_CHECK_HTTP: '/health',
      SERVICE_CHECK_INTERVAL: '2s',
      SERVICE_CHECK_TIMEOUT: '1s',
    };
    const flags = await fromVariables(image, '--check', 'tcp', '--interval', '3s', '--timeout', '400ms');
    assert.deepEqual([flags.check, flags.interval, flags.timeout], ['tcp', 3000, 400]);
    const variable = await fromVariables({ ...image, DOCKREG_CHECK: 'http:/own' });
    assert.deepEqual([variable.check, variable.interval], ['http:/own', 2000]);
    assert.equal((await fromLabels(image, {}, { 'dockreg.check': 'http:/label' })).check, 'http:/label');
  });

  it('are not warned of where the user gives another check', async () => {
    const read = await fromVariables({ SERVICE_CHECK_TTL: '30s', SERVICE_CHECK_FOO: '1' }, '--check', 'tcp');
    assert.deepEqual(read.warnings, []);
  });

  it('never make the options of the user invalid', async () => {
    const details = await fromVariables({ SERVICE_CHECK_TCP: 'true' }, '--check-status', '200');
    assert.equal(details.check, 'http:/');
    assert.match(details.warnings.join(), /SERVICE_CHECK_TCP is not used: --check-status is for http/);
    const ttl = await fromVariables({ SERVICE_CHECK_INTERVAL: '15s' }, '--ttl', '20s');
    assert.deepEqual([ttl.interval, ttl.ttl], [5000, 20]);
    assert.match(ttl.warnings.join(), /SERVICE_CHECK_INTERVAL is not used: --ttl 20 s is shorter than/);
    const fall = await fromVariables(
      { SERVICE_CHECK_INTERVAL: '10s', SERVICE_CHECK_TIMEOUT: '10s' },
      '--fall',
      '3',
    );
    assert.deepEqual([fall.interval, fall.timeout, fall.ttl, fall.warnings], [10_000, 10_000, 21, []]);
  });

  it('do not hide what is wrong with the options of the user', async () => {
    const own = [...enough, '--timeout', '9s', '--check-status', '1'];
    const problems = await problemsOf(own, { SERVICE_CHECK_TCP: 'true', SERVICE_CHECK_INTERVAL: '8s' });
    assert.match(problems.join('\n'), /--timeout 9000 ms is longer than --interval 5000 ms/);
    assert.match(problems.join('\n'), /--check-status "1": must be statuses/);
  });

  it('hold before the defaults, also where an option of the user does not go with these', async () => {
    const { interval, timeout } = await fromVariables({ SERVICE_CHECK_INTERVAL: '10s' }, '--timeout', '9s');
    assert.deepEqual([interval, timeout], [10_000, 9000]);
  });

  it('show no secret of theirs in a warning', async () => {
    const { warnings } = await fromVariables({ SERVICE_CHECK_HTTP: '/a?token=s3cret b' });
    assert.equal(warnings.length, 1);
    assert.doesNotMatch(warnings.join(), /s3cret/);
  });

  it('hold for each of several services by its port', async () => {
    const { services } = await configOf(
      ['--etcd', 'http://h1:2379', '--service', 'name=a,port=80', '--service', 'name=b,port=81,check=tcp'],
      { SERVICE_80_CHECK_HTTP: '/a', SERVICE_81_CHECK_HTTP: '/b', SERVICE_CHECK_INTERVAL: '3s' },
    );
    assert.deepEqual(
      services.map(({ check, intervalMs }) => [formatCheck(check), intervalMs]),
      [
        ['http:/a', 3000],
        ['tcp', 3000],
      ],
    );
  });
});
