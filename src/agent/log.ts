/**
 * The wording of everything that a service logs: one line for each transition, none for what only repeats. Where a change
 * leads to a check at once, the check is logged and the change is not.
 */
import { formatAddress } from '../core/address/ip.ts';
import { formatLease } from '../core/lease/writes.ts';
import type { CheckedEvent, ServiceEvent } from '../core/registration/events.ts';
import { isConclusive, type Thresholds } from '../core/registration/health.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { loopbackProblem } from '../core/watch/hosts.ts';
import { describeOwner, type Survey } from '../core/watch/watch.ts';
import { formatProblem } from '../errors.ts';
import type { Log } from '../log.ts';

/** Logs an event of the service with this configuration. */
export function logEvent(
  log: Log,
  event: ServiceEvent,
  config: Pick<ServiceConfig, 'rise' | 'fall' | 'ttlSeconds'>,
): void {
  if (event.kind === 'checked') {
    const text = describeCheck(event, config);
    if (text === null) return;
    const isExpected = event.verdict.kind === 'pass' || event.after.status === 'starting';
    return isExpected ? log.info(`app ${text}`) : log.warn(`app ${text}`);
  }
  const keys = 'keys' in event ? event.keys.join(' ') : '';
  const fields = {
    endpoint: 'endpoint' in event ? event.endpoint : undefined,
    lease: 'lease' in event ? formatLease(event.lease) : undefined,
    tries: 'tries' in event ? event.tries : undefined,
    for: 'forMs' in event ? `${(event.forMs / 1000).toFixed(1)}s` : undefined,
  };
  switch (event.kind) {
    case 'not-checked':
      return log.warn(`app could not be checked: ${event.cause}`);
    case 'checked-again':
      return log.info('app can be checked again', { ...fields, for: undefined, after: fields.for });
    case 'absence-tolerated':
      return log.warn(`app gone, and tolerated: ${event.reason}`, fields);
    case 'absence-over':
      return log.info('app answers again', { ...fields, for: undefined, after: fields.for });
    case 'app-gone':
      return log.warn(`app down: ${event.reason}`);
    case 'watching':
      return log.info(`app is watched: ${describeSurvey(event.survey)}`);
    case 'unreachable':
      return log.warn(`app is not registered: it ${formatProblem(event.problem)}`);
    case 'loopback':
      return log.warn(`app ${formatProblem(loopbackProblem(event.socket))}`);
    case 'reachable':
      return log.info(`app listens on ${formatAddress(event.socket)} now, where others reach it`);
    case 'replaced': {
      const before = describeOwner(event.before.owner);
      const now = describeSurvey(event.now);
      return event.handover
        ? log.info(`app is served by another process: ${now}`, { before })
        : log.warn(`app was restarted: ${now}`, { before });
    }
    case 'stopped':
      return log.warn(`app was stopped by a signal: ${describeOwner(event.owner)}`);
    case 'resumed':
      return log.info(`app was resumed by a signal: ${describeOwner(event.owner)}`);
    case 'admin':
      if (event.admin === 'drain')
        log.info('app drained: not registered, whatever its health, until it is resumed');
      if (event.admin === 'register') log.info('app resumed: registered while it is up');
      return;

    case 'address-found': {
      const { resolved, previous } = event;
      const was = previous ? formatAddress(previous) : undefined;
      return log.info(`address ${formatAddress(resolved.address)}`, { found: resolved.how, was });
    }
    case 'address-confirmed':
      return log.info(`address ${formatAddress(event.address)} confirmed again`, { tries: event.attempts });
    case 'address-unconfirmed':
      return log.warn(
        event.address
          ? `address ${formatAddress(event.address)} could not be confirmed: ${event.cause}`
          : `waiting for the address: ${event.cause}`,
      );
    case 'address-warning':
      if (event.warnings.length === 0)
        return log.info(`address ${formatAddress(event.address)}: its warnings are over`);
      return event.warnings.forEach(warning => log.warn(`address ${formatProblem(warning)}`));
    case 'address-lost':
      return log.warn(`address ${formatAddress(event.address)} is gone: ${event.cause}`);

    case 'registered':
      return log.info(`registered ${keys}`, fields);
    case 'restored':
      if (event.isRepeated) return;
      return log.warn(`restored ${keys}: another client had deleted or overwritten it`, fields);
    case 'updated':
      return log.info(`updated ${keys}`, fields);
    case 'moved':
      return log.info(`moved to ${keys}`, { from: event.removed.join(' '), ...fields });
    case 'withdrawn':
      return log.info(`withdrawn: ${event.reason}`, fields);
    case 'lost':
      if (event.isRepeated) return;
      return log.warn(
        `etcd lost our lease: ${event.cause}; checking the app, then registering again`,
        fields,
      );
    case 'contested':
      return log.warn(`${keys} is held by another lease too: do two services claim one address?`, fields);
    case 'failing':
      if (event.tries === 1) return log.warn(`etcd: ${event.cause}; retrying`, fields);
      return log.warn(`etcd still fails: ${event.cause}`, fields);
    case 'fruitless':
      return log.warn(`etcd answers, but nothing lasts: ${event.cause}; trying again less often`, fields);
    case 'recovered':
      return log.info('etcd answers again', { ...fields, for: undefined, after: fields.for });
    case 'uncertain':
      return log.warn('etcd has not answered for a TTL: the key may be gone', fields);
    case 'closed': {
      if (event.confirmed) return;
      const { left } = event;
      const lease = left && formatLease(left.lease);
      return log.warn(
        'stopped without an answer from etcd: the key stays until its lease ends, ' +
          `up to about ${config.ttlSeconds} s after etcd answers again` +
          (lease === undefined ? '' : `; etcdctl lease revoke ${lease} then removes it at once`),
        { key: left?.keys.join(' '), cause: left?.cause ?? undefined },
      );
    }

    case 'health-changed':
    case 'absent':
    case 'listening':
    case 'waiting':
    case 'records-changed':
    case 'address-unresolvable':
      return;
  }
}

/** What a check did to the health; null when that is nothing new. */
export function describeCheck(event: CheckedEvent, { rise, fall }: Thresholds): string | null {
  const { verdict, before, after } = event;
  if (!isConclusive(verdict) || before === after) return null;
  if (verdict.kind === 'pass') {
    if (after.status === 'up')
      return before.status === 'up' ? `up again: ${verdict.detail}` : `up ${rise}/${rise}: ${verdict.detail}`;
    return after.status === 'unknown' ? null : `rising ${after.passes}/${rise}: ${verdict.detail}`;
  }
  const { reason } = verdict;
  if (after.status === 'up') return `failing ${after.fails}/${fall}: ${reason}`;
  if (after.status === 'starting')
    return before.status === 'starting' && before.reason === reason ? null : `starting: ${reason}`;
  if (before.status === 'starting') return `down, and its start period is over: ${reason}`;
  if (before.status === 'down' && before.passes === 0)
    return before.reason === reason ? null : `still down: ${reason}`;
  const isCounted = before.status === 'up' && before.fails + 1 >= fall;
  return isCounted ? `down ${fall}/${fall}: ${reason}` : `down: ${reason}`;
}

function describeSurvey({ sockets, owner, hidden }: Survey): string {
  const [socket] = sockets ?? [];
  if (socket === undefined) return `only by its checks and by connects (${hidden})`;
  const where = formatAddress(socket);
  if (owner === null) return `only the socket on ${where}, every few seconds (${hidden})`;
  const restriction = owner.certain ? '' : `, of which only its end is visible (${hidden})`;
  return `${describeOwner(owner)} listens on ${where}${restriction}`;
}
