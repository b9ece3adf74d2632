/** Drain and the control socket under supervisord, in real containers. Runs in the bed (bed.sh). */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher, WatchEvent } from '../support/etcd-watcher.ts';
import { startExample, stoppingIn, type Example } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, startHost, type Host } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';

let host: Host;
let etcd: EtcdCluster;
let watcher: Watcher;

before(async () => {
  host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/service/');
});
after(async () => {
  watcher.close();
  await etcd.stop();
  await host.stop();
});
afterEach(async () => {
  await host.docker(['rm', '--force', 'web']);
  await etcd.ctl(['del', '--prefix', '/service/']);
  watcher.skipToNow();
});

function start(env: Readonly<Record<string, string>>, image?: string): Promise<Example> {
  const endpoint = `http://${lanAddress}:${etcd.members[0]!.port}`;
  return startExample(
    host,
    'web',
    { DOCKREG_ETCD: endpoint, DOCKREG_INTERVAL: '1s', DOCKREG_TIMEOUT: '1s', ...env },
    image,
  );
}

const put = (): Promise<WatchEvent> => watcher.next(({ type }) => type === 'put', 20_000);
const deleted = (): Promise<WatchEvent> => watcher.next(({ type }) => type === 'delete', 20_000);
const exec = (...words: string[]): Promise<string> => host.docker(['exec', 'web', ...words]);
const supervisorctl = (...words: string[]): Promise<string> => exec('supervisorctl', ...words);

/** How long the app ran after its key was gone, in ms, by etcd's watch and the app's log. */
async function appRanFor(web: Example, gone: WatchEvent): Promise<number> {
  const stopping = await eventually(
    'the log line of the app about its signal',
    async () => stoppingIn(await web.log()),
    { timeoutMs: 20_000 },
  );
  return stopping - (performance.timeOrigin + gone.at);
}

describe('--drain under supervisord', () => {
  it('keeps the app running for that time after the key is gone', async () => {
    const web = await start({ DOCKREG_DRAIN: '2s' });
    await put();
    const stopped = host.docker(['stop', 'web'], { timeoutMs: 30_000 });
    const ms = await appRanFor(web, await deleted());
    await stopped;
    assert.ok(ms >= 2000 && ms < 6000, `${ms} ms`);
  });

  it('is cut short by stopwaitsecs, and complete where that is raised', async () => {
    const short = await start({ DOCKREG_DRAIN: '12s' });
    await put();
    const stopped = host.docker(['stop', '--time', '30', 'web'], { timeoutMs: 40_000 });
    const cut = await appRanFor(short, await deleted());
    await stopped;
    assert.ok(cut >= 6000 && cut < 11_000, `${cut} ms`);

    const edit = "sed -i 's/^stopwaitsecs=.*/stopwaitsecs=15/' /etc/supervisor/conf.d/dockreg.conf";
    const dockerfile = `FROM ${images.example}\nRUN ${edit}\n`;
    await host.docker(['build', '--quiet', '--tag', 'e2e:drain', '-'], { input: dockerfile });
    const long = await start({ DOCKREG_DRAIN: '12s' }, 'e2e:drain');
    await put();
    const ended = host.docker(['stop', '--time', '30', 'web'], { timeoutMs: 40_000 });
    const whole = await appRanFor(long, await deleted());
    await ended;
    assert.ok(whole >= 12_000 && whole < 15_000, `${whole} ms`);
  });
});

describe('the control socket', () => {
  const list = ['sh', '-c', 'ls /run/dockreg.sock 2>/dev/null || echo none'];

  it('is open from the start', async () => {
    await start({});
    await put();
    assert.equal((await exec(...list)).trim(), '/run/dockreg.sock');
    assert.match(await exec('/opt/dockreg/bin/dockreg', 'status'), / up .* registered /);
  });

  it('is not there with --control off', async () => {
    await start({ DOCKREG_CONTROL: 'off' });
    await put();
    assert.equal((await exec(...list)).trim(), 'none');
  });
});

describe('supervisorctl signal', () => {
  it('USR1 drains, whatever happens to the network, and USR2 resumes', async () => {
    const web = await start({});
    const { key } = await put();
    await supervisorctl('signal', 'USR1', 'dockreg');
    assert.equal((await deleted()).key, key);
    assert.match(await web.get(`http://127.0.0.1:8000/`), /Hello/);

    await host.docker(['network', 'disconnect', 'bridge', 'web']);
    await host.docker(['network', 'connect', 'bridge', 'web']);
    const port = (await host.docker(['port', 'web', '8000/tcp'])).split('\n')[0]?.split(':').at(-1);
    await eventually(
      'the new address is known',
      async () => (await web.log()).includes(`address ${host.ip}:${port}`),
      { timeoutMs: 20_000 },
    );
    assert.equal((await etcd.keys('/service/')).size, 0);

    await supervisorctl('signal', 'USR2', 'dockreg');
    assert.equal((await put()).key, `/service/${host.ip}:${port}`);
  });
});
