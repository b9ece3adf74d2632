/**
 * Is a service drained? Only a dockreg that runs here knows; without one there is no finding.
 */
import { requestControl } from '../../admin/control-client.ts';
import { UnavailableError } from '../../errors.ts';
import { fault, type Finding } from './finding.ts';

/** @param control the path of the control socket; null for none */
export async function* examineDrain(control: string | null): AsyncGenerator<Finding> {
  if (control === null) return;
  const answer = await requestControl(control, 'status').catch((error: unknown) => {
    if (error instanceof UnavailableError) return null;
    throw error;
  });
  for (const { name, drained } of answer?.services ?? []) {
    const hint = `put it back with dockreg resume ${name}`;
    if (drained) yield fault('drain', { message: `${name} is drained`, hint });
  }
}
