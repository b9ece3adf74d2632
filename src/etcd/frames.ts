/**
 * Counts what a member of etcd sends on a connection, in frames of HTTP/2. A healthy one sends little that is not part of
 * an answer. A flood of frames costs more than the bytes that carry it: each frame of a few bytes may call a function of
 * ours and send an answer. Two budgets are used up by what comes, and refilled by time and by each call.
 */

interface Budget {
  /** What there is at the start, and at most. */
  readonly most: number;
  readonly perSecond: number;
  readonly perCall: number;
}

/** Bytes. gRPC takes no answer of more than 4 MiB. */
const bytes: Budget = { most: 8 * 2 ** 20, perSecond: 128 * 2 ** 10, perCall: 5 * 2 ** 20 };
/** Frames, by what they cost. An answer costs about ten, and one of 4 MiB about 70. */
const frames: Budget = { most: 1000, perSecond: 200, perCall: 200 };

/** What a frame of data takes of the budget of frames: a stream of small messages is what a watch is for. */
const dataCost = 0.2;
/** With fewer bytes than this it costs as much as any other. */
const leastData = 64;
/** Other frames cost one more for each so many bytes. */
const bytesPerCost = 64;
/** The longest payload that we allow. What says that it is longer, such as an answer of HTTP/1, is refused by node:http2. */
const mostFrame = 16_384;

const headBytes = 9;
const data = 0;
/** The names of the types of frames, by number. */
const names = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
] as const;

export class FrameMeter {
  #bytesLeft = bytes.most;
  #framesLeft = frames.most;
  #refilledAt: number;
  /** How many frames of each type came since the budgets were full. */
  readonly #counts = new Map<number, number>();
  /** The head of a frame, as far as it has come. */
  readonly #head = Buffer.alloc(headBytes);
  #headLength = 0;
  /** How much of the frame's payload is still to come. */
  #toSkip = 0;

  /** @param now in monotonic ms */
  constructor(now: number) {
    this.#refilledAt = now;
  }

  /** A call begins, whose answer is to come. */
  expectAnswer(): void {
    this.#refill(1, bytes.perCall, frames.perCall);
  }

  /** Counts what came. Returns what is wrong with it, or null. */
  count(chunk: Buffer, now: number): string | null {
    const seconds = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    this.#refill(seconds, bytes.perSecond, frames.perSecond);
    if (this.#bytesLeft === bytes.most && this.#framesLeft === frames.most) this.#counts.clear();
    this.#bytesLeft -= chunk.length;
    for (let at = 0; at < chunk.length && this.#framesLeft >= 0;) {
      if (this.#toSkip > 0) {
        const skipped = Math.min(this.#toSkip, chunk.length - at);
        this.#toSkip -= skipped;
        at += skipped;
        continue;
      }
      const copied = chunk.copy(this.#head, this.#headLength, at);
      this.#headLength += copied;
      at += copied;
      if (this.#headLength === headBytes) this.#begin(this.#head.readUIntBE(0, 3), this.#head.readUInt8(3));
    }
    if (this.#framesLeft >= 0 && this.#bytesLeft >= 0) return null;
    return this.#describe();
  }

  /** A frame begins. */
  #begin(length: number, type: number): void {
    this.#headLength = 0;
    this.#toSkip = length;
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
    if (type === data) this.#framesLeft -= length < leastData ? 1 : dataCost;
    else this.#framesLeft -= 1 + Math.min(length, mostFrame) / bytesPerCost;
  }

  #refill(times: number, moreBytes: number, moreFrames: number): void {
    this.#bytesLeft = Math.min(bytes.most, this.#bytesLeft + times * moreBytes);
    this.#framesLeft = Math.min(frames.most, this.#framesLeft + times * moreFrames);
  }

  /** Leaves numbers out: the same flood reads the same each time. */
  #describe(): string {
    if (this.#bytesLeft < 0) return `it sent more than ${bytes.most / 2 ** 20} MiB that nothing asked for`;
    const [[type] = [data]] = [...this.#counts].toSorted(([, a], [, b]) => b - a);
    const name = names[type] ?? `of type ${type}`;
    return `it sent too many frames of HTTP/2 that nothing asked for, most of them ${name}`;
  }
}
