/** Reads the body of an answer of HTTP up to a limit, unpacks it, and searches it for what the check expects. */
import type { HttpProgress } from './answer.ts';
import type { Match } from './expectation.ts';

/** Only this much of a body is read, packed or not, in bytes. */
export const mostBytes = 64 * 1024;
/** How much of its start is kept for messages, in bytes. */
const mostStart = 100;

/** What was read of a body. */
export interface BodyResult {
  /** Whether it has what the check expects; true if that is nothing. */
  readonly isMatch: boolean;
  readonly start: Buffer;
  /** How many bytes were searched. */
  readonly bytes: number;
  /** Whether the limit was reached. */
  readonly isCut: boolean;
  /** `packed` if it cannot be unpacked and was searched as it came, `broken` if it is not what its coding says. */
  readonly state: 'plain' | 'packed' | 'broken';
}

/**
 * Counts in `progress` what comes. Rejects with the error of the body.
 * @param coding in which the body is packed, as `codingOf` returns it; it is unpacked only where there is a match
 */
export async function readBody(
  body: AsyncIterable<Buffer>,
  coding: string,
  match: Match | undefined,
  progress: HttpProgress,
  signal: AbortSignal,
): Promise<BodyResult> {
  const unpacking = match && coding !== '' ? await import('./unpacking.ts') : undefined;
  let lost: { readonly error: unknown } | undefined;
  const raw = async function* (): AsyncGenerator<Buffer, void> {
    try {
      for await (const part of body) {
        const left = mostBytes - progress.bodyBytes;
        progress.bodyBytes += part.length;
        yield part.subarray(0, left);
        if (progress.bodyBytes >= mostBytes) break;
      }
    } catch (error) {
      lost = { error };
      throw error;
    }
  };
  const canUnpack = unpacking?.canUnpack(coding) === true;
  const text = canUnpack ? unpacking.unpack(raw(), coding, signal) : raw();
  // An empty body may be what is expected.
  let isMatch = (await match?.add(Buffer.alloc(0), signal)) ?? true;
  let start = Buffer.alloc(0);
  let bytes = 0;
  let isBroken = false;
  try {
    for await (const part of text) {
      const left = mostBytes - bytes;
      bytes += part.length;
      if (start.length < mostStart) start = Buffer.concat([start, part.subarray(0, mostStart)]);
      if (match) isMatch = await match.add(part.subarray(0, left), signal);
      if (bytes >= mostBytes) break;
    }
  } catch (error) {
    if (lost) throw lost.error;
    if (!canUnpack) throw error;
    isBroken = true;
  }
  const isCut = Math.max(bytes, progress.bodyBytes) >= mostBytes;
  // What is packed and cut cannot be whole.
  const state = isBroken && !isCut ? 'broken' : coding === '' || canUnpack ? 'plain' : 'packed';
  return { isMatch, start, bytes, isCut, state };
}

/** The codings in which a body is packed: `gzip`, `gzip, br`; the empty string for none. */
export function codingOf(field = ''): string {
  const codings = field.toLowerCase().split(',');
  return codings
    .map(coding => coding.trim())
    .filter(coding => coding !== '' && coding !== 'identity')
    .join(', ');
}
