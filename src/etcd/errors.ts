/**
 * The ways in which a request to etcd goes wrong, by what must be done about each.
 */
import { ProblemError } from '../errors.ts';

export class EtcdError extends ProblemError {
  override readonly name: string = 'EtcdError';
}

/** The lease does not exist, or no longer. */
export class LeaseGoneError extends EtcdError {
  override readonly name = 'LeaseGoneError';
}

/** A lease with the id that we chose exists: an earlier attempt of the same request succeeded. */
export class LeaseExistsError extends EtcdError {
  override readonly name = 'LeaseExistsError';
}

/** The request failed. It may succeed later, or at another member. */
export class RequestError extends EtcdError {
  override readonly name: string = 'RequestError';
}

/** etcd answered and refused: a wrong password, a missing permission. */
export class DeniedError extends RequestError {
  override readonly name = 'DeniedError';
}

/** No answer came in time, but the member shows signs of life: it is slow, not away. */
export class SlowError extends RequestError {
  override readonly name = 'SlowError';
}
