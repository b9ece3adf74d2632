#!/usr/bin/env node
/**
 * The process: arguments, signals, standard output and exit codes. No other file touches them.
 */
import { helpText, readCommand } from './cli.ts';
import { systemClock } from './clock.ts';
import { run, type DrainOrders } from './commands/run.ts';
import {
  ExitCode,
  formatProblem,
  messageOf,
  ProblemError,
  SetupError,
  UnavailableError,
  UsageError,
} from './errors.ts';
import { createLog } from './log.ts';
import { version } from './version.ts';

/** Aborts at the first SIGTERM or SIGINT. The second ends the process at once. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  const stopOn = (name: string, atOnce: ExitCode): unknown =>
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(atOnce);
      stop.abort(new Error(name));
    });
  stopOn('SIGTERM', ExitCode.terminated);
  stopOn('SIGINT', ExitCode.interrupted);
  // The end of a terminal is not the end of the app.
  process.on('SIGHUP', () => undefined);
  return stop.signal;
}

/** Drains on SIGUSR1, resumes on SIGUSR2. The last that came before somebody listens is kept for him. */
function drainOnSignals(): DrainOrders {
  let last: 'drain' | 'resume' | null = null;
  let onOrder: (order: 'drain' | 'resume') => void = order => {
    last = order;
  };
  // Node's own answer to SIGUSR1 is to open its debugger.
  process.on('SIGUSR1', () => onOrder('drain'));
  process.on('SIGUSR2', () => onOrder('resume'));
  return {
    listen(listener) {
      if (closeDebugger()) last ??= 'drain';
      onOrder = listener;
      if (last) onOrder(last);
    },
  };
}

/** Whether a SIGUSR1 came before our first line, and opened the debugger that nobody asked for. It is closed. */
function closeDebugger(): boolean {
  const asked = [...process.execArgv, process.env['NODE_OPTIONS']].some(word => word?.includes('--inspect'));
  // Loaded late: by now most of what it needs is there.
  const inspector = process.getBuiltinModule('node:inspector');
  if (asked || inspector.url() === undefined) return false;
  inspector.close();
  return true;
}

function crash(error: unknown): never {
  process.stderr.write(
    `dockreg: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(ExitCode.internal);
}

/** Null for an error that is a fault of dockreg itself. */
function exitCodeOf(error: unknown): ExitCode | null {
  if (error instanceof UsageError) return ExitCode.usage;
  if (error instanceof SetupError) return ExitCode.config;
  return error instanceof UnavailableError ? ExitCode.unavailable : null;
}

async function main(): Promise<ExitCode> {
  // Advice for programmers, of which gRPC earns some for every endpoint that is an IP address with TLS.
  process.noDeprecation = true;
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  const orders = drainOnSignals();
  // The end of who reads our output is not the end of the app.
  process.stdout.on('error', () => undefined);
  try {
    const command = await readCommand(process.argv.slice(2), process.env);
    switch (command.kind) {
      case 'help':
        process.stdout.write(helpText(version));
        return ExitCode.ok;
      case 'version':
        process.stdout.write(`${version}\n`);
        return ExitCode.ok;
      case 'doctor': {
        const { doctor } = await import('./commands/doctor/doctor.ts');
        const isWell = await doctor(command.config, version, command, text => process.stdout.write(text));
        return isWell ? ExitCode.ok : ExitCode.notOk;
      }
      case 'ls': {
        const { list } = await import('./commands/ls/ls.ts');
        await list({ ...command, output: process.stdout, errors: process.stderr }, stopOnSignals());
        return ExitCode.ok;
      }
      case 'control': {
        const { control } = await import('./commands/control.ts');
        const isWell = await control(command.options, text => process.stdout.write(text));
        return isWell ? ExitCode.ok : ExitCode.notOk;
      }
      case 'run': {
        const log = createLog(command.config.logFormat, systemClock, line => process.stdout.write(line));
        const stop = stopOnSignals();
        await run(command.config, version, log, { stop, orders });
        log.info('stopped', { by: messageOf(stop.reason) });
        return ExitCode.ok;
      }
    }
  } catch (error) {
    const code = exitCodeOf(error);
    if (code !== null && error instanceof ProblemError) {
      for (const problem of error.problems) process.stderr.write(`dockreg: ${formatProblem(problem)}\n`);
      return code;
    }
    return crash(error);
  }
}

process.exit(await main());
