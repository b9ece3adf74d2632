/**
 * The steps at etcd: does each endpoint answer and accept our records, is the cluster behind them well, and what would be
 * written? Each write has a condition that is always false, so nothing is left behind.
 */
import { systemClock } from '../../clock.ts';
import { factsOf } from '../../core/layouts/instance.ts';
import { recordsOf } from '../../core/layouts/records.ts';
import type { SharedConfig } from '../../core/settings/process.ts';
import type { Observed, ServiceRecord } from '../../core/lease/writes.ts';
import { EtcdError } from '../../etcd/errors.ts';
import { networkHint } from '../../etcd/hints.ts';
import type { Inspector, MemberStatus } from '../../etcd/ports.ts';
import { failure, problemOf, UnavailableError, type Result } from '../../errors.ts';
import { sharedConnections } from '../../wiring/etcd.ts';
import { fault, msSince, passed, skipped, type Finding } from './finding.ts';
import type { ServiceLocation } from './container.ts';

/** The most that one request may take. */
const callLimit = { ms: 3000 } as const;

/** A stand-in for an address that is not known, so that the permissions can be checked: no host has it (RFC 5737). */
const exampleIp = '192.0.2.1';

/** The steps `etcd`, one for each endpoint, and `cluster`. Returns what each endpoint answers. */
export async function* examineEtcd(
  config: SharedConfig,
  locations: readonly ServiceLocation[],
): AsyncGenerator<Finding, readonly Report[]> {
  const records = locations.flatMap(location => {
    const answer = recordsAt(location);
    return answer.ok ? answer.value : [];
  });
  const examine = (endpoint: string): Promise<Report> => examineMember(config, endpoint, records);
  const reports = await Promise.all(config.endpoints.map(examine));
  for (const { finding } of reports) yield finding;
  yield examineCluster(reports);
  return reports;
}

/** The step `record`: what would be written for one service, and whether it is there now. */
export function examineRecords(location: ServiceLocation, reports: readonly Report[]): Finding[] {
  if (location.address === null) return [skipped('record', 'the address is not known')];
  const answer = recordsAt(location);
  if (!answer.ok) return answer.problems.map(problem => fault('record', problem));
  const observed = reports.find(report => report.observed)?.observed;
  const texts = answer.value.map(({ key, value }) => {
    const now = observed ? `; it is ${observed.has(key) ? '' : 'not '}there now` : '';
    return `${key} = ${value}${now}`;
  });
  const when = `while the check passes, under a lease of ${location.service.ttlSeconds} s`;
  return [passed('record', `${when}: ${texts.join(', ')}`)];
}

function recordsAt({ service, address, self }: ServiceLocation): Result<readonly ServiceRecord[]> {
  try {
    return recordsOf({
      ...service,
      address: address ?? { ip: exampleIp, port: service.localPort },
      container: self ? factsOf(self.container, self.network) : undefined,
    });
  } catch (error) {
    // Docker gave an odd value for something that they contain.
    if (error instanceof UnavailableError) return failure(...error.problems);
    throw error;
  }
}

/** What an endpoint answers. */
interface Report {
  readonly endpoint: string;
  readonly finding: Finding;
  /** Undefined if the member does not answer. */
  readonly status: MemberStatus | undefined;
  /** What is stored under our keys, if that is known. */
  readonly observed?: Observed;
}

async function examineMember(
  config: SharedConfig,
  endpoint: string,
  records: readonly ServiceRecord[],
): Promise<Report> {
  let inspector: Inspector | undefined;
  let status: MemberStatus | undefined;
  try {
    inspector = await sharedConnections(config)(endpoint);
    status = await inspector.status(callLimit);
    const startedAt = systemClock.now();
    const observed = await inspector.checkWrite(records, callLimit);
    const tookMs = msSince(startedAt);
    const description = describeMember(config, endpoint, status, records);
    const finding = passed('etcd', `${endpoint}: ${description}, in ${tookMs} ms`);
    return { endpoint, finding, status, observed };
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    const problem = problemOf(error);
    const prefix = status ? `etcd ${status.version} answers, but ` : '';
    const message = `${endpoint}: ${prefix}${problem.message}`;
    const fallbackHint = hintFor(problem.message, status !== undefined);
    return { endpoint, finding: fault('etcd', { ...problem, message }, fallbackHint), status };
  } finally {
    inspector?.close();
  }
}

function describeMember(
  { security }: SharedConfig,
  endpoint: string,
  { version }: MemberStatus,
  records: readonly ServiceRecord[],
): string {
  const { ca, cert } = security.tls;
  const authority = ca ?? 'an authority that Node knows';
  const tls = endpoint.startsWith('https:')
    ? `TLS verified by ${authority}${cert === undefined ? '' : `, our certificate ${cert}`}`
    : 'without TLS';
  const user = security.user === undefined ? 'without a user' : `as user ${security.user.name}`;
  const parents = new Set(records.map(({ key }) => key.slice(0, key.lastIndexOf('/') + 1)));
  const write = parents.size > 0 ? `, would take a write under ${[...parents].join(', ')}` : '';
  return `etcd ${version}, ${tls}, ${user}${write}`;
}

function examineCluster(reports: readonly Report[]): Finding {
  const members = reports.flatMap(({ endpoint, status }) => (status ? [{ endpoint, ...status }] : []));
  const [first] = members;
  if (first === undefined) return skipped('cluster', 'no endpoint answers');
  const stranger = members.find(({ clusterId }) => clusterId !== first.clusterId);
  if (stranger) {
    return fault('cluster', {
      message: `${first.endpoint} and ${stranger.endpoint} are of different clusters`,
      hint: 'name members of one cluster in --etcd',
    });
  }
  const noLeader = 'no member that answers knows a leader, so nothing can be written';
  if (!members.some(({ hasLeader }) => hasLeader))
    return fault('cluster', { message: noLeader, hint: noMajority });
  const alarms = new Set(members.flatMap(member => member.alarms));
  if (alarms.size > 0) {
    return fault('cluster', {
      message: `the alarm ${[...alarms].join(', ')} is raised`,
      hint: alarms.has('NOSPACE') ? outOfSpace : 'run etcdctl alarm list to see which member raised it',
    });
  }
  const answering = `${members.length} of ${reports.length} endpoints answer`;
  return passed('cluster', `${answering}, with a leader, without an alarm`);
}

const noMajority = 'bring a majority of the members back';
const outOfSpace = 'compact it, etcdctl defrag, then etcdctl alarm disarm';

/** @param isReached the member answers about itself; if it does not answer a write, it waits for the others */
function hintFor(message: string, isReached: boolean): string | undefined {
  if (!/in time|within/.test(message)) return undefined;
  return isReached ? noMajority : networkHint;
}
