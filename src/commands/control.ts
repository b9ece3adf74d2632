/**
 * `dockreg drain`, `resume` and `status`: asks the dockreg that runs in this container.
 */
import { systemClock } from '../clock.ts';
import { requestControl } from '../admin/control-client.ts';
import type { ServiceStatus } from '../core/registration/status.ts';
import { UnavailableError } from '../errors.ts';
import { alignColumns, formatAge } from './table.ts';

export interface ControlOptions {
  readonly word: 'drain' | 'resume' | 'status';
  /** All of them when it is left out. */
  readonly service: string | undefined;
  /** The control socket. */
  readonly path: string;
  readonly json: boolean;
}

/** For so long etcd is waited for, in ms, after a drain. */
const confirmMs = 5000;
const pollMs = 100;

/**
 * Answers whether all is well: every service is up, or what was ordered is done.
 * @throws UnavailableError when no dockreg answers, and when etcd does not confirm a drain
 */
export async function control(options: ControlOptions, write: (text: string) => void): Promise<boolean> {
  const { word, service, path, json } = options;
  const about = (asked: string): string => (service === undefined ? asked : `${asked} ${service}`);
  let answer = await requestControl(path, about(word));
  switch (word) {
    case 'drain': {
      const until = systemClock.now() + confirmMs;
      while (!answer.services.every(isAbsent) && systemClock.now() < until) {
        await systemClock.sleep(pollMs);
        answer = await requestControl(path, about('status'));
      }
      for (const each of answer.services) {
        if (isAbsent(each)) write(`${each.name} is drained, and nothing of it is left in etcd\n`);
      }
      const left = answer.services.find(each => !isAbsent(each));
      if (left) throw new UnavailableError(whyLeft(left));
      return true;
    }
    case 'resume':
      for (const { name, health } of answer.services)
        write(
          `${name} is resumed: it is ${health}${health === 'up' ? '' : ', and registered when it is up'}\n`,
        );
      return true;
    case 'status':
      write(json ? `${JSON.stringify(answer, null, 2)}\n` : formatStatus(answer.services));
      return answer.services.every(({ health }) => health === 'up');
  }
}

function isAbsent({ drained, registration }: ServiceStatus): boolean {
  return drained && registration === 'absent';
}

function whyLeft({ name, drained, etcdError }: ServiceStatus): string {
  if (!drained) return `${name} was resumed by somebody else`;
  return (
    `${name} is drained, but etcd has not confirmed that its key is gone: ${etcdError ?? 'no answer yet'}; ` +
    `it is tried on, and the key goes with its lease at the latest`
  );
}

function formatStatus(services: readonly ServiceStatus[]): string {
  const now = systemClock.wall();
  const lines = services.map(service => [
    service.name,
    service.health,
    formatAge(Math.max(0, Math.round((now - Date.parse(service.since)) / 1000))),
    service.address ?? '',
    service.drained && service.registration === 'absent' ? 'drained' : service.registration,
    service.why ?? 'not checked yet',
  ]);
  const errors = new Set(services.map(({ etcdError }) => etcdError).filter(error => error !== null));
  return (
    alignColumns([['SERVICE', 'HEALTH', 'FOR', 'ADDRESS', 'IN ETCD', 'WHY'], ...lines]) +
    [...errors].map(error => `etcd: ${error}\n`).join('')
  );
}
