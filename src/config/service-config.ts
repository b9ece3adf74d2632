/**
 * From what was given of one service to its configuration, or to the list of everything that is wrong with it.
 */
import { reachProblem, type Advertise } from '../core/address/advertise.ts';
import {
  instanceOf,
  type ContainerFacts,
  type Instance,
  type ServiceSpec,
} from '../core/layouts/instance.ts';
import { recordsOf, type Publication } from '../core/layouts/records.ts';
import { formatProblem } from '../errors.ts';
import { readCheck } from './check.ts';
import { readerOf, type RawOptions, type Read } from './given.ts';
import type { LayoutChoice } from './service.ts';
import type { ServiceConfig } from '../core/settings/service.ts';

/**
 * The service, or every problem at once, each naming the flag, the value, the rule and the way out. What is not of one
 * flag begins with `whose`.
 */
export function readService(
  given: RawOptions,
  variables: ServiceSpec['variables'],
  prefix = '',
): { readonly service: ServiceConfig } | { readonly problems: readonly string[] } {
  const { read, problems } = readerOf(given);
  const check = readCheck(given, prefix);
  const port = read('port');
  const name = read('name');
  const values = {
    label: name ?? given.get('port')?.text ?? '',
    localPort: port?.port,
    protocol: port?.protocol,
    spec: {
      name,
      host: read('host'),
      scheme: read('scheme'),
      tags: read('tags'),
      weight: read('weight'),
      zone: read('zone'),
      meta: read('meta') ?? new Map(),
      variables,
    } as ServiceSpec,
    publication: readPublication(read),
    ip: read('ip'),
    advertise: read('advertise'),
    allowLoopback: read('allow-loopback'),
    check: 'check' in check ? check.check : undefined,
    intervalMs: read('interval'),
    timeoutMs: read('timeout'),
    rise: read('rise'),
    fall: read('fall'),
    startPeriodMs: read('start-period'),
    ttlSeconds: read('ttl'),
    watch: read('watch'),
  };
  if ('problems' in check) problems.push(...check.problems);
  problems.push(...conflicts(values).map(problem => `${prefix}${problem}`));
  if (problems.length > 0) return { problems };
  const service = values as ServiceConfig;
  const problem = foreseeProblem(service);
  return problem === undefined ? { service } : { problems: [`${prefix}${problem}`] };
}

export function readPublication(read: Read): Publication {
  const parent = read('key') ?? '';
  const own = read('record') ?? [];
  const defaultText: LayoutChoice[] = own.length > 0 ? [] : [{ name: 'service', root: parent }];
  const layouts = (read('layout') ?? defaultText).map(({ name, root = parent }) => ({ name, root }));
  return { layouts, own };
}

/** What will be in the way whatever the instance, found by writing down one that might be. */
function foreseeProblem(service: ServiceConfig): string | undefined {
  const result = recordsOf(service.publication, () => likelyInstance(service));
  const [problem] = result.ok ? [] : result.problems;
  return problem && formatProblem(problem);
}

/**
 * An instance as it might be: where its address is not said it is one of nobody's (RFC 5737), the same for all on one
 * `network`.
 */
export function likelyInstance(
  { advertise, localPort, protocol, spec }: ServiceConfig,
  network = 1,
): Instance {
  const literal = advertise.kind === 'literal';
  const address = literal ? advertise.address : { ip: `192.0.2.${network}`, port: localPort };
  return instanceOf(spec, { address, localPort, protocol }, literal ? undefined : someContainer);
}

const someContainer: ContainerFacts = {
  id: '0'.repeat(64),
  name: 'some-container',
  image: 'some-image',
  labels: { get: () => 'some-label' },
  publishedPorts: 1,
};

function conflicts({
  intervalMs,
  timeoutMs,
  ttlSeconds,
  ip,
  advertise,
  allowLoopback,
}: { readonly [Name in keyof ServiceConfig]: ServiceConfig[Name] | undefined }): string[] {
  const problems: string[] = [];
  if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs > intervalMs) {
    problems.push(
      `--timeout ${timeoutMs} ms is longer than --interval ${intervalMs} ms: a check must end before the next begins; ` +
        `lower --timeout or raise --interval`,
    );
  }
  if (intervalMs !== undefined && ttlSeconds !== undefined && ttlSeconds * 1000 < 2 * intervalMs) {
    problems.push(
      `--ttl ${ttlSeconds} s is shorter than two intervals of ${intervalMs} ms: one late renewal would lose the key; ` +
        `use --ttl ${Math.ceil((2 * intervalMs) / 1000)}s or more`,
    );
  }
  if (ip !== undefined && (advertise?.kind === 'literal' || advertise?.kind === 'container')) {
    problems.push('--ip and --advertise both say the address; give one of them');
  }
  const said = { '--ip': ip?.kind === 'ip' ? ip.ip : undefined, '--advertise': literalIp(advertise) };
  for (const [flag, address] of Object.entries(said)) {
    const problem = address && reachProblem(`${flag} ${address}`, address, allowLoopback === true);
    if (problem) problems.push(formatProblem(problem));
  }
  return problems;
}

function literalIp(advertise: Advertise | undefined): string | undefined {
  return advertise?.kind === 'literal' ? advertise.address.ip : undefined;
}
