/**
 * `dockreg doctor`: shows why an app does not appear in etcd. It goes through every step from this container to the key,
 * also after a fault, and says what is wrong and what to do. It leaves nothing behind.
 */
import { requestControl } from '../../admin/control-client.ts';
import type { AnyConfig } from '../../config/config.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import { safeJson } from '../../core/text.ts';
import { UnavailableError } from '../../errors.ts';
import { createDocker } from '../../wiring/docker.ts';
import { createNames } from '../../wiring/names.ts';
import { examineAddress, examineCheck, examineListener } from './app.ts';
import { examineContainer, examinePort, examineServices, type ServiceLocation } from './container.ts';
import { examineEtcd, examineRecords } from './etcd.ts';
import { fault, formatFinding, skipped, type Finding } from './finding.ts';

/** Resolves with whether there is no fault. With `json`, the findings are written as one array at the end. */
export async function doctor(
  config: AnyConfig,
  version: string,
  { json, warnings }: { readonly json: boolean; readonly warnings: readonly string[] },
  write: (text: string) => void,
): Promise<boolean> {
  const findings: Finding[] = [];
  for await (const finding of examine(config, version, warnings)) {
    findings.push(finding);
    if (!json) write(`${formatFinding(finding)}\n`);
  }
  if (json) write(`${safeJson(findings, 2)}\n`);
  return findings.every(({ ok }) => ok !== false);
}

async function* examine(
  config: AnyConfig,
  version: string,
  warnings: readonly string[],
): AsyncGenerator<Finding> {
  for (const warning of warnings) yield skipped('services', warning);
  const docker = createDocker(config);
  const own = yield* examineContainer(config, docker);
  const services = yield* examineServices(config, own);
  const names = createNames(services);
  if (own.self) names.learn(own.self);
  const of = (service: ServiceConfig, finding: Finding): Finding =>
    services.length === 1 ? finding : { service: names.of(service).name, ...finding };
  const locations: ServiceLocation[] = [];
  for (const service of services) {
    const { location, findings } = await examinePort(service, docker, own);
    locations.push(location);
    for (const finding of findings) yield of(service, finding);
    yield of(service, examineListener(service));
    yield of(service, await examineCheck(service, docker, version));
    yield of(service, await examineAddress(location));
  }
  const reports = yield* examineEtcd(config, locations);
  for (const location of locations)
    for (const finding of examineRecords(location, reports)) yield of(location.service, finding);
  yield* examineDrain(config.control);
}

/**
 * The step `drain`: is a service drained? Only a dockreg that runs here knows; without one there is no finding.
 * @param control the path of the control socket; null for none
 */
async function* examineDrain(control: string | null): AsyncGenerator<Finding> {
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
