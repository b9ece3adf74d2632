/**
 * The steps that Docker answers: which container is this, which services are in it, and where do others reach their
 * ports?
 */
import { systemClock } from '../../clock.ts';
import type { AnyConfig, Completed } from '../../config/config.ts';
import { hasLabels, unreadLabels } from '../../config/sources/labels.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import { everyHostWarning } from '../../core/address/every-host.ts';
import { formatAddress, type Address } from '../../core/address/ip.ts';
import { formatEngineEndpoint } from '../../core/settings/process.ts';
import type { ContainerView } from '../../core/address/container.ts';
import type { Self } from '../../docker/self.ts';
import { problemOf, UnavailableError } from '../../errors.ts';
import type { DockerAccess } from '../../wiring/docker.ts';
import { createNames } from '../../wiring/names.ts';
import { fault, msSince, passed, skipped, warned, type Finding, type FindingStep } from './finding.ts';

/** No container has this id. An inspect of it shows whether Docker answers, and every socket proxy allows it. */
const noContainer = '0'.repeat(64);

/** This container; null with the reason to skip the steps that need it. */
export type OwnContainer = { readonly self: Self } | { readonly self: null; readonly reason: string };

/** The steps `docker` and `container`. */
export async function* examineContainer(
  config: AnyConfig,
  docker: DockerAccess,
): AsyncGenerator<Finding, OwnContainer> {
  const modes = 'services' in config ? config.services.map(({ advertise }) => advertise) : null;
  if (modes?.every(advertise => advertise.kind === 'literal')) {
    const addresses = modes.map(({ address }) => formatAddress(address)).join(', ');
    yield skipped('docker', `not asked: --advertise gives ${addresses}`);
    return { self: null, reason: 'Docker is not asked' };
  }
  const startedAt = systemClock.now();
  try {
    await (await docker.engine()).inspect(noContainer);
    yield passed('docker', `${formatEngineEndpoint(config.engine)} answers after ${msSince(startedAt)} ms`);
  } catch (error) {
    const hint = 'check --docker and the engine, or do without Docker: --advertise IP:PORT';
    yield unavailable('docker', error, hint);
    const reason = 'Docker does not answer';
    yield skipped('container', reason);
    return { self: null, reason };
  }
  try {
    const self = await docker.findSelf();
    yield passed('container', `${describeContainer(self.container)}, found by ${self.source}`);
    return { self };
  } catch (error) {
    yield unavailable('container', error);
    return { self: null, reason: 'the container is not known' };
  }
}

/** The step `services`, where the labels of this container define them. Returns the services. */
export function* examineServices(
  config: AnyConfig,
  own: OwnContainer,
): Generator<Finding, readonly ServiceConfig[]> {
  if ('services' in config) {
    if (own.self && hasLabels(own.self.container.labels)) yield skipped('services', unreadLabels);
    let labelled: Completed | null = null;
    try {
      labelled = own.self && config.withCheckLabels(own.self.container.labels);
    } catch (error) {
      yield unavailable('services', error);
    }
    const { services, warnings } = labelled ?? config;
    for (const warning of warnings) yield skipped('services', warning);
    return services;
  }
  if (own.self === null) {
    const reason = `the labels of this container are not known: ${own.reason}`;
    yield skipped('services', `no --port, --service or --config is given, and ${reason}`);
    return [];
  }
  let labels: ReadonlyMap<string, string>;
  try {
    // Docker may give an odd value for a label of ours.
    labels = new Map(own.self.container.labels);
  } catch (error) {
    yield unavailable('services', error);
    return [];
  }
  const configured = config.withLabels(labels);
  if (!configured.ok) {
    for (const problem of configured.problems) yield fault('services', problem);
    return [];
  }
  const { services, warnings } = configured.value;
  for (const warning of warnings) yield skipped('services', warning);
  const known = createNames(services);
  known.learn(own.self);
  const names = services.map(service => known.of(service).name).join(', ');
  yield passed('services', `the labels of this container define ${names}`);
  return services;
}

/** What is known about where a service is; null is not known. */
export interface ServiceLocation {
  readonly service: ServiceConfig;
  readonly address: Address | null;
  readonly self: Self | null;
}

/** The step `port`. There are no findings where Docker is not asked. */
export async function examinePort(
  service: ServiceConfig,
  docker: DockerAccess,
  own: OwnContainer,
): Promise<{ readonly location: ServiceLocation; readonly findings: readonly Finding[] }> {
  const { advertise, localPort, protocol } = service;
  if (advertise.kind === 'literal') {
    const { address } = advertise;
    const warning = service.allowLoopback ? undefined : everyHostWarning(address, undefined);
    return { location: { service, address, self: null }, findings: warning ? [warned('port', warning)] : [] };
  }
  const { self } = own;
  const location = { service, address: null, self };
  if (self === null) return { location, findings: [skipped('port', own.reason)] };
  try {
    const answer = await docker.resolveAddress(self, service, advertise);
    if (!answer.ok) return { location, findings: answer.problems.map(problem => fault('port', problem)) };
    const { address, by, warnings = [] } = answer.value;
    const port = `${localPort}/${protocol} of ${describeContainer(self.network)}`;
    const finding = passed('port', `${port} is reached at ${formatAddress(address)}, ${by}`);
    const findings = [finding, ...warnings.map(warning => warned('port', warning))];
    return { location: { service, address, self }, findings };
  } catch (error) {
    return { location, findings: [unavailable('port', error)] };
  }
}

function describeContainer({ id, title }: ContainerView): string {
  return `${id.slice(0, 12)} (${title})`;
}

function unavailable(step: FindingStep, error: unknown, fallbackHint?: string): Finding {
  if (error instanceof UnavailableError) return fault(step, problemOf(error), fallbackHint);
  throw error;
}
