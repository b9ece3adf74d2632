/** Durations, counts and ports. Each parser names its range, for docs/options.md. */
import { ValueError } from './value.ts';

interface RangeParser {
  (text: string): number;
  /** `1 to 65535` */
  readonly range: string;
}

/** Returns a parser of whole numbers from 1 to `max`. */
function parseNumber(max: number, rule: string): RangeParser {
  const parse = (text: string): number => {
    const number = /^\d+$/.test(text) && text.length <= String(max).length ? Number(text) : 0;
    if (number < 1 || number > max) throw new ValueError(rule);
    return number;
  };
  return Object.assign(parse, { range: `1 to ${max}` });
}

export const parsePort = parseNumber(65_535, 'must be a port number from 1 to 65535, such as 8000');

export const parseCount = parseNumber(100, 'must be a whole number from 1 to 100');

/** The range of an SRV record without 0, which means "hardly ever" to one consumer and "not given" to another. */
export const parseWeight = parseNumber(65_535, 'must be a number from 1 to 65535, such as 100');

const unitMs: Readonly<Record<string, number>> = { '': 1000, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Returns a parser of durations from `min` to 24 h, such as `5s`, `250ms`, `1m` or plain seconds. It returns ms. */
function parseTime(min: string, minMs: number): RangeParser {
  const range = `${min} to 24h`;
  const parse = (text: string): number => {
    const [, number = '', unit = ''] = /^(\d{1,10}(?:\.\d{1,10})?)(ms|s|m|h)?$/.exec(text) ?? [];
    const ms = Math.round(number === '' ? 0 : Number(number) * (unitMs[unit] ?? 0));
    if (!(ms >= minMs && ms <= dayMs))
      throw new ValueError(`must be a duration from ${range}, such as 5s, 250ms, 1m or plain seconds`);
    return ms;
  };
  return Object.assign(parse, { range });
}

/** No time is longer, so a sum of several never overflows a timer (2^31 ms, 24 days). */
export const dayMs = 86_400_000;

/** A check more often than this would cost more than it can find out. */
export const parseInterval = parseTime('100ms', 100);

export const parseTimeout = parseTime('10ms', 10);

const parseDuration = parseTime('1ms', 1);

/** A duration, or `0` for none. Returns milliseconds. */
export const parsePause: RangeParser = Object.assign(
  (text: string): number => (text === '0' ? 0 : parseDuration(text)),
  { range: `0, or ${parseDuration.range}` },
);

const parseSeconds = parseTime('1s', 1000);

/** A duration in whole seconds, the unit of etcd's leases. Returns seconds. */
export const parseTtl: RangeParser = Object.assign(
  (text: string): number => {
    const ms = parseSeconds(text);
    if (ms % 1000 !== 0)
      throw new ValueError('must be whole seconds, because etcd counts leases in seconds', 'try 20s');
    return ms / 1000;
  },
  { range: parseSeconds.range },
);
