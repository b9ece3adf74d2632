/**
 * The protocol of the control socket: the client sends a line (`drain`, `resume` or `status`, and optionally the name of
 * a service) and receives a line of JSON.
 */
import type { AdminService, ProcessStatus } from '../core/registration/status.ts';
import { processStatus, type AdminApi } from './api.ts';
import type { Protocol } from './exchanges.ts';

export type ControlAnswer = ProcessStatus | { readonly error: string; readonly hint?: string };

const mostRequest = 1024;

export function controlProtocol(api: AdminApi): Protocol {
  return {
    encoding: 'utf8',
    connections: { perSecond: 50, atOnce: 100 },
    mostRequest,
    answer(received, isLast) {
      const [line = '', ...more] = received.split('\n');
      if (more.length === 0 && !isLast) return null;
      return `${JSON.stringify(answer(line, api))}\n`;
    },
  };
}

function answer(request: string, api: AdminApi): ControlAnswer {
  const [command = '', name, ...more] = request.trim().split(' ');
  if ((command !== 'drain' && command !== 'resume' && command !== 'status') || more.length > 0)
    return { error: 'the request must be drain, resume or status, and optionally a service' };
  const { services } = api;
  const chosen = name === undefined ? services : servicesCalled(name, services);
  if (name !== undefined && chosen.length === 0) {
    const names = services.map(service => service.name);
    const error = `there is no service ${name}`;
    return names.length === 0 ? { error } : { error, hint: `the services are ${names.join(', ')}` };
  }
  if (command !== 'status') for (const service of chosen) service[command]();
  return processStatus(api, chosen);
}

/** The service of this name, or else all that are called so too. */
function servicesCalled(name: string, services: readonly AdminService[]): readonly AdminService[] {
  const ofName = services.filter(service => service.name === name);
  return ofName.length > 0 ? ofName : services.filter(({ otherNames }) => otherNames.includes(name));
}
