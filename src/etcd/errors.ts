/**
 * The few ways in which a request to etcd goes wrong, told apart by what must be done about each.
 */
import { ProblemError } from '../errors.ts';

/** The lease that was named does not exist (any more). */
export class LeaseGoneError extends Error {
  override readonly name = 'LeaseGoneError';
}

/** A lease with the id that we chose exists: an earlier try of the same request got through. */
export class LeaseExistsError extends Error {
  override readonly name = 'LeaseExistsError';
}

/** etcd answered and refused us: a wrong password, a missing permission. */
export class DeniedError extends ProblemError {
  override readonly name = 'DeniedError';
}

/** No answer, or one that another member or a later try may better. */
export class MemberError extends Error {
  override readonly name: string = 'MemberError';
}

/** No answer in time, and nothing that says why. */
export class UnansweredError extends MemberError {
  override readonly name = 'UnansweredError';
  /** The member itself was heard of meanwhile: it is there, and slow. */
  readonly isAlive: boolean;

  constructor(message: string, isAlive: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isAlive = isAlive;
  }
}
