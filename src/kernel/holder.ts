/**
 * Finds the process that holds a listening socket, by a search through the open files of all processes that we may
 * read. After that it polls the process through two files of /proc that stay open, which costs microseconds. They refer
 * to the process itself, so a successor with the same pid is never mistaken for it.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import type { ListeningSocket } from '../core/watch/proc-net.ts';
import type { Owner, Observation, Survey } from '../core/watch/watch.ts';
import { isShortage } from '../core/shortage.ts';
import { codeOf, messageOf } from '../errors.ts';
import type { SocketTable } from './sockets.ts';

export interface Holder {
  /** Whether the process runs, is stopped, or does not hold the socket any more. */
  poll(): Observation;
  close(): void;
}

/** A search ends after this many open files, which takes about 80 ms. */
const mostLinks = 20_000;

const running: Observation = { kind: 'running' };
const stopped: Observation = { kind: 'stopped' };
const gone: Observation = { kind: 'released', how: 'is gone' };
const closed: Observation = { kind: 'released', how: 'has closed its socket' };

/** Finds the owner of the socket that the checks reach, or says why it is not visible. */
export function survey({ sockets, problem, isPassing }: SocketTable): Survey {
  const [socket] = sockets ?? [];
  const ownerless = (hidden: string): Survey => ({ sockets, owner: null, hidden });
  if (sockets === null) return { ...ownerless(problem), isPassing };
  if (socket === undefined) return ownerless('no socket of our network namespace listens there');
  try {
    const { holders, unreadable } = search(socket.inode);
    const holder = eldest(holders);
    if (holder) return { sockets, owner: { ...holder, certain: true }, hidden: '' };
    const user = `user ${socket.uid}`;
    const likely = onlyProcessOf(socket.uid, unreadable);
    if (likely)
      return { sockets, owner: { ...likely, certain: false }, hidden: `its files are those of ${user}` };
    return ownerless(`no process that we may look into holds the socket of ${user}`);
  } catch (error) {
    return { ...ownerless(messageOf(error)), isPassing: isShortage(codeOf(error)) };
  }
}

/**
 * Opens the files of /proc for the owner of the socket; null when it is gone already.
 * @throws when a resource has run out
 */
export function openHolder({ pid, certain }: Owner, socket: ListeningSocket | undefined): Holder | null {
  let stat: number | null = null;
  try {
    stat = openSync(`/proc/${pid}/stat`, 'r');
    return holderOf(stat, certain && socket ? openDescriptor(pid, socket.inode) : null);
  } catch (error) {
    if (stat !== null) closeSync(stat);
    throwShortage(error);
    return null;
  }
}

function holderOf(stat: number, descriptor: Descriptor | null): Holder {
  const page = Buffer.allocUnsafe(256);
  let isDescriptorTurn = false;
  let state = running;
  return {
    poll() {
      // By turns: both files show the end of the process, and each read costs.
      isDescriptorTurn = !isDescriptorTurn && descriptor !== null;
      if (isDescriptorTurn && descriptor && stillHolds(descriptor)) return state;
      let bytes: number;
      try {
        bytes = readSync(stat, page, 0, page.length, 0);
      } catch {
        return gone;
      }
      // The name before the state is in parentheses, and may contain parentheses.
      const letter = page[page.lastIndexOf(0x29 /* ) */, bytes - 1) + 2] ?? 0;
      // A tracer's stop (t) does not count: the state of a traced process flickers, and a check notices a hang.
      if (letter === 0x5a /* Z */ || letter === 0x58 /* X */) return gone;
      if (isDescriptorTurn) return closed;
      state = letter === 0x54 /* T */ ? stopped : running;
      return state;
    },
    close() {
      closeSync(stat);
      descriptor?.close();
    },
  };
}

/** The process's file descriptor of the socket. */
interface Descriptor {
  /** Whether it still refers to the socket. @throws when we may not read it, or the process is gone */
  readonly holds: () => boolean;
  close(): void;
}

/** @throws when the process does not hold the socket, or we may not read its files */
function openDescriptor(pid: number, inode: string): Descriptor {
  const number = readdirSync(`/proc/${pid}/fd`).find(each => isSocket(`/proc/${pid}/fd/${each}`, inode));
  if (number === undefined) throw new Error(`process ${pid} does not hold socket ${inode}`);
  const file = openSync(`/proc/${pid}/fdinfo/${number}`, 'r');
  const page = Buffer.allocUnsafe(256);
  const wanted = Buffer.from(`ino:\t${inode}\n`);
  const showsInode = (): boolean => {
    const bytes = readSync(file, page, 0, page.length, 0);
    const at = page.indexOf(wanted);
    return at >= 0 && at + wanted.length <= bytes;
  };
  let isShown = false;
  try {
    isShown = showsInode();
  } finally {
    if (!isShown) closeSync(file);
  }
  if (isShown) return { holds: showsInode, close: () => closeSync(file) };
  // Before Linux 5.14 fdinfo does not contain the inode. Reading the link costs several times as much.
  const path = `/proc/${pid}/fd/${number}`;
  return { holds: () => isSocket(path, inode), close: () => undefined };
}

/** A process that changes its user may hide its files from us; it still holds the socket. */
function stillHolds({ holds }: Descriptor): boolean {
  try {
    return holds();
  } catch (error) {
    return !['ENOENT', 'ESRCH'].includes(codeOf(error));
  }
}

interface Process {
  readonly pid: number;
  readonly name: string;
  readonly parent: number;
  readonly uid: number;
}

/**
 * Which processes hold the socket, and which we may not read.
 * @throws when the processes cannot be listed, or a resource has run out
 */
function search(inode: string): { holders: number[]; unreadable: number[] } {
  const holders: number[] = [];
  const unreadable: number[] = [];
  let links = 0;
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      for (const name of readdirSync(`/proc/${pid}/fd`)) {
        if (++links > mostLinks) return { holders, unreadable };
        if (!isSocket(`/proc/${pid}/fd/${name}`, inode)) continue;
        holders.push(pid);
        break;
      }
    } catch (error) {
      throwShortage(error);
      if (isDenied(error)) unreadable.push(pid);
    }
  }
  return { holders, unreadable };
}

/** The holder that is the ancestor of the others: workers may be replaced while it lives. */
function eldest(pids: readonly number[]): Process | undefined {
  const processes = pids.map(describe).filter(each => each !== null);
  return processes.find(({ parent }) => !pids.includes(parent)) ?? processes[0];
}

/** The only process of that user, or the ancestor of all its others. Our own ancestors do not count. */
function onlyProcessOf(uid: number, pids: readonly number[]): Process | undefined {
  const ancestors = new Set<number>();
  for (let pid = process.ppid; pid > 0 && !ancestors.has(pid); pid = describe(pid)?.parent ?? 0)
    ancestors.add(pid);
  const theirs = pids.map(describe).filter(each => each?.uid === uid && !ancestors.has(each.pid));
  const roots = theirs.filter(each => !theirs.some(other => other?.pid === each?.parent));
  return roots.length === 1 ? (roots[0] ?? undefined) : undefined;
}

/**
 * From /proc/<pid>/status, which every user may read; null when the process is gone.
 * @throws when a resource has run out
 */
function describe(pid: number): Process | null {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
    // Real, effective, saved and file system user: a socket belongs to the last.
    const uid = Number(field('Uid').split(/\s+/)[3]);
    return { pid, name: field('Name'), parent: Number(field('PPid')), uid };
  } catch (error) {
    throwShortage(error);
    return null;
  }
}

/**
 * Whether the link leads to the socket; false for a file that was closed meanwhile.
 * @throws when we may not read it
 */
function isSocket(path: string, inode: string): boolean {
  try {
    return readlinkSync(path) === `socket:[${inode}]`;
  } catch (error) {
    if (isDenied(error)) throw error;
    return false;
  }
}

function isDenied(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(codeOf(error));
}

/** What could not be read for lack of a resource is not gone. */
function throwShortage(error: unknown): void {
  if (isShortage(codeOf(error))) throw error;
}
