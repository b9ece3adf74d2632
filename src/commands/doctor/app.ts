/**
 * The steps at the app: does it listen, does it pass its check, and does its address accept connections?
 */
import { once } from 'node:events';
import { systemClock, within } from '../../clock.ts';
import { checkedPort, loopbackRole, type ServiceConfig } from '../../core/settings/service.ts';
import { canonicalIp, formatAddress } from '../../core/address/ip.ts';
import { asksPort, formatCheck } from '../../core/settings/check.ts';
import { hostsOf, loopbackOnly, loopbackProblem, usualHosts } from '../../core/watch/hosts.ts';
import type { ListeningSocket } from '../../core/watch/proc-net.ts';
import { forwarderOf } from '../../core/address/unmapped.ts';
import { describeOwner } from '../../core/watch/watch.ts';
import { messageOf } from '../../errors.ts';
import { survey } from '../../kernel/holder.ts';
import { listeningPorts, readSockets } from '../../kernel/sockets.ts';
import { appProbe, openHosts } from '../../wiring/app-probe.ts';
import { isOwn } from '../../network/interfaces.ts';
import { Connection } from '../../network/closing.ts';
import type { DockerAccess } from '../../wiring/docker.ts';
import type { ServiceLocation } from './container.ts';
import { fault, msSince, passed, skipped, type Finding } from './finding.ts';

/** The most ports that a hint names. */
const mostPorts = 10;

/** The most that a connect to the registered address may take, in ms. */
const connectMs = 3000;

/** The step `app`: which process listens on the port, on which addresses of this container, and where the check asks. */
export function examineListener(service: ServiceConfig): Finding {
  const { localPort, protocol } = service;
  if (protocol !== 'tcp')
    return skipped('app', `the kernel is asked who listens on tcp only, not on ${protocol}`);
  const { sockets, owner, hidden } = survey(readSockets(openHosts(service).ofApp.host, localPort));
  if (sockets === null) return skipped('app', `the kernel does not show who listens: ${hidden}`);
  if (sockets.length === 0) {
    const others = listeningPorts();
    const shown = others.slice(0, mostPorts).join(', ');
    const more = others.length > mostPorts ? ' and more' : '';
    return fault('app', {
      message: `nothing listens on port ${localPort} in this container`,
      hint: `start the app, or give its port in --port${shown && ` (what listens here is on ${shown}${more})`}`,
    });
  }
  const loopback = loopbackOnly(sockets);
  if (loopback && loopbackRole(service) !== 'allow') {
    const problem = loopbackProblem(loopback);
    return fault('app', { ...problem, message: `${describeOwner(owner)} ${problem.message}` });
  }
  const where = `${sockets.map(formatAddress).join(', ')}${loopback ? ' only, which is allowed' : ''}`;
  return passed('app', `${describeOwner(owner)} listens on ${where}${describeAsking(service, sockets)}`);
}

/** Where the check asks, as the rest of a sentence about the sockets on the app's port, and why it asks elsewhere. */
function describeAsking(service: ServiceConfig, sockets: readonly ListeningSocket[]): string {
  const { check, localPort, checkHost, checkPort } = service;
  if (!asksPort(check)) return '';
  const port = checkedPort(service);
  const isOwnPort = port === localPort;
  const shown = isOwnPort ? sockets : readSockets(openHosts(service).ofCheck.host, port).sockets;
  const hosts = checkHost === undefined ? hostsOf(shown) : [checkHost];
  const asked = hosts.map(ip => formatAddress({ ip, port })).join(', else ');
  const flags = [checkHost !== undefined && '--check-host', checkPort !== undefined && '--check-port'];
  const given = flags.filter(Boolean).join(' and ');
  if (given !== '') return `; the check asks ${asked}, because of ${given}`;
  const isThere = hosts.every(host => sockets.some(({ ip }) => canonicalIp(ip) === host));
  return isThere ? ', so the check asks there' : `; the check asks ${asked}`;
}

/** The step `check`: one check, as it is made before the app is registered. */
export async function examineCheck(
  service: ServiceConfig,
  docker: DockerAccess,
  version: string,
): Promise<Finding> {
  const startedAt = systemClock.now();
  const { ofCheck } = openHosts(service);
  const probe = await appProbe(service, docker, version, ofCheck);
  const verdict = await probe(new AbortController().signal);
  const after = `after ${msSince(startedAt)} ms`;
  const { check, checkHost } = service;
  const isUsual = !asksPort(check) || checkHost !== undefined || ofCheck.host === usualHosts[0];
  const where = isUsual ? '' : ` at ${formatAddress({ ip: ofCheck.host, port: ofCheck.port })}`;
  if (verdict.kind === 'pass') return passed('check', `passes${where}: ${verdict.detail} ${after}`);
  const outcome = `${verdict.kind === 'fail' ? 'fails' : 'could not be made'} ${after}`;
  if (verdict.kind === 'impossible')
    return fault('check', { ...verdict.problem, message: `${outcome}: ${verdict.problem.message}` });
  const isRefused = verdict.kind === 'fail' && verdict.trouble === 'refused';
  const elsewhere = isRefused ? hintForRefused(service) : undefined;
  const hint =
    elsewhere ?? `the app must pass --check ${formatCheck(service.check)} within ${service.timeoutMs} ms`;
  return fault('check', { message: `${outcome}: ${verdict.reason}`, hint });
}

/** What to do about a check that is refused where the user lets it ask; undefined if it asks where the app listens. */
function hintForRefused(service: ServiceConfig): string | undefined {
  const { check, checkHost, checkPort } = service;
  if (!asksPort(check) || (checkHost === undefined && checkPort === undefined)) return undefined;
  const port = checkedPort(service);
  const { sockets } = readSockets(openHosts(service).ofCheck.host, port);
  if (sockets === null) return undefined;
  if (sockets.length === 0)
    return checkPort === undefined
      ? undefined
      : `nothing listens on port ${port}: correct --check-port, or let the app listen there`;
  const [host = ''] = hostsOf(sockets);
  return checkHost === undefined
    ? undefined
    : `the app listens on ${sockets.map(formatAddress).join(', ')}: leave --check-host out, or give ${host}`;
}

/** The step `address`: does it accept a connection from here? Whether others get through cannot be seen from here. */
export async function examineAddress({ service, address, self }: ServiceLocation): Promise<Finding> {
  if (address === null) return skipped('address', 'not known');
  if (service.protocol !== 'tcp') return skipped('address', `${service.protocol} has no connections to try`);
  const text = formatAddress(address);
  if (self && forwarderOf(self.network.networkMode) === 'pasta' && isOwn(address.ip))
    return skipped(
      'address',
      `${text} cannot be tried from here: with podman's network pasta, ${address.ip} means this container itself`,
    );
  const startedAt = systemClock.now();
  const connection = new Connection({ host: address.ip, port: address.port }, systemClock);
  try {
    await within(systemClock, connectMs, 'connect', once(connection, 'connect'));
    const after = `after ${msSince(startedAt)} ms`;
    return passed('address', `${text} accepts a connection from this container ${after}`);
  } catch (error) {
    const message = messageOf(error);
    return fault('address', {
      message: `${text} accepts no connection from this container: ${message}`,
      hint: message.includes('ECONNREFUSED')
        ? 'nothing listens there: check that it is an address of this host'
        : 'check that it is an address of this host, and that the firewall lets others in. If others can connect, only ' +
          'the way from the container back to its own host is closed, which does no harm',
    });
  } finally {
    // The process may end soon, and its end would cut the closing short.
    await connection.destroy().whenClosed();
  }
}
