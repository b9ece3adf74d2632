/** Durations, counts and ports. */
import { ValueError } from './value.ts';

/** Returns a parser of whole numbers from 1 to `max`. */
function parseNumber(max: number, rule: string): (text: string) => number {
  return text => {
    const number = /^\d+$/.test(text) && text.length <= String(max).length ? Number(text) : 0;
    if (number < 1 || number > max) throw new ValueError(rule);
    return number;
  };
}

export const parsePort = parseNumber(65_535, 'must be a port number from 1 to 65535, such as 8000');

export const parseCount = parseNumber(100, 'must be a whole number from 1 to 100');

/** The range of an SRV record without 0, which means "hardly ever" to one consumer and "not given" to another. */
export const parseWeight = parseNumber(65_535, 'must be a number from 1 to 65535, such as 100');

const unitMs: Readonly<Record<string, number>> = { '': 1000, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `5s`, `250ms`, `1m`, or plain seconds. Returns milliseconds, more than 0. */
export function parseDuration(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = number === '' ? 0 : Number(number) * (unitMs[unit] ?? 0);
  if (!(ms >= 1 && ms <= 86_400_000))
    throw new ValueError('must be a duration from 1ms to 24h, such as 5s, 250ms, 1m or plain seconds');
  return Math.round(ms);
}

/** A duration, or `0` for none. Returns milliseconds. */
export function parsePause(text: string): number {
  return text === '0' ? 0 : parseDuration(text);
}

/** A duration in whole seconds, the unit of etcd's leases. Returns seconds. */
export function parseTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms % 1000 !== 0)
    throw new ValueError('must be whole seconds, because etcd counts leases in seconds', 'try 20s');
  return ms / 1000;
}
