/**
 * One line a transition, on stdout: logfmt for people, JSON for machines. The fields are the same in both. All texts are
 * made safe to print here, and here only.
 */
import type { Clock } from './clock.ts';
import type { LogFormat } from './core/settings/process.ts';
import { clean } from './core/text.ts';

/** What a line says beside its message. A field that is undefined is left out. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Writes one line at the level that its name says. */
export type Log = Readonly<Record<'info' | 'warn' | 'error', (message: string, fields?: Fields) => void>>;

/** A log that writes whole lines through `write`. */
export function createLog(format: LogFormat, clock: Clock, write: (line: string) => void): Log {
  const encode = format === 'json' ? JSON.stringify : logfmt;
  const at =
    (level: keyof Log) =>
    (message: string, fields: Fields = {}): void =>
      write(
        `${encode(safe({ time: new Date(clock.wall()).toISOString(), level, msg: message, ...fields }))}\n`,
      );
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

function safe(fields: Fields): Fields {
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [clean(name), typeof value === 'string' ? clean(value) : value]),
  );
}

/** The same log, with these fields, as they are then, first in each line. */
export function withFields(log: Log, first: () => Fields): Log {
  return {
    info: (message, fields) => log.info(message, { ...first(), ...fields }),
    warn: (message, fields) => log.warn(message, { ...first(), ...fields }),
    error: (message, fields) => log.error(message, { ...first(), ...fields }),
  };
}

function logfmt(fields: Fields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quote(String(value))}`)
    .join(' ');
}

function quote(value: string): string {
  return /^[^\s"=\\]+$/.test(value) ? value : JSON.stringify(value);
}
