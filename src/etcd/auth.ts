/**
 * The token that etcd gives for a password. It is kept across renewals, failures and changes of member, because each new
 * one costs etcd a bcrypt and a proposal. A password check that was begun is never repeated: callers may time out, the
 * check continues, and a late answer is used.
 *
 * etcd3's own authenticator is not used: it keeps a token that was refused, asks without a deadline, and repeats a
 * refused call without end.
 */
import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { backoffMs, denied, passwordCheckWaitMs } from '../core/retry.ts';
import type { User } from '../core/settings/process.ts';
import { messageOf } from '../errors.ts';
import { readRegularFile } from '../files.ts';
import { rememberSecret } from '../secrets.ts';
import { DeniedError } from './errors.ts';

/** The token of a user, for all connections of a process. */
export class TokenKeeper {
  /** Whether there is a user. */
  readonly isUsed: boolean;
  readonly #user: User | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** By endpoint. */
  readonly #underWay = new Map<string, Promise<string>>();
  #token: string | undefined;
  /** How many tokens etcd gave and then refused, without accepting one between them. */
  #useless = 0;
  #refusal: { readonly error: DeniedError; readonly times: number; readonly until: number } | null = null;

  /** @param random returns a number in [0, 1) */
  constructor(user: User | undefined, clock: Clock, random: () => number) {
    this.isUsed = user !== undefined;
    this.#user = user;
    this.#clock = clock;
    this.#random = random;
  }

  /** Returns the token, if there is one. */
  known(): string | undefined {
    return this.#token;
  }

  /**
   * Resolves with the token, or undefined without a user. When there is none yet, asks the member at `endpoint` with
   * `authenticate`, unless that is under way. After a refusal it rejects with the same error for a while.
   */
  async current(endpoint: string, authenticate: Authenticate): Promise<string | undefined> {
    if (this.#user === undefined || this.#token !== undefined) return this.#token;
    if (this.#refusal !== null && this.#clock.now() < this.#refusal.until) throw this.#refusal.error;
    const answer = this.#underWay.get(endpoint) ?? this.#ask(endpoint, this.#user, authenticate);
    this.#underWay.set(endpoint, answer);
    return answer;
  }

  /**
   * The server refused this one. One after another that is refused waits like a wrong password: each costs etcd a bcrypt.
   */
  drop(refused: string | undefined): void {
    if (refused === undefined || this.#token !== refused) return;
    this.#token = undefined;
    this.#useless += 1;
    if (this.#useless > 1) this.#refuse(new DeniedError(uselessTokens), this.#useless - 1);
  }

  /** A request with this token was answered. */
  accept(token: string | undefined): void {
    if (token !== undefined && token === this.#token) this.#useless = 0;
  }

  #refuse(error: DeniedError, times: number): void {
    this.#refusal = { error, times, until: this.#clock.now() + backoffMs(denied, times, 0) };
  }

  /**
   * Waits until etcd answers promptly enough for a password check. Resolves with a token that became known meanwhile, or
   * undefined when the check may start.
   * @param ping resolves with how long etcd took to answer a request that costs it nothing, in ms
   */
  async awaitTurn(ping: () => Promise<number>, signal: AbortSignal): Promise<string | undefined> {
    for (let attempt = 1; ; attempt++) {
      const waitMs = passwordCheckWaitMs(await ping(), attempt, this.#random());
      if (waitMs === 0) return undefined;
      await this.#clock.sleep(waitMs, signal);
      if (this.#token !== undefined) return this.#token;
    }
  }

  async #ask(endpoint: string, user: User, authenticate: Authenticate): Promise<string> {
    try {
      const password = await readPassword(user);
      rememberSecret(password, 'password');
      this.#token = await authenticate(user.name, password);
      rememberSecret(this.#token, 'token');
      this.#refusal = null;
      return this.#token;
    } catch (error) {
      if (error instanceof DeniedError) {
        this.#refuse(error, (this.#refusal?.times ?? 0) + 1);
      }
      throw error;
    } finally {
      this.#underWay.delete(endpoint);
    }
  }
}

const uselessTokens = {
  message: 'etcd gives tokens and then refuses them',
  hint: 'see whether its members have the same --auth-token, and what its log says',
};

type Authenticate = (name: string, password: string) => Promise<string>;

/** Reads the password at each authentication, so that a changed one is used. */
async function readPassword({ password }: User): Promise<string> {
  if ('text' in password) return password.text;
  try {
    return (await readRegularFile(password.file)).toString().replace(/\r?\n$/, '');
  } catch (cause) {
    const message = `--etcd-password-file ${password.file} cannot be read: ${messageOf(cause)}`;
    throw new DeniedError(
      { message, hint: 'name a file that is in this container and that dockreg may read' },
      { cause },
    );
  }
}

/** Whether etcd misses a token or refused the one it got, so that another one may help. */
export function isTokenRefused(error: unknown): boolean {
  return /invalid auth token|revision of auth store is old|user name is empty/.test(messageOf(error));
}

/** Adds the token to a call, and rewords a refusal so that etcd3 does not repeat the call by itself. */
export function withToken(token: string | undefined): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, _listener, next) {
        if (token !== undefined && token !== '') metadata.set('token', token);
        next(metadata, {
          onReceiveStatus: (status, forward) =>
            forward({
              ...status,
              details: status.details.replace(/^etcdserver: (?=invalid auth token)/, ''),
            }),
        });
      },
    });
}
