/**
 * Connections for one exchange each: the client sends a request and receives an answer, and the connection is closed. It
 * serves the control socket and the HTTP endpoint, and keeps what others can make dockreg do small, so that checks and
 * renewals never wait for it:
 *
 * - A connection has one request. What follows it is never parsed, however much a client sends at once.
 * - Connections that come faster than the allowance wait in the kernel's queue.
 * - When all places are taken, a new connection gets the place of the oldest one of the address that has most.
 * - Reading is paced: one look at what has arrived, of 8 KiB at most, then a pause. Requests in many small pieces and
 *   those without an end cost no more than others, and no more than `mostRequest` characters are kept.
 * - A request, and the reading of an answer, have a time limit.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import type { Clock } from '../clock.ts';
import { createAllowance, type AllowanceRules } from './allowance.ts';
import { readPaused } from './reading.ts';

export interface Protocol {
  readonly encoding: 'latin1' | 'utf8';
  /** How many connections are accepted. Each costs 0.3 to 0.8 ms of CPU, so all of them some percent of a core. */
  readonly connections: AllowanceRules;
  /** The longest request, in characters. One that is cut here is handed over with `isLast`. */
  readonly mostRequest: number;
  /**
   * Returns the answer; null while the request is not complete. When `isLast` nothing more will come; null closes the
   * connection then.
   */
  readonly answer: (request: string, isLast: boolean) => Answer | null | Promise<Answer>;
}
export type Answer = string | Buffer;

/** How many connections may wait for a place. Others are not answered by the kernel until there is room. */
export const queueLength = 256;
const mostConnections = 32;
/** The part of the descriptors that this process may have which connections may take: the checks need some too. */
const descriptorShare = 1 / 16;
/** A few long sleeps cost less CPU than many short ones. */
const shortestSleepMs = 20;
/** The most that a client may take to send its request, in ms. */
const requestMs = 5000;
/** The most that a client may take to read the answer and close, in ms. */
const answerMs = 5000;
/** How long a connection is not read after the first look at it, in ms. Each pause is twice as long; a request has a limit. */
const firstPauseMs = 50;
const longestPauseMs = 400;

export interface Exchanges {
  /** Serves a connection, of a server with `allowHalfOpen` and `pauseOnConnect`. */
  readonly accept: (socket: Socket) => void;
  /** Closes all connections. */
  readonly close: () => void;
}

export async function createExchanges(protocol: Protocol, clock: Clock): Promise<Exchanges> {
  const limit = await connectionLimit();
  const takeAllowance = createAllowance(protocol.connections);
  /** The remote address of each open connection, oldest first. */
  const open = new Map<Socket, string>();
  return {
    accept(accepted) {
      const waitMs = takeAllowance(clock.now());
      if (waitMs >= shortestSleepMs) blockThread(waitMs);
      if (open.size >= limit) chooseVictim(open)?.destroy();
      const address = accepted.remoteAddress ?? '';
      const socket = serve(accepted, protocol, clock);
      open.set(socket, address);
      socket.once('close', () => open.delete(socket));
    },
    close() {
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

/** Answers the first request of a connection and closes it. Returns the socket that took it over. */
function serve(accepted: Socket, { encoding, mostRequest, answer }: Protocol, clock: Clock): Socket {
  const decoder = new StringDecoder(encoding);
  let request = '';
  let isAnswered = false;
  let pauseMs = firstPauseMs;
  const destroy = (): unknown => socket.destroy();
  let cancelLimit = clock.after(requestMs, destroy);
  let cancelPause: (() => void) | undefined;

  const consider = async (isLast: boolean): Promise<void> => {
    if (isAnswered) return;
    const answered = answer(request, isLast || request.length >= mostRequest);
    if (answered === null) {
      if (isLast) destroy();
      return;
    }
    isAnswered = true;
    request = '';
    const bytes = await answered;
    if (socket.destroyed) return;
    cancelLimit();
    cancelLimit = clock.after(answerMs, destroy);
    socket.end(bytes);
  };
  // What comes after the request is read too, and dropped: to close with unread input would reset the connection, and the
  // answer could be lost.
  const read = (chunk: Buffer): void => {
    cancelPause = clock.after(pauseMs, () => socket.resume());
    pauseMs = isAnswered ? 2 * pauseMs : Math.min(2 * pauseMs, longestPauseMs);
    if (isAnswered) return;
    request += decoder.write(chunk.subarray(0, mostRequest - request.length));
    void consider(false);
  };
  const socket = readPaused(accepted, read);
  socket
    .on('error', destroy)
    .once('end', () => void consider(true))
    .once('close', () => {
      cancelLimit();
      cancelPause?.();
    });
  return socket;
}

async function connectionLimit(): Promise<number> {
  // Where it cannot be read, the usual number of descriptors is assumed.
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const descriptors = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 1024);
  return Math.max(1, Math.min(mostConnections, Math.floor(descriptors * descriptorShare)));
}

/** Returns the oldest connection of the address that has most of them. */
function chooseVictim(open: ReadonlyMap<Socket, string>): Socket | undefined {
  const counts = new Map<string, number>();
  for (const address of open.values()) counts.set(address, (counts.get(address) ?? 0) + 1);
  const most = Math.max(...counts.values());
  for (const [socket, address] of open) if (counts.get(address) === most) return socket;
  return undefined;
}

const nothing = new Int32Array(new SharedArrayBuffer(4));

/**
 * Stops the whole thread for a few ms. Node cannot leave connections in the kernel's queue, and accepts one in each turn
 * of the event loop: so after some connections the next turn must wait. To close the listener instead would refuse
 * clients that ask rarely. During a storm of connections a check takes some 0.1 s longer.
 */
function blockThread(ms: number): void {
  Atomics.wait(nothing, 0, 0, ms);
}
