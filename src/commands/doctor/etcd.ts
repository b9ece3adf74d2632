/**
 * Would etcd take our record? Each endpoint by itself, then the cluster behind them, then what would be written. A
 * rehearsed write is all that is asked, so nothing is left behind.
 */
import { systemClock } from '../../clock.ts';
import type { SharedConfig } from '../../core/settings/process.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import type { RecordsAnswer } from '../../core/layouts/layouts.ts';
import type { Observed, ServiceRecord } from '../../core/lease/writes.ts';
import type { MemberStatus } from '../../etcd/member.ts';
import { messageOf } from '../../errors.ts';
import { tlsHint, type TlsHints } from '../../tls/hints.ts';
import { connector } from '../../wiring/etcd.ts';
import { recordsAt } from '../../wiring/records.ts';
import { ill, skipped, well, type Finding } from './finding.ts';
import type { ServicePlace } from './container.ts';

/** The most that one question may take. */
const limit = { ms: 3000 } as const;

/** Where the address is not known, the rights are tried with one that is nobody's (RFC 5737). */
const nobody = '192.0.2.1';

/** The endpoints and the cluster, with the records of all services. */
export async function* examineEtcd(
  config: SharedConfig,
  places: readonly ServicePlace[],
): AsyncGenerator<Finding, readonly Report[]> {
  const records = places.flatMap(place => {
    const answer = recordsOfPlace(place);
    return answer.kind === 'records' ? answer.records : [];
  });
  const reports = await Promise.all(
    config.endpoints.map(endpoint => examineMember(config, endpoint, records)),
  );
  for (const { finding } of reports) yield finding;
  yield examineCluster(reports);
  return reports;
}

/** What would be written for one service, and what of it stands there. */
export function examineRecords(place: ServicePlace, reports: readonly Report[]): Finding {
  if (place.address === null) return skipped('record', 'the address is not known');
  const answer = recordsOfPlace(place);
  if (answer.kind === 'problem') return ill('record', answer.problem);
  const observed = reports.find(report => report.observed)?.observed;
  return well('record', describeRecords(place.service, answer.records, observed));
}

function recordsOfPlace({ service, address, self }: ServicePlace): RecordsAnswer {
  return recordsAt(service, address ?? { ip: nobody, port: service.localPort }, self);
}

interface Report {
  readonly endpoint: string;
  readonly finding: Finding;
  /** What the member said of itself, if it answered. */
  readonly status?: MemberStatus;
  /** What stands under our keys. */
  readonly observed?: Observed;
}

async function examineMember(
  config: SharedConfig,
  endpoint: string,
  records: readonly ServiceRecord[],
): Promise<Report> {
  let status: MemberStatus | undefined;
  try {
    const member = await connector(config)(endpoint);
    try {
      status = await member.status(limit);
      const startedAt = systemClock.now();
      const observed = await member.rehearse(records, limit);
      const tookMs = Math.round(systemClock.now() - startedAt);
      const finding = well(
        'etcd',
        `${endpoint}: ${describeMember(config, endpoint, status, records)}, in ${tookMs} ms`,
      );
      return { endpoint, finding, status, observed };
    } finally {
      member.close();
    }
  } catch (error) {
    const message = messageOf(error);
    const said = status ? `etcd ${status.version} answers, but ` : '';
    const hint = hintFor(message, endpoint, status !== undefined);
    const finding = ill('etcd', `${endpoint}: ${said}${message}`, hint);
    return { endpoint, finding, ...(status && { status }) };
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
  const secured = endpoint.startsWith('https:')
    ? `TLS verified by ${authority}${cert === undefined ? '' : `, our certificate ${cert}`}`
    : 'without TLS';
  const user = security.user === undefined ? 'without a user' : `as user ${security.user.name}`;
  const parents = new Set(records.map(({ key }) => key.slice(0, key.lastIndexOf('/') + 1)));
  const write = parents.size > 0 ? `, would take a write under ${[...parents].join(', ')}` : '';
  return `etcd ${version}, ${secured}, ${user}${write}`;
}

function examineCluster(reports: readonly Report[]): Finding {
  const reached = reports.flatMap(({ endpoint, status }) => (status ? [{ endpoint, ...status }] : []));
  const [first] = reached;
  if (first === undefined) return skipped('cluster', 'no endpoint answers');
  const stranger = reached.find(({ clusterId }) => clusterId !== first.clusterId);
  if (stranger) {
    return ill(
      'cluster',
      `${first.endpoint} and ${stranger.endpoint} are of different clusters`,
      'name members of one cluster in --etcd',
    );
  }
  if (!reached.some(({ hasLeader }) => hasLeader)) {
    return ill('cluster', 'no member that answers knows a leader, so nothing can be written', noMajority);
  }
  const alarms = new Set(reached.flatMap(member => member.alarms));
  if (alarms.size > 0) {
    return ill(
      'cluster',
      `the alarm ${[...alarms].join(', ')} is raised`,
      alarms.has('NOSPACE') ? outOfSpace : 'etcdctl alarm list says which member it is about',
    );
  }
  return well(
    'cluster',
    `${reached.length} of ${reports.length} endpoints answer, with a leader, without an alarm`,
  );
}

function describeRecords(
  { ttlSeconds }: ServiceConfig,
  records: readonly ServiceRecord[],
  observed: Observed | undefined,
): string {
  const texts = records.map(({ key, value }) => {
    const now = observed && `; ${observed.has(key) ? 'it stands there now' : 'it is not there now'}`;
    return `${key} = ${value}${now ?? ''}`;
  });
  return `while the check passes, under a lease of ${ttlSeconds} s: ${texts.join(', ')}`;
}

/** No answer, or none in time. */
const noAnswer = /in time|within/;
const noMajority = 'bring a majority of the members back';
const outOfSpace = 'compact it, etcdctl defrag, then etcdctl alarm disarm';

const renewCertificate = 'renew the certificate, or set the clock';
const notTls = 'it does not speak TLS there: write http:// in --etcd';
const tlsHints: TlsHints = {
  'unknown-authority': 'name the authority of its certificate in --etcd-ca',
  'wrong-name': 'name it in --etcd as its certificate does',
  expired: renewCertificate,
  'not-yet-valid': renewCertificate,
  'certificate-refused': 'it refuses our certificate: give one that it takes in --etcd-cert and --etcd-key',
  'not-tls': notTls,
  'handshake-closed': notTls,
};

/** By messages of gRPC and etcd. A refusal by etcd has its own hint. */
const hints: readonly [pattern: RegExp, hint: string][] = [
  [
    /ECONNREFUSED/,
    'start etcd there, let it listen on that address (--listen-client-urls), or correct --etcd',
  ],
  [
    /ENOTFOUND|EAI_AGAIN|name resolution/i,
    'correct the name in --etcd, or the name server of this container',
  ],
  [/cannot be read|usable PEM/, 'name a file that is in this container and that we may read'],
  [/space exceeded/, outOfSpace],
  [/no leader|request timed out|context deadline/, noMajority],
  [/in time|within|UNREACH/, 'does this container reach it? See its network, the firewall, and --etcd'],
];

/** A member that answers for itself and not for a write waits for the others. */
function hintFor(message: string, endpoint: string, isReached: boolean): string | undefined {
  if (isReached && noAnswer.test(message)) return noMajority;
  if (/Failed to connect|ECONNRESET|hang up/.test(message) && !/ECONNREFUSED/.test(message)) {
    return endpoint.startsWith('https:')
      ? 'does it speak TLS there? If not, write http:// in --etcd'
      : 'does it speak TLS? Then write https:// in --etcd';
  }
  return tlsHint(message, tlsHints) ?? hints.find(([pattern]) => pattern.test(message))?.[1];
}
