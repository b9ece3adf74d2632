/** An instance of the example app with its dockreg, as the stories see it. */
export interface Instance {
  readonly name: string;
  /** Where others reach the app: `10.1.0.101:49155`. */
  readonly address: string;
  /** What the app has said so far. */
  log(): Promise<string>;
  /** What `docker stop` does: a signal, time to end in good order, then force. */
  stop(): Promise<void>;
  /** What a lost host or `docker kill` does: gone without a word. */
  kill(): Promise<void>;
}

export function keyOf({ address }: Instance): string {
  return `/service/${address}`;
}
