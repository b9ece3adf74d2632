/**
 * Runs a demo: sets up its stage, plays its story, and ends the process with 0 only if every step succeeded. `--keep`
 * leaves everything running until Ctrl-C; `--no-story` does so without playing the story.
 */
import type { Watcher } from '../test/support/etcd-watcher.ts';
import { interrupted, Interruption } from '../test/support/interruption.ts';
import { Keys } from './keys.ts';
import { Screen } from './screen.ts';

/** What a demo runs on. */
export interface Stage {
  /** One line for the screen. */
  readonly description: string;
  /** Starts to record the changes of the app's keys. */
  watch(): Promise<Watcher>;
  /** Starts the instances that are not running, so that a person can explore. */
  refill(): Promise<void>;
  /** Commands to explore the stage while it is open. */
  lookAround(): readonly string[];
  /** Ends everything that was started. May be called more than once. */
  close(): Promise<void>;
}

/** Plays the steps. Each has a deadline; the first step that misses it rejects with an error that names it. */
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
    screen.say('setting up');
    const opening = open();
    opening.then(opened => (stage = opened)).catch(() => undefined);
    stage = await Promise.race([opening, interruption]);
    screen.say(stage.description);
    const keys = new Keys(await stage.watch(), screen);
    if (!noStory) {
      await Promise.race([play(stage, keys, screen), interruption]);
      screen.say(`all steps succeeded in ${Math.round((Date.now() - begun) / 1000)} s`);
    }
    if (keep) {
      await Promise.race([stage.refill(), interruption]);
      screen.chapter('Everything runs until Ctrl-C. To explore:');
      for (const command of stage.lookAround()) screen.say(command);
      await interruption;
    }
  } catch (error) {
    if (!(error instanceof Interruption)) {
      screen.failed(error instanceof Error ? error.message : String(error));
      code = 1;
    } else if (!keep) code = error.exitCode;
  } finally {
    screen.say('cleaning up');
    screen.close();
    await stage?.close();
  }
  process.exit(code);
}
