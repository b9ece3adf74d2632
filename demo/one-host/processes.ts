/**
 * Sets up the demo of one host on plain processes, for machines on which no Docker engine can be started: the same
 * programs under supervisord on loopback. Without port mappings, each instance gets its address from a variable.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEtcd } from '../../test/support/etcd.ts';
import { freePort } from '../../test/support/wait.ts';
import { parent, type Instance } from '../instance.ts';
import { names, type OneHost } from './stage.ts';

const root = join(import.meta.dirname, '../../..');

export async function openProcesses(): Promise<OneHost> {
  const folder = await mkdtemp(join(tmpdir(), 'dockreg-demo-'));
  const etcd = await startEtcd();
  const endpoint = etcd.endpoints.join(',');
  const running = new Map<string, ChildProcess>();
  const start: OneHost['start'] = name => startProcesses(folder, endpoint, name, running);

  return {
    description: `plain processes on loopback, etcd at ${endpoint}`,
    start,
    watch: () => etcd.watch(`/${parent}/`),
    async refill() {
      await Promise.all(names.filter(name => !running.has(name)).map(start));
    },
    lookAround: () => [
      `export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${endpoint}`,
      `etcdctl get --prefix /${parent}`,
    ],
    async close() {
      for (const supervisor of running.values()) killAll(supervisor);
      await etcd.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startProcesses(
  folder: string,
  endpoint: string,
  name: string,
  running: Map<string, ChildProcess>,
): Promise<Instance> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const home = join(folder, name);
  await mkdir(home, { recursive: true });
  const program = (what: string, command: string, priority: number): string =>
    `[program:${what}]\ncommand=${command}\npriority=${priority}\nautorestart=true\nstartretries=1000\n` +
    `redirect_stderr=true\nstdout_logfile=${home}/${what}.log\n`;
  await writeFile(
    join(home, 'supervisord.conf'),
    `[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=${home}/pid\n${program(
      'dockreg',
      `${process.execPath} ${join(root, 'dist/dockreg.js')}`,
      1000,
    )}${program('example', `${process.execPath} ${join(root, 'example-app/server.js')}`, 999)}`,
  );
  const supervisor = spawn('supervisord', ['--nodaemon', '--configuration', join(home, 'supervisord.conf')], {
    stdio: 'ignore',
    env: {
      ...process.env,
      PORT: String(port),
      DOCKREG_PORT: String(port),
      DOCKREG_KEY: parent,
      DOCKREG_ETCD: endpoint,
      DOCKREG_ADVERTISE: address,
      DOCKREG_ALLOW_LOOPBACK: 'on',
      DOCKREG_CONTROL: 'off',
    },
  });
  const ended = once(supervisor, 'exit');
  await once(supervisor, 'spawn');
  running.set(name, supervisor);
  return {
    name,
    address,
    log: () => readFile(`${home}/example.log`, 'utf8').catch(() => ''),
    async stop() {
      supervisor.kill('SIGTERM');
      await ended;
      running.delete(name);
    },
    async kill() {
      killAll(supervisor);
      await ended;
      running.delete(name);
    },
  };
}

/** Kills supervisord and its children one by one, because each program has its own process group. */
function killAll(supervisor: ChildProcess): void {
  const path = `/proc/${supervisor.pid}/task/${supervisor.pid}/children`;
  const children = readFileSync(path, 'utf8').split(' ').filter(Boolean).map(Number);
  supervisor.kill('SIGKILL');
  for (const pid of children) process.kill(pid, 'SIGKILL');
}
