/**
 * Shows a story: opens its stage, plays it before a person, and ends the process with 0 only if every step was seen.
 * `--keep` leaves the stage open until Ctrl-C, `--no-story` does that without the story.
 */
import type { Watcher } from '../test/support/etcd-watcher.ts';
import { interrupted, Interruption } from '../test/support/interruption.ts';
import { Keys } from './keys.ts';
import { Screen } from './screen.ts';

/** Where a story is played. */
export interface Stage {
  /** In a sentence, for the person who watches. */
  readonly description: string;
  /** Records what happens under /service/. */
  watch(): Promise<Watcher>;
  /** Starts what is not running, for somebody who looks around. */
  refill(): Promise<void>;
  /** Commands to look around with, for as long as the stage is open. */
  lookAround(): readonly string[];
  /** Ends all that was started. May be called again. */
  close(): Promise<void>;
}

/** Each step has a deadline; the first that is not seen ends the story with an error that says so. */
export type Story<S extends Stage> = (stage: S, keys: Keys, screen: Screen) => Promise<void>;

export async function show<S extends Stage>(open: () => Promise<S>, play: Story<S>): Promise<never> {
  const noStory = process.argv.includes('--no-story');
  const keep = noStory || process.argv.includes('--keep');
  const interruption = interrupted();
  const screen = new Screen();
  const begun = Date.now();
  let stage: S | undefined;
  let code = 0;
  try {
    screen.say('starting the engine, the images and etcd');
    const opening = open();
    opening.then(opened => (stage = opened)).catch(() => undefined);
    stage = await Promise.race([opening, interruption]);
    screen.say(stage.description);
    const keys = new Keys(await stage.watch(), screen);
    if (!noStory) {
      await Promise.race([play(stage, keys, screen), interruption]);
      screen.say(`all seen, ${Math.round((Date.now() - begun) / 1000)} s in all`);
    }
    if (keep) {
      await Promise.race([stage.refill(), interruption]);
      screen.chapter('It stays until Ctrl-C. To look around:');
      for (const command of stage.lookAround()) screen.say(command);
      await interruption;
    }
  } catch (error) {
    if (!(error instanceof Interruption)) {
      screen.failed(error instanceof Error ? error.message : String(error));
      code = 1;
    } else if (!keep) code = 130;
  } finally {
    screen.say('cleaning up');
    screen.close();
    await stage?.close();
  }
  process.exit(code);
}
