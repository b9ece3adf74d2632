/** What a connection to etcd may carry: what is normal passes, however much it is, and a flood does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrameMeter } from '../../src/etcd/frames.ts';
import { floods, frame } from '../support/flooding-etcd.ts';

const second = 1000;
/** The frames of an answer of so many bytes, as etcd sends them. */
const answer = (size: number): Buffer[] => [
  frame(1, 4, 1, Buffer.alloc(60)),
  ...Array.from({ length: Math.ceil(size / 16_384) }, () => frame(0, 0, 1, Buffer.alloc(16_384))),
  frame(1, 5, 1, Buffer.alloc(40)),
  frame(6, 0, 0, Buffer.alloc(8)),
  frame(8, 0, 0, Buffer.alloc(4)),
];
const event = frame(0, 0, 1, Buffer.alloc(200));

class Bed {
  readonly meter = new FrameMeter(0);
  now = 0;

  /** Returns what is wrong, or null. */
  send(frames: readonly Buffer[], chunkSize = 65_536): string | null {
    const bytes = Buffer.concat([...frames]);
    for (let at = 0; at < bytes.length; at += chunkSize) {
      const wrong = this.meter.count(bytes.subarray(at, at + chunkSize), this.now);
      if (wrong !== null) return wrong;
    }
    return null;
  }

  /** As often, so many ms apart. */
  repeat(times: number, gapMs: number, ...frames: readonly Buffer[]): string | null {
    for (let count = 0; count < times; count++, this.now += gapMs) {
      const wrong = this.send(frames);
      if (wrong !== null) return wrong;
    }
    return null;
  }
}

describe('a connection to etcd is kept', () => {
  const rows: [name: string, load: (bed: Bed) => string | null][] = [
    [
      'while 20 pages of 4 MiB are listed as fast as they come',
      bed => {
        const page = answer(4 * 2 ** 20);
        for (let count = 0; count < 20; count++) {
          bed.meter.expectAnswer();
          bed.now += 10;
          const wrong = bed.send(page);
          if (wrong !== null) return wrong;
        }
        return null;
      },
    ],
    [
      'while 100 services renew at once, each second',
      bed => {
        for (let moment = 0; moment < 100; moment++, bed.now += second)
          for (let call = 0; call < 200; call++) {
            bed.meter.expectAnswer();
            const wrong = bed.send(answer(100));
            if (wrong !== null) return wrong;
          }
        return null;
      },
    ],
    ['over 4,000 events of a watch at once', bed => bed.repeat(4000, 0, event)],
    ['over 900 events of a watch a second, for minutes', bed => bed.repeat(100_000, 1.1, event)],
    ['over a watch whose events fill 4 MiB', bed => bed.send(answer(4 * 2 ** 20))],
    ['over a PING a second, for a day', bed => bed.repeat(86_400, second, frame(6, 0, 0, Buffer.alloc(8)))],
    ['over GOAWAY and the end of all streams', bed => bed.repeat(100, 0, frame(7, 0, 0, Buffer.alloc(8)))],
  ];
  for (const [name, load] of rows) {
    it(name, () => {
      assert.equal(load(new Bed()), null);
    });
  }
});

describe('a connection to etcd is closed', () => {
  for (const [name, flood] of Object.entries(floods)) {
    it(`at a flood: ${name}`, () => {
      for (const [times, gapMs] of [
        [2000, 0],
        [40_000, 2],
      ] as const)
        assert.match(
          new Bed().repeat(times, gapMs, ...flood(1)) ?? '',
          /^it sent too many frames of HTTP\/2/,
        );
    });
  }

  it('at a flood in pieces of any size, which names its kind', () => {
    for (const size of [1, 2, 7, 16, 17, 18, 1000]) {
      const wrong = new Bed().send(
        Array.from({ length: 2000 }, () => frame(6, 0, 0, Buffer.alloc(8))),
        size,
      );
      assert.match(wrong ?? '', /most of them PING$/);
    }
    assert.match(new Bed().repeat(2000, 0, frame(77, 0, 0)) ?? '', /most of them of type 77$/);
  });

  it('when an answer comes in small pieces, or never ends', () => {
    assert.match(new Bed().repeat(2000, 0, frame(0, 0, 1, Buffer.alloc(10))) ?? '', /most of them DATA$/);
    assert.equal(
      new Bed().repeat(2000, 5, frame(0, 0, 1, Buffer.alloc(16_384))),
      'it sent more than 8 MiB that nothing asked for',
    );
  });

  it('at a flood between calls, which earn the member little', () => {
    const bed = new Bed();
    let wrong: string | null = null;
    for (let calls = 0; calls < 20 && wrong === null; calls++) {
      bed.meter.expectAnswer();
      wrong = bed.repeat(400, 0, frame(4, 0, 0));
    }
    assert.match(wrong ?? '', /most of them SETTINGS$/);
  });
});
