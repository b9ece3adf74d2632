/** Just enough of protobuf's encoding to write and read etcd's messages by hand, the wrong ones too. */

/** A field: its number, and a varint, bytes or a text. */
export type Field = readonly [number: number, value: number | bigint | string | Buffer];

export function encode(...fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'bigint')
        return [varint(BigInt(number << 3)), varint(BigInt.asUintN(64, BigInt(value)))];
      const bytes = Buffer.from(value as string);
      return [varint(BigInt((number << 3) | 2)), varint(BigInt(bytes.length)), bytes];
    }),
  );
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}

export class Message {
  readonly #fields: readonly (readonly [number, bigint | Buffer])[];

  constructor(bytes: Buffer) {
    const fields: (readonly [number, bigint | Buffer])[] = [];
    let at = 0;
    const read = (): bigint => {
      let value = 0n;
      for (let shift = 0n; ; shift += 7n) {
        const byte = bytes.readUInt8(at++);
        value |= BigInt(byte & 127) << shift;
        if (byte < 128) return value;
      }
    };
    while (at < bytes.length) {
      const tag = Number(read());
      if ((tag & 7) === 0) {
        fields.push([tag >> 3, read()]);
        continue;
      }
      const length = Number(read());
      fields.push([tag >> 3, bytes.subarray(at, at + length)]);
      at += length;
    }
    this.#fields = fields;
  }

  /** The values of a field, in order. */
  all(number: number): Buffer[] {
    return this.#fields.flatMap(([each, value]) =>
      each === number && Buffer.isBuffer(value) ? [value] : [],
    );
  }

  bytes(number: number): Buffer {
    return this.all(number)[0] ?? Buffer.alloc(0);
  }

  integer(number: number): bigint {
    const value = this.#fields.find(([each]) => each === number)?.[1];
    return typeof value === 'bigint' ? value : 0n;
  }
}
