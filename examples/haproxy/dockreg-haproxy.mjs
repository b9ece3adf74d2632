#!/usr/bin/env node
/**
 * Keeps the servers of HAProxy in step with etcd over HAProxy's runtime API, without a reload. A backend has a number
 * of slots (`server-template`). A new instance gets a free slot; the slot of an instance that is gone goes into
 * maintenance, where it takes no new requests but finishes the running ones. The program keeps no state: it compares
 * HAProxy's servers with the instances, so the two are in step one second after either was restarted.
 *
 * usage: dockreg-haproxy.mjs [--socket FILE] [--state FILE] [--hold SECONDS] BACKEND[=SERVICE]… -- \
 *   dockreg ls --watch --json --etcd URL --layout LAYOUT
 */
import { rename, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { follow, readCommandLine, say } from '../instances.mjs';

/** @typedef {import('../instances.mjs').Instance} Instance */
/**
 * @typedef {object} Slot
 * @property {string} server the name of the server
 * @property {string} address in the form of an instance's address
 * @property {number} weight
 * @property {boolean} isFree whether the server is in maintenance
 */
/**
 * @typedef {object} Change
 * @property {readonly string[]} commands
 * @property {string} what a description for the log
 */

const answerMs = 3000;
/** The host name in `server-template`, which marks its servers as slots. Other servers are ignored. */
const slotName = 'etcd.invalid';
/** The largest weight that HAProxy accepts. */
const maxWeight = 256;

const { options, ...words } = readCommandLine({ socket: '/run/haproxy/admin.sock', state: '' });
let saved = '';

await follow(words, async wanted => {
  /** @type {Set<string>} */
  const problems = new Set();
  for (const [backend, instances] of wanted)
    if (instances) await bringInStep(backend, instances).catch(error => problems.add(error.message));
  if (options['state']) await saveState(options['state'], [...wanted.keys()]);
  if (problems.size > 0) throw new Error([...problems].join('; '));
});

/**
 * @param {string} backend
 * @param {readonly Instance[]} instances
 */
async function bringInStep(backend, instances) {
  const { changes, unserved } = plan(backend, await readSlots(backend), instances);
  let answers = '';
  for (const { commands } of changes) answers += await ask(commands.join('; '));
  // HAProxy's answers do not show whether a command had an effect, so the slots are read again.
  if (changes.length > 0 && plan(backend, await readSlots(backend), instances).changes.length > 0)
    throw new Error(`backend ${backend}: HAProxy says ${answers.trim().replaceAll(/\s+/g, ' ')}`);
  for (const { what } of changes) say(`${backend}: ${what}`);
  if (unserved > 0)
    throw new Error(`backend ${backend}: ${unserved} slots too few; raise its server-template ${slotName}`);
}

/**
 * Plans the changes that lead from these slots to these instances. New instances come first, so that no backend is
 * empty in between.
 * @param {string} backend
 * @param {readonly Slot[]} slots
 * @param {readonly Instance[]} instances
 */
function plan(backend, slots, instances) {
  const scale = Math.min(1, maxWeight / Math.max(...instances.map(({ weight }) => weight)));
  const coming = new Map(
    instances.map(each => [each.address, { ...each, weight: Math.max(1, Math.round(each.weight * scale)) }]),
  );
  /** @type {Change[]} */
  const changes = [];
  const leaving = [];
  for (const slot of slots.filter(({ isFree }) => !isFree)) {
    const instance = coming.get(slot.address);
    if (!instance) {
      leaving.push(slot);
      continue;
    }
    coming.delete(slot.address);
    if (slot.weight === instance.weight) continue;
    const commands = [`set server ${backend}/${slot.server} weight ${instance.weight}`];
    changes.push({ commands, what: `${slot.server} has weight ${instance.weight}` });
  }
  const open = [...slots.filter(({ isFree }) => isFree), ...leaving];
  for (const [address, { ip, port, weight }] of coming) {
    const slot = open.shift();
    if (!slot) break;
    coming.delete(address);
    const server = `set server ${backend}/${slot.server}`;
    const commands = [
      ...[`${server} state maint`, `${server} addr ${ip} port ${port}`],
      ...[`${server} weight ${weight}`, `${server} state ready`],
    ];
    changes.push({ commands, what: `${slot.server} is ${address}, weight ${weight}` });
  }
  for (const { server, address } of leaving.filter(slot => open.includes(slot))) {
    const commands = [`set server ${backend}/${server} state maint`];
    changes.push({ commands, what: `${server} is free, ${address} is gone` });
  }
  return { changes, unserved: coming.size };
}

/**
 * @param {string} backend
 * @returns {Promise<Slot[]>}
 */
async function readSlots(backend) {
  const answer = await ask(`show servers state ${backend}`);
  const [, head, ...rows] = answer.trim().split('\n');
  if (!head?.startsWith('# ')) throw new Error(`backend ${backend}: HAProxy says ${answer.trim()}`);
  const names = head.slice(2).split(' ');
  return rows
    .map(row => row.split(' '))
    .map(cells => Object.fromEntries(names.map((name, column) => [name, cells[column] ?? ''])))
    .filter(row => row['srv_fqdn'] === slotName)
    .map(({ srv_name = '', srv_addr = '', srv_port, srv_uweight, srv_admin_state }) => ({
      server: srv_name,
      address: `${srv_addr.includes(':') ? new URL(`http://[${srv_addr}]`).hostname : srv_addr}:${srv_port}`,
      weight: Number(srv_uweight),
      // SRV_ADMF_FMAINT in HAProxy's server-t.h: maintenance by command, not by a failed check.
      isFree: (Number(srv_admin_state) & 1) === 1,
    }));
}

/**
 * Saves the state that HAProxy reads at its start (`server-state-file`), if a slot has changed.
 * @param {string} path
 * @param {readonly string[]} backends
 */
async function saveState(path, backends) {
  const slots = JSON.stringify(await Promise.allSettled(backends.map(readSlots)));
  if (slots === saved) return;
  await writeFile(`${path}.new`, await ask('show servers state'));
  await rename(`${path}.new`, path);
  saved = slots;
}

/**
 * Sends one line to the runtime API and resolves with HAProxy's answer.
 * @param {string} line
 */
async function ask(line) {
  const socket = connect(options['socket'] ?? '');
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`HAProxy does not answer for ${answerMs} ms`)));
  socket.end(`${line}\n`);
  return text(socket);
}
