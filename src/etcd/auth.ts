/**
 * The token that etcd gives for a password. It is kept over renewals, failures and changes of member: each new one
 * costs etcd a bcrypt and a proposal. A bcrypt that was begun is never asked for again: whoever wants the token waits
 * as long as he likes, the question goes on, and a late answer is used. So a fleet that lost its tokens costs etcd one
 * password check an instance, however long that takes.
 *
 * etcd3's own authenticator is not used: it keeps a token that was refused, asks without a deadline, and repeats a
 * refused call without end.
 */
import { readFile } from 'node:fs/promises';
import { InterceptingCall, ListenerBuilder, type Interceptor } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { denied, backoffMs } from '../core/retry.ts';
import type { User } from '../core/settings/security.ts';
import { messageOf } from '../errors.ts';
import { DeniedError } from './errors.ts';

export interface TokenKeeper {
  /** Whether there is a user at all. */
  readonly isUsed: boolean;
  /** The token that we have, if we have one; nobody is asked. */
  known(): string | undefined;
  /**
   * The token for the next call; asks the member at `endpoint` with `authenticate` when there is none and nobody asks
   * it already. Undefined without a user. A refusal is repeated for a while instead of asking again.
   */
  current(endpoint: string, authenticate: Authenticate): Promise<string | undefined>;
  /** The server refused this one. */
  drop(refused: string | undefined): void;
}

export type Authenticate = (name: string, password: string) => Promise<string>;

export function createTokenKeeper(user: User | undefined, clock: Clock): TokenKeeper {
  let token: string | undefined;
  const asking = new Map<string, Promise<string>>();
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
      const answer = asking.get(endpoint) ?? ask(user, authenticate).finally(() => asking.delete(endpoint));
      asking.set(endpoint, answer);
      return answer;
    },
    drop(refused) {
      if (token === refused) token = undefined;
    },
  };
}

/** Read at each authentication, so that a changed password is taken up. */
async function readPassword({ password }: User): Promise<string> {
  if ('text' in password) return password.text;
  try {
    return (await readFile(password.file, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new DeniedError(`--etcd-password-file ${password.file} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** etcd's answers to a token that it does not know (any more), and to none where it wants one. */
const refusal = /invalid auth token|revision of auth store is old|user name is empty/;

/** Whether an error of a call means that another token may help. */
export function isTokenRefused(error: unknown): boolean {
  return refusal.test(messageOf(error));
}

/** Adds the token to a call, and words a refusal so that etcd3 does not repeat the call by itself. */
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
