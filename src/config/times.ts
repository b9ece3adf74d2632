/**
 * How the times of a service go together: what those that are left out are, and which pairs are refused. A message has
 * both values, the rule and a way out that is not refused in its turn.
 */
import type { ServiceConfig } from '../core/settings/service.ts';
import type { Problem } from '../errors.ts';
import type { OptionName } from './options.ts';
import type { RawOptions } from './raw.ts';
import { brokenRules } from './reader.ts';

/** The time limit of a check, in ms, unless the interval is shorter. */
const usualTimeoutMs = 3000;
/** No --ttl is longer, in seconds. */
const longestTtlSeconds = 86_400;
/** What a renewal after a failed check may take, in ms. */
const renewalMs = 1000;

/** As they are read. `undefined` is a time that is left out. A missing field has a problem of its own. */
export interface ReadTimes extends Partial<
  Pick<ServiceConfig, 'intervalMs' | 'tolerateMs' | 'ttlSeconds' | 'fall'>
> {
  readonly fastIntervalMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

type Times = Pick<ServiceConfig, 'fastIntervalMs' | 'timeoutMs'>;

/** The times that may be left out. */
export function impliedTimes(read: ReadTimes & Pick<ServiceConfig, 'intervalMs'>): Times {
  const { intervalMs, fastIntervalMs = intervalMs, timeoutMs = Math.min(usualTimeoutMs, intervalMs) } = read;
  return { fastIntervalMs, timeoutMs };
}

/** The rules that the times break. A time that is not known breaks none: NaN compares with nothing. */
export function conflictsOfTimes(read: ReadTimes, raw: RawOptions): Problem[] {
  const { intervalMs = NaN, tolerateMs = NaN, ttlSeconds = NaN, fall = NaN } = read;
  const implied = impliedTimes({ ...read, intervalMs });
  const fastIntervalMs = 'fastIntervalMs' in read ? implied.fastIntervalMs : NaN;
  const timeoutMs = 'timeoutMs' in read ? implied.timeoutMs : NaN;
  const show = (name: OptionName, value: string): string =>
    `--${name} ${value}${raw.has(name) ? '' : ' (by default)'}`;
  const interval = show('interval', `${intervalMs} ms`);
  const timeout = show('timeout', `${timeoutMs} ms`);
  const ttl = show('ttl', `${ttlSeconds} s`);
  const ttlMs = ttlSeconds * 1000;
  return brokenRules(
    [
      timeoutMs > intervalMs,
      `${timeout} is longer than ${interval}: a check must end before the next begins`,
      'lower --timeout, leave it out, or raise --interval',
    ],
    [
      fastIntervalMs > intervalMs,
      `${show('fast-interval', `${fastIntervalMs} ms`)} is longer than ${interval}: checks that fail come no later than others`,
      'lower --fast-interval, or leave it out',
    ],
    [
      ttlMs < 2 * intervalMs,
      `${ttl} is shorter than two intervals of ${intervalMs} ms${raw.has('interval') ? '' : ' (by default)'}: one late renewal would lose the key`,
      raiseTtl(2 * intervalMs),
    ],
    [
      fall > 1 &&
        timeoutMs <= intervalMs &&
        ttlMs >= 2 * intervalMs &&
        ttlMs < intervalMs + timeoutMs + renewalMs,
      `${ttl} is shorter than ${interval}, ${timeout} and 1 s together: with --fall ${fall} a lease is renewed after a check that failed`,
      raiseTtl(intervalMs + timeoutMs + renewalMs),
    ],
    [
      tolerateMs > ttlMs,
      `--tolerate ${tolerateMs} ms is longer than ${ttl}: a key outlives its app by no more than that`,
      'lower --tolerate or raise --ttl',
    ],
    [
      tolerateMs > 0 && raw.has('check-socket'),
      '--tolerate is for a port on which nothing listens, and --check-socket checks something else',
      'leave --tolerate out, or give a greater --fall instead',
    ],
  );
}

/** The shortest TTL, in seconds, that breaks no rule with these times. */
export function ttlSecondsFor({
  intervalMs,
  timeoutMs,
  fall,
}: Pick<ServiceConfig, 'intervalMs' | 'timeoutMs' | 'fall'>): number {
  const renewedMs = fall > 1 ? intervalMs + timeoutMs + renewalMs : 0;
  return Math.ceil(Math.max(2 * intervalMs, renewedMs) / 1000);
}

/** How a TTL that is too short for this time becomes long enough. */
function raiseTtl(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds > longestTtlSeconds
    ? 'lower --interval: --ttl is at most 24h'
    : `use --ttl ${seconds}s or more, or lower --interval`;
}
