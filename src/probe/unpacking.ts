/** Unpacks the body of an answer that is packed although the check asked for a plain one. */
import { pipeline } from 'node:stream/promises';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';

/** By the first part of a body. */
const unpackers: Readonly<Record<string, (first: Buffer) => Transform>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  // Some servers leave out the header, which has 8 as the low half of its first byte.
  deflate: first => (((first[0] ?? 8) & 0x0f) === 8 ? createInflate() : createInflateRaw()),
  br: () => createBrotliDecompress(),
};

export function canUnpack(coding: string): boolean {
  return Object.hasOwn(unpackers, coding);
}

/**
 * Unpacks only as much as is read of the result. Rejects with the error of the body, or with one of zlib.
 * @param coding is one that can be unpacked
 */
export async function* unpack(
  body: AsyncIterable<Buffer>,
  coding: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const pieces = body[Symbol.asyncIterator]();
  const first = await pieces.next();
  const unpacker = first.done ? undefined : unpackers[coding]?.(first.value);
  if (unpacker === undefined || first.done) return;
  const rest = { [Symbol.asyncIterator]: () => pieces };
  const whole = async function* (): AsyncGenerator<Buffer, void> {
    yield first.value;
    yield* rest;
  };
  // Its error destroys the unpacker, and comes out of that.
  void pipeline(whole, unpacker, { signal }).catch(() => undefined);
  yield* unpacker as AsyncIterable<Buffer>;
}
