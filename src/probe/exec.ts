/**
 * The check by a command, as CMD-SHELL of Docker's HEALTHCHECK: `/bin/sh -c`, and 0 is the only good exit code. The
 * command and all that it starts (unless that makes a session of its own) end with the check.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { ExecCheck } from '../core/settings/check.ts';
import { messageOf } from '../errors.ts';
import { attempt, fail, pass, unknown, type ProbeLimits, type Probe } from './probe.ts';

/** How much is kept of the end of each output, in bytes, and how much of it is told, in characters. */
const most = { kept: 4096, reported: 200 } as const;
/** Who outlives the command may hold its output open; so long is waited for the last words, in ms. */
const lastWordsMs = 100;

export function execProbe(
  { command }: ExecCheck,
  env: Readonly<Record<string, string | undefined>>,
  limits: ProbeLimits,
): Probe {
  /** The process of the last check: one that even a SIGKILL does not end must not get company. */
  let last: Promise<unknown> = Promise.resolve();
  return attempt(limits, `exec:${command.slice(0, most.reported)}`, async signal => {
    await last;
    if (signal.aborted) return unknown('the check was abandoned');
    // A group of its own, so that all of it can be killed.
    const child = spawn('/bin/sh', ['-c', command], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise<Ending>(resolve => {
      child.once('error', error => resolve({ error }));
      child.once('exit', (code, by) => resolve({ code, by }));
    }).finally(() => killGroup(child));
    last = ended;
    // A process that could not be started has no outputs.
    const outputs = child.pid === undefined ? [] : [child.stdout, child.stderr].map(keepEnd);
    const end = (): void => {
      if (child.exitCode === null && child.signalCode === null) killGroup(child);
      for (const { stream } of outputs) stream.destroy();
    };
    signal.addEventListener('abort', end, { once: true });
    const ending = await ended;
    if ('error' in ending) return unknown(`cannot start /bin/sh: ${messageOf(ending.error)}`);
    await Promise.race([
      Promise.all(outputs.map(({ closed }) => closed)),
      limits.clock.sleep(lastWordsMs, signal),
    ]);
    const line = outputs.map(({ text }) => lastLine(text())).find(text => text !== '') ?? '';
    const how = ending.by === null ? `exit ${ending.code}` : `ended by ${ending.by}`;
    const reported = line === '' ? how : `${how}: ${line}`;
    return ending.code === 0 ? pass(reported) : fail(reported);
  });
}

type Ending =
  | { readonly code: number | null; readonly by: NodeJS.Signals | null }
  | { readonly error: Error };

/** Ends what is left of the command. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left, which is the usual case, or only what has become another user's.
  }
}

interface Output {
  readonly stream: Readable;
  readonly closed: Promise<void>;
  text(): string;
}

/** Reads all that comes, so that nobody waits to write, and keeps the end of it. */
function keepEnd(stream: Readable): Output {
  let end = Buffer.alloc(0);
  stream.on('data', (part: Buffer) => {
    end = Buffer.concat([end, part]).subarray(-most.kept);
  });
  const closed = new Promise<void>(resolve => {
    stream.once('close', resolve);
    stream.once('error', () => resolve());
  });
  return { stream, closed, text: () => end.toString() };
}

function lastLine(text: string): string {
  const lines = text.split('\n').map(line => line.replaceAll(/\p{Cc}/gu, ' ').trim());
  return (lines.findLast(line => line !== '') ?? '').slice(0, most.reported);
}
