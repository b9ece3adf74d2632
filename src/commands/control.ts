/**
 * `dockreg drain`, `resume` and `status`: ask the dockreg that runs in this container.
 */
import { systemClock } from '../clock.ts';
import { requestControl } from '../admin/control-client.ts';
import type { ServiceStatus } from '../core/registration/status.ts';
import { brief, clean, safeJson } from '../core/text.ts';
import { UnavailableError, type Problem } from '../errors.ts';
import { alignColumns, formatAge } from './table.ts';

export interface ControlOptions {
  readonly word: 'drain' | 'resume' | 'status';
  /** Undefined for all services. */
  readonly service: string | undefined;
  /** The path of the control socket. */
  readonly path: string;
  readonly json: boolean;
}

/** How long a drain waits until etcd has confirmed it, in ms. */
const confirmMs = 5000;
const pollMs = 100;

/**
 * Resolves with whether all is well: every service is up, or the command is done.
 * @throws UnavailableError when no dockreg answers, and when etcd does not confirm a drain
 */
export async function control(options: ControlOptions, write: (text: string) => void): Promise<boolean> {
  const { word, service, path, json } = options;
  let answer = await requestControl(path, word, service);
  switch (word) {
    case 'drain': {
      const until = systemClock.now() + confirmMs;
      while (!answer.services.every(isAbsent) && systemClock.now() < until) {
        await systemClock.sleep(pollMs);
        answer = await requestControl(path, 'status', service);
      }
      for (const { name } of answer.services.filter(isAbsent))
        write(`${brief(name)} is drained, and nothing of it is left in etcd\n`);
      const left = answer.services.find(each => !isAbsent(each));
      if (left) throw new UnavailableError(whyLeft(left));
      return true;
    }
    case 'resume':
      for (const { name, health } of answer.services)
        write(
          `${brief(name)} is resumed: it is ${brief(health)}${health === 'up' ? '' : ', and will be registered when it is up'}\n`,
        );
      return true;
    case 'status':
      write(json ? `${safeJson(answer, 2)}\n` : formatStatus(answer.services));
      return answer.services.every(({ health }) => health === 'up');
  }
}

function isAbsent({ drained, registration }: ServiceStatus): boolean {
  return drained && registration === 'absent';
}

function whyLeft({ name, drained, etcdError }: ServiceStatus): Problem {
  if (!drained) return { message: `${name} was resumed by another command` };
  return {
    message: `${name} is drained, but etcd has not confirmed that its key is gone: ${etcdError ?? 'no answer yet'}`,
    hint: 'dockreg keeps trying, and the key goes with its lease at the latest: within a TTL after etcd answers again',
  };
}

function whyOf({ why, uncheckedSince, lastCheck }: ServiceStatus, now: number): string {
  const known = why ?? 'not checked yet';
  if (uncheckedSince === null) return known;
  return `${known}; unknown for ${ageOf(uncheckedSince, now)}: ${lastCheck?.detail ?? ''}`;
}

function ageOf(date: string, now: number): string {
  return formatAge(Math.max(0, Math.round((now - Date.parse(date)) / 1000)));
}

function formatStatus(services: readonly ServiceStatus[]): string {
  const now = systemClock.wall();
  const lines = services.map(service => [
    service.name,
    service.health,
    ageOf(service.since, now),
    service.address ?? '',
    service.drained && service.registration === 'absent' ? 'drained' : service.registration,
    whyOf(service, now),
  ]);
  const failing = services.flatMap(({ etcdError, etcdAnsweredAt }) =>
    etcdError === null
      ? []
      : [
          `etcd: ${clean(etcdError)}; ${etcdAnsweredAt === null ? 'it has not answered yet' : `its last answer is ${ageOf(etcdAnsweredAt, now)} old`}\n`,
        ],
  );
  // Names come from outside, so a line does not begin with one.
  const warnings = services.flatMap(({ name, addressWarning }) =>
    addressWarning === null ? [] : [`address of ${brief(name)}: ${clean(addressWarning)}\n`],
  );
  const addresses = services.flatMap(({ name, address, addressCause: cause }) => {
    if (address === null)
      return [`no address for ${brief(name)}: ${clean(cause ?? 'it is not known yet')}\n`];
    return cause === null ? [] : [`address of ${brief(name)} could not be confirmed: ${clean(cause)}\n`];
  });
  return (
    alignColumns([['SERVICE', 'HEALTH', 'FOR', 'ADDRESS', 'IN ETCD', 'WHY'], ...lines]) +
    [...addresses, ...warnings, ...new Set(failing)].join('')
  );
}
