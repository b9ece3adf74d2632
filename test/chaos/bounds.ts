/**
 * How long things may take in a chaos run, in milliseconds, each with the reason why. A bound that is too short blames
 * the program for the machine; one that is too long lets a fault go by: none holds more than its own reasons.
 */

/** What the programs are started with. */
export const settings = { intervalMs: 1000, timeoutMs: 500, ttlMs: 5000 } as const;

/** A busy machine: a process that is to run may wait this long for a processor, and a timer may be as late. */
export const slackMs = 1500;

/**
 * From the app's failure to the verdict: the check before it may just have passed, so a whole interval goes by, and the
 * next check fails at its timeout at the latest.
 */
export const detectionMs = settings.intervalMs + settings.timeoutMs;

/** One call to a member that never answers: the session's deadline of 3 s and its own cap behind it. */
export const hangingCallMs = 3250;

/** Between two members of a round, after which the next one is tried. */
export const nextMemberMs = 50;

/** The longest wait between two rounds over all members. */
export const betweenRoundsMs = 2000;

/** Revoke, grant and write in a row on a member that answers, each with a new connection and 200 ms of delay each way. */
export const workMs = 2000;

/**
 * From the moment at which one member serves and is reached and the program runs, to the key being right: a call that
 * was begun before hangs to its end, a wait between rounds follows, every other member that hangs takes one call, then
 * the app is checked again, and the work is done.
 */
export function repairMs(hangingOthers: number): number {
  const round = hangingOthers * (hangingCallMs + nextMemberMs);
  return hangingCallMs + betweenRoundsMs + round + detectionMs + workMs + slackMs;
}

/** The same where every member has long served and been reached: no call hangs, and nobody waits for a next round. */
export const quietRepairMs = detectionMs + workMs + slackMs;

/**
 * A lease lives a TTL from its last renewal. The last renewal is asked for on behalf of the last check that passed, and
 * is given up at the next check, so no later than the detection; etcd looks for expired leases every 500 ms, and takes
 * a round with its members to remove one.
 */
export const expiryMs = settings.ttlMs + 500 + slackMs;

/** A new leader gives every lease its full TTL again, and an election timeout (1 s) on top. */
export const renewedByLeaderMs = expiryMs + 1000;

/**
 * From SIGTERM to the end of the process: closing the session takes 1.5 s at most, a call that it leaves behind 250 ms,
 * and the rest is the machine.
 */
export const stopMs = 1500 + 250 + slackMs;

/** A check is too old to write for after this: an interval, a timeout, and 2 s; a call to write may hang on top. */
export const staleMs = settings.intervalMs + settings.timeoutMs + 2000 + hangingCallMs;

/** The recorder notes that it did not run when it did not for longer than this. */
export const stallMs = 150;

/** What a watcher sees later than it happened: milliseconds on one machine, unless the recorder itself did not run. */
export const watchLagMs = stallMs;
