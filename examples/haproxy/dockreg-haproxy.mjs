#!/usr/bin/env node
/**
 * Keeps the servers of HAProxy in step with etcd over its runtime API, without a reload. A backend has a number of slots
 * (`server-template`): an instance that comes gets a free one, and the slot of one that goes is put into maintenance,
 * which takes no new requests and lets those that run end. It remembers nothing: it compares what HAProxy has with what
 * it should have, so that whichever of the two was restarted, they are in step a second later.
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
 * @property {string} server its name
 * @property {string} address as that of an instance
 * @property {number} weight
 * @property {boolean} isFree it is in maintenance
 */
/**
 * @typedef {object} Phase
 * @property {readonly string[]} commands
 * @property {string} what for people
 */

const answerMs = 3000;
/** The name that `server-template` gives its servers. Others are no slots, and are left alone. */
const slotName = 'etcd.invalid';
/** The most that HAProxy takes. */
const maxWeight = 256;

const { options, ...words } = readCommandLine({ socket: '/run/haproxy/admin.sock', state: '' });
let saved = '';

await follow(words, async wanted => {
  /** @type {Set<string>} */
  const troubles = new Set();
  for (const [backend, instances] of wanted)
    if (instances) await settle(backend, instances).catch(error => troubles.add(error.message));
  if (options['state']) await saveState(options['state'], [...wanted.keys()]);
  if (troubles.size > 0) throw new Error([...troubles].join('; '));
});

/**
 * @param {string} backend
 * @param {readonly Instance[]} instances
 */
async function settle(backend, instances) {
  const { steps, unserved } = plan(backend, await readSlots(backend), instances);
  let said = '';
  for (const { commands } of steps) said += await ask(commands.join('; '));
  // What HAProxy answers does not tell whether it did it.
  if (steps.length > 0 && plan(backend, await readSlots(backend), instances).steps.length > 0)
    throw new Error(`backend ${backend}: HAProxy says ${said.trim().replaceAll(/\s+/g, ' ')}`);
  for (const { what } of steps) say(`${backend}: ${what}`);
  if (unserved > 0)
    throw new Error(`backend ${backend}: ${unserved} slots too few; raise its server-template ${slotName}`);
}

/**
 * What leads from these slots to these instances. Who comes goes first, so that no backend is empty on the way.
 * @param {string} backend
 * @param {readonly Slot[]} slots
 * @param {readonly Instance[]} instances
 */
function plan(backend, slots, instances) {
  const scale = Math.min(1, maxWeight / Math.max(...instances.map(({ weight }) => weight)));
  const coming = new Map(
    instances.map(each => [each.address, { ...each, weight: Math.max(1, Math.round(each.weight * scale)) }]),
  );
  /** @type {Phase[]} */
  const steps = [];
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
    steps.push({ commands, what: `${slot.server} has weight ${instance.weight}` });
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
    steps.push({ commands, what: `${slot.server} is ${address}, weight ${weight}` });
  }
  for (const { server, address } of leaving.filter(slot => open.includes(slot))) {
    const commands = [`set server ${backend}/${server} state maint`];
    steps.push({ commands, what: `${server} is free, ${address} has gone` });
  }
  return { steps, unserved: coming.size };
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
      // SRV_ADMF_FMAINT of HAProxy's server-t.h: somebody said so, and it is not from a check.
      isFree: (Number(srv_admin_state) & 1) === 1,
    }));
}

/**
 * Saves what HAProxy reads when it starts (`server-state-file`), whenever a slot has changed.
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
 * One line of the runtime API, and all that HAProxy answers.
 * @param {string} line
 */
async function ask(line) {
  const socket = connect(options['socket'] ?? '');
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`HAProxy does not answer for ${answerMs} ms`)));
  socket.end(`${line}\n`);
  return text(socket);
}
