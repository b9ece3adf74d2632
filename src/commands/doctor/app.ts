/**
 * The steps at the app: does it listen, does it pass its check, and does its address accept connections?
 */
import { once } from 'node:events';
import { systemClock, within } from '../../clock.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import { formatAddress, isLoopback, type Address } from '../../core/address/ip.ts';
import { formatCheck } from '../../core/settings/check.ts';
import { describeOwner } from '../../core/watch/watch.ts';
import { messageOf } from '../../errors.ts';
import { survey } from '../../kernel/holder.ts';
import { readSockets } from '../../kernel/sockets.ts';
import { Connection } from '../../network/closing.ts';
import { appHost, appProbe } from '../../wiring/app-probe.ts';
import type { DockerAccess } from '../../wiring/docker.ts';
import { fault, msSince, passed, skipped, type Finding } from './finding.ts';

/** The most that a connect to the registered address may take, in ms. */
const connectMs = 3000;

/** The step `app`: the kernel shows which process listens on the port, and on which addresses of this container. */
export function examineListener({ localPort, protocol }: ServiceConfig): Finding {
  if (protocol !== 'tcp')
    return skipped('app', `the kernel is asked who listens on tcp only, not on ${protocol}`);
  const { sockets, owner, hidden } = survey(readSockets(appHost, localPort));
  if (sockets === null) return skipped('app', `the kernel does not show who listens: ${hidden}`);
  if (sockets.length === 0) {
    return fault('app', {
      message: `nothing listens on port ${localPort} in this container`,
      hint: 'start the app, or give its port in --port',
    });
  }
  const listener = `${describeOwner(owner)} listens on ${sockets.map(formatAddress).join(', ')}`;
  if (!sockets.every(({ ip }) => isLoopback(ip))) return passed('app', listener);
  return fault('app', {
    message: `${listener} only, which nobody outside of the container reaches, not even through a published port`,
    hint: 'let it listen on 0.0.0.0',
  });
}

/** The step `check`: one check, as it is made before the app is registered. */
export async function examineCheck(
  service: ServiceConfig,
  docker: DockerAccess,
  version: string,
): Promise<Finding> {
  const startedAt = systemClock.now();
  const probe = await appProbe(service, docker, version);
  const verdict = await probe(new AbortController().signal);
  const after = `after ${msSince(startedAt)} ms`;
  if (verdict.kind === 'pass') return passed('check', `passes: ${verdict.detail} ${after}`);
  const outcome = `${verdict.kind === 'fail' ? 'fails' : 'could not be made'} ${after}`;
  if (verdict.kind === 'impossible')
    return fault('check', { ...verdict.problem, message: `${outcome}: ${verdict.problem.message}` });
  const hint = `the app must pass --check ${formatCheck(service.check)} within ${service.timeoutMs} ms`;
  return fault('check', { message: `${outcome}: ${verdict.reason}`, hint });
}

/** The step `address`: does it accept a connection from here? Whether others get through cannot be seen from here. */
export async function examineAddress({ protocol }: ServiceConfig, address: Address | null): Promise<Finding> {
  if (address === null) return skipped('address', 'not known');
  if (protocol !== 'tcp') return skipped('address', `${protocol} has no connections to try`);
  const text = formatAddress(address);
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
