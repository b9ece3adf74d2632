/** An instance of the example app with its dockreg, as a demo uses it. */
export interface Instance {
  readonly name: string;
  /** The address at which others reach the app: `10.1.0.101:49155`. */
  readonly address: string;
  /** Resolves with the app's log so far. */
  log(): Promise<string>;
  /** Stops it as `docker stop` does: a signal, time for a clean end, then SIGKILL. */
  stop(): Promise<void>;
  /** Ends it at once, as `docker kill` or the loss of the host does. */
  kill(): Promise<void>;
}

/** The parent of the keys in a demo, as in --key. */
export const parent = 'web';

export function keyOf({ address }: Instance): string {
  return `/${parent}/${address}`;
}
