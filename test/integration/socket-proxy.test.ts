/** examples/socket-proxy: real HAProxy in front of a fake Docker API that records the requests it receives. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { startApp, type App } from '../support/app.ts';
import { Child, cleanEnvironment } from '../support/children.ts';
import { inspectAnswer, published, startDockerSocket, type DockerSocket } from '../support/docker-socket.ts';
import { startProgram } from '../support/program.ts';
import { eventually } from '../support/wait.ts';

const id = 'c0ffee00'.repeat(8);
const short = id.slice(0, 12);
const service = 'k1x9hzsbtcncwdrydsm9nncl5';
const configuration = fileURLToPath(new URL('../../../examples/socket-proxy/haproxy.cfg', import.meta.url));

let web: App;
let docker: DockerSocket;
let folder: string;
let socketPath: string;
let haproxy: Child;

before(async () => {
  web = await startApp();
  docker = await startDockerSocket({
    containers: { [id]: inspectAnswer({ id, ports: published(web.port, 49155) }) },
  });
  docker.answer('/info', { Swarm: { NodeAddr: '10.1.0.101' } });
  docker.answer(`/services/${service}`, { ID: service });
  folder = await mkdtemp(join(tmpdir(), 'dockreg-proxy-'));
  socketPath = join(folder, 'docker.sock');
  const text = (await readFile(configuration, 'utf8'))
    .replace('unix@/var/run/docker.sock', `unix@${docker.socketPath}`)
    .replace('unix@/run/dockreg/docker.sock', `unix@${socketPath}`);
  const path = join(folder, 'haproxy.cfg');
  await writeFile(path, text);
  haproxy = await Child.spawn('haproxy', ['-db', '-f', path], { env: cleanEnvironment(), stdio: 'ignore' });
  await eventually('HAProxy', () => status('GET', '/info'));
});
after(async () => {
  haproxy.signal('SIGTERM');
  await haproxy.exited(10_000);
  web.close();
  await docker.stop();
  await rm(folder, { recursive: true, force: true });
});

function status(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, headers, agent: false }, response => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('the socket proxy', () => {
  for (const path of [
    `/containers/${id}/json`,
    `/containers/${short}/json`,
    `/v1.41/containers/${id}/json`,
    `/services/${service}`,
    `/v1.41/services/${service}`,
    '/info',
    '/v1.41/info',
  ]) {
    it(`allows GET ${path.replace(id, '<id>')}`, async () => {
      const earlier = docker.requests.length;
      assert.equal(await status('GET', path), 200);
      assert.deepEqual(
        docker.requests.slice(earlier).map(each => `${each.method} ${each.path}`),
        [`GET ${path}`],
      );
    });
  }

  const inspect = `/containers/${id}/json`;
  const refused: [method: string, path: string, headers?: Record<string, string>][] = [
    ...['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'].map((method): [string, string] => [
      method,
      inspect,
    ]),
    ['GET', inspect, { connection: 'Upgrade', upgrade: 'tcp' }],
    ['GET', inspect, { connection: 'Upgrade', upgrade: 'h2c' }],
    ['POST', `/containers/${id}/attach`, { connection: 'Upgrade', upgrade: 'tcp' }],
    ['POST', '/session', { connection: 'Upgrade', upgrade: 'h2c' }],
    ['GET', `${inspect}?size=1`],
    ['GET', `${inspect}?`],
    ['GET', `${inspect}/`],
    ['GET', `/${inspect}`],
    ['GET', `/containers//${id}/json`],
    ['GET', `/containers/${id}%2fjson`],
    ['GET', `/containers%2f${id}/json`],
    ['GET', `/containers/${id}/%6ason`],
    ['GET', `/containers/../containers/${id}/json`],
    ['GET', `/containers/${id}/../${id}/json`],
    ['GET', `/containers/${id}/./json`],
    ['GET', `/containers/${id}/json/../logs`],
    ['GET', `/containers/${id}/json%2f..%2flogs`],
    ['GET', `/containers/${id}\\json`],
    ['GET', `http://docker${inspect}`, { host: 'docker' }],
    ['GET', `/v1.41/v1.41${inspect}`],
    ['GET', `/v1${inspect}`],
    ['GET', `/v1.41x${inspect}`],
    ['GET', `/containers/${id}0/json`],
    ['GET', `/containers/${id.slice(0, 11)}/json`],
    ['GET', `/containers/${id.toUpperCase()}/json`],
    ['GET', '/containers/web/json'],
    ['GET', '/containers/json'],
    ['GET', '/containers/json?all=1'],
    ['GET', '/v1.41/containers/json'],
    ...['logs', 'top', 'stats', 'export', 'changes', 'archive?path=/', 'attach/ws'].map(
      (question): [string, string] => ['GET', `/containers/${id}/${question}`],
    ),
    ...['exec', 'start', 'stop', 'kill', 'update'].map((verb): [string, string] => [
      'POST',
      `/containers/${id}/${verb}`,
    ]),
    ['POST', '/containers/create'],
    ['POST', `/exec/${id}/start`],
    ['GET', `/exec/${id}/json`],
    ['GET', '/images/json'],
    ['GET', `/images/${short}/json`],
    ['POST', '/images/create?fromImage=x'],
    ['POST', '/build'],
    ['GET', '/services'],
    ['GET', `/services/${service}/logs`],
    ['GET', `/services/${service}?insertDefaults=true`],
    ['POST', `/services/${service}/update?version=1`],
    ['GET', '/info?x'],
    ...[
      '/',
      '/_ping',
      '/version',
      '/events',
      '/nodes',
      '/tasks',
      '/secrets',
      '/configs',
      '/volumes',
      '/networks',
      '/swarm',
    ].map((path): [string, string] => ['GET', path]),
  ];
  for (const [method, path, headers] of refused) {
    const shown = [method, path.replace(id, '<id>'), ...Object.values(headers ?? {})].join(' ');
    it(`refuses ${shown}`, async () => {
      const earlier = docker.requests.length;
      assert.equal(await status(method, path, headers), 403);
      assert.equal(docker.requests.length, earlier, 'it reached Docker');
    });
  }

  it('is enough for dockreg in a swarm', async () => {
    const task = 'deadbeef'.repeat(8);
    docker.set(inspectAnswer({ id: task, labels: { 'com.docker.swarm.service.id': service } }));
    const ingress = { Protocol: 'tcp', TargetPort: web.port, PublishedPort: 8090, PublishMode: 'ingress' };
    docker.answer('/info', { ID: 'N0DE', Swarm: { NodeAddr: '10.1.0.101' } });
    docker.answer(`/services/${service}`, { ID: service, Endpoint: { Ports: [ingress] } });
    const program = await startProgram({
      args: [
        ...['--etcd', 'http://127.0.0.1:1', '--port', String(web.port)],
        ...['--docker', socketPath, '--container', task, '--advertise', 'swarm'],
      ],
    });
    await program.waitForLine('address 10.1.0.101:8090');
    await program.stop();
    program.assertClean();
  });

  it('is enough for dockreg', async () => {
    const program = await startProgram({
      args: [
        ...['--etcd', 'http://127.0.0.1:1', '--port', String(web.port)],
        ...['--docker', socketPath, '--container', short, '--ip', '10.1.0.101'],
      ],
    });
    await program.waitForLine('address 10.1.0.101:49155');
    await program.stop();
    program.assertClean();
  });
});
