/**
 * Does the app listen, does it pass its check, and is its address one that others can use?
 */
import { connect } from 'node:net';
import { systemClock, within } from '../../clock.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import { formatAddress, type Address } from '../../core/address/ip.ts';
import { formatCheck } from '../../core/settings/check.ts';
import { isLoopback } from '../../core/watch/proc-net.ts';
import { describeOwner } from '../../core/watch/watch.ts';
import { messageOf } from '../../errors.ts';
import { survey } from '../../kernel/holder.ts';
import { readSockets } from '../../kernel/sockets.ts';
import { appHost, appProbe } from '../../wiring/app-probe.ts';
import type { DockerAccess } from '../../wiring/docker.ts';
import { ill, skipped, well, type Finding } from './finding.ts';

/** How long a connect to our own address may take, in ms. */
const connectMs = 3000;

/** The kernel's view: who listens on the port, and on which of our addresses. */
export function examineListener({ localPort, protocol }: ServiceConfig): Finding {
  if (protocol !== 'tcp') return skipped('app', `who listens is looked up for tcp, not for ${protocol}`);
  const { sockets, owner, hidden } = survey(readSockets(appHost, localPort));
  if (sockets === null) return skipped('app', `the kernel does not show who listens: ${hidden}`);
  if (sockets.length === 0) {
    return ill(
      'app',
      `nothing listens on port ${localPort} in this container`,
      'start the app, or give its port in --port',
    );
  }
  const places = sockets.map(formatAddress).join(', ');
  if (!sockets.every(({ ip }) => isLoopback(ip)))
    return well('app', `${describeOwner(owner)} listens on ${places}`);
  return ill(
    'app',
    `${describeOwner(owner)} listens on ${places} only, which nobody outside of the container reaches, ` +
      'also not through a published port',
    'let it listen on 0.0.0.0',
  );
}

/** One check, as it is made before the app is registered. */
export async function examineCheck(
  service: ServiceConfig,
  docker: DockerAccess,
  version: string,
): Promise<Finding> {
  const startedAt = systemClock.now();
  const probe = await appProbe(service, docker, version);
  const verdict = await probe(new AbortController().signal);
  const tookMs = Math.round(systemClock.now() - startedAt);
  if (verdict.kind === 'pass') return well('check', `passes: ${verdict.detail} after ${tookMs} ms`);
  if (verdict.kind === 'impossible')
    return ill(
      'check',
      `could not be made after ${tookMs} ms: ${verdict.problem.message}`,
      verdict.problem.hint,
    );
  return ill(
    'check',
    `${verdict.kind === 'fail' ? 'fails' : 'could not be made'} after ${tookMs} ms: ${verdict.reason}`,
    `the app must pass --check ${formatCheck(service.check)} within ${service.timeoutMs} ms`,
  );
}

/** From in here only this can be shown: the address takes a connection of ours. The way of others to it may be closed. */
export async function examineAddress({ protocol }: ServiceConfig, address: Address | null): Promise<Finding> {
  if (address === null) return skipped('address', 'not known');
  if (protocol !== 'tcp') return skipped('address', `a port of ${protocol} takes no connections`);
  const text = formatAddress(address);
  const startedAt = systemClock.now();
  try {
    await tryConnect(address);
    return well('address', `${text} takes a connection from in here after ${since(startedAt)} ms`);
  } catch (error) {
    const message = messageOf(error);
    return ill(
      'address',
      `${text} takes no connection from in here: ${message}`,
      message.includes('ECONNREFUSED')
        ? 'nothing listens at that address: is it this host?'
        : 'is it this host, and does its firewall let others in? Where others can connect, only the way from a ' +
            'container back to its own host is closed, which does no harm',
    );
  }
}

function since(startedAt: number): number {
  return Math.round(systemClock.now() - startedAt);
}

async function tryConnect({ ip, port }: Address): Promise<void> {
  const socket = connect({ host: ip, port });
  try {
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    await within(systemClock, connectMs, 'connect', connected);
  } finally {
    socket.destroy();
  }
}
