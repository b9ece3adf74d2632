/**
 * Lets a program that started containers or processes end them before it goes, however it is told to end.
 */

/** A signal asked the program to end. */
export class Interruption extends Error {
  override readonly name = 'Interruption';
  /** What a shell reports for a program that the signal has ended. */
  readonly exitCode: 130 | 143;

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(signal);
    this.exitCode = signal === 'SIGINT' ? 130 : 143;
  }
}

/** Rejects with an Interruption at SIGINT or SIGTERM, and never resolves. From now on the signals do nothing else. */
export function interrupted(): Promise<never> {
  const interruption = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => reject(new Interruption(signal)));
  });
  interruption.catch(() => undefined);
  return interruption;
}
