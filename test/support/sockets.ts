/**
 * Resets a TCP connection without the endless loop that Node has there.
 */
import type { Socket } from 'node:net';

/**
 * Closes a connection with a RST. A connection that is not open yet or already half closed is only destroyed: Node
 * never closes the handle of a socket that is reset during its shutdown, and loops for ever at the end of the process.
 * TLS and Unix sockets are only destroyed, because they have no such call.
 */
export function reset(socket: Socket): void {
  if (
    socket.connecting ||
    socket.writableEnded ||
    socket.remoteAddress === undefined ||
    'encrypted' in socket
  )
    socket.destroy();
  else socket.resetAndDestroy();
}
