/**
 * What the services of the process are called. Some names are known only once Docker has answered about our container, and
 * then all at once.
 */
import { factsOf } from '../core/layouts/instance.ts';
import { namesOf, type Naming } from '../core/layouts/names.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import type { Self } from '../docker/self.ts';
import { UnavailableError } from '../errors.ts';
import type { Log } from '../log.ts';

export interface Names {
  of(service: ServiceConfig): Naming;
  /** Called whenever Docker has answered about our container. */
  learn(self: Pick<Self, 'container' | 'network'>): void;
}

/** @param log has a line for each name that changes, so that those before and after it can be joined */
export function createNames(services: readonly ServiceConfig[], log?: Log): Names {
  let names = namesOf(services, undefined);
  return {
    of(service) {
      const naming = names[services.indexOf(service)];
      return naming ?? { name: service.label, listed: [], others: [] };
    },
    learn({ container, network }) {
      const before = names;
      try {
        names = namesOf(services, factsOf(container, network));
      } catch (error) {
        // Docker gave an odd value for a name. The address loop reports it.
        if (!(error instanceof UnavailableError)) throw error;
      }
      for (const [index, { name }] of names.entries()) {
        const was = before[index]?.name;
        if (name !== was) log?.info(`service named ${name}`, { was });
      }
    },
  };
}
