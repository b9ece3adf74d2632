/**
 * The keys of the app during a demo. Every change goes to the screen at once, and each step of the demo waits for
 * the change that it causes.
 */
import type { Watcher, WatchEvent } from '../test/support/etcd-watcher.ts';
import { listeningIn } from '../test/support/example.ts';
import { eventually } from '../test/support/wait.ts';
import { type Instance, keyOf } from './instance.ts';
import type { Screen } from './screen.ts';

/** The longest delay of a timer, 24 days. */
const forEverMs = 2 ** 31 - 1;

export class Keys {
  readonly #watcher: Watcher;
  readonly #screen: Screen;

  constructor(watcher: Watcher, screen: Screen) {
    this.#watcher = watcher;
    this.#screen = screen;
    void this.#showChanges();
  }

  /** Waits for the key of an instance that started at or after `since`, and shows its delay after the app listened. */
  async registered(instance: Instance, since: number): Promise<void> {
    const visible = await this.#changed('put', instance, since, 30_000);
    const listening = await eventually('the app listens', async () => listeningIn(await instance.log()));
    const took = performance.timeOrigin + visible - listening;
    this.#screen.measured(`${instance.name} listens → ${keyOf(instance)}`, took);
  }

  /** Waits until the instance's key is deleted at or after `since`. Rejects after `timeoutMs`. */
  async gone(why: string, instance: Instance, since: number, timeoutMs: number): Promise<void> {
    this.#screen.measured(
      `${why} → key gone`,
      (await this.#changed('delete', instance, since, timeoutMs)) - since,
    );
  }

  /** Waits until the instance's key is put at or after `since`. Rejects after `timeoutMs`. */
  async back(why: string, instance: Instance, since: number, timeoutMs: number): Promise<void> {
    this.#screen.measured(
      `${why} → key back`,
      (await this.#changed('put', instance, since, timeoutMs)) - since,
    );
  }

  /** Throws if the key of an instance was changed at or after `since`, or does not exist. */
  untouched(instance: Instance, since: number): void {
    const last = this.#watcher.events.findLast(({ key }) => key === keyOf(instance));
    if (last?.type !== 'put' || last.at >= since)
      throw new Error(`${instance.name} should be registered as before; etcd shows ${JSON.stringify(last)}`);
  }

  async #changed(
    type: WatchEvent['type'],
    instance: Instance,
    since: number,
    timeoutMs: number,
  ): Promise<number> {
    const key = keyOf(instance);
    const matches = (event: WatchEvent): boolean =>
      event.at >= since && event.type === type && event.key === key;
    return (await this.#watcher.first(matches, { timeoutMs })).at;
  }

  async #showChanges(): Promise<void> {
    for (let since = 0; ; since++) {
      const event = await this.#watcher.first(() => true, { since, timeoutMs: forEverMs });
      if (event.type === 'put') this.#screen.put(event);
      else this.#screen.removed(event.key);
    }
  }
}
