/**
 * The token that etcd gives for a password. It is kept across renewals, failures and changes of member, because each
 * new one costs etcd a bcrypt and a proposal. A password check that was begun is never repeated: callers may time out,
 * the check continues, and a late answer is used. So a fleet that lost its tokens costs etcd one password check for
 * each instance, however long that takes.
 *
 * etcd3's own authenticator is not used: it keeps a token that was refused, asks without a deadline, and repeats a
 * refused call without end.
 */
import { readFile } from 'node:fs/promises';
import { InterceptingCall, ListenerBuilder, type Interceptor } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { passwordCheckWaitMs } from '../core/lease/password-check.ts';
import { denied, backoffMs } from '../core/retry.ts';
import type { User } from '../core/settings/process.ts';
import { messageOf } from '../errors.ts';
import { DeniedError } from './errors.ts';

export interface TokenKeeper {
  /** Whether there is a user. */
  readonly isUsed: boolean;
  /** The token, if there is one. */
  known(): string | undefined;
  /**
   * Resolves with the token, or undefined without a user. When there is none yet, asks the member at `endpoint` with
   * `authenticate`, unless that is under way. After a refusal it rejects with the same error for a while.
   */
  current(endpoint: string, authenticate: Authenticate): Promise<string | undefined>;
  /** The server refused this one. */
  drop(refused: string | undefined): void;
}

export type Authenticate = (name: string, password: string) => Promise<string>;

export function createTokenKeeper(user: User | undefined, clock: Clock): TokenKeeper {
  let token: string | undefined;
  const underWay = new Map<string, Promise<string>>();
  let refusal: { readonly error: DeniedError; readonly times: number; readonly until: number } | null = null;

  const ask = async (from: User, authenticate: Authenticate): Promise<string> => {
    try {
      token = await authenticate(from.name, await readPassword(from));
      refusal = null;
      return token;
    } catch (error) {
      if (error instanceof DeniedError) {
        const times = (refusal?.times ?? 0) + 1;
        refusal = { error, times, until: clock.now() + backoffMs(denied, times, 0) };
      }
      throw error;
    }
  };

  return {
    isUsed: user !== undefined,
    known: () => token,
    async current(endpoint, authenticate) {
      if (user === undefined || token !== undefined) return token;
      if (refusal !== null && clock.now() < refusal.until) throw refusal.error;
      const answer =
        underWay.get(endpoint) ?? ask(user, authenticate).finally(() => underWay.delete(endpoint));
      underWay.set(endpoint, answer);
      return answer;
    },
    drop(refused) {
      if (token === refused) token = undefined;
    },
  };
}

/** Read at each authentication, so that a changed password is used. */
async function readPassword({ password }: User): Promise<string> {
  if ('text' in password) return password.text;
  try {
    return (await readFile(password.file, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    const message = `--etcd-password-file ${password.file} cannot be read: ${messageOf(cause)}`;
    throw new DeniedError(message, { cause });
  }
}

/** What the connections of a process share to authenticate. */
export interface Authentication {
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly tokens: TokenKeeper;
}

/**
 * Waits until etcd answers promptly enough for a password check. Resolves with a token that became known meanwhile, or
 * undefined when the check may start.
 * @param ping resolves with how long etcd took to answer a request that costs it nothing, in ms
 */
export async function awaitPasswordCheck(
  ping: () => Promise<number>,
  { clock, random, tokens }: Authentication,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    const waitMs = passwordCheckWaitMs(await ping(), attempt, random());
    if (waitMs === 0) return undefined;
    await clock.sleep(waitMs, signal);
    const known = tokens.known();
    if (known !== undefined) return known;
  }
}

/** etcd's answers to a token that it does not know, or no longer, and to a missing one. */
const refusals = /invalid auth token|revision of auth store is old|user name is empty/;

/** Whether a call failed in a way that another token may heal. */
export function isTokenRefused(error: unknown): boolean {
  return refusals.test(messageOf(error));
}

/** Adds the token to a call, and rewords a refusal so that etcd3 does not repeat the call by itself. */
export function withToken(token: string | undefined): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, _listener, next) {
        if (token !== undefined && token !== '') metadata.set('token', token);
        const listener = new ListenerBuilder()
          .withOnReceiveStatus((status, forward) =>
            forward({
              ...status,
              details: status.details.replace(/^etcdserver: (?=invalid auth token)/, ''),
            }),
          )
          .build();
        next(metadata, listener);
      },
    });
}
