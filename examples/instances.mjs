/**
 * Shared by the examples for load balancers. Runs `dockreg ls --watch --json`, which prints all instances as one line
 * of JSON after each change, and applies them to the load balancer: after each change, and every second in case the
 * load balancer was restarted. While etcd does not answer there are no lines, so the load balancer keeps its servers.
 */
import { spawn } from 'node:child_process';
import { isIP } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

/**
 * @typedef {object} Instance
 * @property {string} address `10.0.0.5:49155`, `[2001:db8::1]:49155`
 * @property {string} ip an IPv6 address without brackets
 * @property {number} port
 * @property {number} weight 1 to 65535
 */
/** @typedef {Readonly<Record<string, string>>} Options */

const everyMs = 1000;
/** The weight that dockreg writes for an instance without one, in layouts that require a weight. */
const defaultWeight = 100;

/**
 * Reads `[--option value…] [--hold SECONDS] NAME[=SERVICE]… -- COMMAND…`. Ends the process with 64 if it cannot.
 * @param {Options} defaults the options and their defaults
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
 * Applies the instances until the command ends, then ends the process. A supervisor should restart it; meanwhile the
 * load balancer serves with the last instances.
 * @param {object} what
 * @param {readonly string[]} what.command
 * @param {ReadonlyMap<string, string>} what.services the service of each name that the load balancer uses
 * @param {number} what.holdMs how long a service that loses all instances at once keeps them. An etcd that has lost its
 *   data looks the same, until the instances have registered again
 * @param {(wanted: ReadonlyMap<string, readonly Instance[] | null>) => Promise<void>} apply receives the instances of
 *   each name; null means that the current ones must stay
 * @returns {Promise<never>}
 */
export async function follow({ command, services, holdMs }, apply) {
  let latest = /** @type {ReadonlyMap<string, readonly Instance[]> | null} */ (null);
  /** @type {(() => void) | undefined} */
  let wake;
  watch(command, line => {
    latest = readInstances(line);
    wake?.();
  });
  /** When each service lost its last instance, in `performance.now()` ms. @type {Map<string, number>} */
  const emptySince = new Map();
  let problem = '';
  let applied = latest;
  for (;;) {
    if (latest === applied) {
      await new Promise(resolve => {
        const timer = setTimeout(resolve, everyMs);
        wake = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      });
    }
    applied = latest;
    if (latest === null) continue;
    /** @type {Map<string, readonly Instance[] | null>} */
    const wanted = new Map();
    for (const [name, service] of services) {
      const instances = latest.get(service) ?? [];
      const now = performance.now();
      const since = emptySince.get(name) ?? now;
      if (instances.length > 0) emptySince.delete(name);
      else emptySince.set(name, since);
      wanted.set(name, instances.length === 0 && now - since < holdMs ? null : instances);
    }
    const before = problem;
    problem = await apply(wanted).then(() => '', messageOf);
    if (problem !== before) say(problem === '' ? 'in step again' : `${problem}; retrying`);
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
      say(`cannot read a line of dockreg ls --watch --json: ${messageOf(error)}`);
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
 * Reads the instances of each service. The texts come from anyone who may write to etcd and become part of
 * configurations, so only IP addresses and numbers are used. Other instances are left out.
 * @param {string} line
 */
function readInstances(line) {
  /** @type {Map<string, Map<string, Instance>>} */
  const services = new Map();
  for (const { service, address, weight } of JSON.parse(line)) {
    const [, ipv6, ipv4, digits] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(address) ?? [];
    const port = Number(digits);
    if (isIP(ipv6 ?? ipv4 ?? '') !== (ipv6 ? 6 : 4) || port < 1 || port > 65_535) continue;
    // The URL parser writes an IPv6 address in its canonical form (RFC 5952).
    const host = ipv6 ? new URL(`http://[${ipv6}]`).hostname : String(ipv4);
    const instance = {
      address: `${host}:${port}`,
      ip: host.replace(/^\[|\]$/g, ''),
      port,
      weight: Number.isInteger(weight) && weight >= 1 && weight <= 65_535 ? weight : defaultWeight,
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
