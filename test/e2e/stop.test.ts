/**
 * `docker stop` of real containers in which dockreg waits for an answer that never comes: from DNS, from Docker, or from
 * both. Runs in the bed (bed.sh).
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDns, type DnsServer } from '../support/dns.ts';
import { startEtcd, type EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { exampleOptions } from '../support/example.ts';
import { images, loadImages } from '../support/images.ts';
import { lanAddress, startHost, type Host } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';

/** Passes connections on to Docker until it is silent: then it takes them and what they send, and answers nothing. */
class Relay {
  isSilent = false;
  /** How many connections came while it was silent. */
  unanswered = 0;
  readonly path: string;
  readonly #server: Server;

  constructor(path: string, target: string) {
    this.path = path;
    this.#server = createServer(client => {
      client.on('error', () => undefined).unref();
      if (this.isSilent) {
        this.unanswered += 1;
        client.resume();
        return;
      }
      const docker = connect(target).on('error', () => client.destroy());
      docker.unref();
      client.pipe(docker).pipe(client);
    }).unref();
    this.#server.listen(path);
  }

  close(): void {
    this.#server.close();
  }
}

let folder: string;
let host: Host;
let etcd: EtcdCluster;
let watcher: Watcher;
let dns: DnsServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dockreg-stop-'));
  host = await startHost({ name: 'host-1', ip: '10.1.0.101' });
  await loadImages(host);
  etcd = await startEtcd({ alsoListenOn: lanAddress });
  watcher = await etcd.watch('/');
  dns = await startDns(lanAddress, host.ip);
});
after(async () => {
  dns.close();
  watcher.close();
  await etcd.stop();
  await host.stop();
  rmSync(folder, { recursive: true });
});

/** Sends what `docker stop` sends, without the time that its client takes to start. */
function stop(container: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const path = `/containers/${container}/stop`;
    request({ socketPath: host.dockerSocket, method: 'POST', path }, answer => {
      answer.resume().once('end', resolve);
    })
      .once('error', reject)
      .end();
  });
}

/** supervisord notices a signal once a second. What is more is room for a machine that is busy. */
const kinds = {
  supervised: { mostMs: 1200 + 500, options: [], words: [] },
  // There is no app in this one.
  main: {
    mostMs: 200 + 500,
    options: ['--entrypoint', '/opt/dockreg/bin/dockreg'],
    words: ['--check', 'exec:true'],
  },
} as const;
type Kind = keyof typeof kinds;
const silences = ['DNS', 'Docker', 'both'] as const;

interface Container {
  readonly kind: Kind;
  readonly name: string;
  readonly relay: Relay;
  readonly hostName: string;
}

/** Starts the container, and resolves when it is registered. */
async function start(kind: Kind, silence: (typeof silences)[number]): Promise<Container> {
  const name = `${kind}-${silence.toLowerCase()}`;
  const hostName = `${name}.example`;
  const relay = new Relay(join(folder, `${name}.sock`), host.dockerSocket);
  await host.docker([
    ...['run', '--detach', '--name', name, '--publish', '8000', '--dns', lanAddress],
    ...exampleOptions(
      { dockerSocket: relay.path },
      {
        DOCKREG_ETCD: `http://${lanAddress}:${etcd.members[0]!.port}`,
        DOCKREG_PORT: '8000',
        DOCKREG_KEY: name,
        DOCKREG_IP: silence === 'Docker' ? host.ip : hostName,
      },
    ),
    ...kinds[kind].options,
    images.example,
    ...kinds[kind].words,
  ]);
  await watcher.next(({ type, key }) => type === 'put' && key.startsWith(`/${name}/`), 30_000);
  return { kind, name, relay, hostName };
}

describe('docker stop while DNS, Docker or both are silent', () => {
  it(
    'removes the key at once, where dockreg is under supervisord or process 1',
    { timeout: 180_000 },
    async t => {
      const containers: Container[] = [];
      for (const kind of ['supervised', 'main'] as const)
        for (const silence of silences) containers.push(await start(kind, silence));
      dns.isSilent = true;
      const asked = dns.queries.length;
      for (const { relay, name } of containers) relay.isSilent = !name.endsWith('dns');
      for (const { kind, name, relay, hostName } of containers) {
        // The address is looked up again after about 30 s.
        await eventually(
          `${name} waits for its address`,
          () => relay.unanswered > 0 || dns.queries.slice(asked).includes(hostName),
          { timeoutMs: 50_000 },
        );
        const sentAt = performance.now();
        const stopping = stop(name);
        const gone = await watcher.next(
          ({ type, key }) => type === 'delete' && key.startsWith(`/${name}/`),
          20_000,
        );
        const ms = Math.round(gone.at - sentAt);
        await stopping;
        t.diagnostic(`${name}: key gone after ${ms} ms`);
        assert.ok(ms >= 0 && ms < kinds[kind].mostMs, `${name}: ${ms} ms`);
        if (kind === 'main')
          assert.equal((await host.docker(['inspect', '--format', '{{.State.ExitCode}}', name])).trim(), '0');
        await host.docker(['rm', '--force', name]);
        relay.close();
      }
    },
  );
});
