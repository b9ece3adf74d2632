/**
 * Reads the files that settings name. Such a path may be anything: a named pipe that nobody writes to, a device, an endless
 * file. Only a regular file is read, and never without a bound, so that a read always ends. A read that does not end would
 * hold one of Node's few threads, behind which other reads and even the end of the process wait.
 */
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/** The most that is read of a file without a limit of its own, in bytes. */
const defaultMostBytes = 4 * 1024 * 1024;
const chunkBytes = 64 * 1024;

export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
}

/**
 * Reads the file at `path`, or the one that a symbolic link there leads to.
 * @throws Error of the system, or one that says that this is no regular file; TooLargeError
 */
export async function readRegularFile(path: string, mostBytes = defaultMostBytes): Promise<Buffer> {
  const found = await stat(path);
  if (found.isDirectory())
    throw new Error('it is a folder: Docker makes one where the path of -v does not exist on the host');
  if (!found.isFile()) throw new Error('it is not a regular file');
  // If it has become a named pipe since, this does not wait for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const chunks: Buffer[] = [];
    let total = 0;
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, null);
      if (bytesRead === 0) return Buffer.concat(chunks);
      total += bytesRead;
      if (total > mostBytes) throw new TooLargeError(`it has more than ${mostBytes} bytes`);
      chunks.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
