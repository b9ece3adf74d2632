/**
 * Reads etcd's answers. The package decodes whatever came: a part that is missing is null, a number that is missing is 0,
 * and whoever speaks gRPC at the endpoint may answer anything. What does not fit a request is refused here, with the
 * name of the field and its value, so that nothing behind this file meets an answer that etcd would not give.
 */
import type { LeaseId, Observed, Stored } from '../core/lease/writes.ts';
import type { ListedKey, MemberStatus, TimeToLive, WriteAnswer } from './ports.ts';

/** An answer that does not fit its request. */
export class MisfitError extends Error {
  override readonly name = 'MisfitError';
}

/** The most UTF-16 code units of a value that a message shows. */
const shownLength = 60;

function misfit(field: string, value: unknown, rule: string): never {
  const json = JSON.stringify(Buffer.isBuffer(value) ? value.toString() : value) as string | undefined;
  const shown = json?.slice(0, shownLength) ?? 'missing';
  throw new MisfitError(`the answer does not fit: ${field} is ${shown}, not ${rule}`);
}

function message(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  return misfit(field, value, 'a message');
}

function list(value: unknown, field: string): readonly unknown[] {
  return Array.isArray(value) ? value : misfit(field, value, 'a list');
}

function text(value: unknown, field: string): string {
  return typeof value === 'string' ? value : misfit(field, value, 'a text');
}

function bytes(value: unknown, field: string): Buffer {
  return Buffer.isBuffer(value) ? value : misfit(field, value, 'bytes');
}

/** Returns a whole number in decimal, as the package writes 64 bits, unless it is below `least`. */
function integer(value: unknown, field: string, least = -Infinity): string {
  if (typeof value !== 'string' || !/^-?\d{1,20}$/.test(value)) return misfit(field, value, 'a whole number');
  return Number(value) >= least ? value : misfit(field, value, `a number of ${least} or more`);
}

/** Checks that a lease was granted as it was asked for. etcd may give more time than asked, and no less. */
export function readGrant(answer: unknown, id: LeaseId, ttlSeconds: number): void {
  const { ID, TTL, error } = message(answer, 'the answer');
  if (error !== '') misfit('error', error, 'empty');
  if (ID !== id) misfit('ID', ID, id);
  integer(TTL, 'TTL', ttlSeconds);
}

/** Returns whether the lease lives. */
export function readKeepAlive(answer: unknown, id: LeaseId): boolean {
  const { ID, TTL } = message(answer, 'the answer');
  if (ID !== id) misfit('ID', ID, id);
  return Number(integer(TTL, 'TTL')) > 0;
}

/** Returns what etcd holds under these keys, from the answer to a transaction that reads each of them. */
export function readKeys(responses: unknown, keys: readonly string[]): Observed {
  const each = responsesTo(responses, keys.length);
  return new Map(
    each.flatMap((response, index): [string, Stored][] => {
      const { kvs } = message(message(response, 'a response')['response_range'], 'response_range');
      const [pair, second] = list(kvs, 'kvs');
      if (second !== undefined) misfit('kvs', list(kvs, 'kvs').length, 'at most one key');
      if (pair === undefined) return [];
      const { key, value, lease, modRevision } = readPair(pair);
      if (key !== keys[index]) misfit('key', key, JSON.stringify(keys[index]));
      return [[key, { value, lease, modRevision }]];
    }),
  );
}

function responsesTo(responses: unknown, count: number): readonly unknown[] {
  const each = list(responses, 'responses');
  return each.length === count ? each : misfit('the number of responses', each.length, String(count));
}

export function readTransaction(
  answer: unknown,
  writes: number,
  readsOnFailure: readonly string[],
): WriteAnswer {
  const { succeeded, header, responses } = message(answer, 'the answer');
  if (succeeded === true) {
    responsesTo(responses, writes);
    return {
      kind: 'written',
      modRevision: integer(message(header, 'header')['revision'], 'header.revision', 1),
    };
  }
  return { kind: 'refused', observed: readKeys(responses, readsOnFailure) };
}

export function readStatus(answer: unknown): MemberStatus {
  const { header, version, leader, errors } = message(answer, 'the answer');
  const texts = list(errors, 'errors').map(error => text(error, 'errors'));
  return {
    version: text(version, 'version'),
    clusterId: integer(message(header, 'header')['cluster_id'], 'header.cluster_id'),
    hasLeader: integer(leader, 'leader') !== '0',
    alarms: texts.flatMap(error => /alarm:(\w+)/.exec(error)?.[1] ?? []),
  };
}

/** Returns null when the lease does not exist. */
export function readTimeToLive(answer: unknown, id: LeaseId): TimeToLive | null {
  const { ID, TTL, grantedTTL } = message(answer, 'the answer');
  if (ID !== id) misfit('ID', ID, id);
  const leftSeconds = Number(integer(TTL, 'TTL'));
  return leftSeconds < 0
    ? null
    : { leftSeconds, grantedSeconds: Number(integer(grantedTTL, 'grantedTTL', 0)) };
}

/** gRPC can send printable ASCII. The text itself is a secret and not part of the message. */
export function readToken(answer: unknown): string {
  const token = text(message(answer, 'the answer')['token'], 'token');
  if (token === '') misfit('token', '', 'a token');
  if (!/^[ -~]+$/.test(token) || token.length > longestToken)
    misfit('token', `${token.length} characters`, `at most ${longestToken} printable ones`);
  return token;
}

/** A JSON web token has some hundred characters, and an HTTP/2 header at most 16 KiB without a continuation. */
const longestToken = 8192;

export interface Page {
  readonly keys: readonly ListedKey[];
  /** Where the next page begins; null after the last one. */
  readonly next: Buffer | null;
  /** The bytes of its keys and values. */
  readonly size: number;
}

/** Reads a page of at most `most` keys in [`from`, `end`). A page that does not lead on would be read for ever. */
export function readPage(answer: unknown, from: Buffer, end: Buffer, most: number): Page {
  const { kvs, more } = message(answer, 'the answer');
  const pairs = list(kvs, 'kvs').map(readPair);
  if (pairs.length > most) misfit('the number of keys', pairs.length, `at most ${most}`);
  if (more === true && pairs.length < most)
    misfit('more', true, `false after ${pairs.length} of ${most} keys`);
  let last: Buffer | null = null;
  let size = 0;
  for (const { bytes: key, value } of pairs) {
    const isNext = last === null ? key.compare(from) >= 0 : key.compare(last) > 0;
    if (!isNext || key.compare(end) >= 0) misfit('key', key, 'the next one of the range');
    last = key;
    size += key.length + value.length;
  }
  const keys = pairs.map(({ key, value, lease, createRevision }) => ({ key, value, lease, createRevision }));
  return { keys, next: more === true && last ? Buffer.concat([last, Buffer.of(0)]) : null, size };
}

interface Pair extends ListedKey, Stored {
  readonly bytes: Buffer;
}

function readPair(pair: unknown): Pair {
  const {
    key,
    value,
    lease,
    mod_revision: modRevision,
    create_revision: createRevision,
  } = message(pair, 'kv');
  const raw = bytes(key, 'key');
  return {
    bytes: raw,
    key: raw.toString(),
    value: bytes(value, 'value').toString(),
    lease: integer(lease, 'lease'),
    modRevision: integer(modRevision, 'mod_revision', 1),
    createRevision: integer(createRevision, 'create_revision', 1),
  };
}
