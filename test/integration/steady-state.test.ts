/** What five healthy instances cost etcd in a minute, with the default interval and TTL: not one proposal. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startApp } from '../support/app.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProgram } from '../support/program.ts';
import { pause } from '../support/wait.ts';

it('five instances for 60 s write nothing', async () => {
  const etcd = await startEtcd();
  const app = await startApp();
  const programs = await Promise.all(
    [1, 2, 3, 4, 5].map(instance =>
      startProgram({
        env: {
          DOCKREG_ETCD: etcd.endpoints.join(','),
          DOCKREG_PORT: String(app.port),
          DOCKREG_ADVERTISE: `10.1.0.101:${49150 + instance}`,
        },
      }),
    ),
  );
  try {
    for (const program of programs) await program.waitForLine('registered');
    const [committed, revision, asked] = [await proposals(), await etcd.revision(), app.requests.length];
    await pause(60_000);
    assert.equal(await proposals(), committed);
    assert.equal(await etcd.revision(), revision);
    assert.equal((await etcd.keys('/service/')).size, 5);
    assert.ok(app.requests.length >= asked + 5 * 11, 'the checks went on');
  } finally {
    for (const program of programs) await program.stop();
    app.close();
    await etcd.stop();
  }
  for (const program of programs) program.assertClean();

  async function proposals(): Promise<number> {
    return etcd.metric('etcd_server_proposals_committed_total');
  }
});
