#!/usr/bin/env node
/**
 * The process: arguments, signals, standard output and exit codes. No other file touches them.
 */
import { helpText, parseCommand, type Command } from './cli.ts';
import { systemClock } from './clock.ts';
import { run, type DrainOrders } from './commands/run.ts';
import { ConfigError, ExitCode, messageOf, UnavailableError } from './errors.ts';
import { NoAddressError } from './agent/address-loop.ts';
import { createLog } from './log.ts';
import { version } from './version.ts';

/** Ends on the first signal in good order, on the second at once. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(ExitCode.internal);
      stop.abort(new Error(name));
    });
  }
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

function complain(problems: readonly string[]): void {
  for (const problem of problems) process.stderr.write(`dockreg: ${problem}\n`);
}

function crash(error: unknown): never {
  process.stderr.write(
    `dockreg: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(ExitCode.internal);
}

/** @throws ConfigError */
async function readCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<Command> {
  const command = parseCommand(argv, env);
  if (command.kind !== 'file') return command;
  const { readConfigFile } = await import('./config/file.ts');
  return parseCommand(argv, env, await readConfigFile(command.path, env));
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
        return isWell ? ExitCode.ok : ExitCode.unwell;
      }
      case 'ls': {
        const { list } = await import('./commands/ls/ls.ts');
        await list({ ...command, output: process.stdout, errors: process.stderr }, stopOnSignals());
        return ExitCode.ok;
      }
      case 'control': {
        const { control } = await import('./commands/control.ts');
        const isWell = await control(command.options, text => process.stdout.write(text));
        return isWell ? ExitCode.ok : ExitCode.unwell;
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
    if (error instanceof ConfigError) {
      complain(error.problems);
      return error.exitCode;
    }
    if (error instanceof NoAddressError) {
      complain([error.message]);
      return ExitCode.config;
    }
    if (error instanceof UnavailableError) {
      complain([error.message]);
      return ExitCode.unavailable;
    }
    return crash(error);
  }
}

process.exit(await main());
