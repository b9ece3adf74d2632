/** example-app/compose.yaml on a real Docker Engine. Runs in the bed (bed.sh). */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { images, loadImages } from '../support/images.ts';
import { run, startHost, type Host } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';

const file = fileURLToPath(new URL('../../../example-app/compose.yaml', import.meta.url));
/** Replaces the public image, which cannot be pulled in the bed: Debian's etcd at the same path. */
const etcdImage = 'e2e:etcd';

let host: Host;

before(async () => {
  host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  const folder = await mkdtemp(join(tmpdir(), 'dockreg-compose-'));
  try {
    for (const name of ['etcd', 'etcdctl']) await copyFile(`/usr/bin/${name}`, join(folder, name));
    const input = `FROM ${images.debian}\nCOPY etcd etcdctl /usr/local/bin/\n`;
    await host.docker(['build', '--quiet', '--tag', etcdImage, '--file', '-', folder], { input });
  } finally {
    await rm(folder, { recursive: true });
  }
});
after(() => host.stop());

function compose(...args: string[]): Promise<string> {
  const variables = { ETCD_IMAGE: etcdImage, HOST_IP: host.ip, DOCKER_SOCKET: host.dockerSocket };
  return run('docker-compose', ['--file', file, ...args], {
    env: { ...host.dockerEnvironment, ...variables },
  });
}

async function keys(): Promise<string[]> {
  const list = await compose('exec', '-T', 'etcd', 'etcdctl', 'get', '--prefix', '--keys-only', '/web/');
  return list.split('\n').filter(Boolean).toSorted();
}

it('compose.yaml starts three instances that are registered, answer, and are removed when they are stopped', async () => {
  await compose('up', '--detach');
  const registered = await eventually(
    'three keys',
    async () => {
      const found = await keys();
      return found.length === 3 && found;
    },
    { timeoutMs: 30_000, everyMs: 500 },
  );
  const ids = (await compose('ps', '--quiet', 'web')).split('\n');
  const mapped = await Promise.all(
    ids.map(async id => (await host.docker(['port', id, '8000/tcp'])).split('\n')[0]!.split(':')[1]!),
  );
  assert.deepEqual(registered, mapped.map(port => `/web/${host.ip}:${port}`).toSorted());
  for (const key of registered) {
    const response = await fetch(`http://${key.slice('/web/'.length)}/`, {
      signal: AbortSignal.timeout(5000),
    });
    assert.match(await response.text(), /^Hello from [0-9a-f]{12}\n$/);
  }

  await compose('stop', 'web');
  assert.deepEqual(await keys(), []);
  await compose('down');
  assert.equal(await host.docker(['ps', '--all', '--quiet']), '');
});
