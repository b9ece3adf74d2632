#!/usr/bin/env node
/**
 * Keeps the servers of nginx in step with etcd: writes the `server` lines of each upstream to a file, lets nginx test
 * its configuration, and reloads nginx. If nginx refuses the configuration, the old files are restored, so nginx can
 * always start from the files. Changes at the same time cause one reload.
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
/** Between two reloads. Each reload starts new workers, and the old ones stay until their requests are done. */
const gapMs = 2000;
const run = promisify(execFile);

const { options, ...words } = readCommandLine({
  folder: '/etc/nginx/dockreg',
  conf: '/etc/nginx/nginx.conf',
});
const { folder = '', conf = '' } = options;
/** Whether nginx has loaded the current files. False at the start, when it is unknown. */
let isLoaded = false;

await follow(words, async wanted => {
  /** The old text of each file that is written now; null if there was no file. @type {Map<string, string | null>} */
  const before = new Map();
  for (const [upstream, instances] of wanted) {
    const path = join(folder, `${upstream}.servers`);
    const current = await readText(path);
    if (instances === null && current !== null) continue;
    const text = serverLines(instances ?? []);
    if (text === current) continue;
    await replace(path, text);
    before.set(path, current);
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
  // nginx requires a server in each upstream. This one is down, so it gets no requests.
  return [
    '# Generated from etcd by dockreg-nginx.mjs.',
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
