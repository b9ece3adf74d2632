/**
 * Where are we, and where do others reach the app's port? The steps that Docker answers.
 */
import { systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { formatAddress, type Address } from '../core/address.ts';
import { formatEngineEndpoint } from '../core/engine.ts';
import type { ContainerView } from '../core/container.ts';
import type { Self } from '../docker/locate.ts';
import { messageOf, UnavailableError } from '../errors.ts';
import { askDocker } from '../parts.ts';
import { ill, skipped, well, type Finding, type Step } from './finding.ts';

/** No container has this id. To ask for it shows whether Docker answers, by the one question that a proxy lets through. */
const noContainer = '0'.repeat(64);

/** What was found out of where we are; null is unknown. */
export interface Place {
  readonly address: Address | null;
  readonly self: Self | null;
}

export async function* examinePlace(config: Config): AsyncGenerator<Finding, Place> {
  const { advertise } = config;
  if (advertise.kind === 'literal') {
    yield skipped('docker', `not asked: --advertise says ${formatAddress(advertise.address)}`);
    return { address: advertise.address, self: null };
  }
  const docker = await askDocker(config, advertise);
  const startedAt = systemClock.now();
  try {
    await docker.engine.inspect(noContainer);
    const tookMs = Math.round(systemClock.now() - startedAt);
    yield well('docker', `${formatEngineEndpoint(config.engine)} answers after ${tookMs} ms`);
  } catch (error) {
    yield unanswered('docker', error, 'see to it, or do without Docker: --advertise IP:PORT');
    yield skipped('container', 'Docker must confirm it');
    yield skipped('port', 'Docker must say it');
    return { address: null, self: null };
  }
  let self: Self;
  try {
    self = await docker.findSelf();
    yield well('container', `${describeContainer(self.container)}, found by ${self.source}`);
  } catch (error) {
    yield unanswered('container', error);
    yield skipped('port', 'the container is not known');
    return { address: null, self: null };
  }
  try {
    const answer = await docker.locate(self);
    if (answer.kind === 'problem') {
      yield ill('port', answer.problem);
      return { address: null, self };
    }
    const port = `${config.localPort}/${config.protocol} of ${describeContainer(self.network)}`;
    yield well('port', `${port} is reached at ${formatAddress(answer.address)}, ${answer.by}`);
    return { address: answer.address, self };
  } catch (error) {
    yield unanswered('port', error);
    return { address: null, self };
  }
}

function describeContainer({ id, name }: ContainerView): string {
  return `${id.slice(0, 12)} (${name})`;
}

function unanswered(step: Step, error: unknown, fix?: string): Finding {
  if (error instanceof UnavailableError) return ill(step, messageOf(error), fix);
  throw error;
}
