/**
 * The check by a command, as CMD-SHELL of Docker's HEALTHCHECK: `/bin/sh -c`, which passes with exit code 0. The command
 * and all that it starts end with the check, except a process that left the command's process group, by setsid for
 * example, or that runs as a user whom dockreg must not signal.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { Verdict } from '../core/registration/health.ts';
import { formatCommand, type ExecCheck } from '../core/settings/check.ts';
import { ownTrouble } from '../core/shortage.ts';
import { formatProblem, problemOf } from '../errors.ts';
import { abandoned, attempt, fail, pass, unchecked, type Probe, type ProbeOptions } from './probe.ts';

/** How much of the end of each output is kept, in bytes, and how much of it is reported, in characters. */
const most = { kept: 4096, reported: 200 } as const;
/** Each output is read at once up to this many bytes, and then a part at a time with a pause of so many ms after it. */
const atOnce = { bytes: 1024 * 1024, pauseMs: 10 } as const;
/** A process that outlives the command may hold its output open. The output is read for this long after it, in ms. */
const lastOutputMs = 100;

export function execProbe({ command }: ExecCheck, options: ProbeOptions): Probe {
  /** The end of the last command. One that even SIGKILL does not end must not run beside another. */
  let last: Promise<unknown> = Promise.resolve();
  return attempt(options, `exec:${formatCommand(command)}`, async (signal, progress) => {
    progress.came = () => 'the command of the last check was killed, and has not ended';
    await last;
    if (signal.aborted) return abandoned;
    const child = start(command, options.env);
    if ('error' in child) return cannotStart(child.error);
    const ended = new Promise<{ code: number | null; by: string | null } | { error: Error }>(resolve => {
      child.once('error', error => resolve({ error }));
      child.once('exit', (code, by) => resolve({ code, by }));
    }).finally(() => killGroup(child));
    last = ended;
    // A process that did not start has no outputs.
    const outputs =
      child.pid === undefined ? [] : [child.stdout, child.stderr].map(each => keepEnd(each, options.clock));
    /** The last line of the standard output, or else of the standard error. */
    const line = (): string => outputs.map(({ text }) => lastLine(text())).find(text => text !== '') ?? '';
    progress.came = () => (line() === '' ? undefined : `its last line is "${line()}"`);
    const end = (): void => {
      if (child.exitCode === null && child.signalCode === null) killGroup(child);
      for (const { stream } of outputs) stream.destroy();
    };
    signal.addEventListener('abort', end, { once: true });
    const ending = await ended;
    if ('error' in ending) return cannotStart(ending.error);
    await Promise.race([
      Promise.all(outputs.map(({ closed }) => closed)),
      options.clock.sleep(lastOutputMs, signal),
    ]);
    const how = ending.by === null ? `exit ${ending.code}` : `ended by ${ending.by}`;
    const outcome = line() === '' ? how : `${how}: ${line()}`;
    return ending.code === 0 ? pass(outcome) : fail(outcome);
  });
}

/** Most errors of a start are events; some are thrown, as for an environment that is too large. */
function start(command: string, env: ProbeOptions['env']) {
  try {
    // Detached, it has its own process group, and the whole group can be killed.
    return spawn('/bin/sh', ['-c', command], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    return { error };
  }
}

function cannotStart(error: unknown): Verdict {
  return unchecked(`cannot start /bin/sh: ${formatProblem(ownTrouble(error) ?? problemOf(error))}`);
}

/** Ends what is left of the command's process group. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Usually nothing is left (ESRCH), or only processes that changed their user (EPERM).
  }
}

/**
 * Reads all output, so that the command does not block on a write for long, and keeps the end of it. What has no end is
 * read slowly: it would take a whole core.
 */
function keepEnd(stream: Readable, clock: Clock) {
  let end = Buffer.alloc(0);
  let bytes = 0;
  stream.on('data', (part: Buffer) => {
    bytes += part.length;
    end = Buffer.concat([end, part.subarray(-most.kept)]).subarray(-most.kept);
    if (bytes < atOnce.bytes) return;
    stream.pause();
    clock.after(atOnce.pauseMs, () => stream.resume());
  });
  const closed = once(stream, 'close').catch(() => undefined);
  const text = (): string => {
    const all = end.toString();
    // The last line of what has no end is cut anywhere.
    return bytes < atOnce.bytes ? all : all.slice(0, all.lastIndexOf('\n') + 1) || all;
  };
  return { stream, closed, text };
}

function lastLine(text: string): string {
  const lines = text.split('\n').map(line => line.replaceAll(/\p{Cc}/gu, ' ').trim());
  return (lines.findLast(line => line !== '') ?? '').slice(0, most.reported);
}
