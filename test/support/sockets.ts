/**
 * Ending a TCP connection the hard way, without the trap that Node has there.
 */
import type { Socket } from 'node:net';

/**
 * Closes a connection with a RST. One that is still being made or that is already half closed is only destroyed:
 * Node never closes the handle of a socket that is reset while its shutdown is under way, and spins for ever at the
 * end of the process. Over TLS and
 * Unix sockets there is no such call, and a socket is only destroyed.
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
