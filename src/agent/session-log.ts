/**
 * What the session tells, as lines of the log.
 */
import { formatLease } from '../core/lease/writes.ts';
import type { SessionEvent } from '../core/lease/events.ts';
import type { Log } from '../log.ts';

export function logSessionEvent(log: Log, event: SessionEvent): void {
  switch (event.kind) {
    case 'registered':
      return log.info(`registered ${event.keys.join(' ')}`, {
        endpoint: event.endpoint,
        lease: formatLease(event.lease),
      });
    case 'restored':
      return log.warn(`restored ${event.keys.join(' ')}: deleted or overwritten by somebody else`, {
        endpoint: event.endpoint,
      });
    case 'updated':
      return log.info(`updated ${event.keys.join(' ')}`, { endpoint: event.endpoint });
    case 'moved':
      return log.info(`moved to ${event.keys.join(' ')}`, {
        from: event.removed.join(' '),
        endpoint: event.endpoint,
      });
    case 'withdrawn':
      return log.info('withdrawn', { endpoint: event.endpoint, lease: formatLease(event.lease) });
    case 'lost':
      return log.warn(`etcd lost our lease: ${event.cause}; checking the app, then registering again`, {
        endpoint: event.endpoint,
        lease: formatLease(event.lease),
      });
    case 'contested':
      return log.warn(
        `${event.keys.join(' ')} is held by another lease too: do two services claim one address?`,
        {
          endpoint: event.endpoint,
        },
      );
    case 'failing':
      return log.warn(
        event.tries === 1 ? `etcd: ${event.cause}; trying on` : `etcd still fails: ${event.cause}`,
        {
          endpoint: event.endpoint,
          tries: event.tries,
          for: seconds(event.forMs),
        },
      );
    case 'recovered':
      return log.info('etcd answers again', {
        endpoint: event.endpoint,
        tries: event.tries,
        after: seconds(event.forMs),
      });
    case 'uncertain':
      return log.warn('no word from etcd for a TTL: whether the key still stands is not known', {
        for: seconds(event.forMs),
        lease: formatLease(event.lease),
      });
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)}s`;
}
