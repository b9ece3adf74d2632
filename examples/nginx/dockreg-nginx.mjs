#!/usr/bin/env node
/**
 * Keeps the servers of nginx in step with etcd: writes the `server` lines of each upstream to a file of its own, has
 * nginx test its configuration, and reloads it. A file that nginx refuses is taken back, so that what stands on the disk
 * is what nginx can start with. Changes that come together are one reload.
 *
 * usage: dockreg-nginx.mjs [--folder FOLDER] [--conf FILE] [--hold SECONDS] UPSTREAM[=SERVICE]… -- \
 *   dockreg ls --watch --json --etcd URL --layout LAYOUT
 */
import { execFile } from 'node:child_process';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { follow, readCommandLine, say } from '../instances.mjs';

/** @typedef {import('../instances.mjs').Instance} Instance */

const commandMs = 10_000;
/** From one reload to the next: each makes new workers, and the old ones stay for as long as their requests take. */
const gapMs = 2000;
const run = promisify(execFile);

const { options, ...words } = readCommandLine({
  folder: '/etc/nginx/dockreg',
  conf: '/etc/nginx/nginx.conf',
});
const { folder = '', conf = '' } = options;
/** Whether nginx has loaded what stands in the files; not known at the start. */
let isLoaded = false;

await follow(words, async wanted => {
  /** What stood in each file that is written now, null when there was none. @type {Map<string, string | null>} */
  const before = new Map();
  for (const [upstream, instances] of wanted) {
    const path = join(folder, `${upstream}.servers`);
    const stands = await readText(path);
    if (instances === null && stands !== null) continue;
    const text = serverLines(instances ?? []);
    if (text === stands) continue;
    await replace(path, text);
    before.set(path, stands);
  }
  if (before.size === 0 && isLoaded) return;
  isLoaded = false;
  try {
    await nginx('-t');
  } catch (error) {
    for (const [path, text] of before) if (text !== null) await replace(path, text);
    throw error;
  }
  await nginx('-s', 'reload');
  isLoaded = true;
  for (const [name, instances] of wanted)
    if (instances) say(`${name}: ${instances.map(({ address }) => address).join(' ') || 'no instances'}`);
  await sleep(gapMs);
});

/** @param {readonly Instance[]} instances */
function serverLines(instances) {
  const lines = instances.map(({ address, weight }) => `server ${address} weight=${weight};`);
  // nginx takes no upstream without a server. This one is down, and is never asked.
  return [
    '# Made from etcd by dockreg-nginx.mjs.',
    ...(lines.length > 0 ? lines : ['server 127.0.0.1:1 down;']),
    '',
  ].join('\n');
}

/** @param {readonly string[]} args */
async function nginx(...args) {
  await run('nginx', ['-c', conf, ...args], { timeout: commandMs }).catch(
    (/** @type {{ stderr?: string, message: string }} */ { stderr, message }) => {
      throw new Error(`nginx ${args.join(' ')}: ${(stderr || message).trim().replaceAll(/\s+/g, ' ')}`);
    },
  );
}

/** @param {string} path */
async function readText(path) {
  return readFile(path, 'utf8').catch((/** @type {NodeJS.ErrnoException} */ error) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}

/**
 * @param {string} path
 * @param {string} text
 */
async function replace(path, text) {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
