/**
 * How long things may take in a chaos run, in milliseconds, each with its reason. A bound that is too short blames the
 * program for the machine, and one that is too long misses a fault, so each bound contains only its own reasons.
 */

/** The settings of the programs. */
export const settings = { intervalMs: 1000, timeoutMs: 500, ttlMs: 5000 } as const;

/** On a busy machine a process may wait this long for a processor, and a timer may be this late. */
export const slackMs = 1500;

/**
 * From the app's failure to the verdict: the last check may just have passed, so a whole interval goes by, and the next
 * check fails at its timeout at the latest.
 */
export const detectionMs = settings.intervalMs + settings.timeoutMs;

/** One call to a member that never answers: the session's deadline of 3 s and some room. */
export const hangingCallMs = 3250;

/** The pause between two members of a round. */
export const nextMemberMs = 50;

/** The longest pause between two rounds over all members. */
export const betweenRoundsMs = 2000;

/**
 * Revoke, grant and write in a row on a member that answers, each with a new connection and 200 ms of delay each way.
 */
export const workMs = 2000;

/**
 * From the moment when the program runs and one member serves and can be reached, to the correct key: an earlier call
 * hangs to its end, a pause between rounds follows, every other member that hangs takes one call, then the app is
 * checked again, and the work is done.
 */
export function repairMs(hangingOthers: number): number {
  const round = hangingOthers * (hangingCallMs + nextMemberMs);
  return hangingCallMs + betweenRoundsMs + round + detectionMs + workMs + slackMs;
}

/** The same when every member could be used for long: no call hangs, and there is no pause between rounds. */
export const quietRepairMs = detectionMs + workMs + slackMs;

/**
 * A lease lives a TTL from its last renewal. The last renewal belongs to the last check that passed, and is given up at
 * the next check, so no later than the detection. etcd looks for expired leases every 500 ms, and takes a round with
 * its members to remove one.
 */
export const expiryMs = settings.ttlMs + 500 + slackMs;

/** A new leader gives every lease its full TTL again, and an election timeout (1 s) on top. */
export const renewedByLeaderMs = expiryMs + 1000;

/**
 * From SIGTERM to the end of the process: closing the session takes 1.5 s at most, a call that it leaves behind takes
 * 250 ms, and the rest is the machine.
 */
export const stopMs = 1500 + 250 + slackMs;

/** After this time a check is too old for a write: an interval, a timeout and 2 s; the write itself may hang on top. */
export const staleMs = settings.intervalMs + settings.timeoutMs + 2000 + hangingCallMs;

/** The recorder notes a stall when it did not run for longer than this. */
export const stallMs = 150;

/** How late a watcher observes a change: milliseconds on one machine, unless the recorder itself did not run. */
export const watchLagMs = stallMs;
