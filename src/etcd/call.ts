/**
 * How every request to one member of etcd is made: with a deadline, with a token where there is a user, and with each
 * failure as one of etcd/errors.ts.
 */
import type { CallOptions } from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';
import { type Clock, ownTime, TimeLimitError, within } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { tlsMessage } from '../tls/hints.ts';
import { MisfitError, readToken } from './answers.ts';
import { isTokenRefused, withToken, type TokenKeeper } from './auth.ts';
import {
  DeniedError,
  EtcdError,
  LeaseExistsError,
  LeaseGoneError,
  RequestError,
  SlowError,
} from './errors.ts';
import { networkHint, refusalHint, requestHint } from './hints.ts';
import type { CallLimit } from './ports.ts';
import type { Sockets } from './sockets.ts';

/** When gRPC ends a call that was given up, as a multiple of its limit. The limit itself is ours: it includes connecting. */
const abandonAfter = 4;
/** The limit of a password check, in ms. It is slow by design, and slower when many come at once. */
const authenticateMs = 60_000;
/** The limit of a request that costs etcd nothing, in ms. */
const pingMs = 3000;

/** What a call waits for. */
interface Progress {
  /** What the attempt under way is. */
  what: string;
  /** When that began, in monotonic ms. */
  sentAt: number;
  /** Whether the connection was up then. */
  wasReady: boolean;
  /** Nobody waits for the call any more. */
  isOver: boolean;
}

export interface CallerOptions {
  readonly clock: Clock;
  readonly tokens: TokenKeeper;
  readonly client: Etcd3;
  readonly endpoint: string;
  /** Whether we show etcd a certificate. */
  readonly hasCertificate: boolean;
  /** Whether the connection is up. */
  readonly isReady: () => boolean;
  /** Closes the connection. */
  readonly disconnect: () => void;
  readonly sockets: Pick<Sockets, 'flood' | 'expectAnswer'>;
}

export class Caller {
  readonly #options: CallerOptions;
  /** Counts only while this process runs. */
  readonly #ownTime: Clock;
  readonly #closed = new AbortController();
  /** When the member answered last, in monotonic ms. */
  #heardAt = -Infinity;
  #isAuthenticating = false;
  #isClosing = false;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#ownTime = ownTime(options.clock);
  }

  /**
   * Makes one request. A token that etcd refuses is replaced once, all within the limit.
   * @param token whether the first attempt gets a token, or makes do with the one that is known
   */
  async call<T>(
    what: string,
    limit: CallLimit,
    request: (options: CallOptions) => Promise<T>,
    token: 'required' | 'known' = 'required',
  ): Promise<T> {
    const { clock, isReady, sockets } = this.#options;
    refuseFlood(what, sockets.flood);
    const progress: Progress = { what, sentAt: clock.now(), wasReady: isReady(), isOver: false };
    try {
      const work = this.#attempts(progress, limit.ms, request, token);
      return await within(this.#ownTime, limit.ms, what, work, limit.signal);
    } catch (cause) {
      limit.signal?.throwIfAborted();
      refuseFlood(progress.what, sockets.flood, cause);
      if (!(cause instanceof TimeLimitError)) throw translate(progress.what, cause, this.#options);
      // A connection that came up is a sign of life too.
      const isAlive = this.#heardAt >= progress.sentAt || (isReady() && !progress.wasReady);
      const isConnected = isReady();
      const message = `${progress.what}: no ${isConnected ? 'answer' : 'connection'} in time`;
      const problem = isConnected ? { message } : { message, hint: networkHint };
      throw isAlive ? new SlowError(problem, { cause }) : new RequestError(problem, { cause });
    } finally {
      progress.isOver = true;
    }
  }

  /** Makes attempts until one is answered, or refused for another reason than its token, or the call is over. */
  async #attempts<T>(
    progress: Progress,
    ms: number,
    request: (options: CallOptions) => Promise<T>,
    token: 'required' | 'known',
  ): Promise<T> {
    const { tokens, clock, isReady, sockets } = this.#options;
    const { what } = progress;
    for (let attempt = token === 'known' ? 0 : 1; ; attempt++) {
      const begin = (step: string): void => {
        Object.assign(progress, { what: step, sentAt: clock.now(), wasReady: isReady() });
      };
      begin('authenticate');
      const used = attempt === 0 ? tokens.known() : await this.#token();
      if (progress.isOver) throw new RequestError(`${what}: no longer wanted`);
      begin(what);
      sockets.expectAnswer();
      try {
        const answer = await request({ deadline: this.#deadline(ms), interceptors: [withToken(used)] });
        this.#heardAt = clock.now();
        tokens.accept(used);
        return answer;
      } catch (error) {
        if (progress.isOver || !tokens.isUsed || attempt === 2 || !isTokenRefused(error)) throw error;
        tokens.drop(used);
      }
    }
  }

  /** Closes the connection. A password check that is under way is waited for, unless the member went silent. */
  close(): void {
    this.#isClosing = true;
    if (!this.#isAuthenticating || this.#options.clock.now() - this.#heardAt > 2 * pingMs) this.#disconnect();
  }

  #disconnect(): void {
    this.#options.disconnect();
    this.#closed.abort(new RequestError('the connection was closed'));
  }

  #deadline(ms: number): number {
    return this.#options.clock.wall() + abandonAfter * ms;
  }

  /** Resolves with the token, or undefined without a user. A caller may time out; the password check continues. */
  async #token(): Promise<string | undefined> {
    const { tokens, endpoint } = this.#options;
    const known = tokens.known();
    if (!tokens.isUsed || known !== undefined) return known;
    // The check may take long; whether the member is there must be known in time.
    void this.#ping();
    return tokens.current(endpoint, (name, password) => this.#authenticate(name, password));
  }

  /** Sends a request that costs etcd nothing and needs no token. Resolves with the time until it ended, in ms. */
  async #ping(): Promise<number> {
    const { client, clock } = this.#options;
    const sentAt = clock.now();
    try {
      const work = client.maintenance.status({ deadline: this.#deadline(pingMs) });
      await within(this.#ownTime, pingMs, 'status', work, this.#closed.signal);
      this.#heardAt = clock.now();
    } catch {
      if (this.#closed.signal.aborted) return 0;
    }
    return clock.now() - sentAt;
  }

  async #authenticate(name: string, password: string): Promise<string> {
    const { client, isReady, tokens } = this.#options;
    const { signal } = this.#closed;
    const what = `authenticate as ${name}`;
    try {
      // The first answer on a new connection includes the time to connect.
      if (!isReady()) await this.#ping();
      const known = await tokens.awaitTurn(() => this.#ping(), signal);
      if (known !== undefined) return known;
      signal.throwIfAborted();
      this.#isAuthenticating = true;
      const work = client.auth.authenticate({ name, password }, { deadline: this.#deadline(authenticateMs) });
      return readToken(await within(this.#ownTime, authenticateMs, what, work, signal));
    } catch (error) {
      // Then no token is needed, until etcd says otherwise.
      if (/authentication is not enabled/.test(messageOf(error))) return '';
      throw translate(what, error, this.#options);
    } finally {
      this.#isAuthenticating = false;
      if (this.#isClosing) this.#disconnect();
    }
  }
}

/** @throws RequestError when the member has sent so much that the connection was closed */
function refuseFlood(what: string, flood: string | null, cause?: unknown): void {
  if (flood !== null) throw new RequestError(`${what}: ${flood}; the connection was closed`, { cause });
}

function translate(what: string, cause: unknown, { endpoint, hasCertificate }: CallerOptions): Error {
  if (cause instanceof EtcdError) return cause;
  if (cause instanceof MisfitError) return new RequestError(`${what}: ${cause.message}`, { cause });
  const message = `${what}: ${simplify(tlsMessage(cause))}`;
  if (/requested lease not found/.test(message)) return new LeaseGoneError(message, { cause });
  if (/lease already exists/.test(message)) return new LeaseExistsError(message, { cause });
  const refusal = refusalHint(message);
  if (refusal !== undefined) return new DeniedError({ message, hint: refusal }, { cause });
  const hint = requestHint(message, endpoint, hasCertificate);
  return new RequestError({ message, ...(hint !== undefined && { hint }) }, { cause });
}

/** Removes what gRPC adds, such as times: without it the same failure always reads the same. */
function simplify(message: string): string {
  return message
    .replace(/^(\d+) \w+:$/, 'status $1 without a reason')
    .replace(/^\d+ \w+: /, '')
    .replace(/^No connection established\. Last error: (?:Error: )?/, '')
    .replace(/\.? Resolution note:.*$/, '')
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/, '')
    .replace(/^Deadline exceeded after .*$/, 'no answer in time')
    .replace(/^Protocol error$/, 'the answer is not gRPC (Protocol error)')
    .replace(/^Failed to start HTTP\/2 stream with error (.*)$/, 'the connection broke as it came up ($1)')
    .replace(/^Failed to connect$/, 'the connection was closed (Failed to connect)');
}
