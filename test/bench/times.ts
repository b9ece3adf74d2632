/**
 * How soon a key appears and disappears, in ms, when the app or dockreg is started, killed, stopped or made to hang.
 */
import { connect } from 'node:net';
import { listeningIn } from '../support/example.ts';
import { eventually, pause, WaitError } from '../support/wait.ts';
import type { Row } from './table.ts';
import { type Bench, changed, pidOf, repeat, startVersion, type Version } from './versions.ts';

export async function measureTimes(bench: Bench): Promise<readonly Row[]> {
  const { host, etcd, versions, runs } = bench;
  const keys = new Map<Version, string>();
  for (const version of versions) keys.set(version, await startVersion(bench, version, container(version)));
  for (const key of keys.values()) await changed(bench, 'put', key, 0);
  const keyOf = (version: Version): string => keys.get(version)!;

  const supervisorctl = (version: Version, ...args: string[]): Promise<string> =>
    host.docker(['exec', container(version), 'supervisorctl', ...args]);
  /**
   * Waits until all keys are there, so that no version is measured while an app of the other recovers; then until some
   * moment in the middle of an interval, so that no two runs meet the same phase.
   */
  const registered = async (): Promise<void> => {
    await eventually(
      'the keys of all versions',
      async () => (await etcd.keys('/service/')).size === versions.length,
      { timeoutMs: 30_000 },
    );
    await pause(1500 + Math.random() * 3000);
  };
  /**
   * Sends a signal to a process of the container and resolves with the time until its key is gone. If an app is killed,
   * supervisord may have restarted it before anything notices; then it resolves with undefined.
   */
  const timeAfterSignal = async (
    version: Version,
    program: string,
    signal: 'SIGKILL' | 'SIGSTOP' | 'SIGTERM',
  ): Promise<number | undefined> => {
    await registered();
    const pid = await pidOf(bench, container(version), program);
    const since = performance.now();
    process.kill(pid, signal);
    try {
      return (await changed(bench, 'delete', keyOf(version), since)) - since;
    } catch (error) {
      if (signal === 'SIGKILL' && error instanceof WaitError) return undefined;
      throw error;
    } finally {
      if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
    }
  };

  const rows: Row[] = [];
  rows.push(
    ...(await repeat(bench, 'app listens → key visible', async version => {
      const key = keyOf(version);
      await supervisorctl(version, 'stop', 'example');
      await eventually('no key', async () => !(await etcd.keys(key)).has(key));
      await pause(1000 + Math.random() * 4000);
      const since = performance.now();
      const sinceDate = new Date(performance.timeOrigin + since).toISOString();
      await supervisorctl(version, 'start', 'example');
      const visible = performance.timeOrigin + (await changed(bench, 'put', key, since));
      const listening = listeningIn(await host.docker(['logs', '--since', sinceDate, container(version)]));
      return listening === undefined ? undefined : visible - listening;
    })),
  );

  const killed = await repeat(bench, 'app killed (and restarted by supervisord) → key gone', version =>
    timeAfterSignal(version, '/app/server.js', 'SIGKILL'),
  );
  const missed = killed.map(row => ({
    ...row,
    what: 'app killed and restarted: not noticed',
    unit: `of ${runs}`,
    values: [runs - row.values.length],
  }));
  rows.push(...killed, ...missed);

  rows.push(
    ...(await repeat(bench, 'app stopped (state T) → key gone', version =>
      timeAfterSignal(version, '/app/server.js', 'SIGSTOP'),
    )),
  );

  for (const [traffic, clients] of [
    ['no traffic', 0],
    ['three clients waiting', 3],
  ] as const) {
    rows.push(
      ...(await repeat(bench, `app hangs in a busy loop, ${traffic} → key gone`, async version => {
        const key = keyOf(version);
        await registered();
        const address = key.slice('/service/'.length);
        const [ip, port] = address.split(':');
        const since = performance.now();
        await fetch(`http://${address}/play/busy?seconds=12`);
        const waiting = Array.from({ length: clients }, () =>
          connect(Number(port), ip).on('error', () => {}),
        );
        const gone = await changed(bench, 'delete', key, since);
        for (const client of waiting) client.destroy();
        return gone - since;
      })),
    );
  }

  rows.push(
    ...(await repeat(bench, 'SIGTERM to dockreg → key gone', version =>
      timeAfterSignal(version, 'dockreg.js', 'SIGTERM'),
    )),
  );
  for (const version of versions) await host.docker(['rm', '--force', container(version)]);
  return rows;
}

function container({ name }: Version): string {
  return `web-${name}`;
}
