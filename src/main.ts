/** The process: arguments, signals, standard output and exit codes. No other file touches them. */
import { readFileSync } from 'node:fs';
import { handlesSignals, helpText, readCommand } from './cli.ts';
import { systemClock } from './clock.ts';
import { run, type Signals } from './commands/run.ts';
import { ownTrouble } from './core/shortage.ts';
import { containerEnvironment, takeEnvironment } from './environment.ts';
import {
  ExitCode,
  formatProblems,
  messageOf,
  type Problem,
  ProblemError,
  SetupError,
  UnavailableError,
  UsageError,
} from './errors.ts';
import type { LogFormat } from './core/settings/process.ts';
import { clean, firstLines } from './core/text.ts';
import { createLog } from './log.ts';
import { unlessAborted } from './retry.ts';
import { redact } from './secrets.ts';
import { version } from './version.ts';

/** Returns a signal that aborts at the first SIGTERM or SIGINT. The second one ends the process at once. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  const codesAtOnce = { SIGTERM: ExitCode.terminated, SIGINT: ExitCode.interrupted };
  const early = process.pid === 1 ? earlySignal() : null;
  if (early !== null) stop.abort(new Error(early));
  for (const [name, codeAtOnce] of Object.entries(codesAtOnce))
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(codeAtOnce);
      stop.abort(new Error(name));
    });
  // The app goes on when the terminal is closed, and so does dockreg.
  process.on('SIGHUP', () => undefined);
  return stop.signal;
}

/**
 * Returns the signal that process 1 of a container received before our first line. Node's own handler then removes itself
 * and sends the signal again, to end by it; but a process 1 without a handler is spared by the kernel, and goes on.
 */
function earlySignal(): 'SIGTERM' | 'SIGINT' | null {
  const status = readOwnStatus();
  const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const [isTermCaught, isIntCaught] = [15n, 2n].map(signal => ((caught >> (signal - 1n)) & 1n) === 1n);
  // A Node without such a handler for either has nothing to tell.
  if (isTermCaught === isIntCaught) return null;
  return isTermCaught ? 'SIGINT' : 'SIGTERM';
}

/** Empty where /proc is hidden. */
function readOwnStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'latin1');
  } catch {
    return '';
  }
}

/** The least time between two commands of signals, in ms: each may cost a log line, and requests to etcd. */
const commandGapMs = 250;

/**
 * SIGUSR1 drains and SIGUSR2 resumes. Of those that come before there is a listener, or too soon after the one before,
 * only the last counts.
 */
function adminCommandsOnSignals(): Signals['onAdminCommand'] {
  let last: 'drain' | 'resume' | null = null;
  let listener: ((command: 'drain' | 'resume') => void) | null = null;
  let isTooSoon = false;
  const handOn = (): void => {
    if (isTooSoon || last === null || listener === null) return;
    isTooSoon = true;
    systemClock.after(commandGapMs, () => {
      isTooSoon = false;
      handOn();
    });
    const command = last;
    last = null;
    listener(command);
  };
  const take = (command: 'drain' | 'resume'): void => {
    last = command;
    handOn();
  };
  // Without a listener, Node opens its debugger at SIGUSR1.
  process.on('SIGUSR1', () => take('drain'));
  process.on('SIGUSR2', () => take('resume'));
  return given => {
    if (closeDebugger()) last ??= 'drain';
    listener = given;
    handOn();
  };
}

/**
 * Closes the debugger that Node has opened, unless the command line asks for it. Returns whether a SIGUSR1 that came
 * before our first line has opened it. The launcher keeps that from happening on Node 24 and newer. NODE_OPTIONS asks
 * for the app's debugger.
 */
function closeDebugger(): boolean {
  // Loaded late: by now most of what it needs is there.
  const inspector = process.getBuiltinModule('node:inspector');
  if (asksForDebugger(process.execArgv.join(' ')) || inspector.url() === undefined) return false;
  inspector.close();
  return !asksForDebugger(containerEnvironment()['NODE_OPTIONS']);
}

function asksForDebugger(flags = ''): boolean {
  return flags.includes('--inspect');
}

const write = (text: string): unknown => process.stdout.write(text);

/** The format of the log, where there is one: only `dockreg` itself has a log. */
let logFormat: LogFormat | null = null;

/** Ends the process at once. What our machine lacks or refuses is no defect, and a restart may find it again. */
function crash(error: unknown): never {
  const trouble = ownTrouble(error);
  if (trouble) process.exit(report([trouble], ExitCode.config));
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const lines = firstLines(`dockreg: internal error: ${redact(text)}`.split('\n').map(line => clean(line)));
  process.stderr.write(`${lines.join('\n')}\n`);
  logEnd([redact(`internal error: ${messageOf(error)}`)], ExitCode.internal);
  process.exit(ExitCode.internal);
}

/** Says on standard error, and in the log, what is in the way. Returns the exit code. */
function report(problems: readonly Problem[], exit: ExitCode): ExitCode {
  const lines = formatProblems(problems).map(redact);
  for (const line of lines) process.stderr.write(`dockreg: ${line}\n`);
  logEnd(lines, exit);
  return exit;
}

/** Why dockreg ends, as lines of the log too: who collects a log may not collect standard error. */
function logEnd(reasons: readonly string[], exit: ExitCode): void {
  if (logFormat === null) return;
  const log = createLog(logFormat, systemClock, write);
  for (const reason of reasons) log.error(reason, { exit });
}

/** Returns null for a fault of dockreg itself. */
function exitCodeOf(error: unknown): ExitCode | null {
  if (error instanceof UsageError) return ExitCode.usage;
  if (error instanceof SetupError) return ExitCode.config;
  return error instanceof UnavailableError ? ExitCode.unavailable : null;
}

async function main(): Promise<ExitCode> {
  // Deprecation warnings are for programmers. gRPC causes one for each endpoint that is an IP address with TLS.
  process.noDeprecation = true;
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  const env = takeEnvironment();
  const onAdminCommand = adminCommandsOnSignals();
  // When the reader of our output ends, dockreg goes on.
  process.stdout.on('error', () => undefined);
  const argv = process.argv.slice(2);
  const stop = handlesSignals(argv) ? stopOnSignals() : new AbortController().signal;
  try {
    const reading = readCommand(argv, env, undefined, format => {
      logFormat = format;
    });
    const command = await unlessAborted(reading, stop);
    if (command === null) return ExitCode.ok;
    switch (command.kind) {
      case 'help':
        write(helpText(version));
        return ExitCode.ok;
      case 'version':
        write(`${version}\n`);
        return ExitCode.ok;
      case 'doctor': {
        const { doctor } = await import('./commands/doctor/doctor.ts');
        return (await doctor(command.config, version, command, write)) ? ExitCode.ok : ExitCode.notOk;
      }
      case 'ls': {
        const { list } = await import('./commands/ls/ls.ts');
        await list({ ...command, output: process.stdout, errors: process.stderr }, stop);
        return ExitCode.ok;
      }
      case 'control': {
        const { control } = await import('./commands/control.ts');
        return (await control(command.options, write)) ? ExitCode.ok : ExitCode.notOk;
      }
      case 'run': {
        const log = createLog(command.config.logFormat, systemClock, write);
        for (const warning of command.warnings) log.warn(warning);
        await run(command.config, version, log, { stop, onAdminCommand });
        log.info('stopped', { by: messageOf(stop.reason) });
        return ExitCode.ok;
      }
    }
  } catch (error) {
    const code = exitCodeOf(error);
    if (code === null || !(error instanceof ProblemError)) return crash(error);
    return report(error.problems, code);
  }
}

process.exit(await main());
