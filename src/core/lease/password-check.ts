/**
 * When to ask etcd for a password check. Each costs etcd a bcrypt, and a fleet that lost its tokens asks for one per
 * instance. Pure: the caller passes what it measured.
 */
import { backoffMs, type Backoff } from '../retry.ts';

/** etcd has more password checks to do than it can. */
const crowded: Backoff = { firstMs: 1000, mostMs: 15_000 };
/** A request that costs etcd nothing is answered sooner than this, in ms, unless etcd is busy. */
const promptMs = 100;

/**
 * Returns 0 when a password check may be requested now, or else how long to wait before measuring again, in ms. So a
 * fleet has as many checks under way as etcd can do while it stays responsive. An instance that waited often accepts
 * slower answers.
 * @param answerMs how long etcd just took to answer a request that costs it nothing
 * @param attempt 1 for the first
 * @param random a number in [0, 1)
 */
export function passwordCheckWaitMs(answerMs: number, attempt: number, random: number): number {
  return answerMs <= promptMs * attempt ? 0 : backoffMs(crowded, attempt, random);
}
