/**
 * `npm run demo`: plays the story on containers, or with `--processes` on plain processes, and ends with 0 only if
 * every step was seen. `--keep` leaves it running until Ctrl-C.
 */
import { openContainers } from './containers.ts';
import { openProcesses } from './processes.ts';
import { Screen } from './screen.ts';
import type { Stage } from './stage.ts';
import { play } from './story.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => interrupted.abort(new Error(signal)));
const interruption = new Promise<never>((_, reject) => {
  interrupted.signal.addEventListener('abort', () => reject(interrupted.signal.reason as Error));
});
interruption.catch(() => undefined);

const screen = new Screen();
const begun = Date.now();
let stage: Stage | undefined;
let code = 0;
try {
  screen.say('starting the engine, the images and etcd');
  const opening = process.argv.includes('--processes') ? openProcesses() : openContainers();
  opening.then(opened => (stage = opened)).catch(() => undefined);
  stage = await Promise.race([opening, interruption]);
  screen.say(stage.description);
  await Promise.race([play(stage, screen), interruption]);
  screen.say(`all seen, ${Math.round((Date.now() - begun) / 1000)} s in all`);
  if (process.argv.includes('--keep')) {
    const { start } = stage;
    await Promise.race([Promise.all(['web-1', 'web-3'].map(start)), interruption]);
    screen.chapter('It stays until Ctrl-C. To look around:');
    for (const command of stage.lookAround()) screen.say(command);
    await interruption;
  }
} catch (error) {
  if (!interrupted.signal.aborted) {
    screen.failed(error instanceof Error ? error.message : String(error));
    code = 1;
  } else if (!process.argv.includes('--keep')) code = 130;
} finally {
  screen.say('cleaning up');
  screen.close();
  await stage?.close();
}
process.exit(code);
