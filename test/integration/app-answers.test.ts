/** Each row of "The app's answers" in docs/faults.md: what a check that fails says is what the page says. */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { badAnswers, fields, frame, grpcHead, settings, type BadAnswer } from '../support/answers.ts';
import { openCheck } from '../support/probes.ts';
import { startRawServer } from '../support/raw-server.ts';
import { Authority, type CertificateFiles } from '../support/tls.ts';
import { eventually, pause, stopwatch } from '../support/wait.ts';
import { detailOf } from '../../src/core/registration/health.ts';

/** The time limit of a check that ends with it, and of any other, in ms. */
const [shortMs, longMs] = [400, 5000];
/** What a busy machine may add, in ms. */
const slackMs = 2000;

/** The rows of the page: what happens, and the reason as it is printed. */
const page = readFileSync(join(import.meta.dirname, '../../../docs/faults.md'), 'utf8');
const [section = ''] = /### The app's answers\n[^]*?(?=\n### )/.exec(page) ?? [];
const rows = new Map(
  [...section.matchAll(/^\| ([^|]+) \| `(.+)` \|/gm)].map(([, name = '', reason = '']) => [name, reason]),
);

let authority: Authority;
let certificate: CertificateFiles;
before(async () => {
  authority = await Authority.make();
  certificate = await authority.issue('app');
});
after(() => authority.remove());

/** What the check says, with the port and the time of the page instead of those of the test. */
async function reasonOf({ name, check, serve, tls }: BadAnswer): Promise<string> {
  const timeoutMs = rows.get(name)?.includes(' within 3000 ms') === true ? shortMs : longMs;
  const options = typeof tls === 'object' ? { tls } : {};
  const server = serve && (await startRawServer(serve, tls ? { certificate, ...options } : {}));
  try {
    const probe = await openCheck(check, { port: server?.port ?? 1, timeoutMs });
    const elapsed = stopwatch();
    const verdict = await probe(new AbortController().signal);
    assert.ok(elapsed() < timeoutMs + slackMs, `it took ${elapsed()} ms`);
    assert.equal(verdict.kind, 'fail');
    await eventually('no connection is left', () => !server?.openConnections, { timeoutMs: 2000 });
    return detailOf(verdict)
      .replaceAll(`127.0.0.1:${server?.port}`, '127.0.0.1:8000')
      .replaceAll(`within ${timeoutMs} ms`, 'within 3000 ms')
      .replaceAll(/\(80 of \d+ bytes\)/g, '(80 of 65536 bytes)');
  } finally {
    server?.close();
  }
}

describe("the app's answers", () => {
  for (const answer of badAnswers)
    it(answer.name, async () => {
      assert.equal(await reasonOf(answer), rows.get(answer.name));
    });

  it('are those of the page', () => {
    assert.deepEqual([...rows.keys()].toSorted(), badAnswers.map(({ name }) => name).toSorted());
  });
});

it('a command that prints without an end takes little of the CPU', async () => {
  const probe = await openCheck(['--check', 'exec:yes starting'], { port: 1, timeoutMs: 1000 });
  const cpuBefore = process.cpuUsage();
  const verdict = await probe(new AbortController().signal);
  const { user, system } = process.cpuUsage(cpuBefore);
  assert.match(detailOf(verdict), /its last line is "starting"$/);
  assert.ok(user + system < 500_000, `${(user + system) / 1000} ms`);
});

describe('a gRPC app whose block of headers is not valid', () => {
  it('does not end the process when its memory is collected', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    // The first fields are kept by node:http2, and the upper case of the last one makes the block invalid.
    const block = fields({ ...grpcHead, 'x-of-some-length': 'x'.repeat(300), 'UPPER-CASE': 'x' });
    const server = await startRawServer(socket => {
      socket.once('data', () => {
        socket.write(settings);
        setTimeout(() => socket.end(frame(1, 4, 1, block)), 5);
      });
    });
    const probe = await openCheck(['--check', 'grpc'], { port: server.port, timeoutMs: longMs });
    for (let round = 0; round < 10; round++) {
      const verdicts = await Promise.all([1, 2, 3].map(() => probe(new AbortController().signal)));
      for (const verdict of verdicts)
        assert.match(detailOf(verdict), /: the call was reset \(RST_STREAM, PROTOCOL_ERROR\)$/);
      for (let times = 0; times < 3; times++) {
        collect();
        await pause(1);
      }
    }
    server.close();
  });
});
