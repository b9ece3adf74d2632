/**
 * A proxy in front of an etcd that is well. Between the answers it sends frames of HTTP/2 that nobody asked for: as many
 * as the client reads.
 */
import { connect, type Socket } from 'node:net';
import { startRawServer } from './raw-server.ts';

/** A frame of HTTP/2. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const one = Buffer.from([0, 0, 0, 1]);
const priority = Buffer.from([0, 0, 0, 0, 1]);
/** `:status 103` and one header, without an index. */
const informational = Buffer.from([0x08, 3, 0x31, 0x30, 0x33, 0x00, 1, 0x61, 1, 0x62]);
/** A header of 4000 bytes that the peer is to keep, and 10,000 references to it, of a byte each. */
const bomb = Buffer.concat([
  Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]),
  Buffer.alloc(4000, 0x62),
  Buffer.alloc(10_000, 0xbe),
]);

/** By name, the frames that are sent again and again. `stream` is the one of the newest call. */
export const floods: Readonly<Record<string, (stream: number) => readonly Buffer[]>> = {
  PING: () => [frame(6, 0, 0, Buffer.alloc(8))],
  'answers to PING': () => [frame(6, 1, 0, Buffer.alloc(8))],
  SETTINGS: () => [frame(4, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100]))],
  'empty SETTINGS': () => [frame(4, 0, 0)],
  'answers to SETTINGS': () => [frame(4, 1, 0)],
  'WINDOW_UPDATE of the connection': () => [frame(8, 0, 0, one)],
  'WINDOW_UPDATE of the call': stream => [frame(8, 0, stream, one)],
  PRIORITY: stream => [frame(2, 0, stream + 2, priority)],
  'frames of an unknown type': () => [frame(0xee, 0, 0, Buffer.alloc(20))],
  'large frames of an unknown type': () => [frame(0xee, 0, 0, Buffer.alloc(16_384))],
  ALTSVC: () => [frame(0xa, 0, 0, Buffer.from('\0\x0ahttp://a/ah2=":1"'))],
  ORIGIN: () => [frame(0xc, 0, 0, Buffer.from('\0\x08https://'))],
  'empty DATA': stream => [frame(0, 0, stream)],
  'DATA of one byte': stream => [frame(0, 0, stream, Buffer.from([0]))],
  'HEADERS that are informational': stream => [frame(1, 4, stream, informational)],
  'HEADERS that are a bomb': stream => [frame(1, 4, stream, bomb)],
  CONTINUATION: stream => [
    frame(1, 0, stream, Buffer.from([0x88])),
    ...Array.from({ length: 1000 }, () => frame(9, 0, stream)),
  ],
  RST_STREAM: stream => [frame(3, 0, stream, one)],
  'RST_STREAM of old calls': () => [frame(3, 0, 1, one)],
  GOAWAY: () => [frame(7, 0, 0, Buffer.concat([Buffer.from([0x7f, 0xff, 0xff, 0xff]), Buffer.alloc(4)]))],
  PUSH_PROMISE: stream => [frame(5, 4, stream, Buffer.from([0, 0, 0, 2, 0x88]))],
};

export interface FloodingProxy {
  readonly endpoint: string;
  /** The connections that are open. */
  open(): number;
  /** What it sends between the answers; null for nothing. */
  flood: ((stream: number) => readonly Buffer[]) | null;
  /** Bytes of the flood. */
  sent: number;
  close(): void;
}

const headBytes = 9;

/** Splits what it is given into frames, and returns the complete ones. */
function splitter(): (bytes: Buffer) => Buffer[] {
  let rest = Buffer.alloc(0);
  return bytes => {
    const frames: Buffer[] = [];
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      const length = rest.length < headBytes ? Infinity : headBytes + rest.readUIntBE(0, 3);
      if (length > rest.length) return frames;
      frames.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  };
}

const preface = 24;

/** @param target the endpoint of an etcd that is well */
export async function startFloodingProxy(
  target: string,
  flood: FloodingProxy['flood'] = null,
): Promise<FloodingProxy> {
  const port = Number(new URL(target).port);
  const server = await startRawServer((client: Socket) => {
    const etcd = connect(port, '127.0.0.1').on('error', () => undefined);
    client.once('close', () => etcd.destroy());
    etcd.once('close', () => client.destroy());
    let stream = 1;
    let toSkip = preface;
    const split = splitter();
    client.on('data', (bytes: Buffer) => {
      etcd.write(bytes);
      const skipped = Math.min(toSkip, bytes.length);
      toSkip -= skipped;
      for (const each of split(bytes.subarray(skipped))) if (each[3] === 1) stream = each.readUInt32BE(5);
    });
    const answers = splitter();
    let isFirst = true;
    etcd.on('data', (bytes: Buffer) => {
      for (const each of answers(bytes)) client.write(each);
      if (isFirst) pour();
      isFirst = false;
    });
    const pour = (): void => {
      if (client.destroyed) return;
      const frames = result.flood?.(stream) ?? [];
      if (frames.length === 0) return void setTimeout(pour, 20);
      const batch = Buffer.concat(
        Array.from({ length: Math.ceil(65_536 / Buffer.concat([...frames]).length) }, () => frames).flat(),
      );
      result.sent += batch.length;
      if (client.write(batch)) setImmediate(pour);
      else client.once('drain', pour);
    };
  });
  const result: FloodingProxy = {
    endpoint: `http://127.0.0.1:${server.port}`,
    open: () => server.openConnections,
    flood,
    sent: 0,
    close: () => server.close(),
  };
  return result;
}
