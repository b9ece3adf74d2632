/** Which files are read, and that a read always ends. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { readRegularFile, TooLargeError } from '../../src/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'dockreg-files-'));
const at = (name: string): string => join(folder, name);
after(() => rmSync(folder, { recursive: true }));

describe('a file that a setting names', () => {
  it('is read, also through symbolic links, also a long one and one without a size', async () => {
    const content = Buffer.alloc(300_000, 'x');
    writeFileSync(at('file'), content);
    symlinkSync('file', at('link'));
    writeFileSync(at('empty'), '');
    assert.ok((await readRegularFile(at('file'))).equals(content));
    assert.ok((await readRegularFile(at('link'))).equals(content));
    assert.equal((await readRegularFile(at('empty'))).length, 0);
    assert.match((await readRegularFile('/proc/self/status')).toString(), /^Name:/);
  });

  it('is not read where it is something else, which is said at once', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const server = createServer().listen(at('socket')).unref();
    for (const path of [at('pipe'), at('socket'), '/dev/zero', '/dev/null'])
      await assert.rejects(readRegularFile(path), new Error('it is not a regular file'), path);
    const folderMessage = 'it is a folder: Docker makes one where the path of -v does not exist on the host';
    await assert.rejects(readRegularFile(folder), new Error(folderMessage));
    server.close();
    await assert.rejects(readRegularFile(at('none')), { code: 'ENOENT' });
  });

  it('is not read where it is very large', async () => {
    writeFileSync(at('large'), '');
    truncateSync(at('large'), 4 * 1024 * 1024);
    assert.equal((await readRegularFile(at('large'))).length, 4 * 1024 * 1024);
    truncateSync(at('large'), 4 * 1024 * 1024 + 1);
    await assert.rejects(readRegularFile(at('large')), new TooLargeError('it has more than 4194304 bytes'));
  });
});
