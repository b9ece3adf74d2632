/** From the options of services to their configuration. */
import { reachProblem } from '../core/address/advertise.ts';
import type { ContainerFacts, ServiceSpec } from '../core/layouts/instance.ts';
import {
  conflictAmong,
  recordsOf,
  type Publication,
  type PublishedInstance,
} from '../core/layouts/records.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { failure, problemsOf, success, valueOf, type Problem, type Result } from '../errors.ts';
import { readCheck } from './check.ts';
import { limits } from './parse/limits.ts';
import type { LayoutChoice } from './parse/records.ts';
import { withPrefix } from './parse/value.ts';
import type { RawConfig, RawOptions } from './raw.ts';
import { andThen, brokenRules, combine, readerOf, withProblems, type Reader } from './reader.ts';
import { conflictsOfTimes, impliedTimes } from './times.ts';

type Variables = ServiceSpec['variables'];

/** All services; where none is listed, the defaults are the options of one. */
export function readServices(
  { services: listed, defaults }: RawConfig,
  variables: Variables,
): Result<readonly ServiceConfig[]> {
  if (listed.length === 0) return andThen(readService(defaults, variables), service => success([service]));
  const results = listed.map(({ from, label, options }) => {
    if (options.has('port')) return readService(options, variables, `${from}: `, label);
    return failure({ message: `${from}: port is missing`, hint: "give the app's port, such as port 8000" });
  });
  const problems = results.flatMap(problemsOf);
  if (problems.length > 0) return failure(...unique(problems));
  const services = results.flatMap(result => valueOf(result) ?? []);
  const labelled = services.map(service => withUniqueLabel(service, services));
  return withProblems(conflictsAmong(labelled), success(labelled));
}

/** A default with a problem has it in every service. */
function unique(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map(problem => [JSON.stringify(problem), problem])).values()];
}

/** Services of one label get their ports added to it. */
function withUniqueLabel(service: ServiceConfig, services: readonly ServiceConfig[]): ServiceConfig {
  const { label, localPort } = service;
  const isUnique = services.filter(other => other.label === label).length === 1;
  return isUnique ? service : { ...service, label: `${label}:${localPort}` };
}

/**
 * @param prefix begins each problem that is not of a single option
 * @param ownLabel what logs call the service; by default its name, or else its port
 */
function readService(
  raw: RawOptions,
  variables: Variables,
  prefix = '',
  ownLabel?: string,
): Result<ServiceConfig> {
  const reader = readerOf(raw);
  const { value, optional } = reader;
  const results = {
    port: value('port'),
    check: readCheck(raw, prefix),
    checkHost: optional('check-host'),
    checkPort: optional('check-port'),
    spec: readSpec(reader, variables),
    publication: readPublication(reader),
    ip: optional('ip'),
    advertise: value('advertise'),
    allowLoopback: value('allow-loopback'),
    allowUnreachable: value('allow-unreachable'),
    intervalMs: value('interval'),
    fastIntervalMs: optional('fast-interval'),
    timeoutMs: optional('timeout'),
    tolerateMs: value('tolerate'),
    rise: value('rise'),
    fall: value('fall'),
    startPeriodMs: value('start-period'),
    ttlSeconds: value('ttl'),
    watch: value('watch'),
  };
  const combined = combine(results, known =>
    [...conflictsOfTimes(known, raw), ...conflictsIn(known)].map(withPrefix(prefix)),
  );
  return andThen(combined, ({ port, ...values }) => {
    const label = ownLabel ?? values.spec.name ?? raw.get('port')?.text ?? '';
    const allowUnreachable = values.allowUnreachable || values.allowLoopback;
    const service = { label, ...port, ...values, allowUnreachable, ...impliedTimes(values) };
    // What is wrong with the records of a likely instance is wrong with those of every instance.
    const records = recordsOf(likelyInstance(service));
    return withProblems(problemsOf(records).map(withPrefix(prefix)), success(service));
  });
}

function readSpec({ value, optional }: Reader, variables: Variables): Result<ServiceSpec> {
  return combine({
    name: optional('name'),
    host: optional('host'),
    scheme: value('scheme'),
    tags: optional('tags'),
    weight: optional('weight'),
    zone: optional('zone'),
    meta: andThen(optional('meta'), (meta = new Map()) => success(meta)),
    variables: success(variables),
  });
}

/** Also for `dockreg ls`, which lists what these options write. */
export function readPublication({ value, optional }: Reader): Result<Publication> {
  const results = { parent: value('key'), choices: optional('layout'), own: optional('record') };
  return andThen(combine(results), ({ parent, choices, own = [] }) => {
    const implied: readonly LayoutChoice[] = own.length > 0 ? [] : [{ name: 'service', root: parent }];
    return success({ layouts: (choices ?? implied).map(({ name, root = parent }) => ({ name, root })), own });
  });
}

/** A value that is not known, because it has a problem of its own, breaks no rule. */
function conflictsIn(known: Partial<Pick<ServiceConfig, 'ip' | 'advertise' | 'allowLoopback'>>): Problem[] {
  const { ip: host, advertise, allowLoopback = false } = known;
  return [
    ...brokenRules([
      host !== undefined && (advertise?.kind === 'literal' || advertise?.kind === 'container'),
      '--ip and --advertise both give the address',
      'use one of them',
    ]),
    ...[
      { flag: '--ip', ip: host?.kind === 'ip' && host.ip },
      { flag: '--advertise', ip: advertise?.kind === 'literal' && advertise.address.ip },
    ].flatMap(({ flag, ip }) => (ip && reachProblem(`${flag} ${ip}`, ip, allowLoopback)) || []),
  ];
}

/** The first conflict between the records of the services, as far as it can be foreseen. */
function conflictsAmong(services: readonly ServiceConfig[]): Problem[] {
  const { records } = limits;
  const count = services.flatMap(({ publication }) => [...publication.layouts, ...publication.own]).length;
  if (count > records) {
    const message = `the services have ${count} records, and at most ${records} are allowed`;
    return [{ message, hint: 'use more than one dockreg' }];
  }
  const networks = services.map(({ advertise, ip, protocol }) => JSON.stringify([advertise, ip, protocol]));
  const conflict = conflictAmong(
    services.map((service, index) => likelyInstance(service, networks.indexOf(networks[index] ?? '') + 1)),
  );
  return conflict ? [conflict] : [];
}

/**
 * An instance as it might be. An address that is not known yet is one for documentation (RFC 5737), the same for all
 * services on one `network`.
 */
function likelyInstance(service: ServiceConfig, network = 1): ServiceConfig & PublishedInstance {
  const { advertise, localPort } = service;
  if (advertise.kind === 'literal') return { ...service, address: advertise.address, container: undefined };
  return { ...service, address: { ip: `192.0.2.${network}`, port: localPort }, container: someContainer };
}

const someContainer: ContainerFacts = {
  id: '0'.repeat(64),
  name: 'some-container',
  image: 'some-image',
  // A label of registrator's for the id of an instance would make all instances of the container one.
  labels: { get: name => (name.startsWith('SERVICE_') ? undefined : 'some-label') },
  publishedPorts: 1,
};
