/**
 * A knock at the door of the control socket, which is opened only then unless it was named: most programs are never asked.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Of all signals this one does nothing to whoever does not expect it. */
export const knockSignal = 'SIGWINCH';

/**
 * Knocks at every other dockreg that is to be seen, and answers whether there is one.
 * @throws EPERM when they are all of other users
 */
export function knock(): boolean {
  const others = readdirSync('/proc').filter(name => /^\d+$/.test(name) && isDockreg(name));
  let refusal: unknown = null;
  let heard = false;
  for (const pid of others) {
    try {
      heard = process.kill(Number(pid), knockSignal) || heard;
    } catch (error) {
      refusal = error;
    }
  }
  if (!heard && refusal !== null) throw refusal;
  return heard;
}

function isDockreg(pid: string): boolean {
  if (Number(pid) === process.pid) return false;
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.some(word => /^dockreg(\.js)?$/.test(basename(word)));
  } catch {
    return false;
  }
}
