/** A limit that counts only the time in which we ourselves ran. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ownTime, systemClock, type Clock } from '../../src/clock.ts';

/** A clock that goes by hand. What a timer starts when it is over begins then, as in Node, however late that is. */
function clockByHand(): { readonly clock: Clock; readonly go: (ms: number) => void } {
  let now = 0;
  let timers: { readonly at: number; readonly run: () => void }[] = [];
  return {
    clock: {
      ...systemClock,
      now: () => now,
      after(ms, run) {
        const timer = { at: now + ms, run };
        timers.push(timer);
        return () => {
          timers = timers.filter(each => each !== timer);
        };
      },
    },
    go(ms) {
      now += ms;
      const over = timers.filter(({ at }) => at <= now);
      timers = timers.filter(({ at }) => at > now);
      for (const { run } of over) run();
    },
  };
}

function limitOf3s(): { readonly go: (ms: number) => void; readonly cancel: () => void; over: boolean } {
  const { clock, go } = clockByHand();
  const limit = { go, cancel: ownTime(clock).after(3000, () => (limit.over = true)), over: false };
  return limit;
}

describe('a limit in our own time', () => {
  it('is over after its time when we run all the time', () => {
    const limit = limitOf3s();
    for (let ms = 10; ms < 3000; ms += 10) limit.go(10);
    assert.equal(limit.over, false);
    limit.go(10);
    assert.equal(limit.over, true);
  });

  it('is not over because we were stopped for longer', () => {
    const limit = limitOf3s();
    limit.go(60_000);
    assert.equal(limit.over, false);
    for (let ms = 250; ms < 2750; ms += 250) limit.go(250);
    assert.equal(limit.over, false);
    limit.go(250);
    assert.equal(limit.over, true);
  });

  it('is over at last for a process that is always late', () => {
    const limit = limitOf3s();
    for (let turn = 1; turn < 12; turn++) limit.go(5000);
    assert.equal(limit.over, false);
    limit.go(5000);
    assert.equal(limit.over, true);
  });

  it('that was cancelled never is', () => {
    const limit = limitOf3s();
    limit.go(1000);
    limit.cancel();
    for (let turn = 0; turn < 20; turn++) limit.go(1000);
    assert.equal(limit.over, false);
  });
});
