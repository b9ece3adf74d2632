/**
 * The process that holds a listening socket: found through the open files of all processes that we can see, once, and
 * then looked at through two kept-open files of /proc, which costs microseconds. They mean the process and not its
 * number, so a successor with the same number is never taken for it.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import type { ListeningSocket } from '../core/watch/proc-net.ts';
import type { Owner, Observation, Survey } from '../core/watch/watch.ts';
import { messageOf } from '../errors.ts';
import type { SocketTable } from './sockets.ts';

export interface Holder {
  poll(): Observation;
  close(): void;
}

/** No search looks at more open files than this: about 80 ms. */
const mostLinks = 20_000;

const runs: Observation = { kind: 'runs' };
const stopped: Observation = { kind: 'stopped' };
const gone: Observation = { kind: 'left', how: 'is gone' };
const closed: Observation = { kind: 'left', how: 'has closed its socket' };

/** Who holds the socket that the checks reach, or why that is not to be seen. */
export function survey({ sockets, problem }: SocketTable): Survey {
  if (sockets === null) return { sockets, owner: null, hidden: problem };
  const [socket] = sockets;
  if (socket === undefined)
    return { sockets, owner: null, hidden: 'no socket of our network namespace listens there' };
  let found: { holders: number[]; unreadable: number[] };
  try {
    found = search(socket.inode);
  } catch (error) {
    return { sockets, owner: null, hidden: messageOf(error) };
  }
  const { holders, unreadable } = found;
  const holder = eldest(holders);
  if (holder) return { sockets, owner: { ...holder, certain: true }, hidden: '' };
  const user = `user ${socket.uid}`;
  const likely = onlyProcessOf(socket.uid, unreadable);
  if (likely)
    return { sockets, owner: { ...likely, certain: false }, hidden: `its files are those of ${user}` };
  return { sockets, owner: null, hidden: `no process that we may look into holds the socket of ${user}` };
}

/** Keeps an eye on the owner of the socket; null when it is gone already. */
export function openHolder({ pid, certain }: Owner, socket: ListeningSocket | undefined): Holder | null {
  let stat: number | null = null;
  let grip: Grip | null = null;
  try {
    stat = openSync(`/proc/${pid}/stat`, 'r');
    grip = certain && socket ? openGrip(pid, socket.inode) : null;
    return watchOver(stat, grip);
  } catch {
    if (stat !== null) closeSync(stat);
    return null;
  }
}

/** What is to be seen of the process's hold on its socket. */
interface Grip {
  holds(): boolean;
  close(): void;
}

function watchOver(stat: number, grip: Grip | null): Holder {
  const page = Buffer.allocUnsafe(256);
  let turn = false;
  let state = runs;
  return {
    poll() {
      // In turns: the end of the process shows in both, and each costs.
      turn = !turn && grip !== null;
      if (turn && grip?.holds()) return state;
      let bytes: number;
      try {
        bytes = readSync(stat, page, 0, page.length, 0);
      } catch {
        return gone;
      }
      // The name before the state stands in brackets and may have brackets of its own.
      const letter = page[page.lastIndexOf(0x29 /* ) */, bytes - 1) + 2] ?? 0;
      // A tracer's stop (t) is left out: a traced process flickers, and the regular checks see one that hangs.
      if (letter === 0x5a /* Z */ || letter === 0x58 /* X */) return gone;
      if (turn) return closed;
      state = letter === 0x54 /* T */ ? stopped : runs;
      return state;
    },
    close() {
      closeSync(stat);
      grip?.close();
    },
  };
}

/** @throws when the process does not hold the socket, or may not be looked into */
function openGrip(pid: number, inode: string): Grip {
  const links = readdirSync(`/proc/${pid}/fd`);
  const number = links.find(name => pointsTo(`/proc/${pid}/fd/${name}`, socketLink(inode)));
  if (number === undefined) throw new Error(`process ${pid} does not hold socket ${inode}`);
  const file = openSync(`/proc/${pid}/fdinfo/${number}`, 'r');
  const page = Buffer.allocUnsafe(256);
  const wanted = Buffer.from(`ino:\t${inode}\n`);
  const shown = (): boolean => {
    const bytes = readSync(file, page, 0, page.length, 0);
    const at = page.indexOf(wanted);
    return at >= 0 && at + wanted.length <= bytes;
  };
  let isShown = false;
  try {
    isShown = shown();
  } finally {
    if (!isShown) closeSync(file);
  }
  if (isShown) return { holds: orHidden(shown), close: () => closeSync(file) };
  // Before Linux 5.14 the inode does not stand there, and the link has to be read, which costs several times as much.
  const path = `/proc/${pid}/fd/${number}`;
  return { holds: orHidden(() => readlinkSync(path) === socketLink(inode)), close: () => undefined };
}

/** A process that took the rights of another user hides what it holds, which does not mean that it let it go. */
function orHidden(question: () => boolean): () => boolean {
  return () => {
    try {
      return question();
    } catch (error) {
      return !isGone(error);
    }
  };
}

interface Process {
  readonly pid: number;
  readonly name: string;
  readonly parent: number;
  readonly uid: number;
}

/** @throws when the processes cannot be listed */
function search(inode: string): { holders: number[]; unreadable: number[] } {
  const wanted = socketLink(inode);
  const holders: number[] = [];
  const unreadable: number[] = [];
  let links = 0;
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      for (const name of readdirSync(`/proc/${pid}/fd`)) {
        if (++links > mostLinks) return { holders, unreadable };
        if (!pointsTo(`/proc/${pid}/fd/${name}`, wanted)) continue;
        holders.push(pid);
        break;
      }
    } catch (error) {
      if (isDenied(error)) unreadable.push(pid);
    }
  }
  return { holders, unreadable };
}

/** The holder that the others come from: workers may be replaced while it lives. */
function eldest(pids: readonly number[]): Process | undefined {
  const processes = pids.map(describe).filter(each => each !== null);
  return processes.find(({ parent }) => !pids.includes(parent)) ?? processes[0];
}

/** The one process of that user, or the one that all its others come from. Our own ancestors do not count. */
function onlyProcessOf(uid: number, pids: readonly number[]): Process | undefined {
  const ancestors = new Set<number>();
  for (let pid = process.ppid; pid > 0 && !ancestors.has(pid); pid = describe(pid)?.parent ?? 0)
    ancestors.add(pid);
  const theirs = pids.map(describe).filter(each => each?.uid === uid && !ancestors.has(each.pid));
  const roots = theirs.filter(each => !theirs.some(other => other?.pid === each?.parent));
  return roots.length === 1 ? (roots[0] ?? undefined) : undefined;
}

/** From /proc/<pid>/status, which everybody may read; null when the process is gone. */
function describe(pid: number): Process | null {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
    // Real, effective, saved and file system user: sockets belong to the last.
    const uid = Number(field('Uid').split(/\s+/)[3]);
    return { pid, name: field('Name'), parent: Number(field('PPid')), uid };
  } catch {
    return null;
  }
}

/** @throws when we may not look; a file that was closed meanwhile points nowhere */
function pointsTo(path: string, wanted: string): boolean {
  try {
    return readlinkSync(path) === wanted;
  } catch (error) {
    if (isDenied(error)) throw error;
    return false;
  }
}

function socketLink(inode: string): string {
  return `socket:[${inode}]`;
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH';
}

function isDenied(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM';
}
