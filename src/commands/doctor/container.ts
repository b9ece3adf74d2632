/**
 * Where are we, and where do others reach the app's port? The steps that Docker answers.
 */
import { systemClock } from '../../clock.ts';
import type { Config, ConfigByLabels } from '../../config/config.ts';
import { hasLabels, unreadLabels } from '../../config/sources/labels.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import { formatAddress, type Address } from '../../core/address/ip.ts';
import { formatEngineEndpoint } from '../../core/settings/engine.ts';
import type { ContainerView } from '../../core/address/container.ts';
import type { Self } from '../../docker/self.ts';
import { messageOf, UnavailableError } from '../../errors.ts';
import type { DockerAccess } from '../../wiring/docker.ts';
import { ill, skipped, well, type Finding, type FindingStep } from './finding.ts';

/** No container has this id. To ask for it shows whether Docker answers, by the one question that a proxy lets through. */
const noContainer = '0'.repeat(64);

/** Our container, or why it is not known: a reason not to look at what hangs on it. */
export type Whereabouts = { readonly self: Self } | { readonly self: null; readonly why: string };

export async function* examineContainer(
  config: Config | ConfigByLabels,
  docker: DockerAccess,
): AsyncGenerator<Finding, Whereabouts> {
  const said = 'services' in config ? config.services.map(({ advertise }) => advertise) : null;
  if (said?.every(advertise => advertise.kind === 'literal')) {
    const addresses = said.map(({ address }) => formatAddress(address)).join(', ');
    yield skipped('docker', `not asked: --advertise says ${addresses}`);
    return { self: null, why: 'Docker is not asked' };
  }
  const startedAt = systemClock.now();
  try {
    await (await docker.engine()).inspect(noContainer);
    const tookMs = Math.round(systemClock.now() - startedAt);
    yield well('docker', `${formatEngineEndpoint(config.engine)} answers after ${tookMs} ms`);
  } catch (error) {
    yield unanswered('docker', error, 'see to it, or do without Docker: --advertise IP:PORT');
    yield skipped('container', 'Docker must confirm it');
    return { self: null, why: 'Docker must say it' };
  }
  try {
    const self = await docker.findSelf();
    yield well('container', `${describeContainer(self.container)}, found by ${self.source}`);
    return { self };
  } catch (error) {
    yield unanswered('container', error);
    return { self: null, why: 'the container is not known' };
  }
}

/** The services, where need be by the labels of our container. */
export function* examineServices(
  config: Config | ConfigByLabels,
  whereabouts: Whereabouts,
): Generator<Finding, readonly ServiceConfig[]> {
  if ('services' in config) {
    const { self } = whereabouts;
    if (self && hasLabels(self.container.labels)) yield skipped('services', unreadLabels);
    return config.services;
  }
  if (whereabouts.self === null) {
    yield skipped('services', `the labels of this container must say them: ${whereabouts.why}`);
    return [];
  }
  const configured = config.withLabels(whereabouts.self.container.labels);
  if (!configured.ok) {
    for (const { message, hint } of configured.problems) yield ill('services', message, hint);
    return [];
  }
  const { services } = configured.value;
  const names = services.map(({ label }) => label).join(', ');
  yield well('services', `the labels of this container say ${names}`);
  return services;
}

/** What was found out of where a service is; null is unknown. */
export interface ServicePlace {
  readonly service: ServiceConfig;
  readonly address: Address | null;
  readonly self: Self | null;
}

/** There is no finding where Docker is not asked. */
export async function examinePort(
  service: ServiceConfig,
  docker: DockerAccess,
  whereabouts: Whereabouts,
): Promise<{ readonly place: ServicePlace; readonly finding?: Finding }> {
  const { advertise, localPort, protocol } = service;
  if (advertise.kind === 'literal') return { place: { service, address: advertise.address, self: null } };
  const { self } = whereabouts;
  const place = { service, address: null, self };
  if (self === null) return { place, finding: skipped('port', whereabouts.why) };
  try {
    const answer = await docker.resolveAddress(self, service, advertise);
    if (answer.kind === 'problem') return { place, finding: ill('port', answer.problem) };
    const { address, by } = answer;
    const port = `${localPort}/${protocol} of ${describeContainer(self.network)}`;
    const finding = well('port', `${port} is reached at ${formatAddress(address)}, ${by}`);
    return { place: { service, address, self }, finding };
  } catch (error) {
    return { place, finding: unanswered('port', error) };
  }
}

function describeContainer({ id, name }: ContainerView): string {
  return `${id.slice(0, 12)} (${name})`;
}

function unanswered(step: FindingStep, error: unknown, hint?: string): Finding {
  if (error instanceof UnavailableError) return ill(step, messageOf(error), hint);
  throw error;
}
