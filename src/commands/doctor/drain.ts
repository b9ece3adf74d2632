/**
 * Is the app left out on purpose? Only the dockreg that runs here knows; where none does, nothing is said.
 */
import { requestControl } from '../../admin/control-client.ts';
import { UnavailableError } from '../../errors.ts';
import { ill, type Finding } from './finding.ts';

/** @param control the path of the control socket */
export async function* examineDrain(control: string | null): AsyncGenerator<Finding> {
  if (control === null) return;
  const answer = await requestControl(control, 'status').catch((error: unknown) => {
    if (error instanceof UnavailableError) return null;
    throw error;
  });
  for (const { name, drained } of answer?.services ?? [])
    if (drained) yield ill('drain', `${name} is drained`, `put it back with dockreg resume ${name}`);
}
