/**
 * Reads a connection one piece at a time, into a buffer that all connections share. As Node reads the connections of a
 * server, each piece is a new buffer of 64 KiB and a second piece comes before the first one can stop it: clients that
 * send without an end then cost three times the CPU, most of it for garbage collection.
 */
import { Socket } from 'node:net';

/** The longest piece, in bytes. */
const pieceBytes = 8192;
const piece = Buffer.alloc(pieceBytes);

/**
 * Takes over a connection of a server with `pauseOnConnect`, reads one piece and stops. `resume()` reads the next one.
 * @param onPiece must not keep the buffer
 */
export function readPaused(accepted: Socket, onPiece: (piece: Buffer) => void): Socket {
  // Only a new socket can have a buffer of its own. The option that gives it a connection is in no declaration of Node.
  const connection = Object.fromEntries([['handle', Reflect.get(accepted, '_handle') as unknown]]);
  Reflect.set(accepted, '_handle', null);
  // Without its handle this closes nothing. The server counts it as closed.
  accepted.destroy();
  const onread = {
    buffer: piece,
    callback: (bytes: number) => {
      onPiece(piece.subarray(0, bytes));
      return false;
    },
  };
  const options = { ...connection, allowHalfOpen: true, readable: true, writable: true, onread };
  return new Socket(options);
}
