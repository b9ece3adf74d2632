/**
 * Looks names up without a thread. Node's own look-up calls getaddrinfo on one of its few threads. While DNS is silent,
 * such a call takes up to half a minute and cannot be ended: look-ups of other names wait behind it, and so does the end
 * of the process. So a name is looked up in /etc/hosts and by Node's DNS client. getaddrinfo, which knows more ways, such
 * as search domains, is called only for a name of which DNS has just said that it does not exist: then DNS answers.
 */
import dns, { type LookupAddress, type LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import { callbackify } from 'node:util';
import { readRegularFile } from '../files.ts';
import { endlessFile, lookupFiles } from '../system-files.ts';
import { askNameServers, type FoundAddress } from './name-servers.ts';

type Family = 0 | 4 | 6;
const systemLookup = dns.promises.lookup;

/**
 * Resolves with all addresses of the name, those of IPv4 first. Family 0 means both.
 * @throws Error with the message and the code that getaddrinfo would give
 */
export async function resolveName(name: string, family: Family): Promise<readonly FoundAddress[]> {
  const ipFamily = isIP(name);
  if (ipFamily !== 0) return [{ address: name, family: ipFamily }];
  const families = ([4, 6] as const).filter(each => family === 0 || each === family);
  const endless = endlessFile(lookupFiles);
  if (endless !== null) throw new Error(endless);
  const listed = (await readHosts(name)).filter(each => families.some(one => one === each.family));
  if (listed.length > 0) return listed;
  const { found, isUnknown } = await askNameServers(name, families);
  if (found.length > 0) return found;
  if (isUnknown) return systemLookup(name, { all: true, family });
  const code = 'EAI_AGAIN';
  throw Object.assign(new Error(`getaddrinfo ${code} ${name}`), {
    code,
    syscall: 'getaddrinfo',
    hostname: name,
  });
}

/** The addresses of a name in the text of a hosts file. */
export function addressesIn(hosts: string, name: string): readonly LookupAddress[] {
  const wanted = name.toLowerCase();
  return hosts
    .toLowerCase()
    .split('\n')
    .flatMap(line => {
      // Such a file may have 100,000 lines, and few are of this name.
      if (!line.includes(wanted)) return [];
      const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
      const family = isIP(address);
      return family !== 0 && names.includes(wanted) ? [{ address, family }] : [];
    });
}

/** A file that is larger than 4 MiB is left to getaddrinfo. */
async function readHosts(name: string): Promise<readonly LookupAddress[]> {
  const hosts = await readRegularFile('/etc/hosts').catch(() => '');
  const found = addressesIn(hosts.toString(), name);
  return found.toSorted((a, b) => a.family - b.family);
}

/** Makes everything in this process look names up with `resolveName`, also the libraries that call Node's function. */
export function useLookups(): void {
  Object.assign(dns, { lookup });
  Object.assign(dns.promises, { lookup: promisedLookup });
}

type Options = LookupOptions | Family | undefined;
type Callback = (
  error: NodeJS.ErrnoException | null,
  answer?: string | readonly LookupAddress[],
  family?: number,
) => void;

/** As `dns.promises.lookup`: one address, or with the option `all` each of them. */
async function promisedLookup(name: string, options: Options): Promise<unknown> {
  const { family, all } = optionsOf(options);
  const addresses = await resolveName(name, familyOf(family));
  return all ? addresses : addresses[0];
}

/** As `dns.lookup`. */
function lookup(name: string, ...rest: readonly [Callback] | readonly [Options, Callback]): void {
  const [options, callback] = rest.length === 1 ? [undefined, rest[0]] : rest;
  const { family, all } = optionsOf(options);
  callbackify(resolveName)(name, familyOf(family), (error, addresses) => {
    // After an error there are no addresses, whatever the type says.
    if (error !== null || all) callback(error, addresses);
    else callback(null, addresses[0]?.address, addresses[0]?.family);
  });
}

function optionsOf(options: Options): LookupOptions {
  return typeof options === 'object' ? options : { family: options };
}

function familyOf(family: LookupOptions['family']): Family {
  if (family === 4 || family === 'IPv4') return 4;
  return family === 6 || family === 'IPv6' ? 6 : 0;
}
