/** --layout grpc with a real client: gRPC for Go with etcd's own resolver, in front of two apps with dockreg. */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { Child, cleanEnvironment } from '../support/children.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import { startGrpcApp, type GrpcApp } from '../support/grpc-app.ts';
import { startProgram, type Program } from '../support/program.ts';
import { eventually, Journal } from '../support/wait.ts';

const { DOCKREG_TEST_GRPC_CLIENT: binary = '' } = process.env;

let etcd: EtcdCluster;
let client: Child;
let answers: Journal<string>;
const apps: GrpcApp[] = [];
const programs: Program[] = [];

before(async () => {
  etcd = await startEtcd();
  client = await Child.spawn(binary, [etcd.endpoints[0] ?? '', 'web'], {
    env: cleanEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  answers = new Journal('answer');
  createInterface({ input: client.process.stdout! }).on('line', line => answers.push(line));
});
after(async () => {
  client.process.stdin!.end();
  assert.equal((await client.exited(10_000)).code, 0);
  for (const program of programs) await program.stop();
  for (const app of apps) app.close();
  await etcd.stop();
  for (const program of programs) program.assertClean();
});

async function startInstance(
  ...metadata: string[]
): Promise<{ app: GrpcApp; answer: string; program: Program }> {
  const app = await startGrpcApp();
  apps.push(app);
  const address = `127.0.0.1:${app.port}`;
  const program = await startProgram({
    args: [
      ...['--etcd', etcd.endpoints.join(','), '--port', String(app.port), '--advertise', address],
      ...['--allow-loopback', '--check', 'grpc', '--layout', 'grpc', '--name', 'web', '--scheme', 'grpc'],
      ...['--interval', '1s', '--timeout', '500ms', ...metadata],
    ],
  });
  programs.push(program);
  await program.waitForLine('registered');
  return { app, answer: `${address} SERVING`, program };
}

/** The answers to that many requests of the client. */
async function ask(times: number): Promise<string[]> {
  const since = answers.entries.length;
  client.process.stdin!.write('\n'.repeat(times));
  await answers.indexOf(() => answers.entries.length >= since + times, { since, timeoutMs: 30_000 });
  return answers.entries.slice(since);
}

/** Resolves with the milliseconds until the client uses exactly these instances. */
async function uses(...wanted: string[]): Promise<number> {
  const from = performance.now();
  await eventually('the expected instances', async () => {
    assert.deepEqual([...new Set(await ask(8))].toSorted(), wanted.toSorted());
    return true;
  });
  return performance.now() - from;
}

describe('a gRPC client in Go', () => {
  it('asks each instance in turn, with and without metadata, as they come and go', async t => {
    const a = await startInstance();
    await uses(a.answer);
    const b = await startInstance('--weight', '50', '--zone', 'eu-1', '--meta', 'version=2.1');
    t.diagnostic(`a new instance is used after ${Math.round(await uses(a.answer, b.answer))} ms`);
    b.app.setServing(false);
    t.diagnostic(`one that fails is no longer used after ${Math.round(await uses(a.answer))} ms`);
    b.app.setServing(true);
    await uses(a.answer, b.answer);
    a.app.close();
    t.diagnostic(`one that has crashed is no longer used after ${Math.round(await uses(b.answer))} ms`);
  });

  it('keeps its instances while etcd is away, and is in step when etcd is back', async () => {
    const [member] = etcd.members;
    const c = await startInstance();
    const b = (await ask(8)).find(answer => answer !== c.answer) ?? '';
    await uses(b, c.answer);
    await member!.kill();
    assert.deepEqual([...new Set(await ask(8))].toSorted(), [b, c.answer].toSorted());
    await member!.start();
    await c.program.stop();
    await uses(b);
  });

  it('skips a key that is not a record of an instance', async () => {
    const [b = ''] = await ask(1);
    await etcd.ctl(['put', 'web/stray', 'no JSON']);
    const d = await startInstance();
    await uses(b, d.answer);
  });
});
