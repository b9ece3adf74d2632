/**
 * What the examples for load balancers share. It runs `dockreg ls --watch --json`, which prints all instances as one
 * line of JSON whenever one has changed, and has them applied: at each change, and each second, because the load
 * balancer may have been restarted. While etcd is silent there is no line, so the load balancer keeps what it has.
 */
import { spawn } from 'node:child_process';
import { isIP } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

/**
 * @typedef {object} Instance
 * @property {string} address `10.0.0.5:49155`, `[2001:db8::1]:49155`
 * @property {string} ip without brackets
 * @property {number} port
 * @property {number} weight 1 to 65535
 */
/** @typedef {Readonly<Record<string, string>>} Options */

const everyMs = 1000;
/** What dockreg writes for an instance without a weight, in layouts that always have one. */
const usualWeight = 100;

/**
 * Reads `[--option value…] [--hold SECONDS] NAME[=SERVICE]… -- COMMAND…`, and ends the process when that is not it.
 * @param {Options} defaults the options and what they are when left out
 */
export function readCommandLine(defaults) {
  const words = process.argv.slice(2);
  const end = words.indexOf('--');
  const options = Object.fromEntries(
    Object.entries({ ...defaults, hold: '10' }).map(([name, value]) => [
      name,
      { type: /** @type {const} */ ('string'), default: value },
    ]),
  );
  try {
    if (end < 0 || end === words.length - 1) throw new Error('-- dockreg ls --watch --json … is missing');
    const { values, positionals } = parseArgs({ args: words.slice(0, end), options, allowPositionals: true });
    if (positionals.length === 0) throw new Error('no name is given');
    /** @type {Map<string, string>} */
    const services = new Map();
    for (const text of positionals) {
      const [, name = '', service = name] = /^([\w.-]+)(?:=(.+))?$/.exec(text) ?? [];
      if (name === '') throw new Error(`"${text}" must be NAME or NAME=SERVICE`);
      services.set(name, service);
    }
    const holdMs = Number(values['hold']) * 1000;
    if (!(holdMs >= 0)) throw new Error(`--hold "${String(values['hold'])}" must be seconds`);
    return { options: /** @type {Options} */ (values), services, holdMs, command: words.slice(end + 1) };
  } catch (error) {
    say(`${messageOf(error)}; usage: [--option value…] NAME[=SERVICE]… -- dockreg ls --watch --json …`);
    return process.exit(64);
  }
}

/**
 * Has the instances applied until the command ends, and ends the process with it: whoever started it starts it again,
 * and the load balancer serves meanwhile.
 * @param {object} what
 * @param {readonly string[]} what.command
 * @param {ReadonlyMap<string, string>} what.services the service of each name that is known to the load balancer
 * @param {number} what.holdMs a service that loses all instances at once keeps them so long, for that is also how an
 *   etcd looks that has lost its data, until the instances have written themselves anew
 * @param {(wanted: ReadonlyMap<string, readonly Instance[] | null>) => Promise<void>} apply gets the instances of each
 *   name; null says to leave those that are there
 * @returns {Promise<never>}
 */
export async function follow({ command, services, holdMs }, apply) {
  let found = /** @type {ReadonlyMap<string, readonly Instance[]> | null} */ (null);
  /** @type {(() => void) | undefined} */
  let wake;
  watch(command, line => {
    found = readInstances(line);
    wake?.();
  });
  /** Since when a service has no instances, in monotonic ms. @type {Map<string, number>} */
  const emptySince = new Map();
  let trouble = '';
  let applied = found;
  for (;;) {
    if (found === applied) {
      await new Promise(resolve => {
        const timer = setTimeout(resolve, everyMs);
        wake = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      });
    }
    applied = found;
    if (found === null) continue;
    /** @type {Map<string, readonly Instance[] | null>} */
    const wanted = new Map();
    for (const [name, service] of services) {
      const instances = found.get(service) ?? [];
      const now = performance.now();
      const since = emptySince.get(name) ?? now;
      if (instances.length > 0) emptySince.delete(name);
      else emptySince.set(name, since);
      wanted.set(name, instances.length === 0 && now - since < holdMs ? null : instances);
    }
    const before = trouble;
    trouble = await apply(wanted).then(() => '', messageOf);
    if (trouble !== before) say(trouble === '' ? 'in step again' : `${trouble}; trying on`);
  }
}

/**
 * @param {readonly string[]} command
 * @param {(line: string) => void} onLine
 */
function watch([program = '', ...args], onLine) {
  const listing = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: listing.stdout }).on('line', line => {
    try {
      onLine(line);
    } catch (error) {
      say(`a line that is none of dockreg ls --watch --json: ${messageOf(error)}`);
    }
  });
  let stopping = false;
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT'])) {
    process.on(signal, () => {
      stopping = true;
      listing.kill();
    });
  }
  listing.on('error', error => {
    say(messageOf(error));
    process.exit(1);
  });
  listing.on('close', code => {
    if (!stopping) say(`${program} has ended with ${code}; the instances stay as they are`);
    process.exit(stopping ? 0 : 1);
  });
}

/**
 * The instances of each service, by address. Whoever may write to etcd chose these texts, and they become part of
 * configurations: nothing but an IP address and numbers gets through.
 * @param {string} line
 */
function readInstances(line) {
  /** @type {Map<string, Map<string, Instance>>} */
  const services = new Map();
  for (const { service, address, weight } of JSON.parse(line)) {
    const [, six, four, digits] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(address) ?? [];
    const port = Number(digits);
    if (isIP(six ?? four ?? '') !== (six ? 6 : 4) || port < 1 || port > 65_535) continue;
    // In the one spelling that an IPv6 address has by RFC 5952.
    const host = six ? new URL(`http://[${six}]`).hostname : String(four);
    const instance = {
      address: `${host}:${port}`,
      ip: host.replace(/^\[|\]$/g, ''),
      port,
      weight: Number.isInteger(weight) && weight >= 1 && weight <= 65_535 ? weight : usualWeight,
    };
    const instances = services.get(service) ?? new Map();
    services.set(service, instances.set(instance.address, instance));
  }
  return new Map([...services].map(([service, instances]) => [service, [...instances.values()]]));
}

/** @param {string} text */
export function say(text) {
  console.log(text);
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
